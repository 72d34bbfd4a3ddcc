//! Joining against scripted controllers.

use super::*;
use crate::args::{CommonArgs, JoinArgs};
use omni_certs::testing::{self, TestCluster};
use omni_certs::{Secret, lifetimes};
use omni_common::clock::SystemClock;
use omni_common::ids::{ControllerId, TokenId};
use omni_common::wire::CloseCode;
use omni_common::wire::ControllerAddress;
use omni_transport::sim::{SimNet, SimNetwork};
use omni_transport::{FrameReader, FrameWriter};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const HOST: HostId = HostId::from_u128(42);

/// What a controller does with a request; absent closes the connection.
type Script = Box<dyn FnMut(&EnrollRequest) -> Option<EnrollReply> + Send>;

struct Bench {
    root: tempfile::TempDir,
    net: SimNet,
    cluster: Arc<TestCluster>,
    machine: Arc<SimNetwork>,
    seen: Arc<Mutex<Vec<EnrollRequest>>>,
}

impl Bench {
    fn new() -> Self {
        let net = SimNet::new(1);
        Self {
            root: tempfile::tempdir().expect("a temporary folder"),
            machine: net.endpoint("machine", None),
            net,
            cluster: Arc::new(testing::cluster()),
            seen: Arc::default(),
        }
    }

    fn controller(&self, name: &str, mut script: Script) {
        let identity = Identity { cluster: self.cluster.cluster, role: Role::Controller(ControllerId(1)) };
        let root = self.cluster.authority.fingerprint();
        let endpoint = self.net.endpoint_with_root(name, Some(identity), root);
        let seen = self.seen.clone();
        tokio::spawn(async move {
            while let Some(connection) = endpoint.accept().await {
                let Ok((send, recv)) = connection.accept_bi().await else { continue };
                let request = FrameReader::<EnrollRequest>::new(recv).next().await;
                let request = request.expect("a frame").expect("a frame");
                let reply = script(&request);
                seen.lock().expect("no panic").push(request);
                match reply {
                    Some(reply) => {
                        let mut writer = FrameWriter::new(send);
                        writer.send(&reply).await.expect("connected");
                        writer.finish();
                        connection.closed().await;
                    }
                    None => connection.close(CloseCode::Internal, "crashed"),
                }
            }
        });
    }

    fn accepting(&self) -> Script {
        let cluster = self.cluster.clone();
        Box::new(move |request| Some(accept(&cluster, request, Identity::host(cluster.cluster, HOST))))
    }

    fn options(&self, controllers: &[&str]) -> JoinOptions {
        let ca = self.cluster.authority.fingerprint();
        let secret = Secret::generate().expect("the random source works");
        JoinOptions {
            token: TokenText::new(TokenKind::Join, TokenId::from_u128(7), &secret, ca),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            name: "h1".to_owned(),
            labels: BTreeMap::new(),
            region: None,
            zone: None,
        }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("agent")
    }

    async fn join(&self, options: &JoinOptions) -> Result<Joined, JoinError> {
        let ledger = Ledger::create(&self.dir())?;
        join(&ledger, options, self.machine.as_ref(), &SystemClock).await
    }

    fn requests(&self) -> Vec<RequestId> {
        self.seen.lock().expect("no panic").iter().map(|request| request.request).collect()
    }
}

fn accept(cluster: &TestCluster, request: &EnrollRequest, identity: Identity) -> EnrollReply {
    let issued = cluster
        .authority
        .issue(&request.csr, identity, &[], SystemClock.now(), lifetimes::HOST)
        .expect("a valid request");
    let address = ControllerAddress { id: ControllerId(1), quic: "c1".to_owned(), region: None };
    EnrollReply::Accepted {
        cluster: cluster.cluster,
        enrolled: Enrolled::Host(HOST),
        chain: issued.chain,
        controllers: ControllerList { version: 4, controllers: vec![address] },
    }
}

fn refusing(code: &'static str, message: &'static str) -> Script {
    Box::new(move |_| Some(EnrollReply::Refused { code: code.to_owned(), message: message.to_owned() }))
}

