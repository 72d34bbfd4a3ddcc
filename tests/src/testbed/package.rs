//! Images of what Debian packages: a real Redis, a real PostgreSQL and a real Git, from this machine's own files.
//!
//! Each holds the programs, the libraries that they load, and a busybox. Packing one takes less than a second, so it
//! is done where it is needed instead of being kept.

use super::docker;
use super::host::Host;
use super::image;
use super::network::{output, succeed};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of Debian's as an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// `redis-server` and `redis-cli`; data belongs into `/data`.
    Redis,
    /// PostgreSQL with `psql`. `serve` makes a database in `/data` on its first start and serves it, to anybody who
    /// is `postgres`.
    Postgres,
    /// Git, beside everything of [`IMAGE`](super::IMAGE).
    Git,
}

impl Package {
    /// The image's name.
    pub fn image(self) -> &'static str {
        match self {
            Self::Redis => "omni-test/redis:1",
            Self::Postgres => "omni-test/postgres:1",
            Self::Git => "omni-test/git:1",
        }
    }

    /// Makes the image from files below `dir` and gives it to the engines of `hosts`.
    ///
    /// # Errors
    /// When Debian's package is not installed, or an engine does not take it.
    pub fn install<'h>(self, dir: &Path, hosts: impl IntoIterator<Item = &'h Host>) -> Result<()> {
        let tar = self.pack(dir).with_context(|| format!("making the image {}", self.image()))?;
        hosts.into_iter().try_for_each(|host| docker::import(host.dir(), &tar, self.image()))
    }

    fn pack(self, dir: &Path) -> Result<PathBuf> {
        let name = self.image().replace(['/', ':'], "-");
        let (root, tar) = (dir.join(&name), dir.join(format!("{name}.tar")));
        match self {
            Self::Redis => {
                base(&root)?;
                ["/usr/bin/redis-server", "/usr/bin/redis-cli"]
                    .iter()
                    .try_for_each(|it| program(it, &root))?;
            }
            Self::Postgres => {
                base(&root)?;
                postgres(&root)?;
            }
            Self::Git => {
                image::lay_out(&root)?;
                program("/usr/bin/git", &root)?;
            }
        }
        succeed(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."))?;
        fs::remove_dir_all(&root)?;
        Ok(tar)
    }
}

/// What each of them needs, and a shell.
fn base(root: &Path) -> Result<()> {
    for folder in ["bin", "tmp", "data", "etc", "proc", "sys", "dev", "usr/bin", "usr/share"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    copy(Path::new("/bin/busybox"), root)?;
    symlink("busybox", root.join("bin/sh"))?;
    Ok(())
}

/// As `postgresql` of any version lies on Debian; `/usr/bin` has what tests call.
fn postgres(root: &Path) -> Result<()> {
    let home = newest(Path::new("/usr/lib/postgresql")).context("install Debian's postgresql")?;
    let version = home.file_name().context("it is named for its version")?;
    for name in ["postgres", "initdb", "psql", "pg_isready", "pg_dump", "pg_dumpall"] {
        let path = home.join("bin").join(name);
        program(&path.to_string_lossy(), root)?;
        symlink(&path, root.join("usr/bin").join(name))?;
    }
    let modules = home.join("lib");
    fs::create_dir_all(root.join(modules.strip_prefix("/")?))?;
    // What a fresh database loads; the rest is for extensions, and half of it a compiler.
    for name in ["plpgsql.so", "dict_snowball.so"] {
        copy(&modules.join(name), root)?;
    }
    let shared = Path::new("/usr/share/postgresql").join(version);
    let parent = root.join("usr/share/postgresql");
    fs::create_dir_all(&parent)?;
    succeed(Command::new("cp").arg("-aL").arg(&shared).arg(&parent))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\npostgres:x:70:70::/data:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\npostgres:x:70:\n")?;
    let serve = root.join("usr/bin/serve");
    fs::write(&serve, include_str!("../../images/postgres.sh"))?;
    fs::set_permissions(&serve, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn newest(folder: &Path) -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions.pop().with_context(|| format!("{} is empty", folder.display()))
}

/// A program with the libraries that it loads when it starts.
fn program(path: &str, root: &Path) -> Result<()> {
    let libraries = output(Command::new("ldd").arg(path))?;
    ensure!(libraries.status.success(), "{path} is not there: `deploy/packages.sh test` installs it");
    let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    libraries.chain([path]).try_for_each(|path| copy(Path::new(path), root))
}

/// Copies a file to the same path below `root`.
fn copy(path: &Path, root: &Path) -> Result<()> {
    let within = root.join(path.strip_prefix("/").unwrap_or(path));
    fs::create_dir_all(within.parent().context("it is in a folder")?)?;
    fs::copy(path, &within).with_context(|| format!("copying {}", path.display())).map(drop)
}
