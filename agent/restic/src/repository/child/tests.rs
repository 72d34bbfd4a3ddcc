use super::*;
use crate::repository::{BadCredentials, S3Keys, SshKey};
use std::fs;

fn repository(location: &str, credentials: Credentials) -> Repository {
    let location = location.parse().expect("a good location");
    Repository::new(location, credentials, Secret::new("open sesame")).expect("credentials that fit")
}

fn access(location: &str, credentials: Credentials) -> Access {
    let folder = tempfile::tempdir().expect("a folder");
    repository(location, credentials).access(Role::Main, folder.path()).expect("nothing in the way")
}

fn variables(access: &Access) -> String {
    let line = |(name, value): (&String, &OsString)| format!("{name}={}", value.to_string_lossy());
    access.environment.iter().map(line).collect::<Vec<_>>().join(" ")
}

fn s3(secret: &str, region: Option<&str>) -> Credentials {
    Credentials::S3(S3Keys {
        access_key_id: "AKIA".into(),
        secret_access_key: Secret::new(secret),
        session_token: None,
        region: region.map(str::to_owned),
    })
}

fn rest() -> Credentials {
    Credentials::Rest { user: "web 1".into(), password: Secret::new("p@ss/w:rd") }
}

#[test]
fn credentials_reach_the_child_by_its_environment() {
    let local = access("/srv/b", Credentials::None);
    assert_eq!(variables(&local), "RESTIC_PASSWORD=open sesame RESTIC_REPOSITORY=/srv/b");
    let signed = access("rest:https://host:8000/x/", rest());
    assert_eq!(
        variables(&signed),
        "RESTIC_PASSWORD=open sesame RESTIC_REPOSITORY=rest:https://web%201:p%40ss%2Fw%3Ard@host:8000/x/"
    );
    let bucket = access("s3:https://host/bucket", s3("secret key", Some("eu-1")));
    assert_eq!(
        variables(&bucket),
        "AWS_ACCESS_KEY_ID=AKIA AWS_SECRET_ACCESS_KEY=secret key RESTIC_PASSWORD=open sesame \
         RESTIC_REPOSITORY=s3:https://host/bucket"
    );
    assert_eq!(bucket.options.get("s3.region").map(String::as_str), Some("eu-1"));
    let remote = Credentials::Rclone {
        config_file: Some("/etc/rclone.conf".into()),
        variables: [("RCLONE_CONFIG_B_KEY".to_owned(), Secret::new("r-key"))].into(),
    };
    let remote = access("rclone:b:x", remote);
    assert!(
        variables(&remote).starts_with("RCLONE_CONFIG=/etc/rclone.conf RCLONE_CONFIG_B_KEY=r-key RESTIC_")
    );
}

#[test]
fn what_the_child_says_is_masked_as_it_stands_there() {
    let access = access("rest:https://host:8000/x/", rest());
    let masks = crate::secret::Masks::new(access.secrets);
    assert_eq!(
        masks.apply("open sesame at rest:https://web%201:p%40ss%2Fw%3Ard@host:8000/x/ with p@ss/w:rd"),
        "*** at rest:https://web%201:***@host:8000/x/ with ***"
    );
}

#[test]
fn a_key_for_ssh_lies_in_a_private_file_and_goes_with_the_operation() {
    let folder = tempfile::tempdir().expect("a folder");
    let key =
        SshKey { private_key: Secret::new("KEY\n\n"), known_hosts: Some("host ssh-ed25519 AAAA\n".into()) };
    let repository = repository("sftp://u@host:2222//srv/b", Credentials::Sftp(key));
    let access = repository.access(Role::Main, folder.path()).expect("nothing in the way");
    let command = &access.options["sftp.command"];
    assert!(command.starts_with("ssh -o BatchMode=yes ") && command.ends_with(" -p 2222 -l u host -s sftp"));
    let path = command.split('\'').nth(1).expect("the key's file is quoted");
    assert_eq!(fs::read_to_string(path).expect("a key"), "KEY\n");
    assert_eq!(fs::metadata(path).expect("a key").permissions().mode() & 0o777, 0o600);
    let holder = Path::new(path).parent().expect("a folder of its own").to_owned();
    assert_eq!(fs::metadata(&holder).expect("a folder").permissions().mode() & 0o777, 0o700);
    assert!(!variables(&access).contains("KEY"));
    drop(access);
    assert!(!holder.exists());
}

#[test]
fn credentials_of_another_kind_or_shape_are_refused() {
    let new = |location: &str, credentials, password: &str| {
        let location = location.parse().expect("a good location");
        Repository::new(location, credentials, Secret::new(password)).expect_err("it does not fit")
    };
    let rclone = |name: &str| Credentials::Rclone {
        config_file: None,
        variables: [(name.to_owned(), Secret::new("x"))].into(),
    };
    assert!(matches!(new("/srv/b", rest(), "x"), BadCredentials::Kind(_)));
    assert!(matches!(new("rest:http://h/", s3("k", None), "x"), BadCredentials::Kind(_)));
    assert_eq!(new("s3:https://h/bucket", s3("", None), "x"), BadCredentials::Value("secret access key"));
    for password in ["", "a\nb", "a\0b"] {
        assert_eq!(new("/srv/b", Credentials::None, password), BadCredentials::Password);
    }
    for name in ["PATH", "LD_PRELOAD", "RCLONE_x", "RESTIC_PASSWORD"] {
        assert_eq!(new("rclone:a:b", rclone(name), "x"), BadCredentials::Variable(name.into()));
    }
    let user = Credentials::Rest { user: "a:b".into(), password: Secret::new("x") };
    assert_eq!(new("rest:http://h/", user, "x"), BadCredentials::User);
}

#[test]
fn two_repositories_share_what_they_can_and_the_rest_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |role, location: &str, credentials| {
        repository(location, credentials).access(role, folder.path()).expect("nothing in the way")
    };
    let from = |location: &str, credentials| at(Role::From, location, credentials);
    let main = |location: &str, credentials| at(Role::Main, location, credentials);
    let both = merge(main("/srv/b", Credentials::None), from("s3:https://h/bucket", s3("k", None)));
    let Ok(both) = both else { panic!("they have nothing in common") };
    assert!(variables(&both).contains("RESTIC_FROM_REPOSITORY=s3:https://h/bucket"));
    assert!(both.environment.contains_key("RESTIC_FROM_PASSWORD"));
    let same = merge(main("s3:https://a/bucket", s3("k", None)), from("s3:https://b/bucket", s3("k", None)));
    assert!(same.is_ok());
    let keys =
        merge(main("s3:https://a/bucket", s3("k", None)), from("s3:https://b/bucket", s3("other", None)));
    assert_eq!(keys.err().as_deref(), Some("AWS_SECRET_ACCESS_KEY"));
    let regions = merge(
        main("s3:https://a/bucket", s3("k", Some("x"))),
        from("s3:https://b/bucket", s3("k", Some("y"))),
    );
    assert_eq!(regions.err().as_deref(), Some("-o s3.region"));
}

#[test]
fn nothing_of_a_repository_that_is_secret_is_printed() {
    let repository = repository("rest:https://host:8000/x/", rest());
    let printed = format!("{repository:?} {}", repository.location());
    assert!(!printed.contains("sesame") && !printed.contains("p@ss"), "{printed}");
}
