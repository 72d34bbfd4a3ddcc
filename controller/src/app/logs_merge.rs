//! Lines of several containers, merged by time. Pure: the caller brings lines and the present moment.
//!
//! A line may go out when every container that is still open has a line waiting: then the oldest of them is
//! the oldest of all. Whoever follows cannot wait for a container that is silent, so there a line goes out at
//! the latest [`REORDER`] after it came.

use omni_common::wire::LogLine;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long a followed line is held back so that an older one from another host may overtake it: agents
/// batch lines for less, and a person does not notice it.
pub(crate) const REORDER: Duration = Duration::from_millis(200);
/// Bytes waiting for one container before its agent is held back. One more frame may come on top.
const MAX_WAITING: usize = 256 << 10;
/// Lines handed over at once.
const BATCH: usize = 512;
/// Bytes handed over at once; one line may come on top.
const BATCH_BYTES: usize = 128 << 10;

#[derive(Debug)]
struct Waiting {
    line: LogLine,
    /// What it is ordered by: its own time, or that of the line before it when it has none or an older one.
    order: i64,
    came: Instant,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Waiting>,
    bytes: usize,
    newest: i64,
    closed: bool,
}

/// The merge.
#[derive(Debug)]
pub(crate) struct Merge {
    queues: Vec<Queue>,
    follow: bool,
}

impl Merge {
    /// Of that many containers.
    pub(crate) fn new(sources: usize, follow: bool) -> Self {
        Self { queues: (0..sources).map(|_| Queue::default()).collect(), follow }
    }

    /// Lines came from a container, in its order.
    pub(crate) fn push(&mut self, source: usize, lines: Vec<LogLine>, now: Instant) {
        let queue = &mut self.queues[source];
        for line in lines {
            queue.newest = queue.newest.max(line.at_nanos);
            queue.bytes += line.line.len();
            queue.lines.push_back(Waiting { line, order: queue.newest, came: now });
        }
    }

    /// A container has no more to say.
    pub(crate) fn close(&mut self, source: usize) {
        self.queues[source].closed = true;
    }

    /// Whether all lines of a container have gone out.
    pub(crate) fn is_drained(&self, source: usize) -> bool {
        self.queues[source].lines.is_empty()
    }

    /// Whether there is room for more of a container's lines.
    pub(crate) fn wants(&self, source: usize) -> bool {
        let queue = &self.queues[source];
        !queue.closed && queue.bytes < MAX_WAITING && queue.lines.len() < BATCH * 4
    }

    /// Lines that may go out now, oldest first, each with its container.
    pub(crate) fn pop(&mut self, now: Instant) -> Vec<(usize, LogLine)> {
        let mut out = Vec::new();
        let mut bytes = 0;
        while out.len() < BATCH && bytes < BATCH_BYTES {
            let Some(source) = self.next(now) else { break };
            let queue = &mut self.queues[source];
            let waiting = queue.lines.pop_front().expect("it has the oldest line");
            queue.bytes -= waiting.line.line.len();
            bytes += waiting.line.line.len();
            out.push((source, waiting.line));
        }
        out
    }

    /// When a line that is held back may go at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        let oldest = self.queues.iter().filter_map(|queue| queue.lines.front()).map(|line| line.came);
        oldest.min().filter(|_| self.follow).map(|came| came + REORDER)
    }

    /// The container whose first line goes out next.
    fn next(&self, now: Instant) -> Option<usize> {
        let heads = self.queues.iter().enumerate().filter_map(|(n, queue)| Some((n, queue.lines.front()?)));
        let (source, _) = heads.min_by_key(|(n, waiting)| (waiting.order, *n))?;
        let all_spoke = self.queues.iter().all(|queue| queue.closed || !queue.lines.is_empty());
        let overdue = self.due().is_some_and(|due| due <= now);
        (all_spoke || overdue).then_some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::wire::OutputStream;
    use proptest::prelude::*;

    fn line(at_nanos: i64) -> LogLine {
        LogLine { at_nanos, stream: OutputStream::Stdout, line: at_nanos.to_string().into_bytes() }
    }

    fn times(lines: &[(usize, LogLine)]) -> Vec<i64> {
        lines.iter().map(|(_, line)| line.at_nanos).collect()
    }

    #[test]
    fn history_waits_for_the_slowest() {
        let now = Instant::now();
        let mut merge = Merge::new(2, false);
        merge.push(0, vec![line(1), line(5)], now);
        assert!(merge.pop(now + REORDER * 100).is_empty());
        assert_eq!(merge.due(), None);
        merge.push(1, vec![line(3)], now);
        assert_eq!(times(&merge.pop(now)), [1, 3]);
        merge.close(1);
        assert_eq!(times(&merge.pop(now)), [5]);
    }

    #[test]
    fn followed_lines_wait_only_so_long() {
        let now = Instant::now();
        let mut merge = Merge::new(3, true);
        merge.push(0, vec![line(2)], now);
        merge.push(1, vec![line(1)], now + REORDER / 2);
        assert!(merge.pop(now + REORDER / 2).is_empty());
        let due = merge.due().expect("a line waits");
        assert_eq!(due, now + REORDER);
        assert_eq!(times(&merge.pop(due)), [1, 2], "the later, older line went first");
    }

    #[test]
    fn a_line_without_a_time_stays_behind_the_one_before_it() {
        let now = Instant::now();
        let mut merge = Merge::new(2, false);
        merge.push(0, vec![line(4), line(0)], now);
        merge.push(1, vec![line(2), line(6)], now);
        merge.close(0);
        merge.close(1);
        assert_eq!(times(&merge.pop(now)), [2, 4, 0, 6]);
    }

    #[test]
    fn a_container_that_floods_is_held_back() {
        let now = Instant::now();
        let mut merge = Merge::new(2, false);
        let big = LogLine { line: vec![b'x'; MAX_WAITING], ..line(1) };
        merge.push(0, vec![big], now);
        assert!(!merge.wants(0));
        assert!(merge.wants(1));
        merge.push(1, vec![line(2)], now);
        assert_eq!(merge.pop(now).len(), 1, "a batch ends when it is large");
        assert!(merge.wants(0));
    }

    proptest! {
        #[test]
        fn sorted_histories_make_a_sorted_whole(
            mut histories in proptest::collection::vec(proptest::collection::vec(1i64..50, 0..20), 1..5),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..100),
        ) {
            let now = Instant::now();
            histories.iter_mut().for_each(|history| history.sort_unstable());
            let mut expected: Vec<i64> = histories.concat();
            expected.sort_unstable();
            let mut merge = Merge::new(histories.len(), false);
            let mut feeds: Vec<VecDeque<i64>> = histories.into_iter().map(VecDeque::from).collect();
            let mut out = Vec::new();
            for pick in order {
                let source = pick.index(feeds.len());
                match feeds[source].pop_front() {
                    Some(at) => merge.push(source, vec![line(at)], now),
                    None => merge.close(source),
                }
                out.extend(merge.pop(now));
            }
            for (source, feed) in feeds.into_iter().enumerate() {
                merge.push(source, feed.into_iter().map(line).collect(), now);
                merge.close(source);
            }
            out.extend(merge.pop(now));
            prop_assert_eq!(times(&out), expected);
        }
    }
}
