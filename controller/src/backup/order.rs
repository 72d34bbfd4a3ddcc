//! What a host is told about a run, made when it asks: secrets are opened for it and kept nowhere.

use super::give::is_made;
use super::limits::limits;
use super::moment::{self, Moments, Who};
use super::opening::{Opener, Opening, OrderError, gone};
use super::policy::policy;
use super::{Outline, controllers};
use crate::state::{AppKey, BackupRepository, RestoreInto, Run, RunTask, State, WantedItem};
use omni_common::domain::backup::{
    BackupTask, CheckTask, ControllersTask, ControllersWork, CopyTask, Destination, Expire, Forget, Instance,
    ItemName, KeptState, Moves, Probe, PruneTask, ReadPart, ReadyItem, ReadyTask, Repository, RestoreItem,
    RestoreTask, RunOrder, TAG_APP, TAG_MOVE, Task,
};
use omni_common::ids::RunId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What was put into a repository for a move is forgotten after this time: no move needs it any more.
const MOVED_FOR: Duration = Duration::from_secs(3 * 24 * 3600);

/// The order of a run.
pub(crate) fn order(state: &State, run: &Run, opener: &dyn Opener) -> Result<RunOrder, OrderError> {
    let cx = Cx { state, run, opener };
    if run.app.as_ref().is_some_and(AppKey::is_controllers)
        && let Some(work) = cx.controllers()
    {
        let repository = match work {
            ControllersWork::Take { .. } => cx.target(&run.repository)?,
            _ => cx.repository(&run.repository)?,
        };
        let slot = format!("{}.0", controllers::GROUP);
        let task = ControllersTask { app: AppKey::controllers().to_string(), slot, repository, work };
        let task = Task::Controllers(Box::new(task));
        return Ok(RunOrder { id: run.id, max_duration_ms: run.max_duration_ms, task });
    }
    let task = match &run.task {
        RunTask::Backup { items } => {
            Task::Backup(Box::new(BackupTask { same_moment: cx.same_moment(), ..cx.backup(items)? }))
        }
        RunTask::Copy { snapshots } => Task::Copy(Box::new(CopyTask {
            snapshots: snapshots.clone(),
            from: cx.repository(&run.repository)?,
            to: cx.target(run.to.as_deref().unwrap_or_default())?,
        })),
        RunTask::Check { part } => Task::Check(CheckTask {
            repository: cx.repository(&run.repository)?,
            read: part.map(|(part, of)| ReadPart { part, of }),
        }),
        RunTask::Prune => Task::Prune(cx.prune()?),
        RunTask::Restore { items, into, .. } => {
            let into = match into {
                RestoreInto::InPlace { replace } => Destination::InPlace { replace: *replace },
                // Whatever an earlier try left there is of no use to anybody.
                RestoreInto::NewHome { .. } => Destination::InPlace { replace: true },
                RestoreInto::Folder(path) => Destination::Folder { path: path.clone() },
            };
            Task::Restore(Box::new(cx.restore(items, into)?))
        }
        RunTask::Drill { items, probes } => {
            let probes: Vec<Probe> = probes.clone();
            Task::Restore(Box::new(cx.restore(items, Destination::Scratch { probes })?))
        }
        RunTask::MoveOut { last } => Task::Backup(Box::new(cx.move_out(*last)?)),
        RunTask::MoveReady { bytes, replace } => Task::Ready(Box::new(cx.ready(bytes, *replace)?)),
        RunTask::MoveIn { items } => Task::Restore(Box::new(cx.move_in(items)?)),
    };
    Ok(RunOrder { id: run.id, max_duration_ms: run.max_duration_ms, task })
}

/// A backup by itself, as of a host that knows of no others.
pub(super) fn lone_backup(
    state: &State,
    run: &Run,
    items: &[ItemName],
    opener: &dyn Opener,
) -> Result<BackupTask, OrderError> {
    Cx { state, run, opener }.backup(items)
}

struct Cx<'a> {
    state: &'a State,
    run: &'a Run,
    opener: &'a dyn Opener,
}

