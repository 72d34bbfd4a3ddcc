//! The one path of every change.

use super::ports::ProposeError;
use super::{App, AppError, Denied};
use crate::state::{Actor, AppKey, Command, Proposal, Reach, Refusal, RefusalCode, Reply, State};
use omni_common::api::v1::ReadQuery;
use omni_common::ids::RequestId;
use std::sync::Arc;

/// Who asks for a change, and under which key.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asks.
    pub actor: Actor,
    /// The change applies once for this id.
    pub request: RequestId,
    /// Digest of what is asked, when the caller chose the key: the same key for something else is refused.
    pub fingerprint: Option<[u8; 32]>,
    /// Where the asker's role holds; see [`Reach`].
    pub places: Arc<[String]>,
}

impl Call {
    /// Of somebody whose role holds everywhere, and who chose no key.
    pub fn everywhere(actor: Actor, request: RequestId) -> Self {
        Self { actor, request, fingerprint: None, places: Arc::from([]) }
    }

    /// Whether the asker may have to do with an app.
    pub(crate) fn check_app(&self, app: &AppKey) -> Result<(), AppError> {
        match Reach(&self.places).has_app(&app.environment, &app.name) {
            true => Ok(()),
            false => Err(Denied::Place.into()),
        }
    }
}

/// A change that was made.
pub(crate) struct Written {
    /// This controller's state, which holds the change.
    pub(crate) state: Arc<State>,
    /// What `apply` gave back.
    pub(crate) reply: Reply,
}

impl App {
    /// Turns what `build` makes of the state into a command and has it applied, once for each key.
    ///
    /// A key that was answered before gets its answer again before anything is looked up: a repeated
    /// "remove" must not fail because the first one worked. What is not found is looked for once more in a
    /// linearizable state, since this controller may not have heard of it yet.
    pub(crate) async fn write(
        &self,
        call: &Call,
        build: impl Fn(&State) -> Result<Command, AppError> + Send + Sync,
    ) -> Result<Written, AppError> {
        let state = self.store.current();
        if let Some(reply) = repeated(&state, call)? {
            return Ok(Written { state, reply });
        }
        let command = match build(&state) {
            Err(AppError::NotFound { .. }) => {
                let state = self.read(ReadQuery::default()).await?;
                if let Some(reply) = repeated(&state, call)? {
                    return Ok(Written { state, reply });
                }
                build(&state)?
            }
            built => built?,
        };
        self.propose(call, command).await
    }

    async fn propose(&self, call: &Call, command: Command) -> Result<Written, AppError> {
        let proposal = Proposal {
            request: call.request,
            fingerprint: call.fingerprint,
            at: self.clock.now(),
            actor: call.actor.clone(),
            command,
        };
        let applied = self.proposer.propose(proposal).await?;
        let reply = applied.outcome?;
        // The change is made; that this controller has not seen it yet must not look like a failure to write.
        let state = self.reached(applied.index).await.map_err(|_| ProposeError::Timeout)?;
        Ok(Written { state, reply })
    }
}

/// The answer that `call`'s key got before.
fn repeated(state: &State, call: &Call) -> Result<Option<Reply>, AppError> {
    let Some(earlier) = state.replies.get(&call.request) else {
        return Ok(None);
    };
    if earlier.fingerprint != call.fingerprint {
        let message = "this idempotency key was used for another request before; use a new key";
        return Err(Refusal::new(RefusalCode::RequestReused, message).into());
    }
    Ok(Some(earlier.outcome.clone()?))
}
