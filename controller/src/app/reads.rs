//! Frozen states to read from, as fresh as the caller asks.

use super::ports::ProposeError;
use super::{App, AppError};
use crate::state::State;
use omni_common::api::v1::{Consistency, ReadQuery};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A read waits this long for a leader, or for its `min_index`: longer than a fail-over takes, short enough
/// that the caller's own deadline (usually 10 s or more) is not met first.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// An answer and the state it was made from.
#[derive(Clone, Debug)]
pub struct View<T> {
    /// Index of that state.
    pub index: u64,
    /// The answer.
    pub body: T,
}

impl App {
    /// A state as fresh as asked for.
    pub async fn read(&self, query: ReadQuery) -> Result<Arc<State>, AppError> {
        let state = match query.consistency {
            Consistency::Stale => self.store.current(),
            Consistency::Linearizable => timeout(READ_DEADLINE, self.reads.linearizable())
                .await
                .map_err(|_| ProposeError::NoLeader)??,
        };
        match query.min_index {
            Some(wanted) if state.index < wanted => self.reached(wanted).await,
            _ => Ok(state),
        }
    }

    /// A state of this controller that holds log index `wanted`.
    pub(crate) async fn reached(&self, wanted: u64) -> Result<Arc<State>, AppError> {
        timeout(READ_DEADLINE, self.store.at_least(wanted))
            .await
            .map_err(|_| AppError::Behind { wanted, at: self.store.current().index })
    }
}
