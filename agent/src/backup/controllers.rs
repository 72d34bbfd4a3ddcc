//! The state of the controllers, which they hand over sealed: this host keeps it, and can neither read nor change it.

use super::context::{Context, nothing_yet, sum_up};
use super::facts::stream::{Kind, Watch, Watched};
use super::facts::{Facts, difference};
use super::failure::Failure;
use super::repository::Opened;
use super::take::fill;
use crate::images::Images;
use crate::runs::Done;
use crate::session::Answer;
use async_trait::async_trait;
use omni_common::domain::backup::{
    CONTROLLERS_FILE, ControllersTask, ControllersWork, ItemName, ItemOutcome, KeptState, Phase, RunState,
    TAG_APP, TAG_ITEM, TAG_RUN, TAG_SLOT,
};
use omni_common::ids::RunId;
use omni_common::wire::HostRequest;
use omni_restic::{BackupReport, Labels, SnapshotId, Source, StreamBackup, StreamName, Tag};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;

/// Bytes on their way from the gateway to restic.
const BUFFER: usize = 256 << 10;
/// A gateway prepares its first piece within this time: a large state takes a while to seal.
const IDLE: Duration = Duration::from_secs(120);

/// Who hands over the controllers' state.
#[async_trait]
pub trait StateSource: Send + Sync + 'static {
    /// Writes it all.
    ///
    /// # Errors
    /// A sentence, when that ended before all was there.
    async fn hand_over(&self, run: RunId, to: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), String>;
}

/// The gateway of the moment.
pub struct FromGateway(pub Arc<Images>);

#[async_trait]
impl StateSource for FromGateway {
    async fn hand_over(&self, run: RunId, to: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), String> {
        let connection = self.0.uplink().connection().ok_or("no controller is connected")?;
        let mut answer =
            Answer::to(&connection, &HostRequest::State(run)).await.map_err(|error| error.to_string())?;
        while let Some(piece) = answer.next(IDLE).await.map_err(|error| error.to_string())? {
            to.write_all(&piece).await.map_err(|error| format!("it was not taken: {error}"))?;
        }
        Ok(())
    }
}

/// An agent without a session.
pub(super) struct Nobody;

#[async_trait]
impl StateSource for Nobody {
    async fn hand_over(&self, _: RunId, _: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), String> {
        Err("no controller is connected".to_owned())
    }
}

/// Keeps the state, or proves that it was kept.
pub(super) async fn controllers(context: &Context<'_>, task: &ControllersTask) -> Done {
    let opened = match begin(context, task).await {
        Ok(opened) => opened,
        Err(failure) => return failure.into(),
    };
    let mut items = Vec::new();
    let mut first: Option<Failure> = None;
    match &task.work {
        ControllersWork::Take { item } => {
            let mut outcome = nothing_yet(item, context.shared.clock.now());
            match take(context, &opened, task, item).await {
                Ok((report, facts)) => fill(&mut outcome, &report, facts),
                Err(failure) => first = Some(failed(context, &mut outcome, failure)),
            }
            items.push(outcome);
        }
        ControllersWork::Prove { items: kept } => {
            for kept in kept {
                let mut outcome = nothing_yet(&kept.item, context.shared.clock.now());
                match prove(context, &opened, kept).await {
                    Ok(bytes) => {
                        outcome.snapshot = Some(kept.snapshot.clone());
                        (outcome.state, outcome.bytes, outcome.files) = (RunState::Succeeded, bytes, 1);
                    }
                    Err(failure) => {
                        let failure = failed(context, &mut outcome, failure);
                        first.get_or_insert(failure);
                    }
                }
                items.push(outcome);
            }
        }
    }
    sum_up(items, first)
}

fn failed(context: &Context<'_>, outcome: &mut ItemOutcome, failure: Failure) -> Failure {
    tracing::warn!(run = %context.run, item = %outcome.item, code = failure.code, reason = failure.message, "the controllers' state");
    outcome.state = failure.state();
    outcome.message = Some(failure.message.clone());
    failure
}

async fn begin(context: &Context<'_>, task: &ControllersTask) -> Result<Opened, Failure> {
    let opened = context.open(&task.repository)?;
    context.unless_cancelled(opened.ensure(task.repository.create, None)).await?;
    Ok(opened)
}

async fn take(
    context: &Context<'_>,
    opened: &Opened,
    task: &ControllersTask,
    item: &ItemName,
) -> Result<(BackupReport, Facts), Failure> {
    context.errand.reporter.enter(Phase::Transferring, Some(item));
    let invalid = |error: &dyn std::fmt::Display| Failure::new("invalid", error.to_string());
    let name: StreamName = CONTROLLERS_FILE.parse().map_err(|error| invalid(&error))?;
    let tags = [
        format!("{TAG_APP}={}", task.app),
        format!("{TAG_ITEM}={item}"),
        format!("{TAG_SLOT}={}", task.slot),
        format!("{TAG_RUN}={}", context.run),
    ];
    let tags: Result<Vec<Tag>, _> = tags.iter().map(|tag| tag.parse()).collect();
    let tags = tags.map_err(|error| invalid(&error))?;
    let backup = StreamBackup { name, labels: Labels { tags, ..Labels::default() }, limits: opened.limits };
    let watch = Watch::new(Kind::Bytes);
    // A stream cannot be begun anew by restic alone: each attempt asks the gateway again.
    let report = opened
        .unlocked(|| async {
            let watch = watch.renew(Kind::Bytes);
            let (mut to, from) = tokio::io::duplex(BUFFER);
            let (tell, told) = oneshot::channel();
            let cut = || "the gateway's answer ended in the middle".to_owned();
            let verdict = async move { told.await.unwrap_or_else(|_| Err(cut())) };
            let source = Source::new(Watched { inner: from, watch }, verdict);
            let handed = async {
                let ended = context.shared.states.hand_over(context.run, &mut to).await;
                drop(to);
                tell.send(ended).ok();
            };
            let keep = context.attend(opened.restic.backup_stream(&opened.repository, &backup, source));
            tokio::join!(keep, handed).0
        })
        .await?;
    Ok((report, watch.facts()))
}

/// Reads a snapshot to its end; returns how many bytes it has.
async fn prove(context: &Context<'_>, opened: &Opened, kept: &KeptState) -> Result<u64, Failure> {
    context.check()?;
    context.errand.reporter.enter(Phase::Verifying, Some(&kept.item));
    let id: SnapshotId = kept
        .snapshot
        .parse()
        .map_err(|error| Failure::new("invalid", format!("{}: {error}", kept.snapshot)))?;
    let snapshot =
        context.unless_cancelled(opened.unlocked(|| opened.restic.snapshot(&opened.repository, &id))).await?;
    let inside = snapshot.paths.first().map_or("/", String::as_str);
    let watch = Watch::new(Kind::Bytes);
    let bytes = opened
        .unlocked(|| async {
            let to = Watched { inner: tokio::io::sink(), watch: watch.renew(Kind::Bytes) };
            let dump = opened.restic.dump(&opened.repository, &id, Path::new(inside), to)?;
            context.attend(dump).await
        })
        .await?;
    match difference(&kept.facts, &watch.facts()) {
        None => Ok(bytes),
        Some(difference) => Err(Failure::new("probe_failed", format!("{}: {difference}", kept.item))),
    }
}
