//! Who runs the servers: PostgreSQL refuses to run as root, so root hands over to an unprivileged user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Result;
use crate::process::{find_in_path, output};

/// The user that a server runs as, when it is not the user of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerUser {
    /// The numeric user id.
    pub(crate) uid: u32,
    /// The numeric group id.
    pub(crate) gid: u32,
}

/// The numeric id of the user of this process.
pub(crate) fn own_uid() -> Result<u32> {
    if let Ok(meta) = fs::metadata("/proc/self") {
        return Ok(meta.uid());
    }
    let mut command = Command::new("id");
    command.arg("-u");
    Ok(output(command)?.trim().parse().unwrap_or(u32::MAX))
}

/// The user to hand over to: `postgres`, else `nobody`, when this process is root; else none.
pub(crate) fn server_user() -> Result<Option<ServerUser>> {
    if own_uid()? != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = find_user(&users, "postgres").or_else(|| find_user(&users, "nobody"));
    Ok(Some(found.unwrap_or(ServerUser { uid: 65534, gid: 65534 })))
}

fn find_user(passwd: &str, name: &str) -> Option<ServerUser> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        (found && uid != 0).then_some(ServerUser { uid, gid })
    })
}

/// Whether the unprivileged user can enter every folder down to `path`; always true for an ordinary user.
pub(crate) fn reachable(path: &Path) -> Result<bool> {
    if own_uid()? != 0 {
        return Ok(true);
    }
    let Ok(path) = nearest_existing(path).canonicalize() else { return Ok(false) };
    Ok(path.ancestors().all(|part| fs::metadata(part).is_ok_and(|meta| meta.mode() & 0o001 != 0)))
}

fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/"))
}

/// A command for `program` that runs in `folder` as the unprivileged user, with a small fixed environment and a
/// process group of its own (Ctrl-C at the terminal is for the runner, not for the server).
///
/// With `die_with_us` the kernel kills it when the thread that started it ends; that needs `setpriv` of util-linux,
/// and without it a server that outlives its runner is found and killed by the next start.
pub(crate) fn command(program: &Path, folder: &Path, user: Option<ServerUser>, die_with_us: bool) -> Command {
    let mut command;
    match find_in_path("setpriv") {
        Some(setpriv) if user.is_some() || die_with_us => {
            command = Command::new(setpriv);
            if let Some(ServerUser { uid, gid }) = user {
                command.args([
                    format!("--reuid={uid}"),
                    format!("--regid={gid}"),
                    "--clear-groups".to_owned(),
                ]);
            }
            if die_with_us {
                command.args(["--pdeathsig", "KILL"]);
            }
            command.arg(program);
        }
        _ => {
            command = Command::new(program);
            if let Some(ServerUser { uid, gid }) = user {
                command.uid(uid).gid(gid);
            }
        }
    }
    command.current_dir(folder).process_group(0).stdin(Stdio::null()).env_clear();
    for name in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C").env("TZ", "UTC").env("HOME", folder);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name_and_root_is_refused() {
        let passwd = "root:x:0:0::/:\npostgres2:x:7:7::/:\npostgres:x:101:104:admin,,,:/var/lib:/bin/sh\n";
        assert_eq!(find_user(passwd, "postgres"), Some(ServerUser { uid: 101, gid: 104 }));
        assert_eq!(find_user(passwd, "nobody"), None);
        assert_eq!(find_user(passwd, "root"), None);
    }

    #[test]
    fn a_path_that_does_not_exist_yet_is_judged_by_its_parent() {
        assert!(reachable(Path::new("/usr/no/such/folder")).unwrap());
    }
}
