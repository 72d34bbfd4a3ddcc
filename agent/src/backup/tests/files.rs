//! Files there and back again.

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

/// A tree with everything that a backup may lose: owners, modes, times, links, attributes, holes, odd names.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("a/b")).expect("our own folder");
    fs::write(root.join("a/file"), "first\n").expect("our own folder");
    fs::write(root.join("a/b/empty"), "").expect("our own folder");
    fs::write(root.join("a/b/*odd [name]? \\x"), "odd\n").expect("our own folder");
    fs::hard_link(root.join("a/file"), root.join("a/twin")).expect("our own folder");
    symlink("../nowhere", root.join("a/link")).expect("our own folder");
    let mut sparse = vec![0_u8; 3 << 20];
    sparse[2 << 20] = 7;
    fs::write(root.join("sparse"), sparse).expect("our own folder");
    fs::set_permissions(root.join("a/file"), fs::Permissions::from_mode(0o640)).expect("our own file");
    fs::set_permissions(root.join("a/b"), fs::Permissions::from_mode(0o1750)).expect("our own folder");
    chown(root.join("a/file"), Some(70), Some(71)).expect("these tests run as root");
    chown(root, Some(72), Some(73)).expect("these tests run as root");
    fs::set_permissions(root, fs::Permissions::from_mode(0o2770)).expect("our own folder");
    rustix::fs::setxattr(root.join("a/file"), "user.omni", b"kept", rustix::fs::XattrFlags::empty())
        .expect("attributes can be set");
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), 0o600.into()).expect("our own folder");
    let long_ago =
        fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    fs::File::open(root.join("a")).and_then(|folder| folder.set_times(long_ago)).expect("our own folder");
}

/// Everything about a tree, line by line.
fn describe(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let data = fs::symlink_metadata(&path).expect("it is there");
        let inner = path.strip_prefix(root).expect("below the root").display().to_string();
        let content = match data.file_type() {
            kind if kind.is_file() => {
                hex::encode(<sha2::Sha256 as sha2::Digest>::digest(fs::read(&path).expect("a file")))
            }
            kind if kind.is_symlink() => fs::read_link(&path).expect("a link").display().to_string(),
            _ => String::new(),
        };
        let mut value = [0_u8; 64];
        let attribute = match data.is_symlink() {
            true => None,
            false => rustix::fs::getxattr(&path, "user.omni", &mut value[..]).ok(),
        };
        lines.push(format!(
            "{inner:?} {:o} {}:{} {} links={} {:?} {content}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.mtime(),
            if data.is_dir() { 0 } else { data.nlink() },
            attribute.map(|length| value[..length].to_vec()),
        ));
        if data.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn a_volume_comes_back_as_it_was() {
    let bed = Bed::new().await;
    let files = bed.docker.volume_of_app("data");
    plant(&files);
    let before = describe(&files);
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    assert_eq!((taken.facts["files"].as_str(), taken.files), ("5", 5), "{taken:?}");
    assert!(taken.facts.keys().any(|key| key == "sha256:a/file"), "{taken:?}");
    // Into a folder, with the path of the host left out.
    let target = bed.path("target");
    let into = Destination::Folder { path: target.display().to_string() };
    let done = bed.does(bed.restore(&[(&item, &taken)], into.clone())).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(describe(&target.join("volume-data")), before);
    assert_eq!((done.items[0].files, done.items[0].bytes), (5, taken.bytes));
    // That is not empty any more.
    let done = bed.does(bed.restore(&[(&item, &taken)], into)).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("not_empty")), "{done:?}");
    // In place of what has become of it.
    fs::remove_dir_all(files.join("a")).expect("our own folder");
    fs::write(files.join("rubbish"), "x").expect("our own folder");
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(describe(&files), before);
    bed.is_clean();
}

#[tokio::test]
async fn the_second_backup_adds_next_to_nothing() {
    let bed = Bed::new().await;
    plant(&bed.docker.volume_of_app("data"));
    let first = bed.takes(&volume_item("data")).await;
    let second = bed.takes(&volume_item("data")).await;
    assert_ne!(first.snapshot, second.snapshot);
    assert!(second.added_bytes < 4096, "{second:?}");
    assert_eq!(first.facts, second.facts);
}

