//! What can go wrong: each message says what was wrong and what would be right.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A result of this crate.
pub type Result<T, E = ServerError> = std::result::Result<T, E>;

/// Why a server could not be found, installed, started, reached or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// No way to the server's binaries worked.
    Missing {
        /// The server.
        what: &'static str,
        /// Each way that was tried, with its result.
        tried: Vec<String>,
        /// What the reader can do about it.
        remedy: String,
    },
    /// A command that this crate ran failed.
    Command {
        /// The command line.
        command: String,
        /// Its exit status and the end of its output.
        outcome: String,
    },
    /// The operating system refused something.
    Io {
        /// What was being done.
        doing: String,
        /// The refusal.
        source: io::Error,
    },
    /// A server was started and did not become ready.
    NotReady {
        /// The server.
        what: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// What it answered last.
        last: String,
        /// The end of its log.
        log: String,
    },
    /// A server answered something else than what its protocol allows here, or refused a command.
    Reply(String),
    /// A server did not go away.
    StillRunning {
        /// The server.
        what: &'static str,
        /// The processes that remain.
        pids: Vec<u32>,
    },
    /// A URL, an environment variable or an option has no usable value.
    Invalid(String),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, tried, remedy } => {
                write!(f, "found no {what}: {}; {remedy}", tried.join("; "))
            }
            Self::Command { command, outcome } => write!(f, "`{command}` failed: {outcome}"),
            Self::Io { doing, source } => write!(f, "could not {doing}: {source}"),
            Self::NotReady { what, waited, last, log } => write!(
                f,
                "{what} was not ready after {:.1} s (last answer: {last}); the end of its log:\n{log}",
                waited.as_secs_f64()
            ),
            Self::Reply(text) | Self::Invalid(text) => f.write_str(text),
            Self::StillRunning { what, pids } => write!(f, "{what} still runs after SIGKILL: {pids:?}"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Says what was being done when the operating system refused.
pub(crate) trait Doing<T> {
    /// Turns an I/O error into [`ServerError::Io`] with `doing` (an infinitive without "to").
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;

    /// The same for one verb and one path.
    fn at(self, verb: &str, path: &Path) -> Result<T>
    where
        Self: Sized,
    {
        self.doing(|| format!("{verb} {}", path.display()))
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| ServerError::Io { doing: doing(), source })
    }
}
