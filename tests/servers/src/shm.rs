//! The one thing that a killed PostgreSQL leaves outside its folder: a small System V shared memory segment.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::read_lossy;

/// Removes the segment that the killed server of `data` left, if it is provably that server's and nobody uses it.
///
/// A kernel has 4,096 of these, so a machine that runs tests for months would run out of them.
pub(crate) fn remove_segment_of(data: &Path) {
    let pid_file = read_lossy(&data.join("postmaster.pid"));
    let segments = read_lossy(Path::new("/proc/sysvipc/shm"));
    if let Some(id) = leftover(&pid_file, &segments) {
        let mut command = Command::new("ipcrm");
        command.args(["-m", &id.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = command.status();
    }
}

/// The id of the unused segment that `postmaster.pid` names: line 1 is the process, line 7 key and id.
fn leftover(pid_file: &str, segments: &str) -> Option<u64> {
    let pid: i64 = pid_file.lines().next()?.trim().parse().ok()?;
    let mut named = pid_file.lines().nth(6)?.split_whitespace();
    let (key, id): (i64, u64) = (named.next()?.parse().ok()?, named.next()?.parse().ok()?);
    segments.lines().skip(1).find_map(|line| {
        // key shmid perms size cpid lpid nattch …
        let fields: Vec<i64> = line.split_whitespace().take(7).filter_map(|f| f.parse().ok()).collect();
        let [found_key, found_id, _, _, creator, _, attached] = fields[..] else { return None };
        let same = found_key as u32 == key as u32 && found_id as u64 == id;
        (same && creator == pid && attached == 0).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID_FILE: &str = "77\n/d\n1700000000\n5432\n\n127.0.0.1\n   525601         3\nready\n";

    #[test]
    fn only_the_servers_own_unused_segment_is_a_leftover() {
        let table = |creator, attached| {
            format!("key shmid perms size cpid lpid nattch uid\n525601 3 600 56 {creator} 9 {attached} 101\n")
        };
        assert_eq!(leftover(PID_FILE, &table(77, 0)), Some(3));
        assert_eq!(leftover(PID_FILE, &table(77, 2)), None);
        assert_eq!(leftover(PID_FILE, &table(78, 0)), None);
        assert_eq!(leftover("", &table(77, 0)), None);
    }
}
