use super::command::{HostPatch, HostTransition, UserPatch};
use super::*;
use omni_certs::SecretHash;
use omni_common::clock::Time;
use omni_common::ids::{BootId, ClusterId, ControllerId, HostId, RequestId, RunId, TokenId};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(secs: i64) -> Time {
    Time::from_secs(1_800_000_000 + secs)
}

fn proposal(number: u128, command: Command) -> Proposal {
    Proposal {
        request: RequestId::from_u128(number),
        fingerprint: None,
        at: at(i64::try_from(number).expect("small")),
        actor: Actor {
            kind: ActorKind::Token,
            name: "token:test".into(),
            role: Some(ApiRole::Admin),
            from: None,
        },
        command,
    }
}

fn secret() -> SecretHash {
    SecretHash::of(b"seven")
}

fn join_token(id: u128, role: JoinRole, uses: Option<u32>, ends: i64) -> JoinToken {
    JoinToken {
        id: TokenId::from_u128(id),
        role,
        hash: secret(),
        created: at(0),
        expires: at(ends),
        uses_left: uses,
        used: 0,
        labels: BTreeMap::from([("from".to_owned(), "token".to_owned())]),
        created_by: "token:test".into(),
    }
}

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        display_name: None,
        role: ApiRole::Operator,
        places: vec!["staging".to_owned()],
        password: Some(PasswordHash("$argon2id$v=19$m=8,t=1,p=1$AAAA$BBBB".to_owned())),
        source: UserSource::Local,
        disabled: false,
        created: at(0),
        created_by: "token:test".into(),
        changed: at(0),
        signed_in: None,
        revision: 0,
    }
}

fn vouched(name: &str, subject: &str) -> User {
    let source = UserSource::Oidc { issuer: "https://auth.example/".to_owned(), subject: subject.to_owned() };
    User { password: None, source, ..user(name) }
}

fn session(id: u128, user: &str) -> UserSession {
    UserSession {
        id: TokenId::from_u128(id),
        hash: secret(),
        user: user.to_owned(),
        cookie: true,
        by: SignIn::Password,
        created: at(0),
        seen: at(0),
        idle_secs: 50,
        ends: at(80),
        from: Some("192.0.2.7".to_owned()),
        agent: None,
    }
}

fn oidc(issuer: &str) -> OidcSettings {
    OidcSettings {
        label: "single sign-on".to_owned(),
        issuer: issuer.to_owned(),
        client: "omni".to_owned(),
        secret_sealed: Some(vec![1, 2]),
        device_client: None,
        scopes: vec!["profile".to_owned()],
        groups_claim: "groups".to_owned(),
        name_claim: "preferred_username".to_owned(),
        groups: vec![GroupRole { group: "devs".to_owned(), role: ApiRole::Viewer, places: vec![] }],
        others: None,
        origins: vec![],
        roots_pem: None,
        revision: 0,
    }
}

fn controller(id: u64) -> Controller {
    Controller {
        id: ControllerId(id),
        name: format!("c{id}"),
        quic: format!("127.0.0.1:76{id:02}"),
        api: format!("127.0.0.1:77{id:02}"),
        region: None,
        zone: None,
        version: "0.1.0".into(),
        joined: at(0),
        certificate: None,
    }
}

fn bootstrap() -> Command {
    Command::Bootstrap {
        cluster: ClusterId::from_u128(1),
        ca_cert: vec![1],
        ca_key_sealed: vec![2],
        controller: controller(1),
        api_tokens: vec![],
        join_tokens: vec![
            join_token(1, JoinRole::Agent, Some(2), 1_000),
            join_token(2, JoinRole::Controller, Some(1), 1_000),
        ],
    }
}

fn enroll(token: u128, host: u128, name: &str) -> Command {
    Command::EnrollHost {
        token: TokenId::from_u128(token),
        secret: secret(),
        host: HostId::from_u128(host),
        name: name.into(),
        labels: BTreeMap::new(),
        region: None,
        zone: None,
    }
}

/// Applies commands in turn, numbered from one, and gives the state and the last answer.
fn after(commands: Vec<Command>) -> (State, Outcome) {
    let mut state = State::default();
    let mut last = Ok(Reply::Done);
    for (number, command) in (1u64..).zip(commands) {
        (state, last) = apply(&state, number, &proposal(number.into(), command));
    }
    (state, last)
}

fn code(outcome: &Outcome) -> RefusalCode {
    outcome.as_ref().expect_err("should be refused").code
}

