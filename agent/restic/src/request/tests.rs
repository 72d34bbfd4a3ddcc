use super::*;
use crate::failure::Error;
use crate::version::Version;

const OLD: Version = Version::OLDEST;
const NEW: Version = Version::new(0, 18, 0);

fn words(args: &[OsString]) -> String {
    args.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a good tag")
}

fn id(text: &str) -> SnapshotId {
    text.parse().expect("a good id")
}

#[test]
fn a_backup_of_files() {
    let backup = Backup {
        paths: vec!["/srv/a b".into(), "/-x".into()],
        exclude: vec!["*.log".into(), "!keep.log".into()],
        exclude_caches: true,
        exclude_larger_than: Some(1000),
        one_file_system: true,
        labels: Labels {
            host: Some("web-1".into()),
            tags: vec![tag("app=shop"), tag("-x")],
            time: Some("2026-11-27T16:04:28.9+01:00".parse().expect("a time")),
            parent: Some(id("deadbeef")),
        },
        skip_unchanged: true,
        dry_run: true,
        limits: Limits { upload_kib_per_second: Some(100), download_kib_per_second: Some(200) },
    };
    assert_eq!(
        words(&backup.args(NEW).expect("0.18 can do it")),
        "backup --exclude=*.log --exclude=!keep.log --exclude-caches --exclude-larger-than=1000 --one-file-system \
         --skip-if-unchanged --dry-run --host=web-1 --tag=app=shop --tag=-x --time=2026-11-27 15:04:28 \
         --parent=deadbeef --limit-upload=100 --limit-download=200 -- /srv/a b /-x"
    );
    assert!(matches!(backup.args(OLD), Err(Error::TooOld { .. })));
    let plain = Backup { paths: vec!["/srv".into()], ..Backup::default() };
    assert_eq!(words(&plain.args(OLD).expect("any can")), "backup -- /srv");
    for paths in [vec![], vec!["srv".into()], vec!["/x".into(); 1001]] {
        let backup = Backup { paths, ..Backup::default() };
        assert!(matches!(backup.args(OLD), Err(Error::Invalid(_))));
    }
}

#[test]
fn a_backup_of_a_stream() {
    let backup = StreamBackup {
        name: "shop.sql".parse().expect("a good name"),
        labels: Labels { tags: vec![tag("db")], ..Labels::default() },
        limits: Limits::default(),
    };
    assert_eq!(words(&backup.args()), "backup --stdin --stdin-filename=shop.sql --tag=db");
    for bad in ["", ".", "..", "/x", "a/b", "a\nb", &"x".repeat(256)] {
        assert_eq!(bad.parse::<StreamName>(), Err(BadStreamName), "{bad:?}");
    }
}

#[test]
fn a_restore() {
    let whole = Restore::new(id("deadbeef"), "/restore");
    assert_eq!(words(&whole.args(OLD).expect("any can")), "restore --target=/restore -- deadbeef");
    assert_eq!(words(&whole.args(NEW).expect("any can")), "restore --target=/restore --sparse -- deadbeef");
    let part = Restore { include: vec!["/srv/x".into()], verify: true, ..whole.clone() };
    assert_eq!(
        words(&part.args(OLD).expect("any can")),
        "restore --target=/restore --include=/srv/x --verify -- deadbeef"
    );
    let careful = Restore { existing: Existing::Keep, delete: true, dry_run: true, ..whole.clone() };
    assert_eq!(
        words(&careful.args(NEW).expect("0.18 can")),
        "restore --target=/restore --sparse --overwrite=never --delete --dry-run -- deadbeef"
    );
    for newer in [
        Restore { dry_run: true, ..whole.clone() },
        Restore { delete: true, ..whole.clone() },
        Restore { existing: Existing::IfChanged, ..whole.clone() },
    ] {
        let error = newer.args(OLD).expect_err("0.14 cannot").to_string();
        assert!(error.contains("takes restic 0.17.0 or later, and here is 0.14.0"), "{error}");
    }
    let relative = Restore { target: "x".into(), ..whole.clone() };
    let both = Restore { include: vec!["a".into()], exclude: vec!["b".into()], ..whole };
    for bad in [relative, both] {
        assert!(matches!(bad.args(NEW), Err(Error::Invalid(_))));
    }
}

