//! How long writes are not accepted: around a crash, and around a planned hand-over.

use super::load::Target;
use anyhow::{Context, Result, bail};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// A fresh write goes out this often after a crash, so no client's own retry policy is part of the result. It is
/// also the resolution.
const EVERY: Duration = Duration::from_millis(5);
/// A group that accepts nothing for this long will not.
const GIVE_UP: Duration = Duration::from_secs(20);
/// Writers around a hand-over. Several, so that one write caught in it does not hide that others pass.
const WRITERS: usize = 4;
/// Writing before and after the hand-over.
const MARGIN: Duration = Duration::from_millis(1_000);
/// A refused writer tries again this soon.
const AGAIN: Duration = Duration::from_millis(1);

/// Sends writes to `survivors` in turn, each without waiting for those before, until one is acknowledged; returns
/// how long after `since` that was.
///
/// # Errors
/// When none is within 20 s, with the last reason.
pub(super) async fn until_accepted<T: Target>(survivors: &[T], since: Instant) -> Result<Duration> {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = JoinSet::new();
    let mut turn = 0;
    let mut last_error = None;
    while since.elapsed() < GIVE_UP {
        tokio::select! {
            _ = ticks.tick() => {
                let survivor = survivors[turn % survivors.len()].clone();
                let number = turn as u64;
                sent.spawn(async move { survivor.call(0, number).await.map(|()| Instant::now()) });
                turn += 1;
            }
            Some(answer) = sent.join_next() => match answer.context("a probe panicked")? {
                Ok(at) => return Ok(at - since),
                Err(error) => last_error = Some(error),
            },
        }
    }
    let reason =
        last_error.map_or_else(|| "no answer".to_owned(), |error: anyhow::Error| format!("{error:#}"));
    bail!("no write was accepted within {GIVE_UP:?}: {reason}")
}

/// The longest time without an acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gaps {
    /// In the second before: what the machine does to writers anyway.
    pub(super) calm: Duration,
    /// From the event on.
    pub(super) around: Duration,
}

/// Lets writers write through `doors`, makes `event` happen, and looks at the gaps between acknowledgements.
///
/// # Errors
/// When the event fails, or nothing at all is acknowledged on one side of it.
pub(super) async fn gaps<T: Target>(doors: &[T], event: impl Future<Output = Result<()>>) -> Result<Gaps> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (door, acknowledged) = (doors[writer % doors.len()].clone(), Arc::clone(&acknowledged));
        writers.spawn(async move {
            for turn in 0.. {
                match door.call(writer, turn).await {
                    Ok(()) => acknowledged.lock().expect("no panic while locked").push(Instant::now()),
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            }
        });
    }
    tokio::time::sleep(MARGIN).await;
    let happens = Instant::now();
    event.await?;
    tokio::time::sleep(MARGIN).await;
    writers.shutdown().await;
    let mut times = std::mem::take(&mut *acknowledged.lock().expect("no panic while locked"));
    times.sort_unstable();
    let split = times.partition_point(|at| *at < happens);
    // The gap that the event falls into belongs to it.
    let (before, after) = (&times[..split], &times[split.saturating_sub(1)..]);
    Ok(Gaps {
        calm: longest(before).context("nothing was written before the event")?,
        around: longest(after).context("nothing was written after the event")?,
    })
}

fn longest(times: &[Instant]) -> Option<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Answers after a millisecond while it is open.
    #[derive(Clone)]
    struct Door(Arc<AtomicBool>);

    impl Target for Door {
        async fn call(&self, _: usize, _: u64) -> Result<()> {
            tokio::time::sleep(Duration::from_millis(1)).await;
            anyhow::ensure!(self.0.load(Ordering::Relaxed), "closed");
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_ends_with_the_first_accepted_write() {
        let door = Door(Arc::new(AtomicBool::new(false)));
        let opener = door.0.clone();
        let since = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            opener.store(true, Ordering::Relaxed);
        });
        let outage = until_accepted(&[door], since).await.expect("it opens");
        assert!(outage >= Duration::from_millis(300) && outage <= Duration::from_millis(310), "{outage:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_stays_shut_is_given_up() {
        let door = Door(Arc::new(AtomicBool::new(false)));
        let error = until_accepted(&[door], Instant::now()).await.expect_err("it never opens");
        assert!(error.to_string().contains("closed"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_gap_is_as_long_as_the_door_is_shut() {
        let door = Door(Arc::new(AtomicBool::new(true)));
        let handle = door.0.clone();
        let event = async move {
            handle.store(false, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(40)).await;
            handle.store(true, Ordering::Relaxed);
            Ok(())
        };
        let gaps = gaps(&[door], event).await.expect("it writes");
        assert!(gaps.calm <= Duration::from_millis(2), "{gaps:?}");
        assert!(
            gaps.around >= Duration::from_millis(40) && gaps.around < Duration::from_millis(50),
            "{gaps:?}"
        );
    }
}
