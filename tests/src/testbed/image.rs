//! The test image: a static busybox and four small programs. Built from files, because no image registry
//! can be reached where these tests run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::docker;
use super::network::{output, succeed};

/// The image that every host's engine holds. Programs in it, beside busybox's own:
///
/// - `idle`: does nothing until it is told to stop (the default command);
/// - `logger [RATE [TEXT]]`: numbered lines, RATE a second; 0 floods as fast as it can;
/// - `http [PORT]`: serves its container's name at `/`;
/// - `flip [SECONDS]`: healthy and unhealthy in turn, when run with [`HEALTH_TEST`].
pub const IMAGE: &str = "omni-test/busybox:1";

/// The health check that `flip` plays with; `touch /tmp/healthy` and `rm /tmp/healthy` do it by hand.
pub const HEALTH_TEST: &str = "test -e /tmp/healthy";

const PROGRAMS: [(&str, &str); 4] = [
    ("idle", include_str!("../../images/idle.sh")),
    ("logger", include_str!("../../images/logger.sh")),
    ("http", include_str!("../../images/http.sh")),
    ("flip", include_str!("../../images/flip.sh")),
];

/// Searched before `/bin`, where busybox has a `logger` of its own.
const OWN_PROGRAMS: &str = "usr/local/bin";

/// The image as a tar file, made once for all hosts of a testbed.
#[derive(Debug)]
pub(super) struct TestImage {
    tar: PathBuf,
}

impl TestImage {
    pub(super) fn build(dir: &Path) -> Result<Self> {
        let (root, tar) = (dir.join("root"), dir.join("image.tar"));
        lay_out(&root).context("laying out the test image")?;
        succeed(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."))?;
        Ok(Self { tar })
    }

    pub(super) fn import_into(&self, host_dir: &Path) -> Result<()> {
        docker::import(host_dir, &self.tar, IMAGE)
    }
}

pub(super) fn lay_out(root: &Path) -> Result<()> {
    for dir in ["bin", "dev", "etc", "proc", "srv", "sys", "tmp", OWN_PROGRAMS] {
        fs::create_dir_all(root.join(dir))?;
    }
    install_busybox(&root.join("bin"))?;
    for (name, text) in PROGRAMS {
        let program = root.join(OWN_PROGRAMS).join(name);
        fs::write(&program, text)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn install_busybox(bin: &Path) -> Result<()> {
    let busybox = bin.join("busybox");
    fs::copy("/bin/busybox", &busybox).context("copying /bin/busybox (Debian package busybox-static)")?;
    let list = output(Command::new(&busybox).arg("--list"))?;
    ensure!(list.status.success(), "busybox --list failed");
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", bin.join(applet)).with_context(|| format!("linking {applet}"))?;
    }
    // A busybox that needs shared libraries starts here but not in the image.
    let root = bin.parent().context("bin has a parent")?;
    succeed(Command::new("chroot").arg(root).args(["/bin/busybox", "true"]))
        .context("this busybox is not static; install busybox-static")
}