#[test]
fn a_retention() {
    let month = Within { months: 1, days: 2, ..Within::default() };
    let retention = Retention {
        keep: Keep {
            last: 1,
            hourly: 2,
            daily: 3,
            weekly: 4,
            monthly: 5,
            yearly: 6,
            within: Some(month),
            within_daily: Some(month),
            within_yearly: Some(Within::default()),
            tags: vec![vec![tag("a"), tag("b")], vec![], vec![tag("c")]],
            ..Keep::default()
        },
        group_by: GroupBy { host: true, paths: false, tags: true },
        filter: Filter {
            hosts: vec!["h".into()],
            tags: vec![vec![tag("x"), tag("y")]],
            paths: vec!["/p".into()],
        },
        dry_run: true,
    };
    assert_eq!(
        words(&retention.args().expect("it keeps something")),
        "forget --keep-last=1 --keep-hourly=2 --keep-daily=3 --keep-weekly=4 --keep-monthly=5 --keep-yearly=6 \
         --keep-within=0y1m2d0h --keep-within-daily=0y1m2d0h --keep-tag=a,b --keep-tag=c --group-by=host,tags \
         --host=h --tag=x,y --path=/p --dry-run"
    );
    // Nothing would be kept, which restic takes for a wish to keep all, or to remove all, depending on its
    // version.
    let empty = Retention { keep: Keep { within: Some(Within::default()), ..Keep::default() }, ..retention };
    assert!(matches!(empty.args(), Err(Error::Invalid(_))));
    let none = GroupBy { host: false, paths: false, tags: false };
    assert_eq!((none.to_string().as_str(), GroupBy::default().to_string().as_str()), ("", "host,paths"));
}

#[test]
fn checks_and_prunes() {
    for (read_data, expected) in [
        (ReadData::Nothing, Some("check")),
        (ReadData::All, Some("check --read-data")),
        (ReadData::Percent(2.5), Some("check --read-data-subset=2.500%")),
        (ReadData::Bytes(1), Some("check --read-data-subset=1K")),
        (ReadData::Part { part: 2, of: 7 }, Some("check --read-data-subset=2/7")),
        (ReadData::Part { part: 0, of: 7 }, None),
        (ReadData::Part { part: 8, of: 7 }, None),
        (ReadData::Percent(0.0), None),
        (ReadData::Percent(f32::NAN), None),
        (ReadData::Percent(100.5), None),
        (ReadData::Bytes(0), None),
    ] {
        let args = Check { read_data, limits: Limits::default() }.args().ok();
        assert_eq!(args.as_deref().map(words).as_deref(), expected, "{read_data:?}");
    }
    let prune = Prune {
        max_unused: Some(Unused::Percent(10)),
        max_repack_bytes: Some(1 << 30),
        repack_cacheable_only: true,
        dry_run: true,
        limits: Limits::default(),
    };
    assert_eq!(
        words(&prune.args()),
        "prune --max-unused=10% --max-repack-size=1073741824 --repack-cacheable-only --dry-run"
    );
    assert_eq!([Unused::Bytes(5).to_string(), Unused::Unlimited.to_string()], ["5", "unlimited"]);
}

#[test]
fn what_is_no_id_or_tag_is_refused() {
    for bad in ["", "latest", "DEADBEEF", "deadbee", "deadbeef ", "--remove-all", &"a".repeat(65)] {
        assert_eq!(bad.parse::<SnapshotId>(), Err(BadSnapshotId), "{bad}");
    }
    for bad in ["", "a,b", " a", "a\n"] {
        assert_eq!(bad.parse::<Tag>(), Err(BadTag), "{bad:?}");
    }
}

proptest::proptest! {
    /// Whatever people call their things, restic sees flags of ours, then `--`, then paths.
    #[test]
    fn nothing_that_a_user_chose_passes_for_an_option(
        host in ".*", exclude in ".*", path in "/.*", name in "[^,]*"
    ) {
        let tags = name.parse().into_iter().collect();
        let labels = Labels { host: Some(host), tags, ..Labels::default() };
        let backup = Backup { paths: vec![path.clone().into()], exclude: vec![exclude], labels, ..Backup::default() };
        let args = backup.args(NEW).expect("a good backup");
        let end = args.len() - 2;
        proptest::prop_assert_eq!(&args[end..], [OsString::from("--"), path.into()]);
        let ours = ["--exclude=", "--host=", "--tag="];
        for word in &args[1..end] {
            let word = word.to_string_lossy();
            proptest::prop_assert!(ours.iter().any(|flag| word.starts_with(flag)), "{}", word);
        }
    }
}
