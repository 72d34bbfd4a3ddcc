use super::file::{FileError, header, read, write};
use crate::state::{Cluster, LivenessConfig, State};
use omni_certs::{ClusterKey, KeyText};
use omni_common::clock::Time;
use omni_common::ids::ClusterId;

const NOW: Time = Time::from_secs(1_800_000_000);

fn key(cluster: ClusterId) -> KeyText {
    KeyText { cluster, key: ClusterKey::generate().expect("random source works") }
}

fn state() -> State {
    let cluster = Cluster {
        id: ClusterId::mint(),
        created: NOW,
        ca_cert: vec![1],
        ca_key_sealed: vec![2],
        liveness: LivenessConfig::default(),
    };
    State { index: 7, cluster: Some(cluster), ..State::default() }
}

fn id(state: &State) -> ClusterId {
    state.cluster.as_ref().expect("made above").id
}

#[test]
fn a_state_comes_back_and_says_in_clear_what_it_is() {
    let state = state();
    let key = key(id(&state));
    let bytes = write(&state, &key.key, NOW).expect("small");
    let found = header(&bytes).expect("a header");
    assert_eq!((found.cluster, found.index, found.taken), (id(&state), 7, NOW));
    assert_eq!(read(&bytes, &key).expect("the right key").1, state);
    assert!(matches!(write(&State::default(), &key.key, NOW), Err(FileError::NotReady)));
}

#[test]
fn nothing_of_it_can_be_read_without_the_key() {
    let mut state = state();
    state.host_names.insert("a-name-that-nobody-may-see".to_owned(), omni_common::ids::HostId::from_u128(1));
    let bytes = write(&state, &key(id(&state)).key, NOW).expect("small");
    assert!(!bytes.windows(11).any(|window| window == b"nobody-may-"));
}

#[test]
fn another_key_another_cluster_and_damage_are_told_apart() {
    let state = state();
    let own = key(id(&state));
    let bytes = write(&state, &own.key, NOW).expect("small");
    let error = |bytes: &[u8], key: &KeyText| read(bytes, key).expect_err("refused");
    assert!(matches!(error(&bytes, &key(id(&state))), FileError::OtherKey));
    let other = KeyText { cluster: ClusterId::mint(), key: own.key.clone() };
    assert!(matches!(error(&bytes, &other), FileError::OtherCluster { .. }));
    assert!(matches!(error(&bytes[..bytes.len() - 1], &own), FileError::Torn { .. }));
    assert!(matches!(error(&[&bytes[..], b"x"].concat(), &own), FileError::Torn { .. }));
    assert!(matches!(error(b"not it", &own), FileError::Foreign));
    assert!(matches!(error(b"", &own), FileError::Foreign));
    let newer = [b"omni-controllers 2", &bytes[18..]].concat();
    assert!(matches!(error(&newer, &own), FileError::Newer(_)));
    let mut changed = bytes.clone();
    *changed.last_mut().expect("not empty") ^= 1;
    assert!(matches!(error(&changed, &own), FileError::Damaged));
}

#[test]
fn what_stands_in_clear_cannot_be_changed() {
    let state = state();
    let own = key(id(&state));
    let bytes = write(&state, &own.key, NOW).expect("small");
    let text = String::from_utf8_lossy(&bytes[..200]).into_owned();
    let place = text.find("\"index\":7").expect("in clear") + "\"index\":".len();
    let mut changed = bytes;
    changed[place] = b'8';
    assert_eq!(header(&changed).expect("still a header").index, 8);
    assert!(matches!(read(&changed, &own), Err(FileError::Damaged)), "the seal covers it");
}

#[test]
fn no_cut_and_no_change_makes_the_reader_panic() {
    let state = state();
    let own = key(id(&state));
    let bytes = write(&state, &own.key, NOW).expect("small");
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end], &own).is_err(), "cut to {end}");
    }
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        assert!(read(&changed, &own).is_err(), "changed at {position}");
    }
}
