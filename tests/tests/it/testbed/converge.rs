//! The agent's converger against a real engine: an app of a web server and a real Redis comes up, survives kills of the
//! agent and of the engine, is replaced, fails in words, and goes, while a bystander is left alone.

use super::testbed;
use anyhow::{Context, Result, ensure};
use omni_agent::docker::Watcher;
use omni_agent::executors::converge::{Converger, Dirs};
use omni_agent::images::Images;
use omni_agent::ledger::{Ledger, LedgerError};
use omni_agent::session::{LeaseState, Monotonic};
use omni_agent::workloads::{Depot, Workloads};
use omni_common::clock::SystemClock;
use omni_common::domain::AllocationState::{self, Failed, Healthy, Preparing, Stopped};
use omni_common::domain::app::{
    AppSpec, ConfigSource, ContentDigest, Dependency, DependsCondition, FileMount, FileOrigin, FileRef,
    Group, GroupName, Healthcheck, Mount, MountSource, PackedFile, PullPolicy, RestartPolicy, SecretSource,
    Service, ServiceName, VolumeMount,
};
use omni_common::ids::{AllocationId, HostId};
use omni_common::wire::{AllocationReport, Desired, DesiredAllocation};
use omni_tests::testbed::{Host, IMAGE, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const HOST: HostId = HostId::from_u128(77);
const PATIENCE: Duration = Duration::from_secs(90);
const PASSWORD: &[u8] = b"correct horse";
const SITE: &[u8] = b"listen 8080\n";

#[test]
fn an_app_runs_on_a_real_engine() {
    testbed::test(1, |bed| {
        let host = bed.host("h1");
        bed.install(Package::Redis)?;
        host.docker(["run", "-d", "--name", "bystander", IMAGE, "idle"])?;
        let before = host.docker(["inspect", "-f", "{{.Id}} {{.Name}} {{.State.Running}}", "bystander"])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut story = Story::new(host)?;
        runtime.block_on(async {
            let agent = story.agent().await?;
            story.comes_up(&agent).await?;
            drop(agent);
            story.survives_kills_of_the_agent().await?;
            let agent = story.agent().await?;
            story.a_release_makes_anew_only_what_changed(&agent).await?;
            story.survives_a_restart_of_the_engine(&agent).await?;
            story.exclusive_work_ends_with_the_lease(&agent).await?;
            story.failures_are_told_in_words(&agent).await?;
            story.goes_and_leaves_its_data(&agent).await
        })?;
        let after = host.docker(["inspect", "-f", "{{.Id}} {{.Name}} {{.State.Running}}", "bystander"])?;
        ensure!(before == after, "the bystander was touched: {before} {after}");
        Ok(())
    });
}

/// A running agent, as far as it runs allocations.
struct Agent {
    converger: Arc<Converger>,
    lease: watch::Sender<LeaseState>,
    clock: Monotonic,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Agent {
    fn report(&self, id: u128) -> Option<AllocationReport> {
        self.converger.reports().known().remove(&AllocationId::from_u128(id))
    }

    /// Waits until an allocation is in this state.
    async fn sees(&self, id: u128, state: AllocationState) -> Result<AllocationReport> {
        let begun = Instant::now();
        loop {
            let report = self.report(id);
            if let Some(report) = report.as_ref().filter(|report| report.state == state) {
                return Ok(report.clone());
            }
            ensure!(begun.elapsed() < PATIENCE, "allocation {id} is not {state}: {report:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is left of an allocation.
    async fn is_rid_of(&self, id: u128) -> Result<()> {
        let begun = Instant::now();
        while let Some(report) = self.report(id).filter(|report| report.state != Stopped) {
            ensure!(begun.elapsed() < PATIENCE, "allocation {id} is still there: {report:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn leases(&self, valid: bool) {
        let state = match valid {
            true => LeaseState::Valid { until_ms: self.clock.now_ms() + 3_600_000 },
            false => LeaseState::Expired,
        };
        self.lease.send_replace(state);
    }
}

struct Story<'a> {
    host: &'a Host,
    data: PathBuf,
    secrets: tempfile::TempDir,
    generation: u64,
}

impl<'a> Story<'a> {
    fn new(host: &'a Host) -> Result<Self> {
        let data = host.dir().join("converger");
        // In memory, and seen by the engine in its own mount space as well.
        let secrets = tempfile::tempdir_in("/dev/shm").context("/dev/shm is a file system in memory")?;
        Ok(Self { host, data, secrets, generation: 0 })
    }

    /// Starts an agent. The one before was killed: its tasks are gone only when the runtime has come round to them.
    async fn agent(&self) -> Result<Agent> {
        let begun = Instant::now();
        let ledger = loop {
            match Ledger::create(&self.data) {
                Err(LedgerError::InUse { .. }) if begun.elapsed() < PATIENCE => {
                    tokio::task::yield_now().await
                }
                opened => break Arc::new(opened?),
            }
        };
        let depot = Depot::open(ledger)?;
        let clock = Arc::new(SystemClock);
        let socket = self.host.docker_socket().to_string_lossy().parse()?;
        let (docker, mut watcher) = Watcher::new(socket, clock.clone());
        let dirs = Dirs { files: self.data.join("apps"), secrets: self.secrets.path().join("omni") };
        let images = Arc::new(Images::new(docker.clone(), self.data.join("images")));
        let converger = Arc::new(Converger::new(HOST, depot, docker, images, dirs, Arc::default(), clock));
        let monotonic = Monotonic::machine();
        let lease = watch::Sender::new(LeaseState::Valid { until_ms: 3_600_000 });
        let watching = tokio::spawn(async move { watcher.run(CancellationToken::new()).await });
        let running = tokio::spawn({
            let (converger, lease) = (converger.clone(), lease.subscribe());
            async move { converger.run(lease, monotonic).await }
        });
        let tasks = [watching, running].map(AbortOnDropHandle::new);
        Ok(Agent { converger, lease, clock: monotonic, _tasks: tasks })
    }

    /// Tells the agent what to run: id, app, exclusive or not.
    async fn desire(&mut self, agent: &Agent, wishes: &[(u128, &AppSpec, bool)]) {
        self.generation = self.generation.max(agent.converger.depot().generation()) + 1;
        let depot = agent.converger.depot();
        let allocation = |&(id, spec, exclusive): &(u128, &AppSpec, bool)| DesiredAllocation {
            id: AllocationId::from_u128(id),
            epoch: self.generation,
            environment: "default".to_owned(),
            app: spec.name.clone(),
            group: "main".to_owned(),
            slot: 0,
            release: self.generation,
            spec: spec.digest(),
            exclusive,
            run: true,
            purge: false,
            gpus: Vec::new(),
        };
        let allocations = wishes.iter().map(allocation).collect();
        depot.desire(Desired { generation: self.generation, allocations });
        for (_, spec, _) in wishes {
            depot.provide(&spec.digest(), spec.to_canonical_json().into()).await;
        }
        for bytes in [PASSWORD, SITE] {
            depot.provide(&ContentDigest::of(bytes), bytes.into()).await;
        }
    }

    fn id_of(&self, name: &str) -> Result<String> {
        self.host.docker(["inspect", "-f", "{{.Id}}", name])
    }

    fn running(&self) -> Result<BTreeSet<String>> {
        Ok(self.host.docker(["ps", "--format", "{{.Names}}"])?.lines().map(str::to_owned).collect())
    }

    fn all(&self) -> Result<BTreeSet<String>> {
        Ok(self.host.docker(["ps", "-a", "--format", "{{.Names}}"])?.lines().map(str::to_owned).collect())
    }

    async fn comes_up(&mut self, agent: &Agent) -> Result<()> {
        let begun = Instant::now();
        self.desire(agent, &[(1, &shop("one"), false)]).await;
        agent.sees(1, Healthy).await?;
        eprintln!("two services behind health gates were up after {:.2?}", begun.elapsed());
        ensure!(
            self.running()? == names(&["bystander", "shop-redis-1", "shop-web-1"]),
            "{:?}",
            self.running()?
        );
        let asked =
            "printf 'PING\\r\\n' | nc -w 2 redis 6379; cat /run/secrets/password /etc/site.conf; echo $WORD";
        let answer = self.host.docker(["exec", "shop-web-1", "sh", "-c", asked])?;
        ensure!(answer == "+PONG\r\ncorrect horselisten 8080\none", "{answer:?}");
        let mount = r#"{{range .Mounts}}{{if eq .Destination "/run/secrets/password"}}{{.Source}} {{.RW}}{{end}}{{end}}"#;
        let secret = self.host.docker(["inspect", "-f", mount, "shop-web-1"])?;
        ensure!(secret.starts_with("/dev/shm/") && secret.ends_with(" false"), "{secret}");
        let owner =
            self.host.docker(["exec", "shop-web-1", "stat", "-c", "%u:%g %a", "/run/secrets/password"])?;
        ensure!(owner == "70:71 400", "{owner}");
        let label =
            r#"{{index .Config.Labels "omni.app"}} {{index .Config.Labels "com.docker.compose.service"}}"#;
        let labels = self.host.docker(["inspect", "-f", label, "shop-redis-1"])?;
        ensure!(labels == "shop redis", "{labels}");
        self.host.docker(["exec", "shop-redis-1", "redis-cli", "set", "kept", "yes"]).map(drop)
    }

    async fn survives_kills_of_the_agent(&mut self) -> Result<()> {
        let redis = self.id_of("shop-redis-1")?;
        // At every moment of a change: a dozen changes, each cut short a little later than the one before.
        for round in 0..12u64 {
            let agent = self.agent().await?;
            let word = if round % 2 == 0 { "two" } else { "three" };
            self.desire(&agent, &[(u128::from(round) + 2, &shop(word), false)]).await;
            tokio::time::sleep(Duration::from_millis(100 * round)).await;
        }
        let agent = self.agent().await?;
        agent.sees(13, Healthy).await?;
        ensure!(self.all()? == names(&["bystander", "shop-redis-1", "shop-web-1"]), "{:?}", self.all()?);
        let word = self.host.docker(["exec", "shop-web-1", "sh", "-c", "echo $WORD"])?;
        ensure!((word.as_str(), self.id_of("shop-redis-1")?) == ("three", redis), "{word}");
        let networks =
            self.host.docker(["network", "ls", "--filter", "label=omni.app", "--format", "{{.Name}}"])?;
        ensure!(networks.lines().count() == 1, "{networks}");
        Ok(())
    }

    async fn a_release_makes_anew_only_what_changed(&mut self, agent: &Agent) -> Result<()> {
        let (redis, web) = (self.id_of("shop-redis-1")?, self.id_of("shop-web-1")?);
        self.desire(agent, &[(20, &shop("four"), false)]).await;
        agent.sees(20, Healthy).await?;
        ensure!(self.id_of("shop-redis-1")? == redis && self.id_of("shop-web-1")? != web);
        // What a person stops is started again.
        self.host.docker(["stop", "-t", "1", "shop-redis-1"])?;
        agent.sees(20, AllocationState::Unhealthy).await?;
        agent.sees(20, Healthy).await?;
        // And what a person removes is made again, with its data.
        self.host.docker(["rm", "-f", "shop-redis-1"])?;
        agent.sees(20, AllocationState::Unhealthy).await?;
        agent.sees(20, Healthy).await?;
        ensure!(
            self.running()? == names(&["bystander", "shop-redis-1", "shop-web-1"]),
            "{:?}",
            self.running()?
        );
        let sources = r#"{{range .Mounts}}{{.Name}} {{end}}"#;
        let volume = self.host.docker(["inspect", "-f", sources, "shop-redis-1"])?;
        ensure!(volume.trim() == "shop_data", "{volume}");
        Ok(())
    }

    async fn survives_a_restart_of_the_engine(&mut self, agent: &Agent) -> Result<()> {
        self.host.restart_engine()?;
        self.host.docker(["start", "bystander"])?;
        let begun = Instant::now();
        loop {
            let up = self.running()? == names(&["bystander", "shop-redis-1", "shop-web-1"]);
            if up && agent.report(20).is_some_and(|report| report.state == Healthy) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{:?} {:?}", self.running()?, agent.report(20));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn exclusive_work_ends_with_the_lease(&mut self, agent: &Agent) -> Result<()> {
        let (held, shared) = (stubborn("held"), shop("four"));
        self.desire(agent, &[(20, &shared, false), (30, &held, true)]).await;
        agent.sees(30, Healthy).await?;
        let policy =
            self.host.docker(["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "held-writer-1"])?;
        ensure!(policy == "no", "the engine would start it by itself: {policy}");
        let begun = Instant::now();
        agent.leases(false);
        while self.running()?.contains("held-writer-1") {
            ensure!(begun.elapsed() < PATIENCE, "it never ends");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let took = begun.elapsed();
        eprintln!("a container that ignores SIGTERM ended {took:.2?} after the lease");
        ensure!(took < Duration::from_secs(2), "the margin is over");
        agent.sees(30, Preparing).await?;
        ensure!(self.running()?.contains("shop-web-1"), "shared work goes on");
        // A person, or the engine after a reboot, starts it: not without a lease.
        self.host.docker(["start", "held-writer-1"])?;
        let begun = Instant::now();
        while self.running()?.contains("held-writer-1") {
            ensure!(begun.elapsed() < PATIENCE, "it is left running");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        agent.leases(true);
        agent.sees(30, Healthy).await?;
        self.desire(agent, &[(20, &shared, false)]).await;
        agent.is_rid_of(30).await
    }

    async fn failures_are_told_in_words(&mut self, agent: &Agent) -> Result<()> {
        let shared = shop("four");
        let crash = one("crash", busybox(&["sh", "-c", "echo the last words >&2; exit 3"]));
        self.desire(agent, &[(20, &shared, false), (40, &crash, false)]).await;
        let failed = loop {
            let failed = agent.sees(40, Failed).await?;
            if failed.log.is_some() {
                break failed;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        ensure!(failed.reason.as_deref() == Some("crash-it-1 ended with exit code 3"), "{failed:?}");
        ensure!(failed.log.as_deref() == Some("the last words\n"), "{failed:?}");
        let none = Service {
            image: Some("nowhere/none:1".to_owned()),
            pull_policy: Some(PullPolicy::Never),
            ..Service::default()
        };
        self.desire(agent, &[(20, &shared, false), (41, &one("none", none), false)]).await;
        let failed = agent.sees(41, Failed).await?;
        ensure!(
            failed.reason.as_deref().is_some_and(|reason| reason.contains("is not on this host")),
            "{failed:?}"
        );
        let taken = Service { container_name: Some("bystander".to_owned()), ..busybox(&["idle"]) };
        self.desire(agent, &[(20, &shared, false), (42, &one("taken", taken), false)]).await;
        let failed = agent.sees(42, Failed).await?;
        ensure!(
            failed.reason.as_deref().is_some_and(|reason| reason.contains("the name bystander is taken")),
            "{failed:?}"
        );
        let sick = Service { healthcheck: Some(check(&["false"])), ..busybox(&["idle"]) };
        self.desire(agent, &[(20, &shared, false), (43, &one("sick", sick), false)]).await;
        let begun = Instant::now();
        while !agent
            .report(43)
            .and_then(|report| report.reason)
            .is_some_and(|reason| reason.contains("is unhealthy"))
        {
            ensure!(begun.elapsed() < PATIENCE, "{:?}", agent.report(43));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ensure!(agent.report(43).is_some_and(|report| report.state == AllocationState::Starting));
        Ok(())
    }

    async fn goes_and_leaves_its_data(&mut self, agent: &Agent) -> Result<()> {
        self.desire(agent, &[]).await;
        for id in [20, 43] {
            agent.is_rid_of(id).await?;
        }
        let begun = Instant::now();
        loop {
            let networks = self.host.docker(["network", "ls", "--filter", "label=omni.app", "--quiet"])?;
            if networks.is_empty()
                && self.all()? == names(&["bystander"])
                && secrets_in(self.secrets.path())? == 0
            {
                break;
            }
            ensure!(begun.elapsed() < PATIENCE, "something is left: {:?} {networks}", self.all()?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let volumes = self.host.docker(["volume", "ls", "--quiet", "--filter", "label=omni.app"])?;
        ensure!(volumes == "shop_data", "data is never removed, and nothing else is left: {volumes}");
        Ok(())
    }
}

/// Files that hold secrets below a folder.
fn secrets_in(folder: &Path) -> Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found += secrets_in(&path)?;
        } else if fs::read(&path)? == PASSWORD {
            found += 1;
        }
    }
    Ok(found)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn service_name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a name")
}

fn busybox(command: &[&str]) -> Service {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Service { image: Some(IMAGE.to_owned()), command: Some(command), ..Service::default() }
}

fn check(command: &[&str]) -> Healthcheck {
    let test = ["CMD"].iter().chain(command).map(|word| (*word).to_owned()).collect();
    Healthcheck {
        test,
        interval_ms: Some(500),
        retries: Some(3),
        timeout_ms: Some(5_000),
        ..Healthcheck::default()
    }
}

fn app(name: &str, services: BTreeMap<ServiceName, Service>) -> AppSpec {
    let group = Group { services: services.keys().cloned().collect(), ..Group::default() };
    AppSpec {
        name: name.to_owned(),
        groups: [(GroupName::main(), group)].into(),
        services,
        ..AppSpec::default()
    }
}

fn one(name: &str, service: Service) -> AppSpec {
    app(name, [(service_name("it"), service)].into())
}

/// Something that writes until it is killed, whatever it is told.
fn stubborn(name: &str) -> AppSpec {
    let mut service = busybox(&["sh", "-c", "trap '' TERM; while :; do date >>/data/log; sleep 0.1; done"]);
    service.restart = Some(RestartPolicy::Always);
    let source = MountSource::Volume(VolumeMount::default());
    service.mounts = vec![Mount { target: "/data".to_owned(), source, read_only: false }];
    app(name, [(service_name("writer"), service)].into())
}

/// A web server that stands on a healthy Redis, with a secret and a config.
fn shop(word: &str) -> AppSpec {
    let packed = |bytes: &[u8]| PackedFile {
        content: FileRef { digest: ContentDigest::of(bytes), size: bytes.len() as u64, mode: 0o600 },
        origin: FileOrigin::Inline,
        labels: BTreeMap::new(),
    };
    let file = |source: &str, target: &str, id: Option<(&str, &str)>| FileMount {
        source: source.to_owned(),
        target: target.to_owned(),
        uid: id.map(|(uid, _)| uid.to_owned()),
        gid: id.map(|(_, gid)| gid.to_owned()),
        mode: id.map(|_| 0o400),
    };
    let redis = Service {
        image: Some(Package::Redis.image().to_owned()),
        command: Some(
            ["/usr/bin/redis-server", "--dir", "/data", "--save", "1 1", "--protected-mode", "no"]
                .map(str::to_owned)
                .to_vec(),
        ),
        healthcheck: Some(check(&["/usr/bin/redis-cli", "ping"])),
        restart: Some(RestartPolicy::UnlessStopped),
        mounts: vec![Mount {
            target: "/data".to_owned(),
            source: MountSource::Volume(VolumeMount {
                volume: Some("data".to_owned()),
                ..VolumeMount::default()
            }),
            read_only: false,
        }],
        ..Service::default()
    };
    let waits = Dependency { condition: DependsCondition::Healthy, restart: false, optional: false };
    let web = Service {
        environment: [("WORD".to_owned(), Some(word.to_owned()))].into(),
        healthcheck: Some(check(&["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"])),
        restart: Some(RestartPolicy::Always),
        depends_on: [(service_name("redis"), waits)].into(),
        configs: vec![file("site", "/etc/site.conf", None)],
        secrets: vec![file("password", "/run/secrets/password", Some(("70", "71")))],
        ..busybox(&["http", "8080"])
    };
    let mut spec = app("shop", [(service_name("redis"), redis), (service_name("web"), web)].into());
    spec.configs.insert("site".to_owned(), ConfigSource::Packed(packed(SITE)));
    spec.secrets.insert("password".to_owned(), SecretSource::Packed(packed(PASSWORD)));
    spec
}
