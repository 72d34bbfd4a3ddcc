//! Every key of the Compose Specification, and what omni makes of it.
//!
//! The one table: reading refuses what it refuses and notes what it does differently, and
//! `docs/compose-keys.md` is written from it. `*` stands for a name, `[]` for the items of a list. What is
//! below a key without further rows is free text of the user's, e.g. labels.

use crate::fault::{FaultKind, quoted};
use crate::report::Report;
use crate::suggest;
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What omni makes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does what Compose does.
    Honoured,
    /// It does what the remark says; using it gives a note.
    Differs,
    /// Using it is a fault.
    Refused,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where in the document.
    pub path: &'static str,
    /// What omni makes of it.
    pub verdict: Verdict,
    /// What is different, or why it is refused; may be empty for what is honoured.
    pub remark: &'static str,
    /// What to do instead, when it is refused.
    pub hint: &'static str,
}

const fn yes(path: &'static str) -> Key {
    Key { path, verdict: Verdict::Honoured, remark: "", hint: "" }
}

const fn says(path: &'static str, remark: &'static str) -> Key {
    Key { path, verdict: Verdict::Honoured, remark, hint: "" }
}

const fn differs(path: &'static str, remark: &'static str) -> Key {
    Key { path, verdict: Verdict::Differs, remark, hint: "" }
}

const fn no(path: &'static str, remark: &'static str, hint: &'static str) -> Key {
    Key { path, verdict: Verdict::Refused, remark, hint }
}

const WINDOWS: &str = "it is for Windows containers";
const NO_HINT: &str = "take it out; hosts of omni run Linux";
const SESSION: &str = "the engine's builder has no such thing without a session of its own";
const SWARM: &str = "it is a driver of Swarm";

