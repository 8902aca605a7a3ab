//! A MongoDB server of one's own.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Result, ServerError};
use crate::install::Binaries;
use crate::options::{Durability, Options};
use crate::place;
use crate::process::output;
use crate::server::Server;
use crate::wire::{Document, MongoProbe};

/// A running MongoDB server: a replica set `rs0` of one node (transactions and change streams need a replica set),
/// loopback interface only, no authentication. Dropping it stops it and removes its folder.
///
/// With [`Durability::Durable`] a majority write is acknowledged when it is in the journal on disk; with
/// [`Durability::Fast`] the set's `writeConcernMajorityJournalDefault` is off.
#[derive(Debug)]
pub struct MongoServer {
    server: Server,
    mongod: PathBuf,
    version: String,
    args: Vec<String>,
    start_timeout: Duration,
}

impl MongoServer {
    /// Finds or installs the binary, starts it in an empty folder and initiates its replica set.
    pub fn start(options: &Options) -> Result<Self> {
        let mongod = Binaries::mongod()?;
        let mut ask = std::process::Command::new(&mongod);
        ask.arg("--version");
        let version = output(ask)?.lines().next().unwrap_or_default().replace("db version v", "mongod ");
        let server = Server::new("mongod", "KILL", &place::root()?)?;
        let (data, port) = (server.folder("data")?, server.lease.port.to_string());
        let own = [
            ("replSet", "rs0"),
            ("bind_ip", "127.0.0.1"),
            ("port", port.as_str()),
            ("dbpath", data.as_str()),
            ("wiredTigerCacheSizeGB", "0.5"),
            ("setParameter", "diagnosticDataCollectionEnabled=false"),
            ("setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
            // The files of a dropped database go at once and not after five minutes: each test has a database of its
            // own, and together they have more files than many machines let a process open.
            ("setParameter", "minSnapshotHistoryWindowInSeconds=5"),
            ("setParameter", "wiredTigerFileHandleCloseIdleTime=10"),
        ];
        let mut args = vec!["--nounixsocket".to_owned()];
        for (name, value) in options.over(&own) {
            args.extend([format!("--{name}"), value]);
        }
        let started = Self { server, mongod, version, args, start_timeout: options.start_timeout };
        let mut initiated = false;
        started.launch(|probe| {
            if !initiated {
                initiate(probe, started.port(), options.durability)?;
                initiated = true;
            }
            Ok(())
        })?;
        Ok(started)
    }

    fn launch(&self, mut before: impl FnMut(&mut MongoProbe) -> Result<()>) -> Result<()> {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.server.launch(&self.mongod, &args, self.start_timeout, || {
            let mut probe = self.probe()?;
            before(&mut probe)?;
            if probe.run("admin", Document::new().int("hello", 1))?.is_true("isWritablePrimary") {
                return Ok(());
            }
            Err(ServerError::Reply("the node is not primary yet".to_owned()))
        })
    }

    /// The URL of the server. `directConnection` keeps a driver at this address, which lets a
    /// [`Proxy`](crate::Proxy) stand in between.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?replicaSet=rs0&directConnection=true", self.port())
    }

    /// Its port, the same for its whole life.
    pub fn port(&self) -> u16 {
        self.server.lease.port
    }

    /// The id of its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// What `mongod --version` says.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Kills it with SIGKILL, as a crash would, and returns when it is gone.
    pub fn kill_hard(&self) -> Result<()> {
        self.server.kill_hard()
    }

    /// Starts it again with the same data on the same port, and waits till it is primary; when it still runs, it is
    /// stopped first (SIGINT).
    pub fn restart(&self) -> Result<()> {
        self.server.end("INT")?;
        self.launch(|_| Ok(()))
    }

    /// Stops its process where it stands (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.server.pause()
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.server.resume()
    }

    /// Opens a connection without a driver.
    pub fn probe(&self) -> Result<MongoProbe> {
        MongoProbe::connect(self.port())
    }

    /// Stops it (SIGKILL: its data is not kept) and removes its folder; dropping does the same silently.
    pub fn stop(self) -> Result<()> {
        self.server.discard()
    }
}

/// Initiates the set of one node; code 23 means that it is initiated already.
fn initiate(probe: &mut MongoProbe, port: u16, durability: Durability) -> Result<()> {
    let member = Document::new().int("_id", 0).text("host", &format!("127.0.0.1:{port}"));
    let set = Document::new()
        .text("_id", "rs0")
        .bool("writeConcernMajorityJournalDefault", durability == Durability::Durable)
        .array("members", &[member]);
    let reply = probe.ask("admin", Document::new().document("replSetInitiate", &set))?;
    if reply.is_ok() || reply.get("code") == Some(crate::wire::Value::Int(23)) {
        return Ok(());
    }
    Err(ServerError::Reply(format!("mongod refused to initiate its replica set: {}", reply.message())))
}
