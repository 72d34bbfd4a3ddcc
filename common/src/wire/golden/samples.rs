//! One or more values of every frame: full ones, and sparse ones with everything optional left out.

use crate::clock::Time;
use crate::domain::app::ContentDigest;
use crate::domain::backup::*;
use crate::domain::*;
use crate::ids::{
    AllocationId, BootId, ClusterId, ControllerId, HostId, RequestId, RunId, SessionId, TokenId,
};
use crate::wire::*;
use bytes::Bytes;
use std::collections::BTreeMap;

type Samples<T> = Vec<(&'static str, T)>;

/// 2026-11-23T04:50:00.123Z.
const AT: Time = Time::from_millis(1_795_409_400_123);

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn labels() -> BTreeMap<String, String> {
    [("omni.quantum.component", "gitea"), ("omni.quantum.critical", "true")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

pub(super) fn applicants() -> Samples<Applicant> {
    let host = Applicant::Host {
        name: "web-1".to_owned(),
        labels: labels(),
        region: some("eu"),
        zone: some("eu-1"),
    };
    let controller = Applicant::Controller {
        name: "c2".to_owned(),
        quic: "10.0.0.2:7600".to_owned(),
        api: "10.0.0.2:7601".to_owned(),
        region: None,
        zone: None,
    };
    let returning = Applicant::Returning { certificate: vec![0x30, 0x82, 3, 4] };
    vec![("host", host), ("controller", controller), ("returning", returning)]
}

pub(super) fn enroll_requests() -> Samples<EnrollRequest> {
    let request = |(name, applicant)| {
        let request = EnrollRequest {
            protocol_min: 1,
            protocol_max: 2,
            version: "0.1.0".to_owned(),
            token: TokenId::from_u128(0x70),
            secret: vec![7; 32],
            now: AT,
            csr: vec![0x30, 0x82, 1, 2],
            applicant,
            request: RequestId::from_u128(0x72),
        };
        (name, request)
    };
    applicants().into_iter().map(request).collect()
}

fn controllers() -> ControllerList {
    let near =
        ControllerAddress { id: ControllerId(1), quic: "c1.example.org:7600".to_owned(), region: some("eu") };
    let far = ControllerAddress { id: ControllerId(300), quic: "[fd00::2]:7600".to_owned(), region: None };
    ControllerList { version: 70_000, controllers: vec![near, far] }
}

pub(super) fn enrolled() -> Samples<Enrolled> {
    let host = Enrolled::Host(HostId::from_u128(0x40));
    let controller = Enrolled::Controller { id: ControllerId(2), cluster_key: vec![9; 32] };
    vec![("host", host), ("controller", controller)]
}

pub(super) fn enroll_replies() -> Samples<EnrollReply> {
    let mut replies: Samples<EnrollReply> = enrolled()
        .into_iter()
        .map(|(name, enrolled)| {
            let reply = EnrollReply::Accepted {
                cluster: ClusterId::from_u128(0xc1),
                enrolled,
                chain: vec![vec![1, 2, 3], vec![4]],
                controllers: controllers(),
            };
            (name, reply)
        })
        .collect();
    let refused =
        EnrollReply::Refused { code: "token_expired".to_owned(), message: "make a new one".to_owned() };
    replies.push(("refused", refused));
    replies
}

pub(super) fn agent_frames() -> Samples<AgentFrame> {
    let hello = Hello {
        protocol_min: 1,
        protocol_max: 1,
        version: "0.1.0".to_owned(),
        capabilities: vec!["exec".to_owned(), "history".to_owned()],
        boot: BootId::from_u128(0xb0),
        controllers_version: 70_000,
    };
    vec![
        ("hello", AgentFrame::Hello(hello)),
        ("heartbeat", AgentFrame::Heartbeat { seq: 1, sent_ms: 86_400_000, generation: 250 }),
        ("heartbeat-late", AgentFrame::Heartbeat { seq: u64::MAX, sent_ms: 1 << 40, generation: 0 }),
        ("renew", AgentFrame::Renew { csr: vec![0x30, 0x82, 1, 2] }),
        ("leaving", AgentFrame::Leaving),
        ("allocations", AgentFrame::Allocations { all: true, reports: allocation_reports(), more: true }),
        ("allocations-none", AgentFrame::Allocations { all: false, reports: Vec::new(), more: false }),
        ("run-begun", AgentFrame::Run(Box::new(RunReport { run: RunId::from_u128(0xc1), outcome: None }))),
        ("run-over", AgentFrame::Run(Box::new(run_report()))),
    ]
}

fn offline_run(outcome: Option<RunOutcome>) -> OfflineRun {
    OfflineRun {
        id: RunId::from_u128(0xc3),
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 0,
        release: 7,
        repository: "home".to_owned(),
        items: vec![ItemName::new("volume-data").expect("it is a name")],
        due: AT,
        attempt: 1,
        began: AT,
        max_duration_ms: 3_600_000,
        outcome,
    }
}

fn run_report() -> RunReport {
    let item = ItemOutcome {
        item: ItemName::new("volume-data").expect("it is a name"),
        state: RunState::Partial,
        snapshot: some("6f8d7a"),
        taken: AT,
        bytes: 1 << 30,
        added_bytes: 70_000,
        files: 250,
        facts: [("files".to_owned(), "250".to_owned())].into(),
        missing: vec!["/data/locked".to_owned()],
        message: some("one file could not be read"),
    };
    let outcome = RunOutcome {
        state: RunState::Partial,
        began: AT,
        ended: AT,
        items: vec![item],
        code: some("partial"),
        message: some("one file is missing from it"),
    };
    RunReport { run: RunId::from_u128(0xc2), outcome: Some(outcome) }
}

fn allocation_reports() -> Vec<AllocationReport> {
    let failed = AllocationReport {
        id: AllocationId::from_u128(0xa1),
        epoch: 3,
        state: AllocationState::Failed,
        reason: some("web ended with code 1"),
        log: some("panic: no database"),
    };
    let healthy = AllocationReport {
        id: AllocationId::from_u128(0xa2),
        epoch: 1,
        state: AllocationState::Healthy,
        reason: None,
        log: None,
    };
    vec![failed, healthy]
}

pub(super) fn allocation_states() -> Samples<AllocationState> {
    AllocationState::ALL.map(|state| (state.as_str(), state)).into()
}

pub(super) fn host_requests() -> Samples<HostRequest> {
    let image = ImageWanted { reference: "shop/web:7".to_owned(), platform: "linux/amd64".to_owned() };
    vec![
        ("content", HostRequest::Content(ContentDigest::of(b"services: {}"))),
        ("image", HostRequest::Image(image)),
        ("run", HostRequest::Run(RunId::from_u128(0xc1))),
        ("state", HostRequest::State(RunId::from_u128(0xc1))),
        ("login", HostRequest::Login(Registry::of_image("registry.lan:5000/web"))),
        ("standing", HostRequest::Standing(Some(ContentDigest::of(b"orders")))),
        ("standing-none", HostRequest::Standing(None)),
        ("offline-begun", HostRequest::Offline(Box::new(offline_run(None)))),
        ("offline-over", HostRequest::Offline(Box::new(offline_run(run_report().outcome)))),
    ]
}

pub(super) fn host_replies() -> Samples<HostReply> {
    let failed = HostReply::Failed { code: "not_found".to_owned(), message: "no such content".to_owned() };
    let found = HostReply::Found { host: "web-1".to_owned(), id: ContentDigest::of(b"config") };
    vec![
        ("chunk", HostReply::Chunk(vec![1, 2, 3])),
        ("end", HostReply::End),
        ("failed", failed),
        ("found", found),
    ]
}

pub(super) fn gateway_frames() -> Samples<GatewayFrame> {
    let welcome = Welcome {
        protocol: 1,
        version: "0.1.0".to_owned(),
        capabilities: Vec::new(),
        controller: ControllerId(1),
        host: HostId::from_u128(0x40),
        session: SessionId::from_u128(0x50),
        heartbeat_ms: 1000,
        sample_ms: 10_000,
        now: AT,
        controllers: controllers(),
    };
    let lease = Some(Lease { sent_ms: 86_400_000, ttl_ms: 6000 });
    vec![
        ("welcome", GatewayFrame::Welcome(welcome)),
        ("ack", GatewayFrame::HeartbeatAck { seq: 1, lease: None, controllers: None }),
        ("ack-full", GatewayFrame::HeartbeatAck { seq: 2, lease, controllers: Some(controllers()) }),
        ("renewed", GatewayFrame::Renewed { chain: vec![vec![1, 2, 3], vec![4]] }),
        (
            "renew-refused",
            GatewayFrame::RenewRefused { code: "revoked".to_owned(), message: "removed".to_owned() },
        ),
        ("watch", GatewayFrame::Watch { interval_ms: 1000, for_ms: 30_000 }),
        ("goodbye", GatewayFrame::Goodbye { reason: "upgrade".to_owned() }),
        ("desired", GatewayFrame::Desired(desired())),
        ("desired-none", GatewayFrame::Desired(Desired::default())),
        ("runs", GatewayFrame::Runs(DesiredRuns { generation: 70_000, runs: vec![RunId::from_u128(0xc1)] })),
    ]
}

fn desired() -> Desired {
    let allocation = DesiredAllocation {
        id: AllocationId::from_u128(0xa1),
        epoch: 3,
        environment: "production".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 2,
        release: 7,
        spec: ContentDigest::of(b"services: {}"),
        exclusive: true,
        run: true,
        purge: true,
        gpus: vec!["GPU-8f6d".to_owned()],
    };
    Desired { generation: 70_000, allocations: vec![allocation] }
}

pub(super) fn telemetry_frames() -> Samples<TelemetryFrame> {
    let changes = TelemetryFrame::Containers {
        reset: true,
        upsert: vec![container(), bare_container()],
        removed: vec!["abc".to_owned()],
        more: true,
    };
    vec![
        ("facts", TelemetryFrame::Facts(facts())),
        ("facts-bare", TelemetryFrame::Facts(HostFacts::default())),
        ("containers", changes),
        ("sample", TelemetryFrame::Sample(sample())),
        ("sample-bare", TelemetryFrame::Sample(HostSample::default())),
        ("images", TelemetryFrame::Images { reset: true, images: vec![image()], more: true }),
        ("images-none", TelemetryFrame::Images { reset: true, images: Vec::new(), more: false }),
        ("runs", TelemetryFrame::Runs(vec![run_progress()])),
    ]
}

fn run_progress() -> RunProgress {
    RunProgress {
        run: RunId::from_u128(0xc1),
        phase: Phase::Transferring,
        item: ItemName::new("postgres-db").ok(),
        bytes: 70_000,
        total_bytes: Some(1 << 30),
        files: 1,
        total_files: None,
        left_ms: Some(86_400_000),
    }
}

fn image() -> HostImage {
    HostImage {
        id: ContentDigest::of(b"config"),
        tags: vec!["shop/web:7".to_owned(), "shop/web:latest".to_owned()],
        size_bytes: 5_000_000_000,
        created: Some(AT),
    }
}

pub(super) fn agent_requests() -> Samples<AgentRequest> {
    let logs = LogsRequest {
        container: "gitea".to_owned(),
        follow: true,
        since: Some(AT),
        until: Some(Time::EPOCH),
        tail: Some(100),
        grep: some("err.*"),
    };
    let all_logs = LogsRequest {
        container: "gitea".to_owned(),
        follow: false,
        since: None,
        until: None,
        tail: None,
        grep: None,
    };
    let exec = ExecRequest {
        container: "gitea".to_owned(),
        command: vec!["sh".to_owned(), "-l".to_owned()],
        tty: true,
        stdin: true,
        env: vec!["TERM=xterm".to_owned()],
        user: some("git"),
        workdir: some("/data"),
        size: Some((120, 40)),
    };
    vec![
        ("logs", AgentRequest::Logs(logs)),
        ("logs-all", AgentRequest::Logs(all_logs)),
        ("exec", AgentRequest::Exec(exec)),
        ("history", AgentRequest::History { from: Time::EPOCH, to: AT, max: 360 }),
        ("processes", AgentRequest::Processes),
        ("image", AgentRequest::Image(image_request())),
        ("load-image", AgentRequest::LoadImage),
        ("build", AgentRequest::Build(Hidden::new("{}"))),
        ("files", AgentRequest::Files(Hidden::new("{}"))),
        (
            "project",
            AgentRequest::Project { name: "shop".to_owned(), files: vec!["/srv/shop/web.env".to_owned()] },
        ),
        ("locks", AgentRequest::Locks(Hidden::new("{}"))),
    ]
}

fn image_request() -> ImageRequest {
    ImageRequest { id: ContentDigest::of(b"config"), platform: "linux/amd64".to_owned() }
}

pub(super) fn request_inputs() -> Samples<RequestInput> {
    vec![
        ("stdin", RequestInput::Stdin(b"exit\n".to_vec())),
        ("eof", RequestInput::Eof),
        ("resize", RequestInput::Resize { cols: 300, rows: 50 }),
        ("image", RequestInput::Image(image_inputs().remove(0).1)),
    ]
}

pub(super) fn image_inputs() -> Samples<ImageInput> {
    let wanted = WantedLayer { digest: ContentDigest::of(b"layer"), from: 70_000 };
    vec![
        ("want", ImageInput::Want(vec![wanted])),
        ("chunk", ImageInput::Chunk(Bytes::from_static(&[1, 2, 3]))),
    ]
}

pub(super) fn image_replies() -> Samples<ImageReply> {
    let digest = ContentDigest::of(b"layer");
    let offer = ImageOffer { layers: vec![digest.clone()], size_bytes: 5_000_000_000 };
    vec![
        ("offer", ImageReply::Offer(offer)),
        ("waiting", ImageReply::Waiting),
        ("layer", ImageReply::Layer { digest, size_bytes: 5_000_000_000, from: 70_000 }),
        ("chunk", ImageReply::Chunk(Bytes::from_static(&[1, 2, 3]))),
        ("config", ImageReply::Config(Bytes::from_static(b"{}"))),
        ("loaded", ImageReply::Loaded { images: vec!["shop/web:7".to_owned()] }),
        ("build-output", ImageReply::BuildOutput("Step 1/3 : FROM debian:12\n".to_owned())),
        ("built", ImageReply::Built { id: ContentDigest::of(b"config") }),
    ]
}

pub(super) fn reply_frames() -> Samples<ReplyFrame> {
    let line =
        |stream, line: &[u8]| LogLine { at_nanos: 1_795_409_400_123_456_789, stream, line: line.to_vec() };
    let lines = vec![line(OutputStream::Stdout, b"started"), line(OutputStream::Stderr, b"")];
    let process = Process {
        pid: 4711,
        name: "postgres".to_owned(),
        cpu_percent: 12.5,
        memory: 1 << 30,
        container: some("abc"),
    };
    vec![
        ("started", ReplyFrame::Started),
        ("log", ReplyFrame::Log(lines)),
        ("output", ReplyFrame::Output { stream: OutputStream::Stderr, data: vec![27, 91, 72] }),
        ("exit", ReplyFrame::Exit { code: 137 }),
        ("exit-negative", ReplyFrame::Exit { code: -1 }),
        ("samples", ReplyFrame::Samples(vec![sample(), HostSample::default()])),
        ("processes", ReplyFrame::Processes(vec![process])),
        ("failed", ReplyFrame::Failed { code: "not_found".to_owned(), message: "no such".to_owned() }),
        ("end", ReplyFrame::End),
        ("image", ReplyFrame::Image(ImageReply::Waiting)),
        ("files", ReplyFrame::Files(file_entries())),
        ("files-none", ReplyFrame::Files(Vec::new())),
        ("project", ReplyFrame::Project(b"{}".to_vec())),
        ("locks", ReplyFrame::Locks(vec![held_lock(Some(AT)), held_lock(None)])),
    ]
}

fn held_lock(renewed: Option<Time>) -> HeldLock {
    HeldLock {
        id: "0123456789abcdef".repeat(4),
        hostname: "web-1".to_owned(),
        username: "root".to_owned(),
        pid: 4711,
        renewed,
        exclusive: renewed.is_none(),
    }
}

fn file_entries() -> Vec<FileEntry> {
    let folder = FileEntry {
        name: "data".to_owned(),
        kind: FileKind::Folder,
        size: 0,
        mode: 0o2770,
        uid: 0,
        gid: 999,
        modified: None,
        target: None,
        whole: false,
    };
    let file = FileEntry {
        name: "dump.sql".to_owned(),
        kind: FileKind::File,
        size: 5_000_000_000,
        mode: 0o640,
        modified: Some(AT),
        whole: true,
        ..folder.clone()
    };
    let link = FileEntry {
        name: "current".to_owned(),
        kind: FileKind::Link,
        target: some("releases/2"),
        ..folder.clone()
    };
    let special = FileEntry { name: "socket".to_owned(), kind: FileKind::Special, ..folder.clone() };
    vec![folder, file, link, special]
}

pub(super) fn container_states() -> Samples<ContainerState> {
    vec![
        ("created", ContainerState::Created),
        ("running", ContainerState::Running),
        ("paused", ContainerState::Paused),
        ("restarting", ContainerState::Restarting),
        ("removing", ContainerState::Removing),
        ("exited", ContainerState::Exited),
        ("dead", ContainerState::Dead),
        ("unknown", ContainerState::Unknown),
    ]
}

pub(super) fn healths() -> Samples<Health> {
    vec![
        ("none", Health::None),
        ("starting", Health::Starting),
        ("healthy", Health::Healthy),
        ("unhealthy", Health::Unhealthy),
    ]
}

pub(super) fn gpu_vendors() -> Samples<GpuVendor> {
    vec![("nvidia", GpuVendor::Nvidia), ("amd", GpuVendor::Amd)]
}

pub(super) fn output_streams() -> Samples<OutputStream> {
    vec![("stdout", OutputStream::Stdout), ("stderr", OutputStream::Stderr)]
}

fn container() -> Container {
    Container {
        id: "0123456789abcdef".repeat(4),
        name: "gitea".to_owned(),
        image: "gitea/gitea:1.27".to_owned(),
        image_id: "sha256:00ff".to_owned(),
        state: ContainerState::Exited,
        health: Health::Unhealthy,
        health_output: some("connection refused"),
        exit_code: Some(-1),
        oom_killed: true,
        created: AT,
        started: Some(AT),
        finished: Some(Time::EPOCH),
        restarts: 3,
        labels: labels(),
        ports: vec![Port {
            host_ip: some("0.0.0.0"),
            host_port: Some(3000),
            container_port: 3000,
            protocol: "tcp".to_owned(),
        }],
        networks: vec![NetworkAddress { network: "web".to_owned(), address: some("172.18.0.2") }],
        tty: true,
        log_driver: some("json-file"),
        pid: Some(4711),
    }
}

fn bare_container() -> Container {
    Container {
        id: String::new(),
        name: String::new(),
        image: String::new(),
        image_id: String::new(),
        state: ContainerState::Running,
        health: Health::None,
        health_output: None,
        exit_code: None,
        oom_killed: false,
        created: Time::EPOCH,
        started: None,
        finished: None,
        restarts: 0,
        labels: BTreeMap::new(),
        ports: vec![Port { host_ip: None, host_port: None, container_port: 80, protocol: "udp".to_owned() }],
        networks: vec![NetworkAddress { network: "none".to_owned(), address: None }],
        tty: false,
        log_driver: None,
        pid: None,
    }
}

fn facts() -> HostFacts {
    HostFacts {
        hostname: "web-1".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0-18-amd64".to_owned(),
        arch: "x86_64".to_owned(),
        cpu_model: some("AMD EPYC"),
        cpus: 128,
        physical_cores: Some(64),
        memory_total: 1 << 38,
        swap_total: 0,
        booted: Some(AT),
        docker: Some(DockerFacts {
            version: "20.10.24".to_owned(),
            api_version: "1.41".to_owned(),
            storage_driver: "overlay2".to_owned(),
            cgroup_version: "2".to_owned(),
            root_dir: "/var/lib/docker".to_owned(),
            runtimes: vec!["runc".to_owned(), "nvidia".to_owned()],
        }),
        gpus: vec![
            gpu(GpuVendor::Nvidia),
            GpuFacts { mig: None, instances: Vec::new(), ..gpu(GpuVendor::Amd) },
        ],
        addresses: vec!["10.0.0.7".to_owned(), "fd00::7".to_owned()],
        agent_version: "0.1.0".to_owned(),
        absent: vec![Absence { source: "pressure".to_owned(), reason: "kernel built without it".to_owned() }],
    }
}

fn gpu(vendor: GpuVendor) -> GpuFacts {
    GpuFacts {
        index: 0,
        vendor,
        uuid: "GPU-1".to_owned(),
        model: "A100".to_owned(),
        pci: some("0000:3b:00.0"),
        memory_total: Some(80 << 30),
        driver: some("550.1"),
        mig: Some(true),
        instances: vec![MigInstance {
            index: 1,
            uuid: "MIG-1".to_owned(),
            name: some("1g.10gb"),
            memory_total: Some(10 << 30),
        }],
    }
}

fn sample() -> HostSample {
    HostSample {
        at: AT,
        interval_ms: 10_000,
        dropped: 2,
        cpu: Some(CpuSample {
            total: 12.5,
            user: 8.0,
            system: 4.0,
            iowait: 0.25,
            steal: 0.0,
            cores: vec![25.0, 0.0],
        }),
        load: Some([0.5, 1.5, 2.0]),
        memory: Some(MemorySample {
            total: 1 << 34,
            available: 1 << 33,
            cached: 1 << 32,
            swap_total: 1 << 30,
            swap_used: 0,
        }),
        pressure: Some(PressureSample {
            cpu_some: 1.0,
            memory_some: 2.0,
            memory_full: 3.0,
            io_some: 4.0,
            io_full: 5.0,
        }),
        disks: vec![DiskSample {
            device: "nvme0n1".to_owned(),
            read_bytes: 1e6,
            write_bytes: 2e6,
            reads: 10.0,
            writes: 20.0,
            busy: 1.5,
        }],
        filesystems: vec![FilesystemSample {
            mount: "/".to_owned(),
            device: "/dev/nvme0n1p1".to_owned(),
            kind: "ext4".to_owned(),
            total: 1 << 40,
            available: 1 << 39,
        }],
        networks: vec![NetworkSample {
            name: "eth0".to_owned(),
            rx_bytes: 1e3,
            tx_bytes: 2e3,
            errors: 0.0,
            drops: 0.5,
        }],
        temperatures: vec![TemperatureSample { sensor: "Tctl".to_owned(), celsius: 55.5 }],
        gpus: vec![gpu_sample()],
        containers: vec![container_sample()],
        agent_rss: Some(12 << 20),
    }
}

fn gpu_sample() -> GpuSample {
    GpuSample {
        index: 0,
        utilisation: Some(99.0),
        memory_utilisation: Some(50.0),
        memory_used: Some(40 << 30),
        memory_total: Some(80 << 30),
        temperature: Some(71.0),
        power: Some(300.5),
        power_limit: Some(400.0),
        fan: None,
        processes: vec![GpuProcess {
            pid: 4711,
            name: some("python"),
            container: some("abc"),
            memory: Some(30 << 30),
        }],
    }
}

fn container_sample() -> ContainerSample {
    ContainerSample {
        id: "abc".to_owned(),
        cpu_percent: Some(150.0),
        memory_used: Some(1 << 28),
        memory_limit: None,
        rx_bytes: Some(1.0),
        tx_bytes: Some(2.0),
        read_bytes: Some(3.0),
        write_bytes: Some(4.0),
        pids: Some(17),
    }
}
