//! Asking file systems that may never answer.
//!
//! A request to an NFS server that is gone blocks its thread until the server returns. So each remote mount
//! is asked from a thread of its own, and the collector only ever picks up answers that have arrived. A
//! mount with a question open is not asked again; when [`MAX_OPEN`] questions are open, no further mount is
//! asked until one is answered.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A remote mount is asked this often.
const PACE: Duration = Duration::from_secs(30);
/// An answer is worth this much time: two missed questions make a mount silent.
const FRESH: Duration = Duration::from_secs(75);
/// Most threads that wait for an answer.
const MAX_OPEN: usize = 8;
/// Enough for one system call.
const STACK: usize = 64 << 10;

/// Room on a file system, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) total: u64,
    pub(super) available: u64,
}

/// How a mount is asked; the system call, or a test's stand-in.
pub(super) type Ask = Arc<dyn Fn(&Path) -> io::Result<Usage> + Send + Sync>;

/// The system call. A process that is interrupted in it asks again.
pub(super) fn ask_kernel(mount: &Path) -> io::Result<Usage> {
    let stat = rustix::io::retry_on_intr(|| rustix::fs::statvfs(mount))?;
    Ok(Usage {
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

#[derive(Debug, Default)]
struct Known {
    asked: Option<Instant>,
    open: bool,
    answer: Option<(Instant, Usage)>,
}

/// Asks mounts in the background.
pub(super) struct Prober {
    ask: Ask,
    known: BTreeMap<String, Known>,
    sender: Sender<(String, Option<Usage>)>,
    answers: Receiver<(String, Option<Usage>)>,
}

impl Prober {
    pub(super) fn new(ask: Ask) -> Self {
        let (sender, answers) = channel();
        Self { ask, known: BTreeMap::new(), sender, answers }
    }

    /// Newest answer of a mount, if it is fresh; asks again when that is due. Never waits.
    pub(super) fn usage(&mut self, mount: &str, at: Instant) -> Option<Usage> {
        self.collect(at);
        let open = self.known.values().filter(|known| known.open).count();
        let known = self.known.entry(mount.to_owned()).or_default();
        let due = known.asked.is_none_or(|asked| at.saturating_duration_since(asked) >= PACE);
        if due && !known.open && open < MAX_OPEN {
            known.asked = Some(at);
            known.open = spawn(&self.ask, mount, &self.sender).is_ok();
        }
        let (answered, usage) = known.answer?;
        (at.saturating_duration_since(answered) < FRESH).then_some(usage)
    }

    /// Mounts that were asked long enough ago to have answered, and have not.
    pub(super) fn silent(&self, at: Instant) -> impl Iterator<Item = &str> {
        self.known
            .iter()
            .filter(move |(_, known)| {
                known.open && known.asked.is_some_and(|asked| at.saturating_duration_since(asked) >= PACE)
            })
            .map(|(mount, _)| mount.as_str())
    }

    /// Forgets mounts that are gone. One with a question open is kept, so that its thread stays counted.
    pub(super) fn retain(&mut self, mounted: impl Fn(&str) -> bool) {
        self.known.retain(|mount, known| known.open || mounted(mount));
    }

    fn collect(&mut self, at: Instant) {
        while let Ok((mount, usage)) = self.answers.try_recv() {
            let known = self.known.entry(mount).or_default();
            known.open = false;
            known.answer = usage.map(|usage| (at, usage));
        }
    }
}

fn spawn(ask: &Ask, mount: &str, sender: &Sender<(String, Option<Usage>)>) -> io::Result<()> {
    let (ask, mount, sender) = (Arc::clone(ask), mount.to_owned(), sender.clone());
    thread::Builder::new().name("ask-mount".to_owned()).stack_size(STACK).spawn(move || {
        let usage = ask(Path::new(&mount)).ok();
        // Nobody listens any more once the collector is gone, and then the answer has no use.
        drop(sender.send((mount, usage)));
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    const USAGE: Usage = Usage { total: 100, available: 40 };

    /// A prober whose mounts answer once they are told to.
    fn held() -> (Prober, Sender<()>) {
        let (go, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let ask: Ask = Arc::new(move |_: &Path| {
            wait.lock().expect("one test").recv().map_err(io::Error::other)?;
            Ok(USAGE)
        });
        (Prober::new(ask), go)
    }

    /// Waits for one background answer and puts it back for `usage` to find.
    fn await_answer(prober: &mut Prober) {
        let answer = prober.answers.recv_timeout(Duration::from_secs(30)).expect("a thread answers");
        prober.sender.send(answer).expect("the receiver is here");
    }

    #[test]
    fn a_mount_answers_in_the_background() {
        let (mut prober, go) = held();
        let start = Instant::now();
        assert_eq!(prober.usage("/nas", start), None);
        go.send(()).expect("a thread waits");
        await_answer(&mut prober);
        assert_eq!(prober.usage("/nas", start), Some(USAGE));
        assert_eq!(prober.usage("/nas", start + FRESH), None, "an old answer is not shown");
    }

    #[test]
    fn a_dead_mount_is_asked_once_and_named() {
        let (mut prober, go) = held();
        let start = Instant::now();
        for second in 0..200 {
            assert_eq!(prober.usage("/dead", start + Duration::from_secs(second)), None);
        }
        assert_eq!(prober.silent(start + PACE).collect::<Vec<_>>(), ["/dead"]);
        go.send(()).expect("exactly one thread waits");
        await_answer(&mut prober);
        assert!(prober.answers.try_recv().is_ok(), "put back");
        assert!(prober.answers.try_recv().is_err(), "no second thread was started");
    }

    #[test]
    fn open_questions_are_bounded() {
        let (mut prober, go) = held();
        let start = Instant::now();
        for mount in 0..100 {
            prober.usage(&format!("/dead{mount}"), start);
        }
        assert_eq!(prober.known.values().filter(|known| known.open).count(), MAX_OPEN);
        prober.retain(|_| false);
        assert_eq!(prober.known.len(), MAX_OPEN, "threads that wait stay counted");
        drop(go);
    }
}