impl Cx<'_> {
    /// What is done with the controllers' own state; nothing for what is done with any data alike.
    fn controllers(&self) -> Option<ControllersWork> {
        let key = AppKey::controllers();
        let facts = |id: &str| {
            let mut known = self.state.snapshots_of(&key);
            let own = known.find(|(key, _)| key.repository == self.run.repository && key.id == id);
            own.map(|(_, one)| one.facts.clone()).unwrap_or_default()
        };
        match &self.run.task {
            RunTask::Backup { .. } => Some(ControllersWork::Take { item: controllers::item() }),
            RunTask::Drill { items, .. } => {
                let kept = items.iter().map(|one| KeptState {
                    item: one.item.clone(),
                    snapshot: one.snapshot.clone(),
                    facts: facts(&one.snapshot),
                });
                Some(ControllersWork::Prove { items: kept.collect() })
            }
            _ => None,
        }
    }

    fn backup(&self, items: &[ItemName]) -> Result<BackupTask, OrderError> {
        let (instance, outline) = self.instance()?;
        let found = items.iter().filter_map(|name| outline.item(&instance.group, name).cloned()).collect();
        let to = self.target(&self.run.repository)?;
        Ok(BackupTask { instance, items: found, to, moves: None, same_moment: BTreeMap::new() })
    }

    /// The backups that have begun together with this one.
    fn same_moment(&self) -> BTreeMap<String, RunId> {
        let limits = limits(self.state, self.opener.policies());
        let moments = Moments::of(self.state, &self.opener.outlines(self.state), &limits);
        let others = moment::of(self.run).into_iter().flat_map(|who| {
            let around: Vec<Who> = moments.around(&who).into_iter().cloned().collect();
            self.state.open_runs().filter(move |run| moment::of(run).is_some_and(|who| around.contains(&who)))
        });
        others.filter(|run| run.is_given()).map(|run| (run.subject(), run.id)).collect()
    }

    /// All files of an instance that moves.
    fn move_out(&self, last: bool) -> Result<BackupTask, OrderError> {
        let (instance, outline) = self.instance()?;
        let items = outline.moved.get(&instance.group).cloned().unwrap_or_default();
        let moves = Some(if last { Moves::Stopped } else { Moves::Running });
        let to = self.target(&self.run.repository)?;
        Ok(BackupTask { instance, items, to, moves, same_moment: BTreeMap::new() })
    }

    fn ready(&self, bytes: &[(ItemName, u64)], replace: bool) -> Result<ReadyTask, OrderError> {
        let (instance, outline) = self.instance()?;
        let items = outline.moved.get(&instance.group).into_iter().flatten().map(|item| {
            let known = bytes.iter().find(|(name, _)| *name == item.name);
            ReadyItem { item: item.clone(), bytes: known.map_or(0, |(_, bytes)| *bytes) }
        });
        let items = items.collect();
        Ok(ReadyTask { instance, items, replace })
    }

    /// What was taken last, onto the new host.
    fn move_in(&self, items: &[WantedItem]) -> Result<RestoreTask, OrderError> {
        let (instance, outline) = self.instance()?;
        let known = outline.moved.get(&instance.group).cloned().unwrap_or_default();
        let open = self.run.app.as_ref().and_then(|app| self.state.open_move(app));
        let leg = open.and_then(|open| open.legs.iter().find(|leg| leg.is(&instance.group, instance.slot)));
        // Half of it would look like all of it.
        if known.len() != items.len() {
            return gone(format!("{} of {} items of what moves were taken", items.len(), known.len()));
        }
        let wanted = items.iter().map(|wanted| {
            let item = known.iter().find(|item| item.name == wanted.item);
            let Some(item) = item else { return gone(format!("{} does not move", wanted.item)) };
            let taken = leg.and_then(|leg| leg.items.iter().find(|taken| taken.snapshot == wanted.snapshot));
            Ok(RestoreItem {
                item: item.clone(),
                snapshot: wanted.snapshot.clone(),
                path: None,
                facts: taken.map(|taken| taken.facts.clone()).unwrap_or_default(),
            })
        });
        let items = wanted.collect::<Result<_, _>>()?;
        Ok(RestoreTask {
            instance,
            items,
            from: self.repository(&self.run.repository)?,
            // It was looked at before, and nothing has run there since.
            into: Destination::InPlace { replace: true },
            compare: true,
        })
    }

    fn restore(&self, items: &[WantedItem], into: Destination) -> Result<RestoreTask, OrderError> {
        let (instance, outline) = self.instance()?;
        let app = AppKey { environment: instance.environment.clone(), name: instance.app.clone() };
        let wanted = items.iter().map(|wanted| {
            let Some(item) = outline.item(&instance.group, &wanted.item) else {
                return gone(format!(
                    "release {} of {app} has no data named {}",
                    self.run.release, wanted.item
                ));
            };
            let known = self
                .state
                .snapshots_of(&app)
                .find(|(key, _)| key.repository == self.run.repository && key.id == wanted.snapshot);
            Ok(RestoreItem {
                item: item.clone(),
                snapshot: wanted.snapshot.clone(),
                path: wanted.path.clone(),
                facts: known.map(|(_, one)| one.facts.clone()).unwrap_or_default(),
            })
        });
        let items = wanted.collect::<Result<_, _>>()?;
        let from = self.repository(&self.run.repository)?;
        Ok(RestoreTask { instance, items, from, into, compare: false })
    }

    fn prune(&self) -> Result<PruneTask, OrderError> {
        let repository = self.find(&self.run.repository)?;
        let mut forget = Vec::new();
        for (key, outline) in self.opener.outlines(self.state) {
            let keep: BTreeMap<String, String> = match self.state.apps.get(&key) {
                Some(app) => policy(self.state, app, &outline).retention,
                None if key.is_controllers() => {
                    policy(self.state, &controllers::app(self.state), &outline).retention
                }
                None => continue,
            };
            let here = self.state.snapshots_of(&key).any(|(key, _)| key.repository == repository.name);
            if here && !keep.is_empty() {
                forget.push(Forget { tag: format!("{TAG_APP}={key}"), keep });
            }
        }
        let max_unused = repository.prune.as_ref().and_then(|upkeep| upkeep.max_unused.clone());
        let rules = self.opener.policies().repository(&repository.name);
        let max_repack_size = rules.map(|rules| rules.maintenance.prune.max_repack_size.clone());
        let expired = self.run.created.minus(MOVED_FOR);
        let expire = vec![Expire { tag: TAG_MOVE.to_owned(), before: expired }];
        let repository = self.repository(&repository.name)?;
        Ok(PruneTask { repository, forget, max_unused, max_repack_size, expire })
    }

    fn instance(&self) -> Result<(Instance, Arc<Outline>), OrderError> {
        let (Some(app), Some((group, slot))) = (&self.run.app, &self.run.instance) else {
            return gone("the run names no instance of an app");
        };
        let wanted = self.state.apps.get(app).map(|app| app.release);
        let Some(wanted) = wanted else { return gone(format!("there is no app {app} any more")) };
        // A release that is kept no more gives way to the one that is wanted now.
        let found = self
            .opener
            .release(self.state, app, self.run.release)
            .or_else(|| self.opener.release(self.state, app, wanted));
        let Some((spec, outline)) = found else {
            return gone(format!("the specification of {app} cannot be read"));
        };
        let instance = Instance {
            environment: app.environment.clone(),
            app: app.name.clone(),
            group: group.clone(),
            slot: *slot,
            spec,
        };
        Ok((instance, outline))
    }

    fn find(&self, name: &str) -> Result<&BackupRepository, OrderError> {
        Opening::of(self.state, self.opener).find(name)
    }

    fn repository(&self, name: &str) -> Result<Repository, OrderError> {
        Opening::of(self.state, self.opener).open(self.find(name)?, false)
    }

    /// One that is written into. It is made where nobody has seen it yet, and only there: one that was there and is not is
    /// lost, or its disk is not mounted, and an empty one in its place would look as if all were well.
    fn target(&self, name: &str) -> Result<Repository, OrderError> {
        Opening::of(self.state, self.opener).open(self.find(name)?, !is_made(self.state, name))
    }
}