#[test]
fn a_host_joins_with_a_token_and_takes_its_labels() {
    let (state, outcome) = after(vec![bootstrap(), enroll(1, 10, "web-1")]);
    assert_eq!(outcome, Ok(Reply::Host(HostId::from_u128(10))));
    let host = state.find_host("web-1").expect("joined");
    assert_eq!(host.status, HostStatus::Pending);
    assert_eq!(host.labels["from"], "token");
    assert_eq!(state.join_tokens[&TokenId::from_u128(1)].uses_left, Some(1));
}

#[test]
fn each_bad_token_has_its_own_refusal_and_loses_no_use() {
    let (_, outcome) = after(vec![bootstrap(), enroll(99, 10, "a")]);
    assert_eq!(code(&outcome), RefusalCode::TokenUnknown);
    let mut wrong = enroll(1, 10, "a");
    if let Command::EnrollHost { secret, .. } = &mut wrong {
        *secret = SecretHash::of(b"eight");
    }
    let (state, outcome) = after(vec![bootstrap(), wrong]);
    assert_eq!(code(&outcome), RefusalCode::TokenUnknown);
    assert_eq!(state.join_tokens[&TokenId::from_u128(1)].uses_left, Some(2));
    let (_, outcome) = after(vec![bootstrap(), enroll(2, 10, "a")]);
    assert_eq!(code(&outcome), RefusalCode::TokenRole);
    let (_, outcome) = after(vec![bootstrap(), enroll(1, 10, "a"), enroll(1, 11, "b"), enroll(1, 12, "c")]);
    assert_eq!(code(&outcome), RefusalCode::TokenUsed);
    let late = Proposal { at: at(2_000), ..proposal(2, enroll(1, 10, "a")) };
    let (state, _) = after(vec![bootstrap()]);
    assert_eq!(code(&apply(&state, 2, &late).1), RefusalCode::TokenExpired);
}

#[test]
fn a_refused_name_gives_the_use_back() {
    let (state, outcome) = after(vec![bootstrap(), enroll(1, 10, "a"), enroll(1, 11, "a")]);
    assert_eq!(code(&outcome), RefusalCode::NameTaken);
    assert_eq!(state.join_tokens[&TokenId::from_u128(1)].uses_left, Some(1));
}

#[test]
fn a_repeated_request_applies_once_and_gets_the_first_answer() {
    let (state, _) = after(vec![bootstrap()]);
    let ask = proposal(2, enroll(1, 10, "a"));
    let (once, first) = apply(&state, 2, &ask);
    let (twice, second) = apply(&once, 3, &ask);
    assert_eq!(first, second);
    assert_eq!(twice.join_tokens, once.join_tokens);
    assert_eq!(twice.audit, once.audit);
    let other = Proposal { fingerprint: Some([1; 32]), ..ask };
    assert_eq!(code(&apply(&twice, 4, &other).1), RefusalCode::RequestReused);
}

#[test]
fn a_refused_join_may_be_tried_again_under_the_same_request() {
    let (state, _) = after(vec![bootstrap(), enroll(1, 10, "a")]);
    let join = proposal(50, enroll(1, 11, "a"));
    let (state, refused) = apply(&state, 3, &join);
    assert_eq!(code(&refused), RefusalCode::NameTaken);
    let (state, _) = apply(&state, 4, &proposal(51, Command::RemoveHost(HostId::from_u128(10))));
    let (state, joined) = apply(&state, 5, &join);
    assert_eq!(joined, Ok(Reply::Host(HostId::from_u128(11))));
    assert_eq!(apply(&state, 6, &join).1, joined, "and what worked is not done twice");
}

#[test]
fn an_old_revision_is_refused_and_changes_nothing() {
    let (state, _) = after(vec![bootstrap(), enroll(1, 10, "a")]);
    let patch = |expect| Command::UpdateHost {
        host: HostId::from_u128(10),
        patch: HostPatch { cordoned: Some(true), ..HostPatch::default() },
        expect,
    };
    let (same, refused) = apply(&state, 3, &proposal(3, patch(Some(1))));
    assert_eq!(code(&refused), RefusalCode::RevisionMismatch);
    assert_eq!(same.hosts, state.hosts);
    let (changed, done) = apply(&same, 4, &proposal(4, patch(Some(2))));
    assert_eq!(done, Ok(Reply::Host(HostId::from_u128(10))));
    assert!(changed.hosts[&HostId::from_u128(10)].cordoned);
}

