//! What both servers have in common: one process in one scratch folder on one leased port.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Doing, Result, ServerError};
use crate::place::{PortLease, Scratch};
use crate::privilege;
use crate::process::{kill_all_in, output, processes_in, read_lossy, signal, spawn, tail};
use crate::shm;

/// How long a server may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Server {
    what: &'static str,
    /// The signal that ends the server soonest when its data is not needed any more.
    discard: &'static str,
    child: Mutex<Option<Child>>,
    pub(crate) lease: PortLease,
    pub(crate) scratch: Scratch,
}

impl Server {
    /// A server that does not run yet.
    pub(crate) fn new(what: &'static str, discard: &'static str, root: &Path) -> Result<Self> {
        let scratch = Scratch::create(root, what)?;
        Ok(Self { what, discard, child: Mutex::new(None), lease: PortLease::take(root)?, scratch })
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the server's process, when it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child().as_mut().and_then(|child| matches!(child.try_wait(), Ok(None)).then(|| child.id()))
    }

    /// Runs a program of the server's as the server's user in its folder, to its end.
    pub(crate) fn prepare(&self, program: &Path, args: &[&str]) -> Result<()> {
        output(self.command(program, args)?).map(|_| ())
    }

    fn command(&self, program: &Path, args: &[&str]) -> Result<Command> {
        let mut command = privilege::command(program, &self.scratch.path, privilege::server_user()?, true);
        command.args(args);
        Ok(command)
    }

    /// Starts the process and waits till `probe` is content.
    pub(crate) fn launch(
        &self,
        program: &Path,
        args: &[&str],
        timeout: Duration,
        probe: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let log_path = self.scratch.path.join("log");
        let log = File::options().create(true).append(true).open(&log_path).at("open the log", &log_path)?;
        let errors = log.try_clone().at("open the log", &log_path)?;
        let mut command = self.command(program, args)?;
        command.stdout(log).stderr(errors);
        *self.child() = Some(spawn(command)?);
        let outcome = self.wait_ready(timeout, probe);
        if outcome.is_err() {
            let _ = self.kill_hard();
        }
        outcome
    }

    fn wait_ready(&self, timeout: Duration, mut probe: impl FnMut() -> Result<()>) -> Result<()> {
        let start = Instant::now();
        loop {
            let alive = self.pid().is_some();
            let last = match probe() {
                Ok(()) if alive => return Ok(()),
                Ok(()) => "another server answers on its port".to_owned(),
                Err(error) => error.to_string(),
            };
            if !alive || start.elapsed() > timeout {
                let log = read_lossy(&self.scratch.path.join("log"));
                let last = if alive { last } else { format!("its process ended; {last}") };
                let log = tail(&log, 2000).to_owned();
                return Err(ServerError::NotReady { what: self.what, waited: start.elapsed(), last, log });
            }
            thread::sleep(Duration::from_millis(15));
        }
    }

    /// Kills the server's process and then everything else in its folder, and waits till all are gone.
    pub(crate) fn kill_hard(&self) -> Result<()> {
        let mut child = self.child();
        let pid = child.as_mut().and_then(|child| matches!(child.try_wait(), Ok(None)).then(|| child.id()));
        let killed = kill_all_in(&self.scratch.path, self.what, pid);
        if let Some(mut child) = child.take() {
            child.wait().doing(|| format!("wait for {}", self.what))?;
        }
        killed
    }

    /// Asks the server to end, with this signal, and kills what does not end in time.
    pub(crate) fn end(&self, with: &str) -> Result<()> {
        if let Some(pid) = self.pid() {
            signal(with, &[pid])?;
            self.resume()?;
            let end = Instant::now() + GRACE;
            while self.pid().is_some() && Instant::now() < end {
                thread::sleep(Duration::from_millis(5));
            }
        }
        self.kill_hard()
    }

    /// Ends the server, whose folder is about to be removed.
    pub(crate) fn discard(&self) -> Result<()> {
        self.end(self.discard)
    }

    /// Stops every process of the server where it stands.
    pub(crate) fn pause(&self) -> Result<()> {
        signal("STOP", &processes_in(&self.scratch.path))
    }

    /// Lets stopped processes go on.
    pub(crate) fn resume(&self) -> Result<()> {
        signal("CONT", &processes_in(&self.scratch.path))
    }

    /// Makes a folder below the scratch folder that belongs to the server's user.
    pub(crate) fn folder(&self, name: &str) -> Result<String> {
        let path = self.scratch.path.join(name);
        fs::create_dir(&path).at("make the folder", &path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).at("close the folder", &path)?;
        if let Some(user) = privilege::server_user()? {
            std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid)).at("hand over", &path)?;
        }
        Ok(path.to_string_lossy().into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.discard();
        shm::remove_segment_of(&self.scratch.path.join("data"));
    }
}
