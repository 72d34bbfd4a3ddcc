//! The program: found or not, old or not, and what it is given.

use crate::bed::{Bed, PASSWORD, repository, settings, write_program};
use omni_restic::{Backup, Credentials, Error, Restic, Secret, Settings};
use std::fs;
use std::path::Path;

async fn find(change: impl FnOnce(&mut Settings, &Path)) -> Result<Restic, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = settings(folder.path());
    change(&mut settings, folder.path());
    Restic::find(settings).await
}

fn says(folder: &Path, line: &str) -> std::path::PathBuf {
    write_program(&folder.join("restic"), &format!("#!/bin/sh\necho '{line}'\n"))
}

#[tokio::test]
async fn a_missing_or_old_restic_is_named_with_what_to_install() {
    let missing =
        find(|settings, folder| settings.path = folder.join("bin").into()).await.expect_err("nowhere");
    assert!(matches!(missing, Error::NotInstalled { .. }), "{missing:?}");
    assert!(missing.to_string().contains("apt-get install restic"), "{missing}");
    let missing =
        find(|settings, folder| settings.binary = Some(folder.join("no"))).await.expect_err("nowhere");
    assert!(matches!(missing, Error::NotInstalled { .. }), "{missing:?}");
    let old =
        find(|settings, folder| settings.binary = Some(says(folder, "restic 0.12.1 compiled with go1.16")));
    let old = old.await.expect_err("too old");
    assert_eq!(
        old.to_string(),
        "any backup takes restic 0.14.0 or later, and here is 0.12.1; install a newer restic"
    );
    let other = find(|settings, folder| settings.binary = Some(says(folder, "rustic 0.9.1")));
    let other = other.await.expect_err("something else");
    assert!(matches!(&other, Error::NotRestic { said, .. } if said == "rustic 0.9.1"), "{other:?}");
    let found = find(|_, _| {}).await.expect("restic is on the search path");
    assert!(found.binary().ends_with("restic"));
}

/// Not restic: it writes down what it is given and answers nothing.
#[tokio::test]
async fn restic_is_given_what_it_needs_and_no_secret_in_an_argument() {
    let bed = Bed::with(|settings, folder| {
        let script = "#!/bin/sh\n\
             case $1 in version) echo restic 0.14.0 compiled; exit ;; esac\n\
             env | sort >FOLDER/environment\n\
             for word; do echo \"$word\"; done >FOLDER/arguments\n\
             echo \"Fatal: said open sesame to p@ss\" >&2; exit 1\n";
        let script = script.replace("FOLDER", folder.to_str().expect("plain"));
        settings.binary = Some(write_program(&folder.join("curious"), &script));
    })
    .await;
    let credentials = Credentials::Rest { user: "shop".into(), password: Secret::new("p@ss") };
    let repository = repository("rest:http://127.0.0.1:1/x/", credentials, PASSWORD);
    let backup = Backup { paths: vec!["/srv".into()], ..Backup::default() };
    let error =
        bed.restic.backup(&repository, &backup).expect("a good backup").end().await.expect_err("it said so");
    assert!(error.to_string().ends_with("Fatal: said *** to ***"), "{error}");

    let read = |name: &str| fs::read_to_string(bed.path(name)).expect("it was written");
    let environment = read("environment");
    let names: Vec<_> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    // The last two are the shell's.
    let ours = [
        "HOME",
        "LC_ALL",
        "PATH",
        "RESTIC_CACHE_DIR",
        "RESTIC_PASSWORD",
        "RESTIC_PROGRESS_FPS",
        "RESTIC_REPOSITORY",
        "TMPDIR",
        "TZ",
        "PWD",
        "_",
        "OLDPWD",
        "SHLVL",
    ];
    assert!(names.iter().all(|name| ours.contains(name)), "{names:?}");
    assert!(environment.contains("RESTIC_REPOSITORY=rest:http://shop:p%40ss@127.0.0.1:1/x/\n"));
    let arguments = read("arguments");
    assert_eq!(arguments, "--json\n--cleanup-cache\nbackup\n--\n/srv\n");
}

/// Not restic: it talks without end. Nothing grows with it.
#[tokio::test]
async fn a_flood_of_words_is_kept_within_bounds() {
    let bed = Bed::with(|settings, folder| {
        let script = "#!/bin/sh\n\
             case $1 in version) echo restic 0.14.0 compiled; exit ;; esac\n\
             head -c 40000000 /dev/zero | tr '\\0' x\n\
             yes 'pack something is wrong' | head -n 200000 >&2\n\
             echo 'Fatal: repository contains errors' >&2; exit 1\n";
        settings.binary = Some(write_program(&folder.join("talkative"), script));
    })
    .await;
    let check = omni_restic::Check::default();
    let running = bed.restic.check(&bed.repository("repository"), &check).expect("a good check");
    let error = running.end().await.expect_err("it said so");
    let Error::Damaged { problems, more, .. } = &error else { panic!("{error:?}") };
    assert_eq!((problems.len(), *more), (100, 199_900));
}