#[tokio::test]
async fn an_absent_volume_is_made_as_the_converger_would() {
    let bed = Bed::new().await;
    plant(&bed.docker.volume_of_app("data"));
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    let (labels, before) = (bed.docker.labels_of("shop_data"), describe(&bed.docker.files("shop_data")));
    bed.docker.remove_volume("shop_data").await.expect("it is there");
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: false })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(bed.docker.labels_of("shop_data"), labels);
    assert_eq!(describe(&bed.docker.files("shop_data")), before);
    bed.is_clean();
}

#[tokio::test]
async fn what_is_there_is_replaced_only_when_that_is_said() {
    let bed = Bed::new().await;
    let files = bed.docker.volume_of_app("data");
    fs::write(files.join("old"), "old").expect("our own folder");
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    fs::write(files.join("new"), "new").expect("our own folder");
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: false })).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("not_empty")), "{done:?}");
    assert!(files.join("new").exists());
    bed.is_clean();
    // While something of it runs, nothing is touched either.
    bed.docker.runs("web", 0);
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("running")), "{done:?}");
    assert!(files.join("new").exists());
    bed.is_clean();
    bed.docker.stops("web");
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert!(!files.join("new").exists() && files.join("old").exists());
}

#[tokio::test]
async fn one_path_of_a_volume_comes_back_alone() {
    let bed = Bed::new().await;
    let files = bed.docker.volume_of_app("data");
    plant(&files);
    fs::write(files.join("other"), "before").expect("our own folder");
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    fs::remove_dir_all(files.join("a/b")).expect("our own folder");
    fs::write(files.join("other"), "after").expect("our own folder");
    for (path, state) in [("a/b", RunState::Succeeded), ("a/c", RunState::Failed), ("../x", RunState::Failed)]
    {
        let Task::Restore(mut task) =
            bed.restore(&[(&item, &taken)], Destination::InPlace { replace: false })
        else {
            panic!("a restore")
        };
        task.items[0].path = Some(path.to_owned());
        let done = bed.does(Task::Restore(task)).await;
        assert_eq!(done.state, state, "{path}: {done:?}");
        bed.is_clean();
    }
    assert_eq!(fs::read(files.join("a/b/*odd [name]? \\x")).expect("it is back"), b"odd\n");
    assert_eq!(fs::read(files.join("other")).expect("it is there"), b"after");
    assert!(
        fs::read_dir(&files)
            .expect("a folder")
            .flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with(".omni"))
    );
}

#[tokio::test]
async fn a_restore_that_fails_leaves_a_mark_where_data_is_not_whole() {
    let bed = Bed::new().await;
    for volume in ["data", "more"] {
        fs::write(bed.docker.volume_of_app(volume).join("file"), volume).expect("our own folder");
    }
    let items = [volume_item("data"), volume_item("more")];
    let taken = [bed.takes(&items[0]).await, bed.takes(&items[1]).await];
    let both = [(&items[0], &taken[0]), (&items[1], &taken[1])];
    // The first one's volume is absent, and is filled; then the second one fails.
    bed.docker.remove_volume("shop_data").await.expect("it is there");
    let mut task = bed.restore(&both, Destination::InPlace { replace: true });
    if let Task::Restore(task) = &mut task {
        task.items[1].path = Some("absent".to_owned());
    }
    let done = bed.does(task).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("path_missing")), "{done:?}");
    assert_eq!(
        done.items.iter().map(|item| item.state).collect::<Vec<_>>(),
        [RunState::Succeeded, RunState::Failed]
    );
    // What was filled stays barred, what is untouched does not.
    assert_eq!(bed.docker.barred(), ["shop_data"]);
    assert_eq!(fs::read(bed.docker.files("shop_more").join("file")).expect("untouched"), b"more");
    // Doing it again is all it takes, and what is unfinished needs nobody's leave to be replaced.
    fs::write(bed.docker.files("shop_data").join("half"), "half").expect("our own folder");
    fs::remove_file(bed.docker.files("shop_more").join("file")).expect("our own file");
    let done = bed.does(bed.restore(&both, Destination::InPlace { replace: false })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert!(!bed.docker.files("shop_data").join("half").exists());
    bed.is_clean();
}

