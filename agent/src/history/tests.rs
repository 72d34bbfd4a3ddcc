//! The ring through torn writes, full disks, clocks that jump and files that are not its own.

use super::*;
use omni_common::domain::ContainerSample;
use proptest::prelude::*;
use std::fs::OpenOptions;
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn open(dir: &TempDir) -> History {
    History::open(dir.path()).expect("a ring")
}

/// A sample at the `step`th ten seconds.
fn sample(step: i64) -> HostSample {
    HostSample {
        at: Time::from_secs(1_790_000_000 + step * 10),
        load: Some([step as f32, 0.5, 0.25]),
        ..HostSample::default()
    }
}

fn fill(history: &mut History, steps: std::ops::Range<i64>) {
    for step in steps {
        assert_eq!(history.append(&sample(step)), Kept::OnDisk);
    }
}

fn all(history: &mut History) -> Vec<i64> {
    let samples =
        history.query(Time::EPOCH, Time::from_secs(9_000_000_000), MAX_COLLECTED).expect("readable");
    samples.iter().map(|sample| (sample.at.as_secs() - 1_790_000_000) / 10).collect()
}

fn files(dir: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.path()).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn samples_survive_a_restart() {
    let dir = folder();
    fill(&mut open(&dir), 0..5);
    let mut history = open(&dir);
    assert_eq!(history.append(&sample(4)), Kept::Thinned, "the pace survives too");
    fill(&mut history, 5..8);
    assert_eq!(all(&mut history), (0..8).collect::<Vec<_>>());
    assert_eq!(files(&dir).len(), 1, "a restart goes on in the same segment");
}

#[test]
fn a_range_includes_both_ends_and_thins_evenly() {
    let dir = folder();
    let mut history = open(&dir);
    fill(&mut history, 0..100);
    let mut between = |from, to, max| {
        let samples = history.query(sample(from).at, sample(to).at, max).expect("readable");
        samples.iter().map(|sample| sample.load.expect("recorded")[0]).collect::<Vec<_>>()
    };
    assert_eq!(between(10, 12, 50), [10.0, 11.0, 12.0]);
    assert_eq!(between(0, 99, 4), [0.0, 33.0, 66.0, 99.0]);
    assert_eq!(between(99, 0, 4), [0.0; 0]);
    assert_eq!(between(0, 99, 0), [0.0; 0]);
}

#[test]
fn a_watcher_s_faster_samples_are_thinned() {
    let dir = folder();
    let mut history = open(&dir);
    let kept = (0..60).filter(|second| {
        let at = Time::from_millis(1_790_000_000_000 + second * 999);
        history.append(&HostSample { at, ..HostSample::default() }) == Kept::OnDisk
    });
    assert_eq!(kept.count(), 6);
}

#[test]
fn the_ring_keeps_a_day_and_deletes_what_is_older() {
    let dir = folder();
    let mut history = open(&dir);
    let day = (MAX_SEGMENTS * SEGMENT_RECORDS) as i64;
    fill(&mut history, 0..day + 1);
    assert_eq!(files(&dir).len(), MAX_SEGMENTS);
    let oldest = history.query(Time::EPOCH, sample(SEGMENT_RECORDS as i64).at, 10).expect("readable");
    assert_eq!(oldest[0].at, sample(SEGMENT_RECORDS as i64).at, "exactly the oldest segment is gone");
    drop(history);
    assert_eq!(*all(&mut open(&dir)).last().expect("many"), day);
}

