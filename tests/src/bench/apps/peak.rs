//! The most memory that programs hold while something goes on.

use crate::bench::usage::children;
use crate::testbed::eventually;
use anyhow::{Context, Result};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Longer than anything that is measured.
const AT_MOST: Duration = Duration::from_secs(3600);
/// restic is started by a shell that becomes it, so it is a child of the agent, or of `nsenter`.
const DEPTH: usize = 3;

/// Makes the kernel forget the most that a process has held so far.
///
/// # Errors
/// When there is no such process.
pub(super) fn forget(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("process {pid} is gone"))
}

/// The most that a process has held since [`forget`], MiB; `None` when it is gone.
pub(super) fn most(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Does `work`, and says the most that any program of this name below `root` held meanwhile, MiB.
///
/// It is looked for all along, because a program that has ended cannot be asked; what it takes in its last
/// 30 ms may be missed.
///
/// # Errors
/// Those of `work`.
pub(super) fn meanwhile<T>(root: u32, name: &str, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut held = 0.0_f64;
            let watched = eventually("the work is over", AT_MOST, || {
                let found = below(root, name, DEPTH).into_iter().filter_map(most);
                held = found.fold(held, f64::max);
                over.load(Ordering::Relaxed).then_some(())
            });
            watched.map(|()| held)
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        let held = watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((done?, held))
    })
}

/// Processes of this name among the descendants of one, itself included.
fn below(root: u32, name: &str, depth: usize) -> Vec<u32> {
    let comm = fs::read_to_string(format!("/proc/{root}/comm")).unwrap_or_default();
    let mut found: Vec<u32> = (comm.trim_end() == name).then_some(root).into_iter().collect();
    if depth > 0 {
        found.extend(children(root).into_iter().flat_map(|child| below(child, name, depth - 1)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_a_program_held_is_seen_while_it_lives() {
        let own = std::process::id();
        let (status, held) =
            meanwhile(own, "sleep", || Ok(Command::new("sleep").arg("0.2").status()?)).expect("it runs");
        assert!(status.success() && held > 0.1, "{held}");
        forget(own).expect("this process lives");
        assert!(most(own).is_some_and(|most| most > 1.0));
        assert_eq!(most(u32::MAX), None);
    }
}