#[test]
fn removal_revokes_and_frees_the_name() {
    let host = HostId::from_u128(10);
    let (state, _) =
        after(vec![bootstrap(), enroll(1, 10, "a"), Command::RemoveHost(host), enroll(1, 11, "a")]);
    assert!(!state.accepts_certificate(omni_certs::Role::Host(host)));
    assert_eq!(state.find_host("a").map(|h| h.id), Some(HostId::from_u128(11)));
}

#[test]
fn transitions_of_a_removed_host_are_no_error() {
    let host = HostId::from_u128(10);
    let up = Command::HostTransitions(vec![HostTransition { host, status: HostStatus::Up, boot: None }]);
    let (state, outcome) = after(vec![bootstrap(), enroll(1, 10, "a"), Command::RemoveHost(host), up]);
    assert_eq!(outcome, Ok(Reply::Done));
    assert!(state.hosts.is_empty());
}

#[test]
fn histories_are_bounded() {
    let (mut state, _) = after(vec![bootstrap()]);
    let event = NewEvent {
        at: at(1),
        topic: "container".into(),
        kind: "container.exited".into(),
        message: "web exited".into(),
        host: None,
        data: BTreeMap::new(),
    };
    let batch = Command::RecordEvents(vec![event; 1_000]);
    for number in 2..30u64 {
        (state, _) = apply(&state, number, &proposal(number.into(), batch.clone()));
    }
    assert_eq!(state.events.len(), MAX_EVENTS);
    let numbers: Vec<u64> = state.events.keys().copied().collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "events are numbered without gaps");
}

fn alert(name: &str, since: i64, resolved: Option<i64>) -> (String, Alert) {
    let alert = Alert {
        name: name.to_owned(),
        severity: Some("critical".to_owned()),
        labels: BTreeMap::from([("host".to_owned(), "a".to_owned())]),
        summary: Some("it is bad".to_owned()),
        description: None,
        runbook: None,
        since: at(since),
        heard: at(since),
        resolved: resolved.map(at),
    };
    (format!("print-of-{name}"), alert)
}

/// Applies reports in turn and gives the state, whether `disk` holds, and the kinds of events about alerts.
fn reported(reports: Vec<Vec<(String, Alert)>>) -> (State, Option<bool>, Vec<String>) {
    let report = |alerts| Command::RecordAlerts { receiver: "omni".to_owned(), truncated: 0, alerts };
    let commands = [bootstrap(), enroll(1, 10, "a")].into_iter().chain(reports.into_iter().map(report));
    let (state, _) = after(commands.collect());
    let holds = state.alerts.get("print-of-disk").map(|alert| alert.resolved.is_none());
    let kinds = state.events.values().filter(|event| event.topic == "alert").map(|event| event.kind.clone());
    let kinds = kinds.collect();
    (state, holds, kinds)
}

#[test]
fn an_alert_begins_and_ends_once_however_often_that_is_said() {
    let (begins, ends) = (|| vec![alert("disk", 100, None)], || vec![alert("disk", 100, Some(200))]);
    let (state, holds, kinds) = reported(vec![begins(), begins()]);
    assert_eq!((holds, kinds.as_slice()), (Some(true), &["alert.firing".to_owned()][..]));
    assert_eq!(
        state.events.get_max().map(|(_, event)| event).expect("told").host,
        Some(HostId::from_u128(10))
    );
    let (_, holds, kinds) = reported(vec![begins(), ends(), ends(), begins()]);
    assert_eq!((holds, kinds.len()), (Some(false), 2), "a late repetition does not bring it back: {kinds:?}");
    let (_, holds, kinds) = reported(vec![begins(), ends(), vec![alert("disk", 300, None)]]);
    assert_eq!((holds, kinds.len()), (Some(true), 3), "a new beginning does");
    let (_, holds, kinds) = reported(vec![ends()]);
    assert_eq!((holds, kinds.len()), (None, 0), "nobody was told that it began");
    let older = vec![alert("disk", 50, Some(200))];
    assert_eq!(reported(vec![begins(), older]).1, Some(true), "an older one ended");
}

