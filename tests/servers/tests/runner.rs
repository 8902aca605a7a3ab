//! What is left when the runner ends: nothing, also when it was killed or when a step of it was.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use run::{folders_of, until, verify};

#[cfg(test)]
mod run {
    //! The runner and waiting.

    use std::fs;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    /// The runner without servers named by the environment, and with its standard input closed.
    pub(crate) fn verify(flag: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
        command.arg(flag).env_remove("CRM_POSTGRES_URL").env_remove("CRM_MONGO_URL").stdin(Stdio::null());
        command
    }

    /// Waits at most 15 s.
    pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(15);
        while !holds() {
            assert!(Instant::now() < end, "waited too long until {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The scratch folders of the servers that a runner started.
    pub(crate) fn folders_of(runner: &Child) -> Vec<PathBuf> {
        let mine = format!("-{}-", runner.id());
        let working = fs::read_dir("/proc").unwrap().flatten();
        let mut folders: Vec<PathBuf> = working
            .filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok())
            .flat_map(|cwd| cwd.ancestors().map(PathBuf::from).collect::<Vec<_>>())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(&mine)))
            .collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

#[test]
fn a_killed_runner_takes_its_servers_and_their_folders_with_it() {
    let mut runner = verify("--servers").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    let urls: Vec<String> = lines.take(2).map(Result::unwrap).collect();
    assert!(urls[0].starts_with("export CRM_POSTGRES_URL='postgres://"), "{urls:?}");
    assert!(urls[1].starts_with("export CRM_MONGO_URL='mongodb://"), "{urls:?}");
    let port = |url: &String| -> u16 {
        let rest = url.split("127.0.0.1:").nth(1).unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    };
    let ports: Vec<u16> = urls.iter().map(port).collect();
    let open = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
    thread::sleep(Duration::from_millis(500));
    assert!(ports.iter().all(|port| open(*port)), "closed standard input ends nothing");
    let folders = folders_of(&runner);
    assert_eq!(folders.len(), 2, "{folders:?}");

    runner.kill().unwrap();
    runner.wait().unwrap();
    until("the servers are gone", || ports.iter().all(|port| !open(*port)));
    until("their folders are gone", || folders.iter().all(|folder| !folder.exists()));
}

#[test]
fn a_failing_step_ends_the_run_and_is_named() {
    let output = verify("--").env("CARGO", "false").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("verify: format") && !out.contains("lints"), "{out}");
    assert!(err.contains("FAILED: format: `cargo fmt --all --check` ended with exit status: 1"), "{err}");
}

#[test]
fn what_a_killed_step_had_started_is_killed_too() {
    let script = std::env::temp_dir().join(format!("crm-killed-step-{}", std::process::id()));
    fs::write(&script, "#!/bin/sh\nsleep 77 &\necho $! > \"$0.pid\"\nkill -KILL $$\n").unwrap();
    Command::new("chmod").arg("755").arg(&script).status().unwrap();
    let start = Instant::now();
    let output =
        verify("--").env("CARGO", &script).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(output.code(), Some(1));
    let pid_file = script.with_extension("pid");
    let pid = fs::read_to_string(&pid_file).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    until("the sleeper is gone", || state().is_empty() || state().contains(") Z "));
    assert!(start.elapsed() < Duration::from_secs(20));
    fs::remove_file(&script).unwrap();
    fs::remove_file(&pid_file).unwrap();
}

#[test]
fn servers_that_are_named_are_used_and_not_shown() {
    let mut runner = verify("--servers")
        .env("CRM_POSTGRES_URL", "postgres://u:secret@127.0.0.1:1/db")
        .env("CRM_MONGO_URL", "mongodb://127.0.0.1:1/")
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(runner.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "the server of CRM_POSTGRES_URL");
    runner.kill().unwrap();
    runner.wait().unwrap();
}
