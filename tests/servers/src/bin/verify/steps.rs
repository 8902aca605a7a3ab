//! Steps: each with its name, its time, and an early end at the first failure.

use std::env;
use std::fmt::Display;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use crm_test_servers::kill_group;

use crate::watchdog::Watchdog;

/// Runs one step and prints its name and time.
pub(crate) fn step<T, E: Display>(name: &str, run: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    let start = Instant::now();
    let result = run();
    let word = if result.is_ok() { "ok" } else { "FAILED" };
    println!("verify: {name:<14}{word:<8}{:.1} s", start.elapsed().as_secs_f64());
    result.map_err(|error| format!("{name}: {error}"))
}

/// Runs cargo as a step, in a process group of its own: nothing of it is left when it fails or when this process is
/// killed.
pub(crate) fn cargo(
    watchdog: &mut Watchdog,
    name: &str,
    args: &[&str],
    variables: &[(&str, &str)],
) -> Result<(), String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).envs(variables.iter().copied()).stdin(Stdio::null()).process_group(0);
    let shown = format!("cargo {}", args.join(" "));
    step(name, || {
        let mut child = command.spawn().map_err(|error| format!("`{shown}` did not start: {error}"))?;
        let group = child.id();
        watchdog.guard(Some(group));
        let status = child.wait().map_err(|error| format!("`{shown}`: {error}"))?;
        watchdog.guard(None);
        if status.success() {
            return Ok(());
        }
        // Cargo itself may have been killed while what it had started goes on.
        let _ = kill_group(group);
        Err(format!("`{shown}` ended with {status}"))
    })
}
