//! This machine's Docker engine, as far as an image is read from it.

use crate::failure::Failure;
use crate::settings::process_env;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use tokio::net::UnixStream;

/// Where the engine is, unless `DOCKER_HOST` says otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// Most bytes of an answer that is not an image.
const MAX_ANSWER: usize = 1 << 20;

/// An image that the engine is about to send.
pub(super) struct Saved {
    /// Its bytes.
    pub(super) body: Incoming,
    /// What its layers take, bytes: about what comes.
    pub(super) size: Option<u64>,
}

/// Asks the engine for an image.
pub(super) async fn save(image: &str) -> Result<Saved> {
    let socket = socket()?;
    check(image)?;
    let inspected = get(&socket, &format!("/images/{image}/json")).await?;
    if inspected.status() == 404 {
        bail!("this machine's engine has no image `{image}`: `docker images` shows what it has");
    }
    let size = size_of(&text(inspected).await?);
    let saved = get(&socket, &format!("/images/{image}/get")).await?;
    if !saved.status().is_success() {
        let status = saved.status();
        bail!("this machine's engine does not save `{image}` ({status}): {}", text(saved).await?.trim());
    }
    Ok(Saved { body: saved.into_body(), size })
}

/// The socket that is meant. Contexts of Docker are not looked at: the image can be piped in from any of them.
fn socket() -> Result<PathBuf> {
    match process_env("DOCKER_HOST").filter(|host| !host.is_empty()) {
        None => Ok(PathBuf::from(SOCKET)),
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => Ok(PathBuf::from(path)),
            None => bail!(Failure::Usage(format!(
                "DOCKER_HOST is {host}, and only unix:// is read here: use `docker save IMAGE | omni image push --file -`"
            ))),
        },
    }
}

/// Refuses what would change the meaning of a path in the engine's API.
fn check(image: &str) -> Result<(), Failure> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':' | '@');
    let sane = image.starts_with(|c: char| c.is_ascii_alphanumeric()) && image.chars().all(fine);
    if sane && !image.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Ok(());
    }
    Err(Failure::Usage(format!("`{image}` is no name of an image")))
}

async fn get(socket: &PathBuf, path: &str) -> Result<Response<Incoming>> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!("no Docker engine answers at {}; `--file` sends a saved image without one", socket.display())
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body.
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, "docker").body(Empty::<Bytes>::new())?;
    sender.send_request(request).await.context("the Docker engine of this machine broke off")
}

async fn text(answer: Response<Incoming>) -> Result<String> {
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let bytes =
        body.map_err(|error| anyhow::anyhow!("the engine's answer cannot be read: {error}"))?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn size_of(inspected: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(inspected).ok()?.get("Size")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_cannot_lead_to_another_path() {
        for good in ["redis:7", "registry:5000/team/app:1.2-x", "sha256:12", "app@sha256:12"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "../info", "a/../b", "a?x", "a b", "/a", "a//b", "ü"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_that_is_not_said_is_not_known() {
        assert_eq!(size_of(r#"{"Size": 7}"#), Some(7));
        assert_eq!(size_of(r#"{"Size": -1}"#), None);
        assert_eq!(size_of("nonsense"), None);
    }
}
