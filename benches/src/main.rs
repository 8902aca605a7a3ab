//! How fast the library is beside its peers, in one run: `cargo run --release -p crm-benches`.
//!
//! - `--only NAME` (may be repeated): `ingest`, `timeline`, `trips`, `criteria`, `merge`, `pushdown` or
//!   `profile`.
//! - `--quick`: small sizes, under two minutes; for trying things out, never for the record.
//! - `--date TEXT`: the date that the results carry; today unless set.
//! - `--out PATH`: where the results are written; `benches/RESULTS.md` unless set, and nowhere after `--quick` or
//!   `--only`.
//!
//! Every figure is a ratio between the library and a peer, measured in turns (A B A B) in the same process, on the
//! same servers; medians. Ratios carry over to another machine, times do not. A figure that misses its aim is a
//! line that says so, not a failure.

mod bed;
mod criteria;
mod fill;
mod ingest;
mod machine;
mod measure;
mod merge;
mod observe;
mod options;
mod profile;
mod pushdown;
mod report;
mod sample;
mod timeline;
mod trips;

use std::process::ExitCode;

use options::Options;
use report::Report;

/// Whatever went wrong; a bench that cannot measure ends with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What came out, or what went wrong.
type Outcome<T = ()> = Result<T, Failure>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crm-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut report = Report::default();
    if options.wants("merge") {
        merge::run(&options, &mut report);
    }
    if options.wants("criteria") {
        criteria::run(&options, &mut report)?;
    }
    if options.needs_servers() {
        let bed = bed::Bed::start().await?;
        report.versions.extend(bed.versions());
        if options.wants("trips") {
            trips::run(&bed, &mut report).await?;
        }
        if options.wants("pushdown") {
            pushdown::run(&bed, &options, &mut report).await?;
        }
        if options.wants("profile") {
            profile::run(&bed, &options, &mut report).await?;
        }
        if options.wants("ingest") {
            ingest::run(&bed, &options, &mut report).await?;
        }
        if options.wants("timeline") {
            timeline::run(&bed, &options, &mut report).await?;
        }
    }
    println!("{}", report.text());
    if let Some(path) = &options.out {
        std::fs::write(path, report.markdown(&options))?;
        println!("written to {}", path.display());
    }
    Ok(())
}
