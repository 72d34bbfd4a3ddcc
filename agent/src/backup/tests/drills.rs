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

/// It used to wait for an engine that it could remove nothing from, until its time was over.
#[tokio::test]
async fn a_drill_on_a_host_without_an_engine_fails_at_once() {
    let bed = shop().await;
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    bed.docker.set(|rules| rules.away = true);
    let done = bed.does(bed.restore(&[(&item, &taken)], scratch(vec![facts()]))).await;
    failed(&done, "no_engine", "a drill needs a Docker engine on its host");
}

#[tokio::test]
async fn an_archive_that_changed_or_ends_early_turns_a_drill_red() {
    let bed = shop().await;
    let folder = bed.path("docker/containers/id-of-cache");
    fs::create_dir_all(folder.join("d")).expect("our own folder");
    fs::write(folder.join("d/one"), "first").expect("our own folder");
    // Something that does not get smaller, so that a cut is in the middle of it.
    let noise: Vec<u8> = (0_u32..1000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    fs::write(folder.join("d/two"), noise).expect("our own folder");
    // Nothing loads it, and it is read to its end all the same.
    let whole = command_item("tar cf - d", "");
    let taken = bed.takes(&whole).await;
    assert_eq!((taken.facts["archive"].as_str(), taken.facts["entries"].as_str()), ("tar", "3"));
    let archive = || scratch(vec![facts(), Probe::Archive { item: None }]);
    let done = bed.does(bed.restore(&[(&whole, &taken)], archive())).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    // Without that it is not known what to do with it.
    let done = bed.does(bed.restore(&[(&whole, &taken)], scratch(vec![facts()]))).await;
    failed(&done, "not_loadable", "load it by hand");
    fs::write(folder.join("d/one"), "other").expect("our own folder");
    let other = bed.takes(&whole).await;
    let mixed_up = ItemOutcome { snapshot: other.snapshot.clone(), ..taken };
    let done = bed.does(bed.restore(&[(&whole, &mixed_up)], archive())).await;
    failed(&done, "probe_failed", "entry:d/one was ");
    let cut = command_item("tar czf - d | head -c 2000", "");
    let taken = bed.takes(&cut).await;
    let done = bed.does(bed.restore(&[(&cut, &taken)], archive())).await;
    failed(&done, "probe_failed", "came back broken: gzip breaks off");
    bed.is_clean();
}

#[tokio::test]
async fn what_cannot_be_probed_leaves_a_drill_neither_green_nor_red() {
    let bed = shop().await;
    let item = command_item("echo no archive", "cat >loaded");
    let taken = bed.takes(&item).await;
    let probes = vec![facts(), Probe::Archive { item: Some(item.name.clone()) }];
    let done = bed.does(bed.restore(&[(&item, &taken)], scratch(probes))).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Partial, Some("not_probed")), "{done:?}");
    assert!(done.message.as_ref().is_some_and(|why| why.contains("is no tar archive")), "{done:?}");
    assert_eq!(done.items[0].state, RunState::Succeeded, "all of it came back");
    bed.is_clean();
}

/// A repository with one commit, in a volume of the app.
fn repository(bed: &Bed) -> PathBuf {
    let folder = bed.docker.volume_of_app("data").join("git/shop.git");
    let git = |words: &[&str], input: &str| {
        let mut child = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(&folder)
            .args(words)
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
            .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.org")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("git is installed");
        std::io::Write::write_all(&mut child.stdin.take().expect("piped"), input.as_bytes())
            .expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).expect("a hash").trim().to_owned()
    };
    fs::create_dir_all(&folder).expect("our own folder");
    git(&["init", "--quiet", "--bare"], "");
    let blob = git(&["hash-object", "-w", "--stdin"], "content of a file");
    let tree = git(&["mktree"], &format!("100644 blob {blob}\tfile\n"));
    let commit = git(&["commit-tree", &tree, "-m", "first"], "");
    git(&["update-ref", "refs/heads/main", &commit], "");
    folder.join("objects").join(&blob[..2]).join(&blob[2..])
}

#[tokio::test]
async fn a_repository_with_a_damaged_object_turns_a_drill_red() {
    let bed = shop().await;
    let object = repository(&bed);
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    let git = || scratch(vec![facts(), Probe::Git { item: None }]);
    let done = bed.does(bed.restore(&[(&item, &taken)], git())).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    // It is damaged before it is taken, so what was written down is no help.
    fs::remove_file(&object).expect("it was made");
    fs::write(&object, "no object").expect("our own folder");
    let taken = bed.takes(&item).await;
    let done = bed.does(bed.restore(&[(&item, &taken)], git())).await;
    failed(&done, "probe_failed", "the repository git/shop.git in volume-data is not whole");
    bed.is_clean();
}

#[tokio::test]
async fn files_without_a_repository_show_none_to_be_whole() {
    let bed = shop().await;
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    let done = bed.does(bed.restore(&[(&item, &taken)], scratch(vec![Probe::Git { item: None }]))).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Partial, Some("not_probed")), "{done:?}");
    assert!(done.message.as_ref().is_some_and(|why| why.contains("no repository of Git")), "{done:?}");
    bed.is_clean();
}

fn http(service_name: &str, port: u16, text: Option<&str>, needs: &[&str]) -> Probe {
    Probe::Http {
        service: service(service_name),
        port,
        path: "/health".to_owned(),
        status: None,
        text: text.map(str::to_owned),
        needs: needs.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Answers this to the first connections, one after the other.
async fn answering(answers: Vec<&'static str>) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("it listens");
            let mut asked = [0; 1024];
            let count = stream.read(&mut asked).await.expect("it asks");
            assert!(asked[..count].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.expect("it reads");
        }
    });
    port
}

const NOT_YET: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const WELL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall is well";
const LOCKED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_service_that_comes_up_from_restored_data_is_asked_until_it_answers() {
    let bed = shop().await;
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    let port = answering(vec![NOT_YET, WELL]).await;
    let probes = vec![facts(), http("web", port, Some("is well"), &[])];
    let done = bed.does(bed.restore(&[(&item, &taken)], scratch(probes))).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    bed.is_clean();
}

#[tokio::test]
async fn what_cannot_be_asked_over_http_says_why() {
    let bed = shop().await;
    let item = volume_item("data");
    let taken = bed.takes(&item).await;
    let check = async |probe: Probe, why: &str| {
        let done = bed.does(bed.restore(&[(&item, &taken)], scratch(vec![probe]))).await;
        assert_eq!((done.state, done.code.as_deref()), (RunState::Partial, Some("not_probed")), "{done:?}");
        assert!(done.message.as_ref().is_some_and(|message| message.contains(why)), "{done:?}");
    };
    check(http("web", 1, None, &["postgresql"]), "not probed: web needs postgresql").await;
    check(http("web", answering(vec![LOCKED]).await, None, &[]), "it wants a credential").await;
    bed.docker.set(|rules| rules.keeps_out = Some(std::io::ErrorKind::PermissionDenied));
    check(http("web", 1, None, &[]), "may not enter the network of a container").await;
    bed.docker.set(|rules| rules.keeps_out = Some(std::io::ErrorKind::NotFound));
    check(http("web", 1, None, &[]), "does not see its process").await;
    bed.is_clean();
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
