//! A backup: each item becomes one snapshot.

pub(super) mod files;
pub(super) mod methods;
mod stream;
mod trim;

use super::context::{Context, nothing_yet, sum_up};
use super::facts::{Facts, SAME_MOMENT};
use super::failure::Failure;
use super::place::Place;
use super::quiesce;
use super::repository::Opened;
use super::restore::nothing_runs;
use crate::runs::Done;
use omni_common::domain::backup::{
    BackupTask, Item, ItemOutcome, Moves, Phase, Quiesce, RunState, TAG_APP, TAG_ITEM, TAG_MOVE, TAG_RUN,
    TAG_SLOT, Take,
};
use omni_restic::{BackupReport, Labels, Tag};

/// Most paths of one item that are named as missing.
const MAX_MISSING: usize = 32;

/// Takes a backup. An item that fails does not keep the others from being taken, unless it is the repository that fails.
pub(super) async fn backup(context: &Context<'_>, task: &BackupTask) -> Done {
    let (place, opened) = match begin(context, task).await {
        Ok(begun) => begun,
        Err(failure) => return failure.into(),
    };
    let mut items = Vec::new();
    let mut first: Option<Failure> = None;
    for item in &task.items {
        let mut outcome = nothing_yet(&item.name, context.shared.clock.now());
        let taken = match &first {
            Some(failure) if failure.is_of_repository() => Err(failure.clone()),
            _ => take(context, &place, &opened, (item, task), &mut outcome).await,
        };
        if let Err(failure) = taken {
            tracing::warn!(run = %context.run, item = %item.name, code = failure.code, reason = failure.message, "item not taken");
            outcome.state = failure.state();
            outcome.message = Some(failure.message.clone());
            first.get_or_insert(failure);
        }
        items.push(outcome);
    }
    sum_up(items, first)
}

async fn begin<'t>(context: &'t Context<'_>, task: &'t BackupTask) -> Result<(Place<'t>, Opened), Failure> {
    let place = Place::of(&task.instance, &context.shared.host)?;
    if task.moves == Some(Moves::Stopped) {
        // What still runs may write what is taken as the last word.
        nothing_runs(context, &place).await?;
    }
    let opened = context.open(&task.to)?;
    let ready = async {
        opened.ensure(task.to.create, None).await?;
        // Nothing rests for a backup that cannot be.
        let rests = task.items.iter().any(|item| item.quiesce != Quiesce::None);
        if rests && !task.to.create { opened.found().await } else { Ok(()) }
    };
    context.unless_cancelled(ready).await?;
    Ok((place, opened))
}

async fn take(
    context: &Context<'_>,
    place: &Place<'_>,
    opened: &Opened,
    (item, task): (&Item, &BackupTask),
    outcome: &mut ItemOutcome,
) -> Result<(), Failure> {
    let (moves, same_moment) = (task.moves, &task.same_moment);
    context.check()?;
    context.errand.reporter.enter(Phase::Preparing, Some(&item.name));
    // Files of the host can be taken without any engine.
    let files = matches!(item.take, Take::Volume { .. } | Take::HostPath { .. });
    let containers = match files && item.quiesce == Quiesce::None {
        true => Vec::new(),
        false => context.shared.docker.containers().await?,
    };
    let changes = quiesce::plan(place, item, &containers)?;
    let labels = labels(context, place, item, moves)?;
    let work = async {
        outcome.taken = context.shared.clock.now();
        context.errand.reporter.enter(Phase::Transferring, Some(&item.name));
        match &item.take {
            Take::Volume { volume, include, exclude } => {
                let root = files::volume_root(context, place, volume).await?;
                files::take(context, opened, labels, root, include, exclude).await
            }
            Take::HostPath { path, exclude } => {
                let root = files::host_path(context, place, path)?;
                files::take(context, opened, labels, root, &[], exclude).await
            }
            Take::Postgres { .. } | Take::Mariadb { .. } | Take::Redis { .. } | Take::Command { .. } => {
                let save = methods::save(place, item)?;
                let container = place.running(&containers, &save.service)?.id.clone();
                stream::take(context, opened, labels, container, save).await
            }
        }
    };
    let (report, facts) = quiesce::quiesced(context, changes, work).await?;
    fill(outcome, &report, facts);
    let beside =
        same_moment.iter().map(|(instance, run)| (format!("{SAME_MOMENT}{instance}"), run.to_string()));
    outcome.facts.extend(beside);
    Ok(())
}

fn labels(
    context: &Context<'_>,
    place: &Place<'_>,
    item: &Item,
    moves: Option<Moves>,
) -> Result<Labels, Failure> {
    // What moves is no backup, and no rule that keeps backups may count it as one.
    let of = if moves.is_some() { TAG_MOVE } else { TAG_APP };
    let tags = [
        format!("{of}={}", place.app()),
        format!("{TAG_ITEM}={}", item.name),
        format!("{TAG_SLOT}={}", place.slot()),
        format!("{TAG_RUN}={}", context.run),
    ];
    let tags: Result<Vec<Tag>, _> = tags.iter().map(|tag| tag.parse()).collect();
    let tags = tags.map_err(|error| Failure::new("invalid", format!("{}: {error}", place.app())))?;
    Ok(Labels { tags, ..Labels::default() })
}

pub(super) fn fill(outcome: &mut ItemOutcome, report: &BackupReport, facts: Facts) {
    outcome.snapshot = report.snapshot.as_ref().map(|id| id.as_str().to_owned());
    (outcome.bytes, outcome.files) = (report.bytes, report.files);
    outcome.added_bytes = report.bytes_stored.unwrap_or(report.bytes_added);
    outcome.facts = facts;
    outcome.missing =
        report.unreadable.named.iter().take(MAX_MISSING).map(|file| file.path.clone()).collect();
    outcome.state = RunState::Succeeded;
    if report.is_partial() {
        outcome.state = RunState::Partial;
        let first = report.unreadable.named.first();
        let first =
            first.map(|file| format!(", such as {} ({})", file.path, file.reason)).unwrap_or_default();
        outcome.message = Some(format!("{} files could not be read{first}", report.unreadable.count()));
    }
}