#[test]
fn what_is_over_makes_room_for_alerts_that_hold() {
    let many = |count: usize, resolved| (0..count).map(|n| alert(&format!("n{n}"), 100, resolved)).collect();
    let (state, _, _) =
        reported(vec![many(MAX_ALERTS, None), many(1, Some(150)), vec![alert("disk", 200, None)]]);
    assert_eq!(state.alerts.len(), MAX_ALERTS);
    assert!(state.alerts.contains_key("print-of-disk") && !state.alerts.contains_key("print-of-n0"));
    let (state, holds, kinds) = reported(vec![many(MAX_ALERTS, None), vec![alert("disk", 200, None)]]);
    assert_eq!((state.alerts.len(), holds), (MAX_ALERTS, None));
    assert_eq!(kinds.last().map(String::as_str), Some("alert.left_out"), "and that is said");
}

#[test]
fn a_dismissed_alert_comes_back_when_it_is_reported_again() {
    let (state, _, _) = reported(vec![vec![alert("disk", 100, None)]]);
    let dismiss = |number| proposal(number, Command::DismissAlert("print-of-disk".to_owned()));
    let (state, done) = apply(&state, 4, &dismiss(4));
    assert_eq!((done, state.alerts.len()), (Ok(Reply::Done), 0));
    assert_eq!(code(&apply(&state, 5, &dismiss(5)).1), RefusalCode::NotFound);
    let again = Command::RecordAlerts {
        receiver: "omni".to_owned(),
        truncated: 0,
        alerts: vec![alert("disk", 100, None)],
    };
    assert_eq!(apply(&state, 6, &proposal(6, again)).0.alerts.len(), 1);
}

#[test]
fn whoever_the_provider_vouches_for_never_becomes_somebody_else() {
    let enter = |number: u128, name: &str, subject: &str| {
        let entering = session(number, name);
        proposal(
            number,
            Command::EnterOidc { user: Box::new(vouched(name, subject)), session: Box::new(entering) },
        )
    };
    let (state, _) = after(vec![bootstrap(), Command::CreateUser(Box::new(user("ann")))]);
    let (state, refused) = apply(&state, 3, &enter(13, "ann", "x"));
    assert_eq!(code(&refused), RefusalCode::NameTaken, "a local person has that name");
    assert!(state.sessions.is_empty());
    let (state, done) = apply(&state, 4, &enter(14, "bob", "x"));
    assert!(done.is_ok());
    let (state, refused) = apply(&state, 5, &enter(15, "bob", "y"));
    assert_eq!(code(&refused), RefusalCode::NameTaken, "another person of the provider has it");
    // The name at the provider changed; the person, by subject, did not.
    let (state, done) = apply(&state, 6, &enter(16, "robert", "x"));
    assert!(done.is_ok());
    assert_eq!(state.sessions[&TokenId::from_u128(16)].user, "bob");
    assert!(!state.users.contains_key("robert"));
}

#[test]
fn what_the_provider_says_now_holds() {
    let told = |role| User { role, ..vouched("bob", "x") };
    let enter = |number: u128, role| {
        let entering = session(number, "bob");
        proposal(number, Command::EnterOidc { user: Box::new(told(role)), session: Box::new(entering) })
    };
    let (state, _) = after(vec![bootstrap()]);
    let (state, _) = apply(&state, 2, &enter(2, ApiRole::Admin));
    let (state, _) = apply(&state, 3, &enter(3, ApiRole::Viewer));
    assert_eq!(state.users["bob"].role, ApiRole::Viewer);
    let patch = |patch| Command::UpdateUser { user: "bob".into(), patch: Box::new(patch), expect: None };
    let raise = patch(UserPatch { role: Some(ApiRole::Admin), ..UserPatch::default() });
    assert_eq!(code(&apply(&state, 4, &proposal(4, raise)).1), RefusalCode::Conflict);
    let disable = patch(UserPatch { disabled: Some(true), ..UserPatch::default() });
    let (state, done) = apply(&state, 5, &proposal(5, disable));
    assert!(done.is_ok() && state.sessions.is_empty());
    assert_eq!(code(&apply(&state, 6, &enter(6, ApiRole::Admin)).1), RefusalCode::NotFound);
}

#[test]
fn another_provider_ends_the_sessions_of_the_one_before() {
    let through = UserSession { by: SignIn::Oidc, ..session(9, "bob") };
    let enter = Command::EnterOidc { user: Box::new(vouched("bob", "x")), session: Box::new(through) };
    let set = |issuer: Option<&str>| Command::SetOidc(issuer.map(|issuer| Box::new(oidc(issuer))));
    let first = "https://auth.example/";
    let sessions =
        |last: Command| after(vec![bootstrap(), set(Some(first)), enter.clone(), last]).0.sessions.len();
    assert_eq!(sessions(set(Some(first))), 1, "the same one was only set anew");
    assert_eq!(sessions(set(Some("https://other.example/"))), 0);
    assert_eq!(sessions(set(None)), 0);
}