#[tokio::test]
async fn a_token_becomes_an_identity() {
    let bench = Bench::new();
    bench.controller("c1", bench.accepting());
    let options = bench.options(&["c1"]);
    let joined = bench.join(&options).await.expect("accepted");
    assert_eq!(joined, Joined { cluster: bench.cluster.cluster, host: HOST, already: false });
    let ledger = Ledger::open(&bench.dir()).expect("joined");
    let identity = ledger.identity().expect("whole").expect("there");
    assert_eq!(
        MeshTls::new(&identity.key, &identity.chain).expect("they fit").identity(),
        Identity::host(bench.cluster.cluster, HOST)
    );
    assert_eq!(ledger.controllers().expect("whole").expect("there").version, 4);
    assert_eq!(ledger.pending().expect("whole"), None);
    drop(ledger);
    let again = bench.join(&options).await.expect("the same cluster");
    assert!(again.already, "joining twice is harmless");
    assert_eq!(bench.requests().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_as_the_same_join() {
    let bench = Bench::new();
    let (mut calls, mut accepting) = (0, bench.accepting());
    bench.controller(
        "c1",
        Box::new(move |request| {
            calls += 1;
            if calls == 1 { None } else { accepting(request) }
        }),
    );
    let options = bench.options(&["c1"]);
    assert!(matches!(bench.join(&options).await, Err(JoinError::Unreachable { .. })));
    bench.join(&options).await.expect("accepted");
    let seen = bench.seen.lock().expect("no panic");
    assert_eq!(seen[0].request, seen[1].request, "joins once");
}

#[tokio::test]
async fn another_controller_is_asked_when_one_cannot_decide() {
    let bench = Bench::new();
    bench.controller("c1", refusing("unavailable", "no leader is known"));
    bench.controller("c2", bench.accepting());
    bench.join(&bench.options(&["c1", "c2"])).await.expect("the second accepts");
}

#[tokio::test]
async fn a_refusal_is_final_and_says_both_times() {
    for code in ["token_unknown", "token_expired", "token_used", "name_taken", "clock_skew"] {
        let bench = Bench::new();
        bench.controller("c1", refusing(code, "there it is 2026-11-23T05:00:00Z"));
        bench.controller("c2", bench.accepting());
        let error = bench.join(&bench.options(&["c1", "c2"])).await.expect_err("refused").to_string();
        assert!(error.contains(code) && error.contains("this machine's clock says 2"), "{error}");
        assert_eq!(bench.requests().len(), 1, "nobody else is asked");
        let ledger = Ledger::create(&bench.dir()).expect("ours");
        assert_eq!(ledger.identity().expect("absent"), None);
    }
}

#[tokio::test]
async fn a_token_of_another_cluster_is_never_shown_to_this_one() {
    let bench = Bench::new();
    bench.controller("c1", bench.accepting());
    let mut options = bench.options(&["c1"]);
    options.token.ca = CaFingerprint::of(b"another root");
    let error = bench.join(&options).await.expect_err("not the token's cluster").to_string();
    assert!(error.contains("another cluster"), "{error}");
    assert!(bench.requests().is_empty(), "the secret was not sent");
}

#[tokio::test]
async fn a_removed_host_joins_anew_from_its_own_folder() {
    let bench = Bench::new();
    bench.controller("c1", bench.accepting());
    let options = bench.options(&["c1"]);
    let first = bench.join(&options).await.expect("accepted");
    let ledger = Ledger::open(&bench.dir()).expect("free");
    let old = omni_common::wire::Desired { generation: 5_000, allocations: Vec::new() };
    ledger.save_desired(&old).and_then(|()| ledger.mark_removed(first.host)).expect("disk works");
    drop(ledger);
    let again = bench.join(&options).await.expect("accepted");
    assert!(!again.already, "the old identity is of no use");
    let requests = bench.requests();
    assert_ne!(requests[0], requests[1], "it is another join");
    assert!(bench.join(&options).await.expect("the mark is gone").already);
    let ledger = Ledger::open(&bench.dir()).expect("free");
    assert_eq!(
        ledger.desired().expect("whole"),
        None,
        "what the old identity was to run is nobody's business"
    );
}

#[tokio::test]
async fn a_folder_of_another_cluster_is_left_alone() {
    let bench = Bench::new();
    bench.controller("c1", bench.accepting());
    bench.join(&bench.options(&["c1"])).await.expect("accepted");
    let before = std::fs::read(bench.dir().join("identity")).expect("there");
    let mut options = bench.options(&["c1"]);
    options.token.ca = CaFingerprint::of(b"another root");
    let error = bench.join(&options).await.expect_err("another cluster");
    assert!(matches!(error, JoinError::OtherCluster { .. }), "{error}");
    assert_eq!(std::fs::read(bench.dir().join("identity")).expect("there"), before);
}

#[tokio::test]
async fn answers_that_do_not_fit_are_not_kept() {
    let bench = Bench::new();
    let cluster = bench.cluster.clone();
    let stranger = Identity::host(cluster.cluster, HostId::from_u128(1));
    bench.controller("c1", Box::new(move |request| Some(accept(&cluster, request, stranger))));
    let error = bench.join(&bench.options(&["c1"])).await.expect_err("another host's certificate");
    assert!(matches!(error, JoinError::Answer(_)), "{error}");
    let ledger = Ledger::create(&bench.dir()).expect("ours");
    assert_eq!(ledger.identity().expect("absent"), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_said_with_every_address() {
    let bench = Bench::new();
    let error = bench.join(&bench.options(&["c8", "c9"])).await.expect_err("nobody there").to_string();
    assert!(error.contains("c8: ") && error.contains("c9: "), "{error}");
    assert!(matches!(bench.join(&bench.options(&[])).await, Err(JoinError::NoController)));
}

#[test]
fn the_command_line_is_checked_before_anything_is_sent() {
    let bench_ca = CaFingerprint::of(b"root");
    let token = |kind| TokenText { kind, id: TokenId::from_u128(1), secret: vec![7; 32], ca: bench_ca };
    let check = |token: Option<String>, name: &str, label: &str| {
        JoinOptions::check(&JoinArgs {
            common: CommonArgs::default(),
            token,
            controllers: vec!["c1:7600".to_owned()],
            name: Some(name.to_owned()),
            labels: vec![label.to_owned()],
            zone: None,
        })
    };
    let good = Some(token(TokenKind::Join).to_string());
    assert!(check(good.clone(), "h1", "gpu=yes").is_ok());
    assert!(matches!(check(None, "h1", "a=b"), Err(JoinError::NoToken)));
    assert!(matches!(
        check(Some("omni-join1.cut".into()), "h1", "a=b"),
        Err(JoinError::Token(InvalidToken::Damaged))
    ));
    assert!(matches!(check(Some(token(TokenKind::Api).to_string()), "h1", "a=b"), Err(JoinError::ApiToken)));
    assert!(matches!(check(good.clone(), "not a name", "a=b"), Err(JoinError::Name(_))));
    assert!(matches!(check(good, "h1", "novalue"), Err(JoinError::Label(_))));
}

#[test]
fn the_machines_own_name_can_be_a_hosts() {
    check_name(&machine_name()).expect("made fit");
}
