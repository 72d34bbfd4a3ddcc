//! What the agent before this one was promised: its lease, kept over a restart of the process but not of the host.
//!
//! The file lies in memory and names the kernel's boot and a moment of the clock that leases are measured with. After a
//! restart of the agent exclusive containers may go on until then; a fresh lease takes over long before. Without the file,
//! or after a reboot, they are stopped at once, as nobody knows how long the controllers will wait.

use crate::session::Monotonic;
use std::fs;
use std::path::{Path, PathBuf};

/// Names one run of the kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where the promise is kept.
pub(super) struct Carry {
    file: PathBuf,
    boot: String,
}

impl Carry {
    /// In this folder, which is gone after a reboot.
    pub(super) fn new(folder: &Path) -> Self {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { file: folder.join("lease"), boot }
    }

    /// Until when the agent before this one held a lease, by this one's clock; absent when that is over or unknown.
    pub(super) fn read(&self, clock: Monotonic) -> Option<u64> {
        let text = fs::read_to_string(&self.file).ok()?;
        let (boot, until) = text.trim().split_once(' ')?;
        let until: u64 = until.parse().ok().filter(|_| boot == self.boot && !boot.is_empty())?;
        let left = until.checked_sub(Monotonic::boot_ms())?;
        Some(clock.now_ms().saturating_add(left))
    }

    /// Notes a lease. What cannot be noted is not carried over.
    pub(super) fn write(&self, until_ms: u64, clock: Monotonic) {
        let left = until_ms.saturating_sub(clock.now_ms());
        let text = format!("{} {}\n", self.boot, Monotonic::boot_ms().saturating_add(left));
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        if fs::write(&self.file, &text).is_err() {
            fs::create_dir_all(folder).and_then(|()| fs::write(&self.file, &text)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_carried_within_one_boot_and_ends() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let carry = Carry::new(&folder.path().join("made"));
        let clock = Monotonic::machine();
        assert_eq!(carry.read(clock), None);
        carry.write(clock.now_ms() + 60_000, clock);
        let until = carry.read(Monotonic::machine()).expect("it has a minute left");
        assert!((58_000..=60_000).contains(&until), "{until}");
        let other = Carry { boot: "another boot".to_owned(), ..Carry::new(&folder.path().join("made")) };
        assert_eq!(other.read(clock), None);
        carry.write(clock.now_ms(), clock);
        fs::write(&carry.file, "torn").expect("the disk works");
        assert_eq!(carry.read(clock), None);
    }
}
