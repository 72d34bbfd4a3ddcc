//! The little that the testbed asks `/proc`: who is whose child, and whether a pid is still who it was.

use std::fs;

use rustix::process::Pid;

/// A process as seen from the machine. The kernel reuses pids, so the start time is part of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(super) pid: u32,
    /// Clock ticks since boot.
    pub(super) started: u64,
}

impl Who {
    /// The process that has this pid now; `None` when there is none.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, started: started(pid)? })
    }

    pub(super) fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }

    pub(super) fn kernel_pid(self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// The children of `pid`, in the machine's numbering.
pub(super) fn children(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .map(|list| list.split_whitespace().filter_map(|child| child.parse().ok()).collect())
        .unwrap_or_default()
}

/// Field 22 of `/proc/PID/stat`. The name in field 2 may hold anything, so counting begins after its bracket.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    let state = fields.next()?;
    // A zombie keeps its entry until its parent looks; it runs no more.
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}
