//! The program: where it is, which version, and with what it is called.

use crate::failure::Error;
use crate::version::Version;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// How long `restic version` may take on a host that is short of everything.
const VERSION_WITHIN: Duration = Duration::from_secs(30);
/// What is quoted of something that is not restic.
const MAX_QUOTE: usize = 200;

/// How restic is called on this host. restic inherits nothing else from this process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program; the first `restic` on the search path when absent.
    pub binary: Option<PathBuf>,
    /// Where programs are looked for: restic, and what it starts itself (`ssh`, `rclone`). As `PATH` has it.
    pub path: OsString,
    /// The home folder, where `ssh` and `rclone` have their files.
    pub home: PathBuf,
    /// Where restic keeps what it has read of repositories. Grows with them; may be deleted at any time.
    pub cache_folder: PathBuf,
    /// Where short-lived files lie: packs that are being put together, keys for `ssh`. Must be there and be
    /// private.
    pub work_folder: PathBuf,
    /// From asking restic to end to killing it.
    pub grace: Duration,
    /// How long restic may go on repeating a request that fails, before the repository counts as unreachable.
    /// By itself it takes a quarter of an hour or more.
    pub patience: Duration,
}

impl Settings {
    /// Settings for a host: with these folders, a grace of ten seconds and a patience of three minutes.
    pub fn new(
        path: impl Into<OsString>,
        home: impl Into<PathBuf>,
        cache_folder: impl Into<PathBuf>,
        work_folder: impl Into<PathBuf>,
    ) -> Self {
        Self {
            binary: None,
            path: path.into(),
            home: home.into(),
            cache_folder: cache_folder.into(),
            work_folder: work_folder.into(),
            grace: Duration::from_secs(10),
            patience: Duration::from_secs(180),
        }
    }
}

/// restic on this host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Restic(Arc<Found>);

#[derive(Clone, Debug)]
struct Found {
    binary: PathBuf,
    version: Version,
    settings: Settings,
}

impl Restic {
    /// Finds restic and asks its version. Ask again after it has been replaced.
    pub async fn find(settings: Settings) -> Result<Self, Error> {
        let binary = match &settings.binary {
            Some(binary) if is_program(binary) => binary.clone(),
            Some(binary) => return Err(Error::NotInstalled { looked_in: binary.display().to_string() }),
            None => on_path(&settings)?,
        };
        let version = ask_version(&binary, &settings).await?;
        if version < Version::OLDEST {
            let what = "any backup".to_owned();
            return Err(Error::TooOld { what, needed: Version::OLDEST, found: version });
        }
        Ok(Self(Arc::new(Found { binary, version, settings })))
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// Where it is.
    pub fn binary(&self) -> &Path {
        &self.0.binary
    }

    /// The same, which gives up earlier on a request that fails: for somebody who waits for the answer.
    #[must_use]
    pub fn patient_for(&self, patience: Duration) -> Self {
        let mut found = Found::clone(&self.0);
        found.settings.patience = patience;
        Self(Arc::new(found))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn on_path(settings: &Settings) -> Result<PathBuf, Error> {
    std::env::split_paths(&settings.path)
        .map(|folder| folder.join("restic"))
        .find(|path| is_program(path))
        .ok_or_else(|| Error::NotInstalled { looked_in: settings.path.to_string_lossy().into_owned() })
}

async fn ask_version(binary: &Path, settings: &Settings) -> Result<Version, Error> {
    let doing = "asking restic for its version";
    let asked = tokio::process::Command::new(binary)
        .arg("version")
        .env_clear()
        .env("PATH", &settings.path)
        .env("HOME", &settings.home)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(VERSION_WITHIN, asked).await {
        Ok(output) => output.map_err(|source| Error::Io { doing, source })?,
        Err(_) => return Err(Error::Io { doing, source: std::io::ErrorKind::TimedOut.into() }),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    Version::from_output(&said).ok_or_else(|| Error::NotRestic {
        binary: binary.to_owned(),
        said: crate::report::cut(said.trim().to_owned(), MAX_QUOTE),
    })
}
