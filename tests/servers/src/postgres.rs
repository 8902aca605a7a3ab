//! A PostgreSQL server of one's own.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;
use crate::install::Binaries;
use crate::options::{Durability, Options};
use crate::place;
use crate::process::output;
use crate::server::Server;
use crate::startup::PostgresProbe;

/// The superuser of the servers that this crate starts.
pub const POSTGRES_USER: &str = "crm";

/// A running PostgreSQL server with a fresh, empty cluster: UTF-8, locale C, loopback interface only, user `crm`
/// without a password. Dropping it stops it and removes its folder.
///
/// Everybody on this machine can connect to it as its superuser while it runs: put nothing of value in it.
#[derive(Debug)]
pub struct PostgresServer {
    server: Server,
    bin: PathBuf,
    version: String,
    settings: Vec<String>,
    start_timeout: Duration,
}

impl PostgresServer {
    /// Finds or installs the binaries, makes a cluster and starts it.
    pub fn start(options: &Options) -> Result<Self> {
        let bin = Binaries::postgres()?;
        let mut ask = std::process::Command::new(bin.join("postgres"));
        ask.arg("--version");
        let version = output(ask)?.trim().to_owned();
        let server = Server::new("postgres", "QUIT", &place::root()?)?;
        let data = server.folder("data")?;
        let init =
            ["-D", &data, "-U", POSTGRES_USER, "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync"];
        server.prepare(&bin.join("initdb"), &init)?;
        let port = server.lease.port.to_string();
        let mut own = vec![
            ("port", port.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("max_connections", "200"),
            ("dynamic_shared_memory_type", "mmap"),
            ("logging_collector", "off"),
        ];
        own.extend(match options.durability {
            Durability::Durable => {
                [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")]
            }
            Durability::Fast => {
                [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")]
            }
        });
        let mut settings = vec!["-D".to_owned(), data];
        for (name, value) in options.over(&own) {
            settings.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let started = Self { server, bin, version, settings, start_timeout: options.start_timeout };
        started.launch()?;
        Ok(started)
    }

    fn launch(&self) -> Result<()> {
        let args: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        self.server.launch(&self.bin.join("postgres"), &args, self.start_timeout, || {
            PostgresProbe::connect(self.port(), POSTGRES_USER, "postgres").map(|_| ())
        })
    }

    /// The URL of its database `postgres`, as its superuser.
    pub fn url(&self) -> String {
        format!("postgres://{POSTGRES_USER}@127.0.0.1:{}/postgres", self.port())
    }

    /// Its port, the same for its whole life.
    pub fn port(&self) -> u16 {
        self.server.lease.port
    }

    /// The id of its first process (the postmaster), while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// What `postgres --version` says.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Kills the postmaster and every backend with SIGKILL, as a crash would, and returns when all are gone.
    pub fn kill_hard(&self) -> Result<()> {
        self.server.kill_hard()
    }

    /// Starts it again with the same data on the same port; when it still runs, it is stopped first
    /// (SIGINT, which ends open sessions).
    pub fn restart(&self) -> Result<()> {
        self.server.end("INT")?;
        self.launch()
    }

    /// Stops all its processes where they stand (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.server.pause()
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.server.resume()
    }

    /// Opens a session without a driver.
    pub fn probe(&self) -> Result<PostgresProbe> {
        PostgresProbe::connect(self.port(), POSTGRES_USER, "postgres")
    }

    /// Stops it (SIGQUIT: no last checkpoint, its data is not kept) and removes its folder; dropping does the same silently.
    pub fn stop(self) -> Result<()> {
        self.server.discard()
    }
}
