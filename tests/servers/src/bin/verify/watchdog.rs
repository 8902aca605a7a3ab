//! A second process that notices when the runner is gone, however it ended (Ctrl-C, SIGTERM, SIGKILL), and then kills
//! the step under way and removes what the servers left. The servers themselves die by the kernel's hand.

use std::env;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use crm_test_servers::{clean_stale, kill_group};

/// The runner's end: the watchdog reads lines from it, and its closing is the runner's death.
pub(crate) struct Watchdog {
    process: Child,
    line: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts this program again as the watchdog, out of the reach of the terminal's Ctrl-C.
    pub(crate) fn start() -> Result<Self, String> {
        let failed = |error| format!("the watchdog did not start: {error}");
        let mut command = Command::new(env::current_exe().map_err(failed)?);
        command.arg("--watchdog").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(failed)?;
        let line = process.stdin.take();
        Ok(Self { process, line })
    }

    /// Names the process group to kill when the runner dies.
    pub(crate) fn guard(&mut self, group: Option<u32>) {
        self.say(&group.unwrap_or(0).to_string());
    }

    fn say(&mut self, word: &str) {
        if let Some(line) = &mut self.line {
            let _ = writeln!(line, "{word}");
        }
    }
}

impl Drop for Watchdog {
    /// The runner ends in order: nothing is to be done.
    fn drop(&mut self) {
        self.say("done");
        self.line = None;
        let _ = self.process.wait();
    }
}

/// The watchdog's own life.
pub(crate) fn watch(line: impl BufRead) {
    let Some(group) = last_word(line) else { return };
    if group > 1 {
        let _ = kill_group(group);
    }
    // The servers of the killed processes go within moments; what still holds its lock is somebody else's.
    for _ in 0..5 {
        let _ = clean_stale();
        thread::sleep(Duration::from_millis(200));
    }
}

/// The group that was guarded last when the line was cut, 0 for none; nothing when the runner ended in order.
fn last_word(line: impl BufRead) -> Option<u32> {
    let words: Vec<String> = line.lines().map_while(Result::ok).collect();
    let last = words.last().map_or("0", String::as_str);
    if last == "done" { None } else { Some(last.parse().unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        assert_eq!(last_word(&b""[..]), Some(0));
        assert_eq!(last_word(&b"17\n"[..]), Some(17));
        assert_eq!(last_word(&b"17\n0\n18\n"[..]), Some(18));
        assert_eq!(last_word(&b"17\n0\ndone\n"[..]), None);
    }
}