/// The table, in the order of the specification.
pub const KEYS: &[Key] = &[
    says("version", "says nothing since Compose 2; read and not used"),
    says("name", "the app's name, when none is given with the deploy"),
    yes("include"),
    yes("include[].path"),
    yes("include[].env_file"),
    yes("include[].project_directory"),
    no("models", "omni has no model runner", "run the model as a service, e.g. of ollama or vllm"),
    yes("services"),
    says("services.*.annotations", "engines before 24 have none and leave them out"),
    differs("services.*.attach", "there is no foreground: output is read with `omni logs`"),
    yes("services.*.build"),
    says(
        "services.*.build.context",
        "a folder of the project, or an address; a host of the mesh builds from it",
    ),
    no("services.*.build.additional_contexts", SESSION, "copy what is needed into the context"),
    yes("services.*.build.args"),
    yes("services.*.build.cache_from"),
    no("services.*.build.cache_to", SESSION, "take it out; layers stay on the host that built"),
    yes("services.*.build.dockerfile"),
    yes("services.*.build.dockerfile_inline"),
    no("services.*.build.entitlements", SESSION, "build such an image elsewhere and name it with `image`"),
    says("services.*.build.extra_hosts", "one line at most"),
    no("services.*.build.isolation", WINDOWS, NO_HINT),
    yes("services.*.build.labels"),
    yes("services.*.build.network"),
    yes("services.*.build.no_cache"),
    differs(
        "services.*.build.platforms",
        "an image is built for one platform: the service's, or else the only one of these, or else that of most hosts",
    ),
    no(
        "services.*.build.privileged",
        "a build never has the host's privileges",
        "build such an image elsewhere",
    ),
    no("services.*.build.provenance", SESSION, "take it out"),
    yes("services.*.build.pull"),
    no("services.*.build.sbom", SESSION, "take it out"),
    no("services.*.build.secrets", SESSION, "build such an image elsewhere and name it with `image`"),
    yes("services.*.build.shm_size"),
    no("services.*.build.ssh", SESSION, "build such an image elsewhere and name it with `image`"),
    says("services.*.build.tags", "read and not used: on hosts an image has the name that omni gives it"),
    yes("services.*.build.target"),
    differs("services.*.build.ulimits", "builds have the limits of the engine"),
    yes("services.*.build.ulimits.*.hard"),
    yes("services.*.build.ulimits.*.soft"),
    yes("services.*.blkio_config"),
    yes("services.*.blkio_config.device_read_bps"),
    yes("services.*.blkio_config.device_read_bps[].path"),
    yes("services.*.blkio_config.device_read_bps[].rate"),
    yes("services.*.blkio_config.device_read_iops"),
    yes("services.*.blkio_config.device_read_iops[].path"),
    yes("services.*.blkio_config.device_read_iops[].rate"),
    yes("services.*.blkio_config.device_write_bps"),
    yes("services.*.blkio_config.device_write_bps[].path"),
    yes("services.*.blkio_config.device_write_bps[].rate"),
    yes("services.*.blkio_config.device_write_iops"),
    yes("services.*.blkio_config.device_write_iops[].path"),
    yes("services.*.blkio_config.device_write_iops[].rate"),
    yes("services.*.blkio_config.weight"),
    yes("services.*.blkio_config.weight_device"),
    yes("services.*.blkio_config.weight_device[].path"),
    yes("services.*.blkio_config.weight_device[].weight"),
    yes("services.*.cap_add"),
    yes("services.*.cap_drop"),
    yes("services.*.cgroup"),
    yes("services.*.cgroup_parent"),
    says("services.*.command", "as a list, or as one text that is split as a shell would, without a shell"),
    yes("services.*.configs"),
    yes("services.*.configs[].source"),
    yes("services.*.configs[].target"),
    yes("services.*.configs[].uid"),
    yes("services.*.configs[].gid"),
    yes("services.*.configs[].mode"),
    says("services.*.container_name", "then there is one of it on a host, so `scale` has to be 1"),
    no("services.*.cpu_count", WINDOWS, "use `cpus`"),
    no("services.*.cpu_percent", WINDOWS, "use `cpus`"),
    yes("services.*.cpu_period"),
    yes("services.*.cpu_quota"),
    yes("services.*.cpu_rt_period"),
    yes("services.*.cpu_rt_runtime"),
    yes("services.*.cpu_shares"),
    yes("services.*.cpus"),
    yes("services.*.cpuset"),
    no("services.*.credential_spec", WINDOWS, NO_HINT),
    says("services.*.depends_on", "within a group; to a service of another group only `service_started`"),
    yes("services.*.depends_on.*.condition"),
    yes("services.*.depends_on.*.required"),
    yes("services.*.depends_on.*.restart"),
    yes("services.*.deploy"),
    differs(
        "services.*.deploy.endpoint_mode",
        "there are no virtual addresses: a name gives the containers' own",
    ),
    differs("services.*.deploy.labels", "there is no service object: they are put on the containers"),
    says(
        "services.*.deploy.mode",
        "`global` services are groups of their own, one on every host that fits; those that depend on each other share one",
    ),
    yes("services.*.deploy.placement"),
    says("services.*.deploy.placement.constraints", "`node.role` is refused: no host is a manager"),
    says("services.*.deploy.placement.max_replicas_per_node", "holds for the group of the service"),
    yes("services.*.deploy.placement.preferences"),
    says("services.*.deploy.placement.preferences[].spread", "`node.region`, `node.zone`, or a label"),
    says(
        "services.*.deploy.replicas",
        "of a service that is a group of its own: allocations over hosts; of one beside others: containers side by side",
    ),
    yes("services.*.deploy.resources"),
    yes("services.*.deploy.resources.limits"),
    yes("services.*.deploy.resources.limits.cpus"),
    yes("services.*.deploy.resources.limits.memory"),
    yes("services.*.deploy.resources.limits.pids"),
    yes("services.*.deploy.resources.reservations"),
    yes("services.*.deploy.resources.reservations.cpus"),
    yes("services.*.deploy.resources.reservations.memory"),
    no(
        "services.*.deploy.resources.reservations.generic_resources",
        "omni knows no resources of the user's own",
        "label the hosts and use `deploy.placement.constraints`; GPUs go to `reservations.devices`",
    ),
    yes("services.*.deploy.resources.reservations.devices"),
    yes("services.*.deploy.resources.reservations.devices[].capabilities"),
    yes("services.*.deploy.resources.reservations.devices[].count"),
    yes("services.*.deploy.resources.reservations.devices[].device_ids"),
    yes("services.*.deploy.resources.reservations.devices[].driver"),
    says(
        "services.*.deploy.resources.reservations.devices[].options",
        "`omni.model` and `omni.memory` choose GPUs by model and by free memory; the rest goes to the driver",
    ),
    yes("services.*.deploy.restart_policy"),
    yes("services.*.deploy.restart_policy.condition"),
    differs(
        "services.*.deploy.restart_policy.delay",
        "the engine's own delay is used, which grows from 100 ms",
    ),
    yes("services.*.deploy.restart_policy.max_attempts"),
    differs("services.*.deploy.restart_policy.window", "the engine counts a restart as well after 10 s"),
    yes("services.*.deploy.rollback_config"),
    yes("services.*.deploy.rollback_config.delay"),
    yes("services.*.deploy.rollback_config.failure_action"),
    yes("services.*.deploy.rollback_config.max_failure_ratio"),
    yes("services.*.deploy.rollback_config.monitor"),
    yes("services.*.deploy.rollback_config.order"),
    yes("services.*.deploy.rollback_config.parallelism"),
    says("services.*.deploy.update_config", "holds for the group of the service"),
    yes("services.*.deploy.update_config.delay"),
    yes("services.*.deploy.update_config.failure_action"),
    yes("services.*.deploy.update_config.max_failure_ratio"),
    yes("services.*.deploy.update_config.monitor"),
    yes("services.*.deploy.update_config.order"),
    yes("services.*.deploy.update_config.parallelism"),
    differs(
        "services.*.develop",
        "it is for `docker compose watch` on a workstation; nothing of it runs on a host",
    ),
    yes("services.*.device_cgroup_rules"),
    yes("services.*.devices"),
    yes("services.*.devices[].source"),
    yes("services.*.devices[].target"),
    yes("services.*.devices[].permissions"),
    yes("services.*.dns"),
    yes("services.*.dns_opt"),
    yes("services.*.dns_search"),
    yes("services.*.domainname"),
    says("services.*.entrypoint", "as `command`"),
    yes("services.*.env_file"),
    yes("services.*.env_file[].path"),
    yes("services.*.env_file[].required"),
    yes("services.*.env_file[].format"),
    says(
        "services.*.environment",
        "a name without a value is taken from the caller's environment, then from .env",
    ),
    yes("services.*.expose"),
    yes("services.*.extends"),
    yes("services.*.extends.file"),
    yes("services.*.extends.service"),
    no(
        "services.*.external_links",
        "containers of other apps cannot be linked",
        "join the same external network in both apps and use the container's name",
    ),
    yes("services.*.extra_hosts"),
    yes("services.*.gpus"),
    yes("services.*.gpus[].capabilities"),
    yes("services.*.gpus[].count"),
    yes("services.*.gpus[].device_ids"),
    yes("services.*.gpus[].driver"),
    says("services.*.gpus[].options", "as those of `deploy.resources.reservations.devices`"),
    yes("services.*.group_add"),
    yes("services.*.healthcheck"),
    yes("services.*.healthcheck.disable"),
    yes("services.*.healthcheck.interval"),
    yes("services.*.healthcheck.retries"),
    differs("services.*.healthcheck.start_interval", "engines before 25 use `interval` instead"),
    yes("services.*.healthcheck.start_period"),
    yes("services.*.healthcheck.test"),
    yes("services.*.healthcheck.timeout"),
    yes("services.*.hostname"),
    yes("services.*.image"),
    yes("services.*.init"),
    says("services.*.ipc", "`service:NAME` within a group"),
    no("services.*.isolation", WINDOWS, NO_HINT),
    yes("services.*.label_file"),
    says("services.*.labels", "`omni.quantum.critical` and `omni.quantum.tier` also say who goes first"),
    says("services.*.links", "within a group"),
    yes("services.*.logging"),
    yes("services.*.logging.driver"),
    yes("services.*.logging.options"),
    yes("services.*.mac_address"),
    yes("services.*.mem_limit"),
    yes("services.*.mem_reservation"),
    yes("services.*.mem_swappiness"),
    yes("services.*.memswap_limit"),
    no("services.*.models", "omni has no model runner", "run the model as a service, e.g. of ollama or vllm"),
    says("services.*.network_mode", "`service:NAME` within a group"),
    says("services.*.networks", "each network is one of the host: groups do not reach each other through it"),
    yes("services.*.networks.*.aliases"),
    yes("services.*.networks.*.driver_opts"),
    differs("services.*.networks.*.gw_priority", "engines before 28 choose the default route themselves"),
    no("services.*.networks.*.interface_name", "only engines from 28 on can name it", "take it out"),
    yes("services.*.networks.*.ipv4_address"),
    yes("services.*.networks.*.ipv6_address"),
    yes("services.*.networks.*.link_local_ips"),
    yes("services.*.networks.*.mac_address"),
    yes("services.*.networks.*.priority"),
    yes("services.*.oom_kill_disable"),
    yes("services.*.oom_score_adj"),
    says("services.*.pid", "`service:NAME` within a group"),
    yes("services.*.pids_limit"),
    yes("services.*.platform"),
    says("services.*.ports", "published on the host that the container is on"),
    yes("services.*.ports[].app_protocol"),
    yes("services.*.ports[].host_ip"),
    says("services.*.ports[].mode", "`ingress` is published like `host`, and noted"),
    yes("services.*.ports[].name"),
    yes("services.*.ports[].protocol"),
    yes("services.*.ports[].published"),
    yes("services.*.ports[].target"),
    yes("services.*.post_start"),
    yes("services.*.post_start[].command"),
    yes("services.*.post_start[].environment"),
    yes("services.*.post_start[].privileged"),
    yes("services.*.post_start[].user"),
    yes("services.*.post_start[].working_dir"),
    yes("services.*.pre_stop"),
    yes("services.*.pre_stop[].command"),
    yes("services.*.pre_stop[].environment"),
    yes("services.*.pre_stop[].privileged"),
    yes("services.*.pre_stop[].user"),
    yes("services.*.pre_stop[].working_dir"),
    yes("services.*.privileged"),
    says("services.*.profiles", "a service of an inactive profile is not part of the app"),
    no("services.*.provider", "omni starts containers, no other programs", "run it beside the app"),
    no("services.*.provider.options", "see `provider`", ""),
    no("services.*.provider.type", "see `provider`", ""),
    yes("services.*.pull_policy"),
    yes("services.*.pull_refresh_after"),
    yes("services.*.read_only"),
    yes("services.*.restart"),
    yes("services.*.runtime"),
    says("services.*.scale", "as `deploy.replicas`"),
    yes("services.*.secrets"),
    yes("services.*.secrets[].source"),
    yes("services.*.secrets[].target"),
    yes("services.*.secrets[].uid"),
    yes("services.*.secrets[].gid"),
    yes("services.*.secrets[].mode"),
    yes("services.*.security_opt"),
    yes("services.*.shm_size"),
    yes("services.*.stdin_open"),
    yes("services.*.stop_grace_period"),
    yes("services.*.stop_signal"),
    yes("services.*.storage_opt"),
    yes("services.*.sysctls"),
    yes("services.*.tmpfs"),
    yes("services.*.tty"),
    yes("services.*.ulimits"),
    yes("services.*.ulimits.*.hard"),
    yes("services.*.ulimits.*.soft"),
    no(
        "services.*.use_api_socket",
        "it gives a container the engine and the caller's registry credentials",
        "mount /var/run/docker.sock where that is meant",
    ),
    yes("services.*.user"),
    yes("services.*.userns_mode"),
    yes("services.*.uts"),
    says(
        "services.*.volumes",
        "a relative path is in the app's folder on the host; files and small read-only folders travel with the release",
    ),
    yes("services.*.volumes[].bind"),
    yes("services.*.volumes[].bind.create_host_path"),
    yes("services.*.volumes[].bind.propagation"),
    no("services.*.volumes[].bind.recursive", "only engines from 25 on can set it", "take it out"),
    yes("services.*.volumes[].bind.selinux"),
    differs("services.*.volumes[].consistency", "it is for Docker Desktop; Linux needs none"),
    no(
        "services.*.volumes[].image",
        "only engines from 28 on can mount an image",
        "copy from it in a Dockerfile",
    ),
    no("services.*.volumes[].image.subpath", "see `image`", ""),
    yes("services.*.volumes[].read_only"),
    yes("services.*.volumes[].source"),
    yes("services.*.volumes[].target"),
    yes("services.*.volumes[].tmpfs"),
    yes("services.*.volumes[].tmpfs.mode"),
    yes("services.*.volumes[].tmpfs.size"),
    says("services.*.volumes[].type", "`bind`, `volume` or `tmpfs`"),
    yes("services.*.volumes[].volume"),
    no(
        "services.*.volumes[].volume.labels",
        "a mount has no labels",
        "label the volume under the top-level `volumes`",
    ),
    yes("services.*.volumes[].volume.nocopy"),
    differs("services.*.volumes[].volume.subpath", "engines before 26 refuse it"),
    says("services.*.volumes_from", "of services within a group; `container:NAME` is refused"),
    yes("services.*.working_dir"),
    yes("services.*.x-omni"),
    says("services.*.x-omni.backup", "see docs/backups.md; each key is checked"),
    says("services.*.x-omni.check", "an object; read by the uptime capability"),
    says("services.*.x-omni.exclusive", "of the group of the service"),
    yes("services.*.x-omni.failover"),
    yes("services.*.x-omni.failover.max_data_age"),
    says("services.*.x-omni.failover.mode", "`restart`, `restore` or `never`"),
    says("services.*.x-omni.group", "puts the service into the group of this name"),
    says("services.*.x-omni.region", "of the group of the service"),
    says("services.*.x-omni.replicas", "of the group of the service"),
    says("services.*.x-omni.route", "an object; read by the ingress capability"),
    yes("networks"),
    yes("networks.*.attachable"),
    says("networks.*.driver", "`overlay` is refused: no network spans hosts"),
    yes("networks.*.driver_opts"),
    yes("networks.*.enable_ipv4"),
    yes("networks.*.enable_ipv6"),
    says(
        "networks.*.external",
        "it has to be on the host; `omni-quantum-network` is made where it is missing",
    ),
    says("networks.*.external.name", "the older way to write `name`"),
    yes("networks.*.internal"),
    yes("networks.*.ipam"),
    yes("networks.*.ipam.config"),
    yes("networks.*.ipam.config[].aux_addresses"),
    yes("networks.*.ipam.config[].gateway"),
    yes("networks.*.ipam.config[].ip_range"),
    yes("networks.*.ipam.config[].subnet"),
    yes("networks.*.ipam.driver"),
    yes("networks.*.ipam.options"),
    yes("networks.*.labels"),
    yes("networks.*.name"),
    yes("volumes"),
    yes("volumes.*.driver"),
    yes("volumes.*.driver_opts"),
    says("volumes.*.external", "it has to be on the host that the group is placed on"),
    says("volumes.*.external.name", "the older way to write `name`"),
    yes("volumes.*.labels"),
    yes("volumes.*.name"),
    yes("configs"),
    yes("configs.*.content"),
    yes("configs.*.environment"),
    says(
        "configs.*.external",
        "kept as the platform's secret `app/ENVIRONMENT/APP/NAME`, or else `env/ENVIRONMENT/NAME`; its content is taken with the release",
    ),
    says("configs.*.external.name", "the older way to write `name`"),
    yes("configs.*.file"),
    yes("configs.*.labels"),
    says("configs.*.name", "names an external config; else it says nothing, as in Compose"),
    no("configs.*.template_driver", SWARM, "write the file in full, or render it in the entrypoint"),
    yes("secrets"),
    no("secrets.*.driver", SWARM, "use `external: true` for a secret of the platform"),
    no("secrets.*.driver_opts", SWARM, "use `external: true` for a secret of the platform"),
    says("secrets.*.environment", "its value is packed and kept sealed"),
    says(
        "secrets.*.external",
        "the platform's secret `app/ENVIRONMENT/APP/NAME`, or else `env/ENVIRONMENT/NAME`; its value is taken with the release",
    ),
    says("secrets.*.external.name", "the older way to write `name`"),
    says("secrets.*.file", "its content is packed and kept sealed"),
    yes("secrets.*.labels"),
    says("secrets.*.name", "names an external secret; else it says nothing, as in Compose"),
    no("secrets.*.template_driver", SWARM, "write the secret in full, or render it in the entrypoint"),
    yes("x-omni"),
    says("x-omni.backup", "see docs/backups.md; each key is checked"),
    says("x-omni.check", "an object; read by the uptime capability"),
    says("x-omni.exclusive", "of the group `main`"),
    says("x-omni.failover", "of every group that says nothing else"),
    yes("x-omni.failover.max_data_age"),
    says("x-omni.failover.mode", "`restart`, `restore` or `never`"),
    says("x-omni.group", "the name of the main group"),
    says("x-omni.region", "of every group that says nothing else"),
    says("x-omni.replicas", "of the group `main`"),
    says("x-omni.route", "an object; read by the ingress capability"),
];

