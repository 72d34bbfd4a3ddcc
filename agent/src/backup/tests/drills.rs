//! Drills pass when everything is there, and fail when it is not.

use super::*;
use omni_common::domain::backup::Probe;
use std::fs;

async fn shop() -> Bed {
    let bed = Bed::new().await;
    for (volume, text) in [("data", "content"), ("more", "another content")] {
        let files = bed.docker.volume_of_app(volume);
        for number in 0..5 {
            fs::write(files.join(format!("{volume}-{number}")), text).expect("our own folder");
        }
    }
    bed.docker.runs("cache", 0);
    bed
}

fn scratch(probes: Vec<Probe>) -> Destination {
    Destination::Scratch { probes }
}

fn facts() -> Probe {
    Probe::Facts { item: None }
}

fn failed(done: &Done, code: &str, part: &str) {
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some(code)), "{done:?}");
    assert!(done.message.as_ref().is_some_and(|message| message.contains(part)), "{done:?}");
}

#[tokio::test]
async fn a_drill_passes_beside_what_runs_and_leaves_nothing() {
    let bed = shop().await;
    let items = [volume_item("data"), command_item("echo x", "cat >loaded")];
    let taken = [bed.takes(&items[0]).await, bed.takes(&items[1]).await];
    let probes = vec![
        facts(),
        Probe::Command {
            service: service("cache"),
            command: ["sh", "-c", "grep -q x loaded"].map(str::to_owned).to_vec(),
        },
    ];
    let done =
        bed.does(bed.restore(&[(&items[0], &taken[0]), (&items[1], &taken[1])], scratch(probes))).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert!(done.items.iter().all(|item| item.state == RunState::Succeeded));
    assert_eq!(fs::read_dir(bed.docker.files("shop_data")).expect("untouched").count(), 5);
    assert_eq!(bed.docker.volume_names(), ["shop_data", "shop_more"]);
    bed.is_clean();
}

#[tokio::test]
async fn a_wrong_snapshot_turns_a_drill_red() {
    let bed = shop().await;
    let items = [volume_item("data"), volume_item("more")];
    let (data, more) = (bed.takes(&items[0]).await, bed.takes(&items[1]).await);
    // The other volume's snapshot under this one's facts.
    let mixed_up = ItemOutcome { snapshot: more.snapshot.clone(), ..data.clone() };
    let done = bed.does(bed.restore(&[(&items[0], &mixed_up)], scratch(vec![facts()]))).await;
    failed(&done, "probe_failed", "volume-data did not come back as it was taken");
    // Facts that say nothing prove nothing.
    let silent = ItemOutcome { facts: Default::default(), ..data };
    let done = bed.does(bed.restore(&[(&items[0], &silent)], scratch(vec![facts()]))).await;
    failed(&done, "probe_failed", "nothing to compare");
    bed.is_clean();
}

#[tokio::test]
async fn flipped_bytes_in_the_repository_turn_a_drill_and_a_check_red() {
    let bed = shop().await;
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    let mut flipped = 0;
    for folder in fs::read_dir(bed.path("repo/data")).expect("a repository").flatten() {
        for pack in fs::read_dir(folder.path()).expect("a folder").flatten() {
            let mut bytes = fs::read(pack.path()).expect("a pack");
            // The head of a pack is data; its tail says what is where.
            bytes[20] ^= 1;
            fs::set_permissions(pack.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .expect("ours");
            fs::write(pack.path(), bytes).expect("ours");
            flipped += 1;
        }
    }
    assert!(flipped > 0);
    // What the cache has kept of folders would hide half of it.
    fs::remove_dir_all(bed.path("cache")).expect("our own folder");
    fs::create_dir(bed.path("cache")).expect("our own folder");
    let done = bed.does(bed.restore(&[(&item, &taken)], scratch(vec![facts()]))).await;
    assert_eq!(done.state, RunState::Failed, "{done:?}");
    assert!(matches!(done.code.as_deref(), Some("damaged" | "incomplete")), "{done:?}");
    bed.is_clean();
    let check = omni_common::domain::backup::CheckTask {
        repository: bed.repository("repo"),
        read: Some(omni_common::domain::backup::ReadPart { part: 1, of: 1 }),
    };
    let done = bed.does(Task::Check(check)).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("damaged")), "{done:?}");
}

#[tokio::test]
async fn what_a_drill_made_goes_also_when_its_agent_died() {
    let bed = shop().await;
    let item = command_item("echo x", "sleep 1000");
    let taken = bed.takes(&item).await;
    let order = bed.order(bed.restore(&[(&item, &taken)], scratch(Vec::new())));
    let errand = errand(&order);
    {
        let work = bed.backups.perform(&order, &errand);
        tokio::pin!(work);
        let made = async {
            while !bed.docker.volume_names().iter().any(|name| name.starts_with("omni-run-"))
                || bed.docker.state("made-1").is_none()
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            done = &mut work => panic!("it ended: {done:?}"),
            () = made => {}
        }
        // The agent dies here.
    }
    let shared = Shared::new(
        bed.docker.clone(),
        None,
        Debts::in_memory(),
        Arc::new(Fixed),
        HOST.to_owned(),
        bed.path("work"),
        Dirs { files: bed.path("apps"), secrets: bed.path("secrets") },
    );
    let next = Backups::new(shared);
    // The engine comes up later than the agent, as after a boot.
    bed.docker.set(|rules| rules.away = true);
    next.tidy(None).await.expect("a host without an engine does not keep the agent from its work");
    bed.docker.set(|rules| rules.away = false);
    next.tidy(Some(RunId::from_u128(99))).await.expect("the engine is there");
    bed.is_clean();
}