#[tokio::test]
async fn a_path_of_the_host_comes_back_be_it_a_folder_or_a_file() {
    let bed = Bed::new().await;
    let (folder, file) = (bed.path("etc"), bed.path("alone.conf"));
    fs::create_dir(&folder).expect("our own folder");
    plant(&folder);
    fs::write(&file, "alone\n").expect("our own folder");
    let item = |name: &str, path: &Path| Item {
        name: named(name),
        take: Take::HostPath { path: path.display().to_string(), exclude: Vec::new() },
        quiesce: Quiesce::None,
    };
    let items = [item("host-etc", &folder), item("host-file", &file)];
    let taken = [bed.takes(&items[0]).await, bed.takes(&items[1]).await];
    let before = describe(&folder);
    fs::remove_dir_all(&folder).expect("our own folder");
    fs::write(&file, "changed\n").expect("our own folder");
    let both = [(&items[0], &taken[0]), (&items[1], &taken[1])];
    let done = bed.does(bed.restore(&both, Destination::InPlace { replace: true })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(describe(&folder), before);
    assert_eq!(fs::read(&file).expect("it is back"), b"alone\n");
    let target = bed.path("target");
    let into = Destination::Folder { path: target.display().to_string() };
    let done = bed.does(bed.restore(&both, into)).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(fs::read(target.join("host-file/alone.conf")).expect("it is there"), b"alone\n");
}

#[tokio::test]
async fn a_folder_beside_the_compose_file_is_found_in_the_folder_of_the_app() {
    let bed = Bed::new().await;
    let files = bed.path("apps/default/shop/main.0/project/data");
    fs::create_dir_all(&files).expect("our own folder");
    fs::write(files.join("file"), "content").expect("our own folder");
    let mut item = volume_item("data");
    item.take = Take::HostPath { path: "./data".to_owned(), exclude: Vec::new() };
    let taken = bed.takes(&item).await;
    fs::remove_dir_all(bed.path("apps")).expect("our own folder");
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: false })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(fs::read(files.join("file")).expect("it is back"), b"content");
    item.take = Take::HostPath { path: "../other".to_owned(), exclude: Vec::new() };
    let done = bed.does(bed.backup(vec![item])).await;
    assert_eq!(done.code.as_deref(), Some("invalid"), "{done:?}");
}

#[tokio::test]
async fn only_what_is_included_is_taken_and_comes_back_to_its_place() {
    let bed = Bed::new().await;
    let files = bed.docker.volume_of_app("data");
    for (path, text) in [("in/a", "a"), ("deep/in/b", "b"), ("out/c", "c")] {
        fs::create_dir_all(files.join(path).parent().expect("a folder")).expect("our own folder");
        fs::write(files.join(path), text).expect("our own folder");
    }
    let mut item = volume_item("data");
    item.take = Take::Volume {
        volume: "data".to_owned(),
        include: vec!["in".to_owned(), "deep/in".to_owned()],
        exclude: Vec::new(),
    };
    let taken = bed.takes(&item).await;
    assert_eq!(taken.files, 2);
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    let there = |path: &str| files.join(path).exists();
    assert_eq!((there("in/a"), there("deep/in/b"), there("out/c")), (true, true, false));
    // What is not there any more is missing from the next one, by name.
    fs::remove_dir_all(files.join("in")).expect("our own folder");
    let done = bed.does(bed.backup(vec![item])).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Partial, Some("incomplete")), "{done:?}");
    assert_eq!(done.items[0].missing, [files.join("in").display().to_string()]);
    assert!(done.items[0].snapshot.is_some());
}

/// A small file system that goes with its test.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).expect("our own folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "small"])
            .arg(&path)
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "these tests run as root");
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg(&self.0).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_is_a_clear_failure_that_leaves_what_was_there() {
    let bed = Bed::new().await;
    let noise: Vec<u8> =
        (0..4_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(bed.docker.volume_of_app("data").join("large"), noise).expect("our own folder");
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    // Into a folder on a file system that is too small for it.
    let small = Small::mount(bed.path("small"));
    let into = Destination::Folder { path: small.0.join("target").display().to_string() };
    let done = bed.does(bed.restore(&[(&item, &taken)], into)).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("disk_full")), "{done:?}");
    assert_eq!(
        fs::read_dir(small.0.join("target")).expect("it was made").count(),
        0,
        "half of it is not left lying about"
    );
    // In place, where something is already.
    let files = bed.docker.files("shop_data");
    fs::remove_dir_all(&files).expect("our own folder");
    let _small = Small::mount(files.clone());
    fs::write(files.join("old"), "old").expect("there is room for that");
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("disk_full")), "{done:?}");
    assert_eq!(fs::read(files.join("old")).expect("it is there"), b"old");
    bed.is_clean();
}