#[test]
fn a_segment_is_closed_at_its_size() {
    let dir = folder();
    let mut history = open(&dir);
    let container = |number: usize| ContainerSample {
        id: format!("{number:064x}"),
        cpu_percent: Some(1.5),
        memory_used: Some(1 << 30),
        memory_limit: None,
        rx_bytes: None,
        tx_bytes: None,
        read_bytes: None,
        write_bytes: None,
        pids: Some(3),
    };
    let crowd: Vec<ContainerSample> = (0..1000).map(container).collect();
    let large = |step| HostSample { containers: crowd.clone(), ..sample(step) };
    for step in 0..300 {
        assert_eq!(history.append(&large(step)), Kept::OnDisk);
    }
    let sizes: Vec<u64> = files(&dir).iter().map(|file| fs::metadata(file).expect("there").len()).collect();
    assert!(sizes.len() > 2 && sizes.iter().all(|size| *size <= SEGMENT_BYTES), "{sizes:?}");

    let chunks: Vec<usize> = history
        .chunks(Time::EPOCH, sample(300).at, 300)
        .expect("readable")
        .map(|chunk| chunk.expect("readable").len())
        .collect();
    assert_eq!(chunks.iter().sum::<usize>(), 300);
    assert!(chunks.iter().all(|chunk| *chunk < 5), "a chunk is about 256 KiB: {chunks:?}");
}

#[test]
fn a_sample_over_the_limit_is_refused_and_the_ring_goes_on() {
    let dir = folder();
    let mut history = open(&dir);
    let name = "x".repeat(record::MAX_PAYLOAD);
    let temperatures = vec![omni_common::domain::TemperatureSample { sensor: name, celsius: 1.0 }];
    assert_eq!(history.append(&HostSample { temperatures, ..sample(0) }), Kept::TooLarge);
    fill(&mut history, 0..2);
}

#[test]
fn a_clock_that_jumps_makes_the_ring_forget_nothing() {
    let dir = folder();
    let mut history = open(&dir);
    fill(&mut history, 0..3);
    fill(&mut history, 1_000_000..1_000_002);
    fill(&mut history, 3..5);
    assert_eq!(all(&mut history), [0, 1, 2, 3, 4, 1_000_000, 1_000_001]);
    assert_eq!(all(&mut open(&dir)), [0, 1, 2, 3, 4, 1_000_000, 1_000_001]);
}

/// Makes every write fail, as a full disk does: the newest segment is open for reading only.
fn full_disk(history: &mut History) {
    let last = history.segments.back_mut().expect("one was written");
    last.replace_file(|path| OpenOptions::new().read(true).open(path));
}

fn room_again(history: &mut History) {
    let last = history.segments.back_mut().expect("one was written");
    last.replace_file(|path| OpenOptions::new().read(true).write(true).open(path));
}

