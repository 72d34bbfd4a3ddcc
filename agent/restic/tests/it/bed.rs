//! What every test needs: a folder, restic, repositories, waiting.

use omni_restic::{
    Backup, BackupReport, Credentials, Filter, Repository, Restic, Secret, Settings, Snapshot,
};
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) const PASSWORD: &str = "open sesame";
/// Generous: the machine may be busy with everything else.
const DEADLINE: Duration = Duration::from_secs(60);
const INSTALL: &str =
    "these tests run the real restic and rclone: deploy/packages.sh test, or apt-get install restic rclone";

/// A folder that others can pass through, restic, and settings that end things soon.
pub(crate) struct Bed {
    folder: TempDir,
    pub(crate) restic: Restic,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// With other settings; they are given the folder too.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings, &Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("omni-restic-").tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
        let mut settings = settings(folder.path());
        change(&mut settings, folder.path());
        let restic = Restic::find(settings).await.unwrap_or_else(|error| panic!("{error}; {INSTALL}"));
        Self { folder, restic }
    }

    /// Runs restic as somebody who may not do everything.
    pub(crate) async fn unprivileged() -> Self {
        let prefix = "setpriv --reuid 65534 --regid 65534 --clear-groups";
        let bed = Self::wrapped(prefix).await;
        for name in ["cache", "work"] {
            let path = bed.path(name);
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("these tests run as root");
        }
        bed
    }

    /// Runs restic behind other words of a shell.
    pub(crate) async fn wrapped(prefix: &str) -> Self {
        let real = program("restic");
        Self::with(|settings, folder| {
            let script = format!("#!/bin/sh\nexec {prefix} {} \"$@\"\n", real.display());
            settings.binary = Some(write_program(&folder.join("restic"), &script));
        })
        .await
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with this content, and the folders above it.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("our own folder");
        fs::write(&path, content).expect("our own folder");
        path
    }

    /// A small tree, `source/{a,b/c}`.
    pub(crate) fn source(&self) -> PathBuf {
        self.file("source/a", "first\n");
        self.file("source/b/c", "second\n");
        self.path("source")
    }

    /// An empty repository in a folder; see `fixtures/README.md`.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        plant(&self.path(name));
        self.at(self.path(name).to_str().expect("a plain path"))
    }

    /// The same, for [`Bed::unprivileged`].
    pub(crate) fn repository_of_nobody(&self, name: &str) -> Repository {
        let repository = self.repository(name);
        for part in ["", "keys", "locks", "data", "index", "snapshots"] {
            let path = self.path(name).join(part);
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("these tests run as root");
        }
        repository
    }

    /// A repository somewhere, with the password of those that are planted.
    pub(crate) fn at(&self, location: &str) -> Repository {
        repository(location, Credentials::None, PASSWORD)
    }

    pub(crate) async fn backup(&self, repository: &Repository, path: &Path) -> BackupReport {
        let backup = Backup { paths: vec![path.to_owned()], ..Backup::default() };
        let running = self.restic.backup(repository, &backup).expect("a good backup");
        running.end().await.expect("nothing in the way of a backup")
    }

    pub(crate) async fn snapshots(&self, repository: &Repository) -> Vec<Snapshot> {
        self.restic.snapshots(repository, &Filter::default()).await.expect("the repository opens")
    }

    /// Names of the locks in a repository that is a folder.
    pub(crate) fn locks_in(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name).join("locks")).expect("a repository");
        let names = entries.map(|entry| entry.expect("a lock").file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.contains("-tmp-")).collect()
    }
}

pub(crate) fn settings(folder: &Path) -> Settings {
    for name in ["cache", "work", "home"] {
        fs::create_dir_all(folder.join(name)).expect("our own folder");
    }
    let mut settings =
        Settings::new(search_path(), folder.join("home"), folder.join("cache"), folder.join("work"));
    settings.grace = Duration::from_secs(4);
    settings.patience = Duration::from_secs(2);
    settings
}

pub(crate) fn repository(location: &str, credentials: Credentials, password: &str) -> Repository {
    let location = location.parse().expect("a good location");
    Repository::new(location, credentials, Secret::new(password)).expect("credentials that fit")
}

/// Makes a folder an empty repository.
pub(crate) fn plant(folder: &Path) {
    let fixture: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", "repository"].iter().collect();
    for name in ["keys", "locks", "data", "index", "snapshots"] {
        fs::create_dir_all(folder.join(name)).expect("our own folder");
    }
    fs::copy(fixture.join("config"), folder.join("config")).expect("the fixture is there");
    let key = fs::read(fixture.join("key")).expect("the fixture is there");
    fs::write(folder.join("keys").join(KEY), key).expect("our own folder");
}

/// restic names a file by the hash of its content.
const KEY: &str = "071febc3a746e3457aea5c6018b286a56f3e06a44731c4acaac9a1aa1dcf4cef";

pub(crate) fn write_program(path: &Path, script: &str) -> PathBuf {
    fs::write(path, script).expect("our own folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
    path.to_owned()
}

#[expect(clippy::disallowed_methods, reason = "tests run what the one who runs them would run")]
fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").expect("there is a search path")
}

/// A program of this host.
pub(crate) fn program(name: &str) -> PathBuf {
    let found =
        std::env::split_paths(&search_path()).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; {INSTALL}"))
}

/// restic as a person calls it, without this crate.
pub(crate) fn bare(bed: &Bed, repository: &Path, args: &[&str]) -> String {
    let output = Command::new(program("restic"))
        .args(args)
        .env("RESTIC_REPOSITORY", repository)
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("RESTIC_CACHE_DIR", bed.path("bare-cache"))
        .output()
        .expect("restic starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Waits for a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Between two looks; nothing depends on how long it is.
        sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process is there and not a mere entry that waits to be reaped.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Bytes that neither compress nor repeat, the same each time.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}