#[tokio::test]
async fn a_run_goes_from_the_list_to_its_outcome() {
    use crate::runs::{Keeper, Runs};
    use omni_common::wire::DesiredRuns;
    let bed = Bed::new().await;
    fs::write(bed.docker.volume_of_app("data").join("file"), "content").expect("our own folder");
    bed.docker.runs("db", 0);
    let resting = Item { quiesce: Quiesce::Pause { services: Vec::new() }, ..volume_item("data") };
    let order = bed.order(bed.backup(vec![resting]));
    let runs = Runs::new(Some(bed.backups.clone()), Keeper::Memory(Arc::default()), Arc::new(Fixed));
    let runs = runs.expect("memory can be read");
    runs.desire(DesiredRuns { generation: 1, runs: vec![order.id] });
    assert_eq!(runs.wanted(|_| false), Some(order.id));
    runs.provide(order.id, Ok(order.clone()));
    let outcome = async {
        loop {
            runs.told().await;
            if let Some(outcome) = runs.take().and_then(|report| report.outcome) {
                return outcome;
            }
        }
    };
    let outcome = tokio::select! {
        () = runs.run(CancellationToken::new()) => panic!("it goes on"),
        outcome = outcome => outcome,
    };
    assert_eq!((outcome.state, outcome.items[0].files), (RunState::Succeeded, 1), "{outcome:?}");
    assert_eq!(runs.progress(), []);
    bed.is_clean();
}

#[tokio::test]
async fn restic_alone_and_omni_understand_each_other() {
    let bed = Bed::new().await;
    let files = bed.docker.volume_of_app("data");
    plant(&files);
    let before = describe(&files);
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    let bare = |args: &[&str]| {
        let output = std::process::Command::new("restic")
            .args(args)
            .env("RESTIC_REPOSITORY", bed.path("repo"))
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("RESTIC_CACHE_DIR", bed.path("bare-cache"))
            .output()
            .expect("restic starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let target = bed.path("by-hand").display().to_string();
    bare(&["restore", taken.snapshot.as_deref().expect("taken"), "--target", &target]);
    let below = files.strip_prefix("/").expect("from the root");
    assert_eq!(describe(&Path::new(&target).join(below)), before);
    // And the other way round, from another path.
    let elsewhere = bed.path("elsewhere/deep");
    fs::create_dir_all(&elsewhere).expect("our own folder");
    plant(&elsewhere);
    let made: serde_json::Value = {
        let said = bare(&["backup", "--json", &elsewhere.display().to_string()]);
        serde_json::from_str(said.lines().last().expect("a summary")).expect("JSON")
    };
    let short = made["snapshot_id"].as_str().expect("an id");
    let listed: serde_json::Value =
        serde_json::from_str(&bare(&["snapshots", "--json", short])).expect("JSON");
    let by_hand = ItemOutcome { snapshot: listed[0]["id"].as_str().map(str::to_owned), ..taken };
    let done = bed.does(bed.restore(&[(&item, &by_hand)], Destination::InPlace { replace: true })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(describe(&files), describe(&elsewhere));
}

#[tokio::test]
async fn what_is_not_there_is_said_by_name() {
    let bed = Bed::new().await;
    let mut path = volume_item("data");
    path.take = Take::HostPath { path: bed.path("nowhere").display().to_string(), exclude: Vec::new() };
    for (item, part) in [(volume_item("data"), "shop_data"), (path, "nowhere")] {
        let done = bed.does(bed.backup(vec![item])).await;
        assert_eq!(
            (done.state, done.code.as_deref()),
            (RunState::Failed, Some("source_missing")),
            "{done:?}"
        );
        assert!(done.message.as_ref().is_some_and(|message| message.contains(part)), "{done:?}");
    }
    let item = volume_item("data");
    let gone = ItemOutcome {
        snapshot: Some("0".repeat(64)),
        ..crate::backup::context::nothing_yet(&item.name, Time::EPOCH)
    };
    bed.docker.volume_of_app("data");
    let done = bed.does(bed.restore(&[(&item, &gone)], Destination::InPlace { replace: true })).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("snapshot_missing")), "{done:?}");
    bed.is_clean();
}
