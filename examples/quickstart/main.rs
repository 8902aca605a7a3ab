//! `cargo run --example quickstart`: see `--help`, and `lib.rs` for what it does.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crm_examples::options::{HELP, Request};
use crm_examples::store::Place;
use crm_examples::{Outcome, Result, quickstart};

#[tokio::main]
async fn main() -> ExitCode {
    let (place, data) = match Request::parse(std::env::args().skip(1)) {
        Ok(Request::Run { place, data }) => (place, data),
        Ok(Request::Help) => {
            let _ = writeln!(io::stdout(), "{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("quickstart: {message}");
            return ExitCode::from(2);
        }
    };
    match run(&place, &data).await {
        Ok(outcome) if outcome.differing.is_empty() => ExitCode::SUCCESS,
        Ok(outcome) => {
            eprintln!("quickstart: {} totals are not as expected", outcome.differing.len());
            ExitCode::FAILURE
        }
        // Whoever reads us has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(place: &Place, data: &Path) -> Result<Outcome> {
    let store = place.open().await?;
    quickstart(store, place, data, &mut io::stdout(), &mut progress()).await
}

/// Says how far loading has come: on a terminal one line that changes, else a line for each step that is done.
fn progress() -> impl FnMut(&str, usize, usize) + Send {
    let terminal = io::stderr().is_terminal();
    move |what, done, of| {
        let mut stderr = io::stderr();
        // Nobody to tell is no reason to stop.
        let _ = match (terminal, done == of) {
            (true, false) => write!(stderr, "\r\x1b[Kloading {what}: {done} of {of}"),
            (true, true) => write!(stderr, "\r\x1b[K"),
            (false, true) => writeln!(stderr, "loading {what}: {done} of {of}"),
            (false, false) => Ok(()),
        };
        let _ = stderr.flush();
    }
}

fn is_broken_pipe(error: &crm_examples::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