/// The table as a tree.
#[derive(Default)]
struct Tree {
    key: Option<Key>,
    below: BTreeMap<&'static str, Tree>,
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let mut tree = Tree::default();
    for key in KEYS {
        let mut at = &mut tree;
        for part in key.path.split('.') {
            let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
            at = at.below.entry(name).or_default();
            if list {
                at = at.below.entry("[]").or_default();
            }
        }
        at.key = Some(*key);
    }
    tree
});

/// Compares a document with the table.
pub(crate) fn check(document: &Node, report: &mut Report) {
    walk(document, &TREE, &mut String::new(), report);
}

/// Compares a part that is taken out of the document before the whole is compared; `pattern` is its path in the
/// table.
pub(crate) fn check_part(part: &Node, pattern: &str, path: &str, report: &mut Report) {
    let mut tree: &Tree = &TREE;
    for name in pattern.split('.') {
        let bare = name.strip_suffix("[]").unwrap_or(name);
        let below = tree.below.get(bare);
        let below = if bare == name { below } else { below.and_then(|tree| tree.below.get("[]")) };
        match below {
            Some(below) => tree = below,
            None => return,
        }
    }
    walk(part, tree, &mut path.to_owned(), report);
}

fn walk(node: &Node, tree: &Tree, path: &mut String, report: &mut Report) {
    let length = path.len();
    match &node.value {
        Value::Sequence(items) => {
            let Some(tree) = tree.below.get("[]") else { return };
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(item, tree, path, report);
                path.truncate(length);
            }
        }
        Value::Mapping(entries) if !tree.below.is_empty() => {
            // `services.*.networks.*`: what is below is keyed by names of the user's.
            let named = tree.below.get("*");
            for entry in entries {
                let known = tree.below.get(entry.key.as_str());
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&entry.key);
                match known.or(named) {
                    Some(below) => judge(&entry.node, entry.at, below, path, report),
                    None if entry.key.starts_with("x-") => {}
                    None if tree.below.keys().all(|key| *key == "[]") => {}
                    None => {
                        let hint =
                            suggest::hint(&entry.key, tree.below.keys().copied().filter(|key| *key != "[]"));
                        let message = format!("Compose knows no key `{}` here", quoted(&entry.key));
                        report.fault(entry.at, path, FaultKind::UnknownKey, message, &hint);
                    }
                }
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn judge(node: &Node, at: crate::report::At, tree: &Tree, path: &mut String, report: &mut Report) {
    if node.is_null() {
        return;
    }
    match tree.key {
        Some(Key { verdict: Verdict::Refused, remark, hint, .. }) => {
            let name = path.rsplit('.').next().unwrap_or(path);
            let message = format!("omni does not honour `{}`: {remark}", quoted(name));
            report.fault(at, path, FaultKind::Unsupported, message, hint);
            return;
        }
        Some(Key { verdict: Verdict::Differs, remark, .. }) => report.note(at, path, remark),
        _ => {}
    }
    walk(node, tree, path, report);
}

/// The table as a page of the documentation.
pub fn page() -> String {
    let count = |verdict| KEYS.iter().filter(|key| key.verdict == verdict).count();
    let mut page = format!(
        "# Keys of a compose file\n\n\
         What `omni deploy` makes of each key of the Compose Specification. `*` stands for a name, `[]` for the items\n\
         of a list. {} keys are honoured, {} are honoured with a difference that `omni deploy --check` notes, {} are\n\
         refused with file, line and column. Nothing is dropped in silence. Keys beginning with `x-` are free, except\n\
         `x-omni`.\n\n\
         This page is written from `controller/compose/src/keys.rs`; `OMNI_BLESS=1` on that crate's tests renews it.\n",
        count(Verdict::Honoured),
        count(Verdict::Differs),
        count(Verdict::Refused),
    );
    let mut section = "";
    for key in KEYS {
        let top = key.path.split(['.', '[']).next().unwrap_or("");
        if top != section {
            section = top;
            page.push_str(&format!("\n## {top}\n\n| key | omni | remark |\n| --- | --- | --- |\n"));
        }
        let verdict = match key.verdict {
            Verdict::Honoured => "honoured",
            Verdict::Differs => "differs",
            Verdict::Refused => "**refused**",
        };
        let gap = if key.hint.is_empty() { "" } else { "; " };
        page.push_str(&format!("| `{}` | {verdict} | {}{gap}{} |\n", key.path, key.remark, key.hint));
    }
    page
}
