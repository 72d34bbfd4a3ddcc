//! The app that is backed up.

use omni_common::domain::app::{
    AppSpec, Group, GroupName, Healthcheck, Mount, MountSource, RestartPolicy, Service, ServiceName,
    VolumeMount, VolumeSpec,
};
use omni_common::domain::backup::{Item, ItemName, Quiesce, Take};
use omni_tests::testbed::Package;

pub(super) fn service_name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a name")
}

pub(super) fn named(text: &str) -> ItemName {
    ItemName::new(text).expect("a name")
}

pub(super) fn item(name: &str, take: Take) -> Item {
    Item { name: named(name), take, quiesce: Quiesce::None }
}

pub(super) fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn service(image: &str, words: &[&str], volume: &str, target: &str, check: &[&str]) -> Service {
    let source = VolumeMount { volume: Some(volume.to_owned()), ..VolumeMount::default() };
    Service {
        image: Some(image.to_owned()),
        command: Some(command(words)),
        healthcheck: Some(Healthcheck {
            test: command(&[&["CMD"], check].concat()),
            interval_ms: Some(500),
            retries: Some(20),
            timeout_ms: Some(10_000),
            ..Healthcheck::default()
        }),
        restart: Some(RestartPolicy::No),
        mounts: vec![Mount {
            target: target.to_owned(),
            source: MountSource::Volume(source),
            read_only: false,
        }],
        ..Service::default()
    }
}

/// A PostgreSQL, a Redis with a password and an append-only file, and something with files and Git.
pub(super) fn shop() -> AppSpec {
    let mut db = service(
        Package::Postgres.image(),
        &["serve"],
        "data",
        "/data",
        &["pg_isready", "-q", "-U", "postgres"],
    );
    // The others are not started again by anybody but who stopped them, which is the harder case.
    db.restart = Some(RestartPolicy::UnlessStopped);
    db.environment.insert("PGHOST".to_owned(), Some("/tmp".to_owned()));
    let redis =
        ["/usr/bin/redis-server", "--dir", "/data", "--appendonly", "yes", "--requirepass", "opensesame"];
    let cache =
        service(Package::Redis.image(), &redis, "cache", "/data", &["redis-cli", "-a", "opensesame", "ping"]);
    let files = service(Package::Git.image(), &["idle"], "files", "/srv", &["true"]);
    let services = [("db", db), ("cache", cache), ("files", files)];
    let services = services.map(|(name, service)| (service_name(name), service));
    let group =
        Group { services: services.iter().map(|(name, _)| name.clone()).collect(), ..Group::default() };
    AppSpec {
        name: "shop".to_owned(),
        groups: [(GroupName::main(), group)].into(),
        services: services.into(),
        volumes: ["data", "cache", "files"].map(|name| (name.to_owned(), VolumeSpec::default())).into(),
        ..AppSpec::default()
    }
}
