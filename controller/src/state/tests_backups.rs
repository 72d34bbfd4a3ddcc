//! Secrets, repositories and runs in the replicated state.

use super::command::{NewSecret, RunStep};
use super::*;
use omni_common::clock::Time;
use omni_common::domain::SecretName;
use omni_common::domain::backup::{ItemName, PolicyOptions, RunOutcome, RunState, Span};
use omni_common::ids::{HostId, RequestId, RunId};
use omni_common::wire::OfflineRun;

fn at(secs: i64) -> Time {
    Time::from_secs(1_800_000_000 + secs)
}

fn name(text: &str) -> SecretName {
    SecretName::new(text).expect("a name")
}

/// A state and what commands do to it.
#[derive(Default)]
struct Log(State, u128);

impl Log {
    fn ask(&mut self, command: Command) -> Outcome {
        self.1 += 1;
        let proposal = Proposal {
            request: RequestId::from_u128(self.1),
            fingerprint: None,
            at: at(i64::try_from(self.1).expect("few")),
            actor: Actor {
                kind: ActorKind::Token,
                name: "token:ann".to_owned(),
                role: Some(ApiRole::Admin),
                from: None,
            },
            command,
        };
        let (state, outcome) = apply(&self.0, self.0.index + 1, &proposal);
        self.0 = state;
        outcome
    }

    fn code(&mut self, command: Command) -> RefusalCode {
        let before = (self.0.secrets.clone(), self.0.repositories.clone(), self.0.runs.clone());
        let code = self.ask(command).expect_err("refused").code;
        assert_eq!(before, (self.0.secrets.clone(), self.0.repositories.clone(), self.0.runs.clone()));
        code
    }
}

fn put(text: &str, size: usize, expect: Option<u64>) -> Command {
    let version = NewSecret { size: 1, sealed: vec![7; size] };
    Command::PutSecret { name: name(text), version, expect }
}

fn repository(text: &str, location: &str) -> BackupRepository {
    BackupRepository {
        name: text.to_owned(),
        location: location.to_owned(),
        region: None,
        medium: Medium::Disk,
        offsite: false,
        append_only: false,
        host: None,
        upload_kib: None,
        download_kib: None,
        password: name("backup/home/password"),
        credentials: CredentialNames::None,
        ca: None,
        prune: None,
        check: Some(Upkeep {
            schedule: "0 5 * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            max_duration: Span::secs(60),
            parts: 0,
            max_unused: None,
        }),
        created: Time::EPOCH,
        checks: 0,
        checked: None,
        pruned: None,
        revision: 0,
    }
}

fn create(repository: BackupRepository, made: bool) -> Command {
    let password = made.then(|| NewSecret { size: 1, sealed: vec![1] });
    Command::CreateRepository { repository: Box::new(repository), password }
}

#[test]
fn versions_of_a_secret_are_bounded_and_counted() {
    let mut log = Log::default();
    for number in 1..=12 {
        assert_eq!(log.ask(put("a/b", 100, None)), Ok(Reply::Secret(number)));
    }
    let secret = &log.0.secrets[&name("a/b")];
    assert_eq!(secret.versions.keys().copied().collect::<Vec<_>>(), (3..=12).collect::<Vec<_>>());
    assert_eq!(log.0.secrets_size, 1_000);
    let revision = secret.revision;
    assert_eq!(log.code(put("a/b", 1, Some(0))), RefusalCode::RevisionMismatch, "it exists");
    log.ask(put("a/b", 1, Some(revision))).expect("as it was seen");
    assert_eq!(log.0.secrets_size, 901);
    let delete = |version| Command::DeleteSecret { name: name("a/b"), version };
    assert_eq!(log.code(delete(Some(1))), RefusalCode::NotFound);
    log.ask(delete(Some(13))).expect("there is one");
    log.ask(delete(None)).expect("there are others");
    assert_eq!((log.0.secrets.len(), log.0.secrets_size), (0, 0));
    let actions: Vec<&str> = log.0.audit.values().map(|entry| entry.action.as_str()).collect();
    assert!(actions.contains(&"secret.put") && actions.contains(&"secret.remove"), "{actions:?}");
    assert_eq!(
        log.code(put("big", usize::try_from(MAX_SECRETS_SIZE).expect("fits") + 1, None)),
        RefusalCode::Conflict
    );
}

#[test]
fn a_repository_has_its_password_and_keeps_it() {
    let mut log = Log::default();
    let home = || repository("home", "rest:https://h.example.org/a");
    assert_eq!(log.code(create(home(), false)), RefusalCode::NotFound, "no such secret");
    log.ask(create(home(), true)).expect("with one of its own");
    assert_eq!(log.0.repositories["home"].location, "rest:https://h.example.org/a/", "written in one way");
    assert_eq!(log.code(create(home(), true)), RefusalCode::NameTaken);
    let twin = repository("twin", "rest:https://h.example.org/a/");
    assert_eq!(log.code(create(twin, false)), RefusalCode::Conflict, "one place under two names");
    assert_eq!(log.code(create(repository("bad", "ftp://x"), false)), RefusalCode::Invalid);
    let password = Command::DeleteSecret { name: name("backup/home/password"), version: None };
    assert_eq!(log.code(password.clone()), RefusalCode::Conflict, "it is needed");
    log.ask(Command::DeleteRepository("home".to_owned())).expect("unused");
    log.ask(password).expect("not needed any more");
    log.ask(put("backup/other/password", 1, None)).expect("fine");
    let other = BackupRepository {
        password: name("backup/other/password"),
        ..repository("other", "rest:https://h.example.org/b")
    };
    assert_eq!(
        log.code(create(other, true)),
        RefusalCode::NameTaken,
        "a secret of somebody else's is not replaced"
    );
}

