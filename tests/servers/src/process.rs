//! Starting processes from one long-lived thread, and signals without `unsafe`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Doing, Result, ServerError};

type Job = Box<dyn FnOnce() + Send>;

/// Starts `command` from the one thread of this process that starts servers.
///
/// Linux delivers the parent-death signal when the *thread* that started the child ends, not the process. A server
/// started from a test's thread would die with that test, so every server is started from a thread that lives as
/// long as the process.
pub(crate) fn spawn(mut command: Command) -> Result<Child> {
    static SPAWNER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);
    let shown = show(&command);
    let (answer, answered) = mpsc::channel();
    {
        let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = if let Some(sender) = spawner.as_ref() {
            sender.clone()
        } else {
            let (sender, jobs) = mpsc::channel::<Job>();
            thread::Builder::new()
                .name("server-spawner".to_owned())
                .spawn(move || jobs.iter().for_each(|job| job()))
                .doing(|| "start the thread that starts servers".to_owned())?;
            spawner.insert(sender).clone()
        };
        let job: Job = Box::new(move || {
            let _ = answer.send(command.spawn());
        });
        sender.send(job).map_err(|_| gone()).doing(|| format!("start `{shown}`"))?;
    }
    answered.recv().map_err(|_| gone()).and_then(|child| child).doing(|| format!("start `{shown}`"))
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts servers is gone")
}

/// Runs `command` to its end and returns its standard output; a failure carries the end of what it wrote.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let shown = show(&command);
    let output = command.stdin(Stdio::null()).output().doing(|| format!("run `{shown}`"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(ServerError::Command { command: shown, outcome: format!("{}: {}", output.status, tail(&text, 1200)) })
}

/// The command line for messages.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The last `bytes` of a text, trimmed.
pub(crate) fn tail(text: &str, bytes: usize) -> &str {
    let text = text.trim();
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Sends a signal (`KILL`, `INT`, `STOP`, `CONT`) to each of `pids`; a process that is gone is no error.
pub(crate) fn signal(name: &str, pids: &[u32]) -> Result<()> {
    if pids.is_empty() {
        return Ok(());
    }
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "signal=$1; shift; for pid; do kill -s \"$signal\" -- \"$pid\"; done; true",
        "sh",
        name,
    ]);
    command.args(pids.iter().map(ToString::to_string));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().doing(|| format!("send SIG{name} to {pids:?}"))?;
    Ok(())
}

/// Kills every process of the group `pgid` at once; a group that is gone is no error.
pub fn kill_group(pgid: u32) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s KILL -- \"-$1\"; true", "sh", &pgid.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().doing(|| format!("kill the process group {pgid}"))?;
    Ok(())
}

/// The living processes whose working folder is `folder` or below.
///
/// A server works in its scratch folder, and so do its children, also when their parent is gone: this finds what a
/// process tree or a process group would miss (PostgreSQL gives each backend a session of its own).
pub(crate) fn processes_in(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect();
    pids.sort_unstable();
    pids
}

/// Kills every process that works in `folder`, `first` before the others, and waits till all are gone.
pub(crate) fn kill_all_in(folder: &Path, what: &'static str, first: Option<u32>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    signal("KILL", &first.into_iter().collect::<Vec<_>>())?;
    loop {
        let pids = processes_in(folder);
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(ServerError::StillRunning { what, pids });
        }
        signal("KILL", &pids)?;
        thread::sleep(Duration::from_millis(10));
    }
}

/// Finds an executable on the `PATH`.
pub(crate) fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether `file` is a file with an executable bit.
pub(crate) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The text of a file, empty when it cannot be read.
pub(crate) fn read_lossy(file: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(file) {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_starts_at_a_character() {
        assert_eq!(tail("  aé ", 1), "");
        assert_eq!(tail("  aé ", 2), "é");
        assert_eq!(tail("abc", 10), "abc");
    }

    #[test]
    fn a_failing_command_is_shown_with_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo so; exit 3"]);
        let message = output(command).unwrap_err().to_string();
        assert!(message.contains("exit 3") && message.contains("so"), "{message}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let message = spawn(Command::new("no-such-program")).unwrap_err().to_string();
        assert!(message.contains("start `no-such-program`"), "{message}");
    }
}
