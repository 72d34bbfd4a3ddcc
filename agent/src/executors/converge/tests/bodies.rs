//! A service as the engine is told it. `fixtures/converge/full.json` is the whole of a service that says everything.

use super::world::name;
use super::*;
use crate::executors::converge::definition::{Definition, Scene, define};
use crate::executors::converge::mounts::OnHost;
use omni_common::domain::app::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn text(value: &str) -> String {
    value.to_owned()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn file(bytes: &[u8], mode: u32) -> FileRef {
    FileRef { digest: ContentDigest::of(bytes), size: bytes.len() as u64, mode }
}

fn packed(bytes: &[u8]) -> PackedFile {
    PackedFile { content: file(bytes, 0o600), origin: FileOrigin::Inline, labels: BTreeMap::new() }
}

fn mount(target: &str, source: MountSource) -> Mount {
    Mount { target: text(target), source, read_only: target.starts_with("/ro") }
}

fn file_mount(source: &str, target: &str) -> FileMount {
    FileMount {
        source: text(source),
        target: text(target),
        uid: Some(text("70")),
        gid: None,
        mode: Some(0o400),
    }
}

/// Every field of a service is set.
fn full() -> AppSpec {
    let service = Service {
        image: Some(text("team/web:1")),
        build: None,
        pull_policy: Some(PullPolicy::Missing),
        platform: Some(text("linux/amd64")),
        command: Some(vec![text("serve"), text("--all")]),
        entrypoint: Some(vec![text("/init")]),
        environment: [(text("A"), Some(text("1"))), (text("PATH"), None)].into(),
        user: Some(text("70:70")),
        group_add: vec![text("video")],
        working_dir: Some(text("/srv")),
        init: Some(true),
        tty: true,
        stdin_open: true,
        stop_signal: Some(text("SIGINT")),
        stop_grace_ms: Some(20_500),
        post_start: vec![Hook { command: vec![text("warm")], ..Hook::default() }],
        pre_stop: vec![Hook { command: vec![text("drain")], user: Some(text("root")), ..Hook::default() }],
        containers: Some(1),
        container_name: Some(text("omni-web")),
        labels: pairs(&[("omni.quantum.component", "web"), ("omni.app", "a lie")]),
        annotations: pairs(&[("note", "yes")]),
        restart: Some(RestartPolicy::Always),
        healthcheck: Some(Healthcheck {
            test: vec![text("CMD"), text("ok")],
            interval_ms: Some(5_000),
            timeout_ms: Some(1_500),
            start_period_ms: Some(10_000),
            start_interval_ms: Some(500),
            retries: Some(4),
        }),
        depends_on: BTreeMap::new(),
        logging: Some(Logging { driver: Some(text("json-file")), options: pairs(&[("max-size", "10m")]) }),
        network_mode: NetworkMode::Networks,
        networks: [
            (
                text("front"),
                NetworkJoin {
                    aliases: vec![text("www")],
                    ipv4_address: Some(text("10.1.0.5")),
                    ipv6_address: Some(text("fd00::5")),
                    link_local_ips: vec![text("169.254.1.1")],
                    mac_address: Some(text("02:42:ac:11:00:02")),
                    driver_opts: pairs(&[("o", "1")]),
                    priority: 10,
                    gateway_priority: 3,
                },
            ),
            (text("back"), NetworkJoin::default()),
        ]
        .into(),
        ports: vec![
            PortMapping {
                container_port: 80,
                host_port: Some(8080),
                host_ip: Some(text("127.0.0.1")),
                ..Default::default()
            },
            PortMapping {
                container_port: 80,
                host_port: Some(9000),
                host_port_last: Some(9010),
                ..Default::default()
            },
            PortMapping { container_port: 53, protocol: Protocol::Udp, ..Default::default() },
        ],
        expose: [text("9100/tcp")].into(),
        links: [(text("database"), name("db"))].into(),
        hostname: Some(text("web")),
        domainname: Some(text("example.org")),
        mac_address: None,
        extra_hosts: vec![text("other:10.0.0.9")],
        dns: vec![text("10.0.0.53")],
        dns_opt: vec![text("ndots:1")],
        dns_search: vec![text("example.org")],
        mounts: vec![
            mount(
                "/data",
                MountSource::Volume(VolumeMount {
                    selinux: None,
                    volume: Some(text("data")),
                    subpath: Some(text("sub")),
                    no_copy: true,
                }),
            ),
            mount("/cache", MountSource::Volume(VolumeMount::default())),
            mount(
                "/ro/host",
                MountSource::Host(HostMount {
                    path: text("/etc/ssl"),
                    propagation: Some(text("rslave")),
                    ..Default::default()
                }),
            ),
            mount(
                "/made",
                MountSource::Host(HostMount {
                    path: text("/srv/made"),
                    create: true,
                    selinux: Some(text("z")),
                    ..Default::default()
                }),
            ),
            mount(
                "/project",
                MountSource::Project(ProjectMount { path: text("data/web"), ..Default::default() }),
            ),
            mount(
                "/ro/site.conf",
                MountSource::Project(ProjectMount {
                    path: text("site.conf"),
                    content: ProjectContent::File(file(b"site", 0o644)),
                    ..Default::default()
                }),
            ),
            mount(
                "/ro/conf.d",
                MountSource::Project(ProjectMount {
                    path: text("conf.d"),
                    content: ProjectContent::Folder([(text("a/b.conf"), file(b"b", 0o644))].into()),
                    ..Default::default()
                }),
            ),
            mount(
                "/seeded",
                MountSource::Project(ProjectMount {
                    path: text("seeded"),
                    content: ProjectContent::Seed([(text("first"), file(b"f", 0o644))].into()),
                    ..Default::default()
                }),
            ),
            mount(
                "/scratch",
                MountSource::Tmpfs(TmpfsMount { size_bytes: Some(1 << 20), mode: Some(0o1777) }),
            ),
        ],
        volumes_from: [(name("db"), true)].into(),
        tmpfs: pairs(&[("/tmp", "size=64m")]),
        configs: vec![file_mount("site", "/etc/site")],
        secrets: vec![file_mount("password", "/run/secrets/password")],
        read_only: true,
        shm_size_bytes: Some(1 << 26),
        storage_opt: pairs(&[("size", "10G")]),
        privileged: true,
        cap_add: [text("NET_ADMIN")].into(),
        cap_drop: [text("ALL")].into(),
        security_opt: vec![text("no-new-privileges:true")],
        devices: vec![Device {
            host_path: text("/dev/kvm"),
            container_path: text("/dev/kvm"),
            permissions: text("rwm"),
        }],
        device_cgroup_rules: vec![text("c 1:3 mr")],
        pid: Some(Namespace::Service(name("db"))),
        ipc: Some(Namespace::Shareable),
        uts: Some(Namespace::Host),
        userns_mode: Some(Namespace::Host),
        cgroup: Some(Namespace::Private),
        cgroup_parent: Some(text("/omni")),
        runtime: Some(text("runc")),
        sysctls: pairs(&[("net.core.somaxconn", "1024")]),
        ulimits: [(text("nofile"), Ulimit { soft: 1024, hard: -1 })].into(),
        limits: Limits {
            nano_cpus: Some(1_500_000_000),
            memory_bytes: Some(1 << 30),
            memory_reservation_bytes: None,
            memory_swap_bytes: Some(-1),
            memory_swappiness: Some(10),
            pids: Some(200),
            cpu_shares: Some(512),
            cpu_quota_us: Some(50_000),
            cpu_period_us: Some(100_000),
            cpu_rt_runtime_us: Some(1_000),
            cpu_rt_period_us: Some(10_000),
            cpuset: Some(text("0-1")),
            block_io: Some(BlockIo {
                weight: Some(300),
                device_weight: [(text("/dev/sda"), 400)].into(),
                read_bytes_per_second: [(text("/dev/sda"), 1)].into(),
                write_bytes_per_second: [(text("/dev/sda"), 2)].into(),
                read_ops_per_second: [(text("/dev/sda"), 3)].into(),
                write_ops_per_second: [(text("/dev/sda"), 4)].into(),
            }),
            oom_kill_disable: true,
            oom_score_adj: Some(-500),
        },
        reservations: Reservations {
            nano_cpus: 250_000_000,
            memory_bytes: 1 << 28,
            gpus: vec![
                GpuNeed { count: GpuCount::All, driver: Some(text("nvidia")), ..GpuNeed::default() },
                GpuNeed {
                    device_ids: [text("GPU-1")].into(),
                    capabilities: [text("compute")].into(),
                    ..GpuNeed::default()
                },
            ],
        },
        omni: OmniOptions::default(),
    };
    let mut spec = app(&["db db:1"]);
    spec.groups.entry(GroupName::main()).or_default().services.insert(name("web"));
    spec.services.insert(name("web"), service);
    spec.configs.insert(text("site"), ConfigSource::Packed(packed(b"config")));
    spec.secrets.insert(text("password"), SecretSource::Packed(packed(b"secret")));
    spec
}

fn scene<'a>(wish: &'a crate::workloads::Wish, spec: &'a AppSpec, api: (u32, u32)) -> Scene<'a> {
    let networks = spec.services[&name("web")]
        .networks
        .keys()
        .map(|network| (network.clone(), format!("shop_{network}")));
    Scene {
        host: "the-host",
        allocation: &wish.allocation,
        spec,
        group: &spec.groups[&GroupName::main()],
        api,
        files: "/data/apps/default/shop/main.0".into(),
        secrets: "/run/omni/secrets/default/shop/main.0".into(),
        networks: networks.chain([(text("default"), text("shop_default"))]).collect(),
    }
}

fn web(spec: &AppSpec) -> Definition {
    let wished = wish(1, 7, spec);
    let scene = scene(&wished, spec, (1, 50));
    define(&scene, &name("web"), 1).expect("this engine can do it all").remove(0)
}

#[test]
fn a_service_that_says_everything() {
    let spec = full();
    let db = name("db");
    let joined =
        web(&spec).join(&spec.services[&name("web")], &[(&db, text("d".repeat(64).as_str()))].into());
    let shown = json!({
        "name": joined.name, "platform": joined.platform, "body": joined.body,
        "connects": joined.connects.iter().cloned().collect::<BTreeMap<_, _>>(),
    });
    let golden: Value =
        serde_json::from_str(include_str!("../../../../fixtures/converge/full.json")).expect("JSON");
    assert!(shown == golden, "the body is now:\n{}", serde_json::to_string_pretty(&shown).expect("JSON"));
}

/// Services take the cards of their allocation in turn.
#[test]
fn cards_are_dealt_out_by_name_of_service() {
    let need = |count| GpuNeed { count: GpuCount::Count(count), ..GpuNeed::default() };
    let mut spec = app(&["a a:1", "b b:1", "c c:1", "web web:1"]);
    for (service, needs) in [("a", vec![need(1)]), ("c", vec![need(1), need(2)]), ("web", vec![need(1)])] {
        spec.services.get_mut(&name(service)).expect("just made").reservations.gpus = needs;
    }
    let four = ["GPU-1", "GPU-2", "GPU-3", "GPU-4"];
    let dealt = |cards: &[&str], service: &str| -> Vec<(Option<Vec<String>>, Option<i64>)> {
        let mut wished = wish(1, 7, &spec);
        wished.allocation.gpus = cards.iter().copied().map(text).collect();
        let scene = scene(&wished, &spec, (1, 41));
        let body = define(&scene, &name(service), 1).expect("fine").remove(0).body;
        let requests = body.host_config.expect("it has one").device_requests.unwrap_or_default();
        requests.into_iter().map(|request| (request.device_ids, request.count)).collect()
    };
    let cards = |ids: &[&str]| (Some(ids.iter().copied().map(text).collect()), None);
    assert_eq!(dealt(&four, "a"), [cards(&["GPU-1"])]);
    assert_eq!(dealt(&four, "b"), []);
    assert_eq!(dealt(&four, "c"), [cards(&["GPU-2"]), cards(&["GPU-3", "GPU-4"])]);
    assert_eq!(dealt(&four, "web"), [(None, Some(1))], "none is left: the engine chooses");
    assert_eq!(dealt(&["0000:03:00.0"], "a"), [(None, Some(1))], "a card without a name");
}

#[test]
fn every_field_of_a_service_counts() {
    // Fields that say nothing about the container itself, or that are tested on their own.
    let aside = [
        "containers",
        "container_name",
        "depends_on",
        "pull_policy",
        "omni",
        "links",
        "volumes_from",
        "pid",
        "reservations",
    ];
    let whole = serde_json::to_value(full().services[&name("web")].clone()).expect("JSON");
    let hash = web(&full()).hash().to_owned();
    for field in whole.as_object().expect("an object").keys().filter(|field| !aside.contains(&field.as_str()))
    {
        let mut less = whole.clone();
        less.as_object_mut().expect("an object").remove(field);
        let mut spec = full();
        let Ok(service) = serde_json::from_value(less) else { panic!("{field} has no default") };
        spec.services.insert(name("web"), service);
        if field == "image" {
            continue;
        }
        assert_ne!(web(&spec).hash(), hash, "leaving out `{field}` changes nothing about the container");
    }
}

#[test]
fn an_allocation_says_nothing_about_what_a_container_is() {
    let spec = full();
    let first = wish(1, 7, &spec);
    let second = wish(2, 8, &spec);
    let one = define(&scene(&first, &spec, (1, 50)), &name("web"), 1).expect("fine").remove(0);
    let other = define(&scene(&second, &spec, (1, 50)), &name("web"), 1).expect("fine").remove(0);
    assert_eq!(one.hash(), other.hash());
    let mut elsewhere = scene(&second, &spec, (1, 50));
    elsewhere.networks.insert(text("front"), text("shop_front-00000002"));
    assert_eq!(
        define(&elsewhere, &name("web"), 1).expect("fine")[0].hash(),
        one.hash(),
        "networks count by their names in the app"
    );
    let mut exclusive = wish(1, 7, &spec);
    exclusive.allocation.exclusive = true;
    let held = define(&scene(&exclusive, &spec, (1, 50)), &name("web"), 1).expect("fine").remove(0);
    assert_ne!(held.hash(), one.hash());
    let policy = held.body.host_config.expect("there is one").restart_policy.expect("there is one");
    assert_eq!(
        policy.name.map(|name| name.to_string()).as_deref(),
        Some("no"),
        "the engine never starts it by itself"
    );
}

#[test]
fn what_lies_on_the_host_is_named_by_what_it_is() {
    let paths: Vec<String> =
        web(&full()).files.iter().map(|file| file.path().display().to_string()).collect();
    let starts = [
        "/srv/made",
        "/data/apps/default/shop/main.0/project/data/web",
        "/data/apps/default/shop/main.0/files/",
        "/data/apps/default/shop/main.0/trees/",
        "/data/apps/default/shop/main.0/project/seeded",
        "/data/apps/default/shop/main.0/files/",
        "/run/omni/secrets/default/shop/main.0/files/",
    ];
    assert_eq!(paths.len(), starts.len(), "{paths:?}");
    for (path, start) in paths.iter().zip(starts) {
        assert!(path.starts_with(start), "{path} {start}");
    }
    let secrets =
        web(&full()).files.into_iter().filter(|file| matches!(file, OnHost::File(file) if file.secret));
    assert_eq!(secrets.count(), 1);
}

#[test]
fn what_cannot_be_done_is_a_sentence() {
    let broken = |change: fn(&mut Service), api: (u32, u32)| {
        let mut spec = app(&["web web:1"]);
        change(spec.services.get_mut(&name("web")).expect("it is there"));
        let wished = wish(1, 1, &spec);
        let outcome = define(&scene(&wished, &spec, api), &name("web"), 0);
        outcome.expect_err("refused")
    };
    let old = (1, 41);
    let said = broken(|web| web.image = None, old);
    assert!(said.contains("building is not available yet"), "{said}");
    let said = broken(|web| web.mac_address = Some("02:42:ac:11:00:02".to_owned()), old);
    assert!(said.contains("a MAC address needs a Docker engine with API 1.44"), "{said}");
    let said = broken(
        |web| web.healthcheck = Some(Healthcheck { start_interval_ms: Some(1), ..Healthcheck::default() }),
        old,
    );
    assert!(said.contains("healthcheck.start_interval needs"), "{said}");
    let said = broken(|web| web.secrets = vec![file_mount("gone", "/x")], old);
    assert_eq!(said, "service web: the release has no secret gone");
    let climbing = |web: &mut Service| {
        let project = ProjectMount { path: "../etc".to_owned(), ..ProjectMount::default() };
        web.mounts = vec![mount("/x", MountSource::Project(project))];
    };
    assert!(broken(climbing, old).contains("leads out of the app's folder"));
    let twice = |web: &mut Service| {
        web.mounts = vec![
            mount("/x", MountSource::Tmpfs(TmpfsMount::default())),
            mount("/x", MountSource::Volume(VolumeMount::default())),
        ];
    };
    assert!(broken(twice, old).contains("two things are mounted at /x"));
    let said = broken(
        |web| web.secrets = vec![FileMount { uid: Some("postgres".to_owned()), ..file_mount("gone", "/x") }],
        old,
    );
    assert!(said.contains("no secret gone"), "{said}");
}