#[test]
fn what_is_asked_of_runs_is_looked_at() {
    let mut log = Log::default();
    log.ask(create(repository("home", "rest:https://h.example.org/a"), true)).expect("fine");
    let check =
        |id: u128, place: &str| Run::new(RunId::from_u128(id), RunTask::Check { part: None }, place, 1_000);
    let start = |runs| Command::StartRuns { runs, stop: false };
    assert_eq!(log.code(start(vec![])), RefusalCode::Invalid);
    assert_eq!(
        log.code(start(vec![check(1, "home"), check(2, "away")])),
        RefusalCode::NotFound,
        "all or none"
    );
    let ids = vec![RunId::from_u128(1), RunId::from_u128(2)];
    assert_eq!(log.ask(start(vec![check(1, "home"), check(2, "home")])), Ok(Reply::Runs(ids)));
    assert_eq!(log.0.runs[&RunId::from_u128(1)].by, "token:ann");
    assert_eq!(log.code(Command::DeleteRepository("home".to_owned())), RefusalCode::Conflict);
    // Nobody gets it who is not there, or cannot do it; two that need it alone are not given out together.
    let give = |run, host| RunStep::Give { run: RunId::from_u128(run), host: HostId::from_u128(host) };
    log.ask(Command::AdoptRuns(vec![give(1, 9)])).expect("never refused");
    assert!(log.0.host_runs.is_empty());
    for number in [9, 10] {
        let own = crate::app::testing::host(number, &format!("h{number}"));
        log.0.hosts.insert(own.id, std::sync::Arc::new(own));
        log.ask(Command::RecordRunner { host: HostId::from_u128(number), able: true }).expect("fine");
    }
    log.ask(Command::AdoptRuns(vec![give(1, 9), give(2, 10)])).expect("never refused");
    assert_eq!(log.0.host_runs.len(), 1, "{:?}", log.0.host_runs);
    log.ask(Command::CancelRun(RunId::from_u128(1))).expect("it is open");
    assert_eq!(log.code(Command::CancelRun(RunId::from_u128(1))), RefusalCode::Conflict);
    assert!(log.0.host_runs.is_empty() && log.0.run_generations.len() == 1);
}

#[test]
fn policies_name_what_is_there() {
    let mut log = Log::default();
    let policy = PolicyOptions { to: Some("home".to_owned()), ..PolicyOptions::default() };
    let defaults = |policy: PolicyOptions, per_host| {
        Command::SetBackupDefaults(Box::new(BackupDefaults { policy, per_host, ..BackupDefaults::default() }))
    };
    let code = |log: &mut Log, command| log.ask(command).expect_err("refused").code;
    assert_eq!(code(&mut log, defaults(policy.clone(), 2)), RefusalCode::NotFound);
    assert_eq!(code(&mut log, defaults(PolicyOptions::default(), 65)), RefusalCode::Invalid);
    let odd = PolicyOptions { schedule: Some("often".to_owned()), ..PolicyOptions::default() };
    assert_eq!(code(&mut log, defaults(odd, 2)), RefusalCode::Invalid);
    log.ask(create(repository("home", "rest:https://h.example.org/a"), true)).expect("fine");
    log.ask(defaults(policy, 3)).expect("it is there now");
    assert_eq!(log.0.backup_defaults.per_host, 3);
}

#[test]
fn all_of_it_survives_a_snapshot() {
    let mut log = Log::default();
    log.ask(create(repository("home", "rest:https://h.example.org/a"), true)).expect("fine");
    let drill = RunTask::Drill {
        items: Vec::new(),
        probes: vec![omni_common::domain::backup::Probe::Facts { item: None }],
    };
    let run = Run::new(RunId::from_u128(1), drill, "home", 1_000);
    log.ask(Command::StartRuns { runs: vec![run], stop: false }).expect("fine");
    log.ask(Command::AdoptRuns(vec![RunStep::Mark {
        kind: RunKind::Check,
        subject: "home".to_owned(),
        at: at(1),
    }]))
    .expect("never refused");
    let retention = Some([("daily".to_owned(), "30d".to_owned())].into());
    let policy = PolicyOptions { retention, ..PolicyOptions::default() };
    log.ask(Command::SetBackupDefaults(Box::new(BackupDefaults { policy, ..BackupDefaults::default() })))
        .expect("fine");
    let bytes = snapshot::encode(&log.0).expect("encodes");
    assert_eq!(snapshot::decode(&bytes).expect("decodes"), log.0);
}

/// Log entries are for ever: the bytes of what hosts hand in that were alone, as the first release wrote them.
#[test]
fn log_entries_about_hosts_that_were_alone_keep_their_bytes() {
    let run = OfflineRun {
        id: RunId::from_u128(6),
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 1,
        release: 2,
        repository: "home".to_owned(),
        items: vec![ItemName::new("volume-data").expect("a name")],
        due: at(0),
        attempt: 1,
        began: at(5),
        max_duration_ms: 60_000,
        outcome: None,
    };
    let outcome = RunOutcome {
        state: RunState::Failed,
        began: at(5),
        ended: at(6),
        items: Vec::new(),
        code: Some("locked".to_owned()),
        message: None,
    };
    let over = OfflineRun { outcome: Some(outcome), ..run.clone() };
    let entry = |run: OfflineRun| Proposal {
        request: RequestId::from_u128(7),
        fingerprint: None,
        at: at(7),
        actor: Actor::system(),
        command: Command::RecordOffline { host: HostId::from_u128(10), run: Box::new(run) },
    };
    let bytes: Vec<String> = [run, over]
        .map(|run| {
            let bytes = omni_common::codec::encode(&entry(run)).expect("encodes");
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        })
        .into();
    insta::assert_snapshot!(bytes.join("\n"));
}
