//! Where things lie: the cache of installed binaries, the scratch folders of servers, the leases of ports.

use std::fs::{self, DirBuilder, File};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Doing, Result, ServerError};
use crate::privilege::{own_uid, reachable, server_user};
use crate::process::kill_all_in;
use crate::shm;

const NAME: &str = "crm-test-servers";

/// The folder below which this crate keeps everything; it belongs to the user of this process and the user that runs
/// the servers can enter it.
pub(crate) fn root() -> Result<PathBuf> {
    if let Some(chosen) = variable("CRM_SERVER_CACHE") {
        if !reachable(&chosen)? {
            return Err(ServerError::Invalid(format!(
                "CRM_SERVER_CACHE={} is not reachable for the unprivileged user that runs the servers: \
                 name a folder whose parents everybody may enter, such as /var/tmp/{NAME}",
                chosen.display()
            )));
        }
        return own_folder(&chosen);
    }
    let uid = own_uid()?;
    let mut candidates = Vec::new();
    candidates.extend(variable("XDG_CACHE_HOME").map(|cache| cache.join(NAME)));
    candidates.extend(variable("HOME").map(|home| home.join(".cache").join(NAME)));
    if uid == 0 {
        candidates.push(Path::new("/var/tmp").join(NAME));
    }
    candidates.push(std::env::temp_dir().join(format!("{NAME}-{uid}")));
    let mut refusal = None;
    for candidate in candidates {
        if reachable(&candidate)? {
            match own_folder(&candidate) {
                Ok(folder) => return Ok(folder),
                Err(error) => refusal = Some(error),
            }
        }
    }
    Err(refusal.unwrap_or_else(|| {
        ServerError::Invalid("found no folder for the servers: set CRM_SERVER_CACHE to one".to_owned())
    }))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Makes `folder` and its parents; refuses one that somebody else made (a shared temporary folder invites that).
fn own_folder(folder: &Path) -> Result<PathBuf> {
    make_folder(folder, 0o755)?;
    let owner = fs::symlink_metadata(folder).at("look at", folder)?;
    if !owner.is_dir() || owner.uid() != own_uid()? {
        return Err(ServerError::Invalid(format!(
            "{} is not a folder of this user: remove it, or set CRM_SERVER_CACHE to another one",
            folder.display()
        )));
    }
    folder.canonicalize().at("resolve", folder)
}

/// Makes `folder` and its parents, with this mode whatever the umask is; one that exists is left as it is.
pub(crate) fn make_folder(folder: &Path, mode: u32) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(folder).at("make the folder", folder)?;
    // Again, because a strict umask would keep the server's user out.
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).at("open up", folder)
}

/// Takes the lock `name` of the root folder, waiting for others; it ends when the file is dropped or its owner dies.
pub(crate) fn lock(root: &Path, name: &str) -> Result<File> {
    let path = root.join(name);
    let file = open_lock(&path)?;
    file.lock().at("lock", &path)?;
    Ok(file)
}

fn open_lock(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).write(true).open(path).at("open the lock", path)
}

/// A number that no other call in this process got.
pub(crate) fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The folder of one server, removed when dropped. The kernel releases its lock when the runner dies, however it
/// dies, and that is how the next start knows which folders are stale.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The folder, which belongs to the user that runs the server.
    pub(crate) path: PathBuf,
    _owner: File,
}

impl Scratch {
    /// Makes a fresh folder, after removing those of dead runners.
    pub(crate) fn create(root: &Path, kind: &str) -> Result<Self> {
        let _lock = lock(root, "run.lock")?;
        clean(root);
        let path = root.join("run").join(format!("{kind}-{}-{}", std::process::id(), next_number()));
        make_folder(&root.join("run"), 0o755)?;
        DirBuilder::new().mode(0o700).create(&path).at("make the folder", &path)?;
        let owner = open_lock(&path.join("owner.lock"))?;
        owner.try_lock().map_err(std::io::Error::from).at("lock", &path)?;
        let scratch = Self { path, _owner: owner };
        if let Some(user) = server_user()? {
            std::os::unix::fs::chown(&scratch.path, Some(user.uid), Some(user.gid))
                .at("hand over", &scratch.path)?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Kills the servers whose runner is dead and removes their folders; returns how many there were.
///
/// Each start does this too. A server normally dies with its runner (see the crate's page), its folder does not.
pub fn clean_stale() -> Result<usize> {
    let root = root()?;
    let _lock = lock(&root, "run.lock")?;
    Ok(clean(&root))
}

fn clean(root: &Path) -> usize {
    let Ok(entries) = fs::read_dir(root.join("run")) else { return 0 };
    let mut cleaned = 0;
    for entry in entries.flatten() {
        let path = entry.path();
        let owner = path.join("owner.lock");
        let free = !owner.exists() || open_lock(&owner).is_ok_and(|file| file.try_lock().is_ok());
        if free && kill_all_in(&path, "a server of a dead runner", None).is_ok() {
            shm::remove_segment_of(&path.join("data"));
            cleaned += usize::from(fs::remove_dir_all(&path).is_ok());
        }
    }
    cleaned
}

/// A port of the loopback interface that no other server of this user's runners has.
#[derive(Debug)]
pub(crate) struct PortLease {
    /// The port.
    pub(crate) port: u16,
    _lock: File,
}

impl PortLease {
    /// Leases a port below the range from which the kernel takes the ports of outgoing connections: while a server is
    /// down, no client can be given its port, nor connect to itself by chance.
    pub(crate) fn take(root: &Path) -> Result<Self> {
        let folder = root.join("ports");
        make_folder(&folder, 0o755)?;
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let end = range.split_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(32768u32);
        let (start, end) = if end > 12000 { (10000, end.min(32768)) } else { (49152, 65535) };
        let seed = std::process::id().wrapping_mul(37).wrapping_add(next_number());
        for step in 0..end - start {
            let port = (start + seed.wrapping_add(step) % (end - start)) as u16;
            let lock = open_lock(&folder.join(port.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(Self { port, _lock: lock });
            }
        }
        Err(ServerError::Invalid(format!("found no free port between {start} and {end}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leases_are_two_ports_and_a_dropped_one_is_free_again() {
        let root = root().unwrap();
        let (one, two) = (PortLease::take(&root).unwrap(), PortLease::take(&root).unwrap());
        assert_ne!(one.port, two.port);
        let file = open_lock(&root.join("ports").join(one.port.to_string())).unwrap();
        assert!(file.try_lock().is_err());
        drop(one);
        assert!(file.try_lock().is_ok());
    }

    #[test]
    fn a_scratch_folder_of_a_living_runner_is_left_alone_and_a_dead_ones_removed() {
        let root = root().unwrap();
        let alive = Scratch::create(&root, "test").unwrap();
        let dead = root.join("run").join(format!("test-dead-{}", std::process::id()));
        make_folder(&dead.join("data"), 0o700).unwrap();
        clean_stale().unwrap();
        assert!(alive.path.exists());
        assert!(!dead.exists());
        let path = alive.path.clone();
        drop(alive);
        assert!(!path.exists());
    }
}
