//! Backups with the real restic and an engine made of folders and shells.

mod browse;
mod controllers;
mod drills;
mod engine;
mod files;
mod locks;
mod moves;
mod quiesce;
mod repositories;
mod streams;

use super::*;
use crate::runs::Reporter;
use engine::Fake;
use omni_common::clock::Time;
use omni_common::domain::app::{
    AppSpec, Group, GroupName, Mount, MountSource, Service, ServiceName, VolumeMount, VolumeSpec,
};
use omni_common::domain::backup::{
    BackupTask, Credentials, Destination, Hidden, Instance, Item, ItemName, ItemOutcome, Quiesce, Repository,
    RestoreItem, RestoreTask, RunState, Take,
};
use omni_restic::Settings;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HOST: &str = "host-1";
const PASSWORD: &str = "open sesame";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        Time::from_secs(1_800_000_000)
    }
}

/// A host with an engine of folders, a restic, and a repository.
struct Bed {
    folder: tempfile::TempDir,
    docker: Arc<Fake>,
    backups: Arc<Backups>,
    runs: std::sync::atomic::AtomicU64,
}

impl Bed {
    async fn new() -> Self {
        Self::with_states(Arc::new(crate::backup::controllers::Nobody)).await
    }

    async fn with_states(states: Arc<dyn StateSource>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["cache", "work", "home", "docker"] {
            std::fs::create_dir(folder.path().join(name)).expect("our own folder");
        }
        let docker = Arc::new(Fake::new(folder.path().join("docker")));
        let restic = Restic::find(settings(folder.path())).await.expect("restic is installed");
        let shared = Shared::new(
            docker.clone(),
            Some(restic),
            Debts::in_memory(),
            Arc::new(Fixed),
            HOST.to_owned(),
            folder.path().join("work"),
            Dirs { files: folder.path().join("apps"), secrets: folder.path().join("secrets") },
        );
        let backups = Arc::new(Backups::new(shared.with_states(states)));
        Self { folder, docker, backups, runs: 1.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repository(&self, name: &str) -> Repository {
        Repository {
            name: name.to_owned(),
            location: self.path(name).display().to_string(),
            password: Hidden::new(PASSWORD),
            credentials: Credentials::None,
            ca: None,
            create: true,
            upload_kib: None,
            download_kib: None,
        }
    }

    fn order(&self, task: Task) -> RunOrder {
        let number = self.runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        RunOrder { id: RunId::from_u128(number.into()), max_duration_ms: 600_000, task }
    }

    /// Does a task, and tidies up after it.
    async fn does(&self, task: Task) -> Done {
        let order = self.order(task);
        let errand = errand(&order);
        let done = self.backups.perform(&order, &errand).await;
        self.backups.tidy(Some(order.id)).await.expect("everything can be undone");
        done
    }

    fn backup(&self, items: Vec<Item>) -> Task {
        Task::Backup(Box::new(BackupTask {
            instance: instance(0),
            items,
            to: self.repository("repo"),
            moves: None,
            same_moment: Default::default(),
        }))
    }

    /// Takes one item, which works.
    async fn takes(&self, item: &Item) -> ItemOutcome {
        let done = self.does(self.backup(vec![item.clone()])).await;
        assert_eq!(done.state, RunState::Succeeded, "{done:?}");
        done.items.into_iter().next().expect("one item")
    }

    fn restore(&self, taken: &[(&Item, &ItemOutcome)], into: Destination) -> Task {
        let items = taken.iter().map(|(item, outcome)| RestoreItem {
            item: (*item).clone(),
            snapshot: outcome.snapshot.clone().expect("it was taken"),
            path: None,
            facts: outcome.facts.clone(),
        });
        Task::Restore(Box::new(RestoreTask {
            instance: instance(0),
            items: items.collect(),
            from: self.repository("repo"),
            into,
            compare: false,
        }))
    }

    /// Nothing is owed, held, marked or left over.
    fn is_clean(&self) {
        assert_eq!(self.backups.shared.debts.of(None), []);
        self.docker.is_clean();
    }
}

fn errand(order: &RunOrder) -> Errand {
    Errand { cancel: CancellationToken::new(), reporter: Reporter::new(order.id) }
}

#[expect(clippy::disallowed_methods, reason = "tests run what the one who runs them would run")]
fn settings(folder: &Path) -> Settings {
    let path = std::env::var_os("PATH").expect("there is a search path");
    let mut settings = Settings::new(path, folder.join("home"), folder.join("cache"), folder.join("work"));
    settings.grace = Duration::from_secs(4);
    settings.patience = Duration::from_secs(2);
    settings
}

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("a name")
}

/// The app `shop`: `db` and `web` mount the volume `data`, `db` also `more`, `cache` mounts none.
fn instance(slot: u32) -> Instance {
    let mounts = |volumes: &[(&str, &str)]| {
        let mount = |(volume, target): &(&str, &str)| Mount {
            target: (*target).to_owned(),
            source: MountSource::Volume(VolumeMount {
                volume: Some((*volume).to_owned()),
                ..VolumeMount::default()
            }),
            read_only: false,
        };
        volumes.iter().map(mount).collect::<Vec<_>>()
    };
    let image = |mounts| Service { image: Some("made:1".to_owned()), mounts, ..Service::default() };
    let services = [
        (service("db"), image(mounts(&[("data", "/data"), ("more", "/more")]))),
        (service("web"), image(mounts(&[("data", "/srv")]))),
        (service("cache"), image(Vec::new())),
    ];
    let group =
        Group { services: services.iter().map(|(name, _)| name.clone()).collect(), ..Group::default() };
    let volumes = ["data", "more"].map(|name| (name.to_owned(), VolumeSpec::default()));
    Instance {
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot,
        spec: AppSpec {
            name: "shop".to_owned(),
            groups: [(GroupName::main(), group)].into(),
            services: services.into(),
            volumes: volumes.into(),
            ..AppSpec::default()
        },
    }
}

fn named(name: &str) -> ItemName {
    ItemName::new(name).expect("a name")
}

fn volume_item(volume: &str) -> Item {
    Item {
        name: named(&format!("volume-{volume}")),
        take: Take::Volume { volume: volume.to_owned(), include: Vec::new(), exclude: Vec::new() },
        quiesce: Quiesce::None,
    }
}

/// An item whose data a shell writes, in the container of `cache`.
fn command_item(save: &str, load: &str) -> Item {
    let shell = |script: &str| match script {
        "" => Vec::new(),
        script => ["sh", "-c", script].map(str::to_owned).to_vec(),
    };
    Item {
        name: named("command-cache"),
        take: Take::Command { service: service("cache"), save: shell(save), load: shell(load) },
        quiesce: Quiesce::None,
    }
}
