//! Servers that are not there. In a file of its own, and an early one, because restic 0.14 takes ten seconds
//! to give up on an object store, in which other tests can run.

use crate::bed::{Bed, PASSWORD, repository};
use omni_restic::{Credentials, Error, S3Keys, Secret};
use std::net::TcpListener;

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let port = free_port();
    for location in [format!("rest:http://127.0.0.1:{port}/x/"), format!("sftp://nobody@127.0.0.1:{port}//x")]
    {
        unreachable(&location, Credentials::None).await;
    }
}

#[tokio::test]
async fn an_object_store_where_nobody_listens_is_unreachable() {
    // Without keys restic would look for some on the network.
    let keys = Credentials::S3(S3Keys {
        access_key_id: "id".into(),
        secret_access_key: Secret::new("secret"),
        session_token: None,
        region: Some("eu-1".into()),
    });
    unreachable(&format!("s3:http://127.0.0.1:{}/bucket/x", free_port()), keys).await;
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

async fn unreachable(location: &str, credentials: Credentials) {
    let bed = Bed::new().await;
    let repository = repository(location, credentials, PASSWORD);
    let error = bed.restic.info(&repository).await.expect_err("nobody is there");
    assert!(matches!(error, Error::Unreachable { .. }), "{location}: {error:?}");
}
