//! A real SSH server.

use crate::bed::{Bed, PASSWORD, eventually, program, repository};
use omni_restic::{Credentials, Error, Secret, SshKey};
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

struct Server {
    child: Child,
    port: u16,
    known_hosts: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// Makes a key, and gives its public half.
fn make_key(bed: &Bed, name: &str) -> String {
    let path = bed.path(name);
    let made = Command::new(program("ssh-keygen"))
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path)
        .stdin(Stdio::null())
        .status();
    assert!(made.expect("ssh-keygen starts").success());
    fs::read_to_string(path.with_extension("pub")).expect("the public half")
}

async fn serve(bed: &Bed) -> Server {
    let host_key = make_key(bed, "host");
    fs::write(bed.path("authorized"), make_key(bed, "user")).expect("our own folder");
    // sshd wants it, and only its package's service makes it.
    fs::create_dir_all("/run/sshd").expect("these tests run as root");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let options = [
        format!("Port={port}"),
        "ListenAddress=127.0.0.1".into(),
        format!("HostKey={}", bed.path("host").display()),
        format!("AuthorizedKeysFile={}", bed.path("authorized").display()),
        format!("PidFile={}", bed.path("sshd.pid").display()),
        "StrictModes=no".into(),
        "UsePAM=no".into(),
        "PermitRootLogin=prohibit-password".into(),
        "Subsystem=sftp internal-sftp".into(),
    ];
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f", "/dev/null"])
        .args(options.iter().flat_map(|option| ["-o", option]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("/usr/sbin/sshd: {error}; apt-get install openssh-server"));
    let mut words = host_key.split(' ');
    let known_hosts =
        format!("[127.0.0.1]:{port} {} {}\n", words.next().expect("a kind"), words.next().expect("a key"));
    let server = Server { child, port, known_hosts };
    eventually("sshd to listen", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
        .await;
    server
}

#[tokio::test]
async fn a_folder_behind_ssh_is_a_repository() {
    let bed = Bed::new().await;
    let server = serve(&bed).await;
    crate::bed::plant(&bed.path("remote"));
    let location = format!("sftp://root@127.0.0.1:{}/{}", server.port, bed.path("remote").display());
    let at = |key: &str, known_hosts: Option<String>| {
        let private_key = Secret::new(fs::read_to_string(bed.path(key)).expect("it was made"));
        repository(&location, Credentials::Sftp(SshKey { private_key, known_hosts }), PASSWORD)
    };
    let good = at("user", Some(server.known_hosts.clone()));
    let report = bed.backup(&good, &bed.source()).await;
    assert_eq!(bed.snapshots(&good).await[0].id, report.snapshot.expect("there is a snapshot"));
    let left: Vec<_> = fs::read_dir(bed.path("work")).expect("our own folder").collect();
    assert!(left.is_empty(), "{left:?}");

    // Neither an unknown key nor an unknown host gets anybody asked for anything.
    for bad in [at("host", Some(server.known_hosts.clone())), at("user", None)] {
        let error = bed.restic.info(&bad).await.expect_err("it is not let in");
        // restic may end before it has passed on what `ssh` said.
        assert!(matches!(error, Error::AccessDenied { .. } | Error::Unreachable { .. }), "{error:?}");
    }
}
