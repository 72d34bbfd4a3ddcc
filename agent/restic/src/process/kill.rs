//! Signals for restic and what it has started.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;

/// Deeper than restic, `rclone` and a helper of it is nothing.
const MAX_DEPTH: usize = 4;
/// More processes than that were not started by restic.
const MAX_PROCESSES: usize = 64;

/// Asks restic to end. It gives up its lock and leaves no snapshot.
pub(super) fn interrupt(pid: u32) {
    if let Some(pid) = number(pid) {
        // It may have ended by itself.
        kill_process(pid, Signal::INT).ok();
    }
}

/// Kills restic's group, and its children, which restic puts into groups of their own.
pub(super) fn kill(pid: u32) {
    let mut family = vec![pid];
    descendants(pid, MAX_DEPTH, &mut family);
    if let Some(group) = number(pid) {
        kill_process_group(group, Signal::KILL).ok();
    }
    for process in family.into_iter().filter_map(number) {
        kill_process(process, Signal::KILL).ok();
    }
}

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn descendants(pid: u32, depth: usize, found: &mut Vec<u32>) {
    if depth == 0 {
        return;
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    for thread in threads.flatten() {
        // A kernel without this file, or a thread that has ended, has no children to tell of.
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            if found.len() < MAX_PROCESSES {
                found.push(child);
                descendants(child, depth - 1, found);
            }
        }
    }
}
