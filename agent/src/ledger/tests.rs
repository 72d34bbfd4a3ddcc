//! The data folder against crashes, other owners of it, and other versions.

use super::*;
use omni_common::ids::ControllerId;
use omni_common::wire::ControllerAddress;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn identity() -> StoredIdentity {
    StoredIdentity {
        cluster: ClusterId::from_u128(1),
        host: HostId::from_u128(2),
        key: vec![1, 2, 3],
        chain: vec![vec![4], vec![5, 6]],
    }
}

fn list() -> ControllerList {
    ControllerList {
        version: 3,
        controllers: vec![ControllerAddress { id: ControllerId(1), quic: "c1:7600".into(), region: None }],
    }
}

fn joined() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("agent");
    let ledger = Ledger::create(&dir).expect("fresh folder");
    ledger.save_identity(&identity()).expect("disk works");
    ledger.save_controllers(&list()).expect("disk works");
    (root, dir)
}

#[test]
fn what_is_written_is_read_after_a_restart() {
    let (_root, dir) = joined();
    let ledger = Ledger::open(&dir).expect("same folder");
    assert_eq!(ledger.identity().expect("whole"), Some(identity()));
    assert_eq!(ledger.controllers().expect("whole"), Some(list()));
    assert_eq!(ledger.pending().expect("absent"), None);
}

#[test]
fn the_desired_state_and_its_contents_survive() {
    let (_root, dir) = joined();
    let desired = Desired { generation: 7, allocations: Vec::new() };
    let (digest, bytes) = (ContentDigest::of(b"spec"), b"spec");
    {
        let ledger = Ledger::open(&dir).expect("same folder");
        assert_eq!(
            (ledger.desired().expect("absent"), ledger.contents().expect("none")),
            (None, BTreeSet::new())
        );
        ledger.save_desired(&desired).expect("disk works");
        ledger.save_content(&digest, bytes).expect("disk works");
    }
    let ledger = Ledger::open(&dir).expect("same folder");
    fs::write(dir.join("contents").join("half.new"), b"sp").expect("disk works");
    assert_eq!(ledger.desired().expect("whole"), Some(desired));
    assert_eq!(ledger.contents().expect("listed"), BTreeSet::from([digest.clone()]));
    assert_eq!(ledger.content(&digest).expect("whole").as_deref(), Some(&bytes[..]));
    let mode = fs::metadata(dir.join("contents").join(digest.as_str())).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    ledger.remove_content(&digest).expect("disk works");
    assert_eq!(ledger.content(&digest).expect("absent"), None);
}

#[test]
fn torn_content_is_named_and_left_alone() {
    let (_root, dir) = joined();
    let ledger = Ledger::open(&dir).expect("same folder");
    let digest = ContentDigest::of(b"spec");
    ledger.save_content(&digest, b"spec").expect("disk works");
    let path = dir.join("contents").join(digest.as_str());
    fs::write(&path, b"spe").expect("disk works");
    for outcome in [ledger.content(&digest).map(drop), ledger.save_content(&digest, b"spec")] {
        assert!(matches!(outcome, Err(LedgerError::TornContent { .. })), "{outcome:?}");
    }
    assert_eq!(fs::read(&path).expect("exists"), b"spe");
}

#[test]
fn secrets_are_private_and_stay_out_of_logs() {
    let (_root, dir) = joined();
    let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("identity")), 0o600);
    assert!(!format!("{:?}", identity()).contains("[1, 2, 3]"));
}

#[test]
fn an_exposed_secret_is_refused() {
    let (_root, dir) = joined();
    fs::set_permissions(dir.join("identity"), fs::Permissions::from_mode(0o644)).expect("ours");
    let error = Ledger::open(&dir).expect("folder is fine").identity().expect_err("exposed");
    assert!(matches!(error, LedgerError::Exposed { mode: 0o644, .. }), "{error}");
}

#[test]
fn two_agents_never_share_a_folder() {
    let (_root, dir) = joined();
    let held = Ledger::open(&dir).expect("first");
    assert!(matches!(Ledger::open(&dir), Err(LedgerError::InUse { .. })));
    drop(held);
    Ledger::open(&dir).expect("free again");
}

#[test]
fn every_torn_identity_is_named_and_left_alone() {
    let (_root, dir) = joined();
    let path = dir.join("identity");
    let whole = fs::read(&path).expect("exists");
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("disk works");
        let ledger = Ledger::open(&dir).expect("folder is fine");
        let error = ledger.identity().expect_err("torn");
        assert!(matches!(error, LedgerError::Torn { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("exists").len(), cut);
    }
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        fs::write(&path, &bent).expect("disk works");
        assert!(Ledger::open(&dir).expect("folder is fine").identity().is_err());
    }
}

#[test]
fn a_crash_while_writing_leaves_the_old_file() {
    let (_root, dir) = joined();
    fs::write(dir.join("identity.new"), b"omni identity 1 9").expect("disk works");
    let ledger = Ledger::open(&dir).expect("folder is fine");
    assert_eq!(ledger.identity().expect("whole"), Some(identity()));
    ledger.save_identity(&identity()).expect("the leftover is replaced");
}

#[test]
fn somebody_elses_folder_is_refused() {
    let (_root, dir) = joined();
    // Only root can give a folder away; for anybody else there is nothing to test.
    if std::os::unix::fs::chown(&dir, Some(12_345), None).is_ok() {
        for opened in [Ledger::open(&dir), Ledger::create(&dir)] {
            assert!(matches!(opened, Err(LedgerError::Owner { owner: 12_345, .. })));
        }
    }
}

#[test]
fn a_newer_folder_is_left_to_the_newer_version() {
    let (_root, dir) = joined();
    fs::write(dir.join("VERSION"), "omni-agent 7\n").expect("disk works");
    for opened in [Ledger::open(&dir), Ledger::create(&dir)] {
        assert!(matches!(opened, Err(LedgerError::Newer { found: 7, .. })));
    }
    fs::write(dir.join("VERSION"), "omni-ag").expect("disk works");
    assert!(matches!(Ledger::open(&dir), Err(LedgerError::Torn { .. })));
}

#[test]
fn a_folder_of_something_else_is_not_taken_over() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join("photo.jpg"), b"x").expect("disk works");
    assert!(matches!(Ledger::create(root.path()), Err(LedgerError::Foreign { .. })));
    assert!(matches!(Ledger::open(&root.path().join("nowhere")), Err(LedgerError::Empty { .. })));
}

#[test]
fn settings_laid_out_before_joining_are_kept() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join("agent.toml"), "log = \"debug\"\n").expect("disk works");
    let ledger = Ledger::create(root.path()).expect("only settings inside");
    ledger.seed_settings("log = \"info\"\n").expect("left alone");
    assert_eq!(fs::read_to_string(root.path().join("agent.toml")).expect("exists"), "log = \"debug\"\n");
}

#[test]
fn what_was_taken_over_survives() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let labels = BTreeMap::from([("omni.app".to_owned(), "shop".to_owned())]);
    let adopted = BTreeMap::from([("c0ffee".to_owned(), labels)]);
    {
        let ledger = Ledger::create(&data).expect("it is made");
        assert_eq!(ledger.adopted().expect("readable"), None);
        ledger.save_adopted(&adopted).expect("the disk works");
    }
    assert_eq!(Ledger::open(&data).expect("it opens").adopted().expect("readable"), Some(adopted));
}
