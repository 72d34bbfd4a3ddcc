//! Takes samples at the pace of the moment, whether or not anybody is connected: history is kept either way.

use super::Agent;
use tokio::time::Instant;

/// Samples for ever.
pub(super) async fn run(agent: &Agent) {
    let mut pace = agent.pace.subscribe();
    let mut last = None::<Instant>;
    loop {
        let now = Instant::now();
        let interval = pace.borrow_and_update().interval(now);
        let due = last.map_or(now, |last| last + interval);
        if now < due {
            // Woken early when somebody begins to watch; late by no more than the end of a watch.
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                // The sender lives in the agent, so the channel cannot close.
                _ = pace.changed() => {}
            }
            continue;
        }
        last = Some(now);
        if let Some(sample) = agent.machine.sample().await {
            agent.outbox.push(sample);
        }
    }
}