#[test]
fn a_snapshot_survives_and_damage_is_named() {
    let (state, _) = after(vec![bootstrap(), enroll(1, 10, "a")]);
    let bytes = snapshot::encode(&state).expect("encodes");
    assert_eq!(snapshot::decode(&bytes).expect("decodes"), state);
    for (cut, text) in [(4, "not an omni snapshot"), (bytes.len() - 1, "damaged")] {
        let error = snapshot::decode(&bytes[..cut]).expect_err("cut off");
        assert!(error.to_string().contains(text), "{error}");
    }
    let mut newer = bytes.clone();
    newer[8] = 200;
    assert!(snapshot::decode(&newer).expect_err("newer").to_string().contains("version 200"));
}

/// The fixture was written by the first release of this format and must stay readable for ever.
#[test]
fn the_first_snapshot_format_is_still_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/snapshot-v1.omnisnap");
    let bytes = std::fs::read(path).expect("the fixture is committed");
    let state = snapshot::decode(&bytes).expect("reads version 1");
    assert_eq!(state, after(vec![bootstrap(), enroll(1, 10, "web-1")]).0);
}

/// A snapshot of an older version: the state without the fields that have come since, which are its last.
fn older(version: u32, state: &State, since: &impl serde::Serialize) -> Vec<u8> {
    let (mut body, mut later) = (Vec::new(), Vec::new());
    omni_common::codec::encode_into(state, &mut body).expect("encodes");
    omni_common::codec::encode_into(since, &mut later).expect("encodes");
    body.truncate(body.len() - later.len());
    let packed = zstd::encode_all(&*body, 1).expect("packs");
    let mut bytes = b"OMNISNAP".to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
    bytes.extend_from_slice(&packed);
    bytes
}

/// Version 2 ended before backups and people: without them a state of today is one of then with empty fields behind it.
#[test]
fn the_second_snapshot_format_is_still_read() {
    let (state, _) =
        after(vec![bootstrap(), enroll(1, 10, "a"), Command::CreateEnvironment("staging".into())]);
    let backups = (
        (&state.secrets, &state.secrets_size, &state.repositories, &state.backup_defaults),
        (&state.backup_policies, &state.runs, &state.open_runs, &state.host_runs, &state.run_generations),
        (&state.run_marks, &state.runners, &state.snapshots),
    );
    let since = (backups, &state.users, &state.sessions, &state.oidc, &state.moves, &state.old_data);
    assert_eq!(snapshot::decode(&older(2, &state, &since)).expect("reads version 2"), state);
}

/// Version 3 ended before moves between hosts.
#[test]
fn the_third_snapshot_format_is_still_read() {
    let commands = vec![bootstrap(), enroll(1, 10, "a"), Command::CreateUser(Box::new(user("ann")))];
    let (state, _) = after(commands);
    assert_eq!(state.users.len(), 1);
    let since = (&state.moves, &state.old_data);
    assert_eq!(snapshot::decode(&older(3, &state, &since)).expect("reads version 3"), state);
}