#[test]
fn a_full_disk_is_waited_out_in_memory() {
    let dir = folder();
    let mut history = open(&dir);
    fill(&mut history, 0..3);
    full_disk(&mut history);
    for step in 3..6 {
        assert_eq!(history.append(&sample(step)), Kept::InMemory);
    }
    assert_eq!(all(&mut history), [0, 1, 2, 3, 4, 5], "what waits is shown");
    room_again(&mut history);
    fill(&mut history, 6..7);
    drop(history);
    assert_eq!(all(&mut open(&dir)), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_long_wait_drops_the_oldest_that_wait() {
    let dir = folder();
    let mut history = open(&dir);
    fill(&mut history, 0..1);
    full_disk(&mut history);
    for step in 1..500 {
        assert_eq!(history.append(&sample(step)), Kept::InMemory);
    }
    room_again(&mut history);
    fill(&mut history, 500..501);
    let kept = all(&mut history);
    assert_eq!((kept.len(), kept[0], kept[1], kept[360]), (361, 0, 141, 500));
}

#[test]
fn a_folder_that_vanishes_and_returns_is_survived() {
    let dir = folder();
    let ring = dir.path().join("history");
    let mut history = History::open(&ring).expect("a ring");
    fs::remove_dir_all(&ring).expect("it was made");
    assert_eq!(history.append(&sample(0)), Kept::InMemory);
    fs::create_dir(&ring).expect("gone before");
    fill(&mut history, 1..2);
    assert_eq!(all(&mut history), [0, 1]);
}

#[test]
fn queries_outlive_the_segments_they_read() {
    let dir = folder();
    let mut history = open(&dir);
    fill(&mut history, 0..10);
    let chunks = history.chunks(Time::EPOCH, sample(100).at, 100).expect("readable");
    assert_eq!(chunks.remaining(), 10);
    for file in files(&dir) {
        fs::remove_file(file).expect("there");
    }
    let samples: Vec<HostSample> = chunks.flat_map(|chunk| chunk.expect("still open")).collect();
    assert_eq!(samples.len(), 10);
}

#[test]
fn files_of_others_and_of_newer_versions_are_left_alone() {
    let dir = folder();
    fill(&mut open(&dir), 0..1);
    let file = files(&dir).remove(0);
    let ours = fs::read(&file).expect("there");

    let mut newer = ours.clone();
    newer[8] = 2;
    fs::write(&file, &newer).expect("room");
    assert!(matches!(History::open(dir.path()), Err(HistoryError::Newer { found: 2, .. })));
    fs::write(&file, b"somebody's notes, longer than a header").expect("room");
    assert!(matches!(History::open(dir.path()), Err(HistoryError::Foreign { .. })));
    assert!(fs::read(&file).expect("there").starts_with(b"somebody"), "nothing was overwritten");
    fs::write(&file, &ours).expect("room");
    fs::write(dir.path().join("README.txt"), "not a segment").expect("room");
    assert_eq!(all(&mut open(&dir)), [0]);
}

#[test]
fn zeros_that_a_power_cut_left_are_an_empty_segment() {
    let dir = folder();
    fs::write(dir.path().join("0000000007.ring"), [0; 4096]).expect("room");
    let mut history = open(&dir);
    fill(&mut history, 0..2);
    assert_eq!(all(&mut history), [0, 1]);
    assert_eq!(files(&dir).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever byte a kill stops at: the records before it are read, and the ring goes on.
    #[test]
    fn any_truncation_leaves_a_readable_prefix(count in 1i64..30, cut in 0.0f64..1.0) {
        let dir = folder();
        fill(&mut open(&dir), 0..count);
        let file = files(&dir).remove(0);
        let whole = fs::read(&file).expect("there");
        let length = (whole.len() as f64 * cut) as usize;
        fs::write(&file, &whole[..length]).expect("room");

        let mut history = open(&dir);
        let prefix = all(&mut history);
        prop_assert!((prefix.len() as i64) < count);
        prop_assert_eq!(&prefix, &(0..prefix.len() as i64).collect::<Vec<_>>());
        let record = (whole.len() - 12) / count as usize;
        prop_assert_eq!(prefix.len(), length.saturating_sub(12) / record, "no whole record is lost");

        fill(&mut history, count..count + 2);
        let mut expected = prefix;
        expected.extend([count, count + 1]);
        prop_assert_eq!(all(&mut history), expected.clone());
        prop_assert_eq!(all(&mut open(&dir)), expected);
    }

    /// A flipped byte loses its record and, in the newest segment, those behind it; never those before.
    #[test]
    fn any_damage_spares_what_lies_before_it(count in 1i64..30, place in 0.0f64..1.0, flip in 1u8..) {
        let dir = folder();
        fill(&mut open(&dir), 0..count);
        let file = files(&dir).remove(0);
        let mut bytes = fs::read(&file).expect("there");
        let record = (bytes.len() - 12) / count as usize;
        let index = 12 + ((bytes.len() - 12) as f64 * place) as usize;
        bytes[index] ^= flip;
        fs::write(&file, &bytes).expect("room");

        let intact = ((index - 12) / record) as i64;
        prop_assert_eq!(all(&mut open(&dir)), (0..intact).collect::<Vec<_>>());
    }

    /// Damage in an older segment costs at most that segment's rest, and nothing panics on any bytes at all.
    #[test]
    fn damage_in_an_older_segment_spares_the_others(junk in proptest::collection::vec(any::<u8>(), 0..200), place in 12usize..3000) {
        let dir = folder();
        let records = SEGMENT_RECORDS as i64;
        fill(&mut open(&dir), 0..records + 3);
        let older = files(&dir).remove(0);
        let mut bytes = fs::read(&older).expect("there");
        let end = (place + junk.len()).min(bytes.len());
        bytes[place..end].copy_from_slice(&junk[..end - place]);
        fs::write(&older, &bytes).expect("room");
        let kept = all(&mut open(&dir));
        prop_assert!(kept.ends_with(&[records, records + 1, records + 2]));
    }
}
