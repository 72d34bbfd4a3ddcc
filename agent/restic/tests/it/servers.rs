//! REST servers, as rclone serves them: open, append-only, with a password, and gone.

use crate::bed::{Bed, PASSWORD, noise, program, repository};
use crate::stream::request;
use omni_restic::{Credentials, Error, Initialised, Keep, Repository, Retention, Retry, Secret, Source};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tokio::io::AsyncWriteExt;

/// A REST server, which goes with this value.
struct Server {
    child: Child,
    location: String,
}

impl Server {
    fn new(bed: &Bed, args: &[&str]) -> Self {
        let mut child = Command::new(program("rclone"))
            .args(["serve", "restic", "--addr", "127.0.0.1:0"])
            .args(args)
            .arg(bed.path("served"))
            .env("RCLONE_CONFIG", bed.path("no-configuration"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("rclone starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it was asked for")).lines();
        let address = lines
            .by_ref()
            .map(|line| line.expect("it says lines"))
            .find_map(|line| {
                let (_, rest) = line.split_once("Serving restic REST API on ")?;
                Some(rest.trim_matches(['[', ']', ' ']).to_owned())
            })
            .expect("rclone says where it serves");
        // Read on, or a talkative server would wait for ever.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, location: format!("rest:{address}shop/") }
    }

    fn stop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it is ours");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().and_then(|_| self.child.wait()).ok();
    }
}

/// A repository where the servers of a bed serve it.
fn planted(bed: &Bed, server: &Server) -> Repository {
    crate::bed::plant(&bed.path("served/shop"));
    bed.at(&server.location)
}

#[tokio::test]
async fn an_append_only_server_takes_backups_and_refuses_to_forget() {
    let bed = Bed::new().await;
    let server = Server::new(&bed, &["--append-only"]);
    let repository = planted(&bed, &server);
    let source = bed.source();
    let first = bed.backup(&repository, &source).await.snapshot.expect("there is a snapshot");
    bed.backup(&repository, &source).await;
    let retention = Retention { keep: Keep { last: 1, ..Keep::default() }, ..Retention::default() };
    let dry = Retention { dry_run: true, ..retention.clone() };
    let groups = bed.restic.forget(&repository, &dry).await.expect("nothing is removed");
    assert_eq!((groups[0].keep.len(), groups[0].remove.len()), (1, 1));
    let error = bed.restic.forget(&repository, &retention).await.expect_err("it is append-only");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::AfterRepair);
    let error = bed.restic.forget_snapshots(&repository, &[first]).await.expect_err("it is append-only");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert_eq!(bed.snapshots(&repository).await.len(), 2);
    assert!(bed.restic.locks(&repository).await.expect("it lists").is_empty());
}

#[tokio::test]
async fn a_server_with_a_password_wants_it_and_nobody_sees_it() {
    let bed = Bed::new().await;
    let server = Server::new(&bed, &["--user", "shop", "--pass", "p@ss:w/rd"]);
    let at = |password: &str| {
        let credentials = Credentials::Rest { user: "shop".into(), password: Secret::new(password) };
        repository(&server.location, credentials, PASSWORD)
    };
    let good = at("p@ss:w/rd");
    assert!(matches!(bed.restic.init(&good, None).await.expect("it is let in"), Initialised::Created(_)));
    assert!(matches!(
        bed.restic.init(&good, None).await.expect("it is let in"),
        Initialised::AlreadyThere(_)
    ));
    for other in [at("wr@ng:w/rd"), bed.at(&server.location)] {
        let error = bed.restic.info(&other).await.expect_err("it is not let in");
        assert!(matches!(error, Error::AccessDenied { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("ng:w"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_without_the_repository_is_not_one_that_is_away() {
    let bed = Bed::new().await;
    let mut server = Server::new(&bed, &[]);
    let repository = bed.at(&server.location);
    let error = bed.restic.info(&repository).await.expect_err("nothing is there");
    assert!(matches!(error, Error::RepositoryMissing { .. }), "{error:?}");
    server.stop();
    let error = bed.restic.info(&repository).await.expect_err("nobody is there");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::Later);
}

#[tokio::test]
async fn a_server_that_goes_away_halfway_is_unreachable_after_patience() {
    let bed = Bed::new().await;
    let mut server = Server::new(&bed, &[]);
    let repository = planted(&bed, &server);
    let (mut writer, reader) = tokio::io::duplex(1 << 16);
    let running = bed.restic.backup_stream(&repository, &request(), Source::reader(reader));
    // restic has read this, so it has opened the repository.
    writer.write_all(&noise(1 << 20)).await.expect("it is read");
    server.stop();
    writer.write_all(&noise(30 << 20)).await.ok();
    drop(writer);
    let error = running.end().await.expect_err("nobody is there");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_remote_of_rclone_needs_no_file_of_it() {
    let bed = Bed::new().await;
    let credentials = |kind: &str| Credentials::Rclone {
        config_file: None,
        variables: [("RCLONE_CONFIG_SHOP_TYPE".to_owned(), Secret::new(kind))].into(),
    };
    let location = format!("rclone:shop:{}", bed.path("remote").display());
    crate::bed::plant(&bed.path("remote"));
    let good = repository(&location, credentials("local"), PASSWORD);
    let report = bed.backup(&good, &bed.source()).await;
    assert_eq!(bed.snapshots(&good).await[0].id, report.snapshot.expect("there is a snapshot"));
    let bad = repository(&location, credentials("no such kind"), PASSWORD);
    let error = bed.restic.info(&bad).await.expect_err("rclone does not know it");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
