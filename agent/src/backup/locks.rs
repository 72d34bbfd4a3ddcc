//! Locks of a repository, told to whoever asks, and removed where that was said.

use super::repository::Opened;
use crate::executors::{Ended, Failure, RequestStream};
use omni_common::clock::Time;
use omni_common::domain::backup::{HeldLock, Hidden, LocksOrder, Removal};
use omni_common::wire::{MAX_LOCKS, ReplyFrame};
use omni_restic::{Lock, Restic, Unlock};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Looks at repositories for controllers.
#[derive(Clone, Debug)]
pub struct Locksmith {
    /// The program that keeps the data, where it is there.
    pub restic: Option<Restic>,
    /// A private folder for short-lived files.
    pub work: PathBuf,
}

impl Locksmith {
    /// Answers one request.
    pub(crate) async fn serve(&self, order: &Hidden, stream: &mut RequestStream) -> Result<(), Ended> {
        let locks = self.answer(order).await?;
        stream.reply.send(&ReplyFrame::Locks(locks)).await
    }

    pub(super) async fn answer(&self, order: &Hidden) -> Result<Vec<HeldLock>, Failure> {
        let order: LocksOrder = serde_json::from_str(order.reveal()).map_err(|error| {
            // The order holds secrets, which serde's own message could quote.
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::invalid(format!("this agent does not understand which locks are meant (at {place})"))
        })?;
        let restic = self.restic.as_ref();
        let restic =
            restic.ok_or_else(|| Failure::unsupported("there is no restic on this host; install it"))?;
        let opened = Opened::new(restic, &order.repository, &self.work);
        let opened = opened.map_err(|failure| Failure::invalid(failure.message))?;
        let (restic, repository) = (&opened.restic, &opened.repository);
        match &order.remove {
            Removal::Nothing => {}
            Removal::Stale => restic.unlock(repository, Unlock::Stale).await.map_err(Failure::failed)?,
            Removal::These(named) => {
                let found = restic.locks(repository).await.map_err(Failure::failed)?;
                if let Some(other) = not_named(&found, named) {
                    return Err(Failure::busy(format!(
                        "{other} has come to hold a lock meanwhile; look again"
                    )));
                }
                restic.unlock(repository, Unlock::All).await.map_err(Failure::failed)?;
            }
        }
        let left = restic.locks(repository).await.map_err(Failure::failed)?;
        Ok(left.iter().take(MAX_LOCKS).map(held).collect())
    }
}

/// A lock that nobody has decided about. Pure.
fn not_named<'l>(found: &'l [Lock], named: &[String]) -> Option<&'l Lock> {
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    found.iter().find(|lock| !named.contains(lock.id.as_str()))
}

fn held(lock: &Lock) -> HeldLock {
    HeldLock {
        id: lock.id.clone(),
        hostname: lock.hostname.clone(),
        username: lock.username.clone(),
        pid: lock.pid,
        renewed: lock.time.map(Time::from),
        exclusive: lock.exclusive,
    }
}
