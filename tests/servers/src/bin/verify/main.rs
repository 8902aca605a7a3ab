//! The project's one test command, run by `cargo verify`: format, lints, documentation, both servers, all tests.

mod options;
mod steps;
mod watchdog;

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crm_test_servers::{MongoServer, Options, PostgresServer, ServerError};
use options::{Mode, Request};
use steps::{cargo, step};
use watchdog::Watchdog;

fn main() -> ExitCode {
    let request = match Request::parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(message) => {
            eprintln!("verify: {message}");
            return ExitCode::from(2);
        }
    };
    let outcome = match request.mode {
        Mode::Help => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Mode::Watchdog => {
            watchdog::watch(io::stdin().lock());
            return ExitCode::SUCCESS;
        }
        Mode::Servers => serve(),
        Mode::All | Mode::Fast => verify(&request),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("verify: FAILED: {message}");
            ExitCode::FAILURE
        }
    }
}

fn verify(request: &Request) -> Result<(), String> {
    let start = Instant::now();
    let mut watchdog = Watchdog::start()?;
    if request.mode == Mode::All {
        cargo(&mut watchdog, "format", &["fmt", "--all", "--check"], &[])?;
        cargo(
            &mut watchdog,
            "lints",
            &["clippy", "--workspace", "--exclude", "crm-benches", "--all-targets", "--", "-D", "warnings"],
            &[],
        )?;
        cargo(
            &mut watchdog,
            "documentation",
            &["doc", "--workspace", "--exclude", "crm-benches", "--no-deps"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        )?;
    }
    let servers = step("servers", Servers::start)?;
    println!("{}", servers.describe());
    let test = request.test_args();
    cargo(
        &mut watchdog,
        "tests",
        &test,
        &[("CRM_POSTGRES_URL", &servers.postgres_url), ("CRM_MONGO_URL", &servers.mongo_url)],
    )?;
    step("stop", || servers.stop())?;
    println!("verify: all passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Both servers, started here or named by the environment.
struct Servers {
    postgres: Option<PostgresServer>,
    mongo: Option<MongoServer>,
    postgres_url: String,
    mongo_url: String,
}

impl Servers {
    /// Starts what the environment does not name, both at once.
    fn start() -> Result<Self, ServerError> {
        let (postgres_named, mongo_named) = (crm_test_servers::postgres_url(), crm_test_servers::mongo_url());
        let (postgres, mongo) = thread::scope(|scope| {
            let postgres =
                postgres_named.is_err().then(|| scope.spawn(|| PostgresServer::start(&Options::fast())));
            let mongo = mongo_named.is_err().then(|| MongoServer::start(&Options::fast()));
            let ended =
                || Err(ServerError::Invalid("the thread that starts postgres ended early".to_owned()));
            (postgres.map(|thread| thread.join().unwrap_or_else(|_| ended())), mongo)
        });
        let (postgres, mongo) = (postgres.transpose()?, mongo.transpose()?);
        Ok(Self {
            postgres_url: postgres.as_ref().map_or_else(|| postgres_named, |server| Ok(server.url()))?,
            mongo_url: mongo.as_ref().map_or_else(|| mongo_named, |server| Ok(server.url()))?,
            postgres,
            mongo,
        })
    }

    /// One line a server; a URL that was given may hold a password and is not shown.
    fn describe(&self) -> String {
        let line = |version: Option<&str>, url: &str, variable: &str| match version {
            Some(version) => format!("  {version}: {url}"),
            None => format!("  the server of {variable}"),
        };
        let postgres = self.postgres.as_ref().map(PostgresServer::version);
        let mongo = self.mongo.as_ref().map(MongoServer::version);
        format!(
            "{}\n{}",
            line(postgres, &self.postgres_url, "CRM_POSTGRES_URL"),
            line(mongo, &self.mongo_url, "CRM_MONGO_URL")
        )
    }

    /// The server that was started here and runs no more.
    fn dead(&self) -> Option<&str> {
        let postgres = self.postgres.as_ref().filter(|server| server.pid().is_none());
        let mongo = self.mongo.as_ref().filter(|server| server.pid().is_none());
        postgres.map(PostgresServer::version).or_else(|| mongo.map(MongoServer::version))
    }

    fn stop(self) -> Result<(), ServerError> {
        self.postgres.map_or(Ok(()), PostgresServer::stop)?;
        self.mongo.map_or(Ok(()), MongoServer::stop)
    }
}

/// `--servers`: starts both, says how to reach them, and waits.
fn serve() -> Result<(), String> {
    let _watchdog = Watchdog::start()?;
    let servers = Servers::start().map_err(|error| error.to_string())?;
    eprintln!("{}", servers.describe());
    println!("export CRM_POSTGRES_URL='{}'", servers.postgres_url);
    println!("export CRM_MONGO_URL='{}'", servers.mongo_url);
    // Only a person's Ctrl-D is a wish to end; a script's standard input is often closed from the start.
    let ended = io::stdin().is_terminal().then(|| {
        eprintln!("they run until Ctrl-D or Ctrl-C");
        thread::spawn(|| while matches!(io::stdin().read(&mut [0; 256]), Ok(1..)) {})
    });
    while !ended.as_ref().is_some_and(thread::JoinHandle::is_finished) {
        if let Some(dead) = servers.dead() {
            return Err(format!("{dead} ended by itself"));
        }
        thread::sleep(Duration::from_millis(300));
    }
    servers.stop().map_err(|error| error.to_string())?;
    Ok(())
}