/// Log entries are for ever: the bytes of one entry of each kind, as the first release wrote them.
#[test]
fn log_entries_keep_their_bytes() {
    let host = HostId::from_u128(10);
    let commands = [
        bootstrap(),
        Command::CreateJoinToken(join_token(3, JoinRole::Agent, None, 5)),
        Command::DeleteJoinToken(TokenId::from_u128(3)),
        enroll(1, 10, "a"),
        Command::HostTransitions(vec![HostTransition {
            host,
            status: HostStatus::Up,
            boot: Some(BootId::from_u128(5)),
        }]),
        Command::UpdateHost { host, patch: HostPatch::default(), expect: Some(3) },
        Command::RemoveHost(host),
        Command::RemoveController(ControllerId(2)),
        Command::CreateEnvironment("staging".into()),
        Command::SetLiveness(LivenessConfig::default()),
        Command::PutSecret {
            name: omni_common::domain::SecretName::new("a/b").expect("a name"),
            version: super::command::NewSecret { size: 1, sealed: vec![9] },
            expect: Some(0),
        },
        Command::AdoptRuns(vec![super::command::RunStep::Give { run: RunId::from_u128(6), host }]),
        Command::RecordRunner { host, able: true },
        Command::CreateUser(Box::new(user("ann"))),
        Command::UpdateUser {
            user: "ann".into(),
            patch: Box::new(UserPatch { role: Some(ApiRole::Viewer), ..UserPatch::default() }),
            expect: Some(3),
        },
        Command::RemoveUser("ann".into()),
        Command::StartSession(Box::new(session(7, "ann"))),
        Command::EnrollAdmin {
            token: TokenId::from_u128(3),
            secret: secret(),
            user: Box::new(user("ann")),
            session: Box::new(session(7, "ann")),
        },
        Command::TouchSessions(vec![(TokenId::from_u128(7), at(9))]),
        Command::EndSession { user: "ann".into(), session: TokenId::from_u128(7) },
        Command::EndSessions { user: "ann".into(), except: None },
        Command::SetOidc(Some(Box::new(oidc("https://auth.example/")))),
        Command::EnterOidc { user: Box::new(vouched("ann", "5f")), session: Box::new(session(7, "ann")) },
    ];
    let text: String = commands
        .into_iter()
        .map(|command| omni_common::codec::encode(&proposal(7, command)).expect("small"))
        .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect();
    insta::assert_snapshot!(text);
}

fn any_command() -> impl Strategy<Value = Command> {
    let id = 1u128..6;
    prop_oneof![
        (id.clone(), "[a-c]").prop_map(|(host, name)| enroll(1, host, &name)),
        id.clone().prop_map(|host| Command::RemoveHost(HostId::from_u128(host))),
        (id.clone(), 0u8..4).prop_map(|(host, status)| Command::HostTransitions(vec![HostTransition {
            host: HostId::from_u128(host),
            status: [HostStatus::Pending, HostStatus::Up, HostStatus::Suspect, HostStatus::Down]
                [usize::from(status)],
            boot: None,
        }])),
        id.clone().prop_map(|n| Command::CreateJoinToken(join_token(n, JoinRole::Agent, Some(2), 50))),
        id.clone().prop_map(|n| Command::DeleteJoinToken(TokenId::from_u128(n))),
        "[a-c]".prop_map(|name| Command::CreateUser(Box::new(user(&name)))),
        "[a-c]".prop_map(Command::RemoveUser),
        (id.clone(), "[a-c]").prop_map(|(id, name)| Command::StartSession(Box::new(session(id, &name)))),
        (id.clone(), 0i64..90)
            .prop_map(|(id, later)| Command::TouchSessions(vec![(TokenId::from_u128(id), at(later))])),
        ("[a-c]", id.clone())
            .prop_map(|(user, id)| Command::EndSessions { user, except: Some(TokenId::from_u128(id)) }),
        (id.clone(), "[a-c]", "[x-y]").prop_map(|(id, name, subject)| Command::EnterOidc {
            user: Box::new(vouched(&name, &subject)),
            session: Box::new(session(id, &name)),
        }),
        "[a-b]".prop_map(Command::CreateEnvironment),
        "[a-b]".prop_map(Command::DeleteEnvironment),
        (id, proptest::option::of(0u64..20), any::<bool>()).prop_map(|(host, expect, cordoned)| {
            let patch = HostPatch { cordoned: Some(cordoned), ..HostPatch::default() };
            Command::UpdateHost { host: HostId::from_u128(host), patch, expect }
        }),
    ]
}

proptest! {
    /// I5, and the index of names never disagrees with the hosts.
    #[test]
    fn replay_through_a_snapshot_equals_the_state(commands in proptest::collection::vec(any_command(), 1..60), cut in 0usize..60) {
        let (mut straight, _) = after(vec![bootstrap()]);
        let mut through = straight.clone();
        for (step, command) in commands.into_iter().enumerate() {
            let number = u64::try_from(step).expect("small") + 2;
            let ask = proposal(number.into(), command);
            straight = apply(&straight, number, &ask).0;
            if step == cut {
                through = snapshot::decode(&snapshot::encode(&through).expect("encodes")).expect("decodes");
            }
            through = apply(&through, number, &ask).0;
        }
        prop_assert_eq!(&straight, &through);
        prop_assert_eq!(straight.host_names.len(), straight.hosts.len());
        for (name, id) in &straight.host_names {
            prop_assert_eq!(&straight.hosts[id].name, name);
        }
        for session in straight.sessions.values() {
            prop_assert!(straight.users.contains_key(&session.user), "a session without its person");
        }
    }
}
