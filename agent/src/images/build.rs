//! Builds an image from what a workstation sends. Its bytes go into the engine's builder as they come, and what the
//! builder says goes back.

use super::login::credentials;
use super::push::{feed, has_room};
use super::{BEAT, Images};
use crate::docker::{BuildWord, Engine};
use crate::executors::{Ended, Failure, RequestStream};
use bollard::auth::DockerCredentials;
use futures_util::StreamExt;
use omni_common::domain::Registry;
use omni_common::domain::app::{BuildOrder, ContentDigest, MAX_BUILD_REGISTRIES};
use omni_common::domain::backup::Hidden;
use omni_common::wire::{ImageReply, MAX_BUILD_ORDER, ReplyFrame};
use std::collections::HashMap;
use std::path::Path;
use tokio::sync::mpsc;

/// Pieces that wait for the builder.
const PIECES: usize = 4;
/// Images kept of one repository: as many as an app keeps releases, so that each can still be gone back to.
const KEPT: usize = 20;

impl Images {
    /// Answers a request to build an image.
    pub async fn build(&self, order: &Hidden, stream: &mut RequestStream) -> Result<(), Ended> {
        let order = read(order.reveal())?;
        let Ok(_turn) = self.building.try_acquire() else {
            return Err(
                Failure::busy("this host builds as many images as it can at once; try again soon").into()
            );
        };
        let engine = self.docker.engine()?;
        let root = engine.store().await.map_err(Failure::from)?.root;
        has_room(&root)?;
        let logins = order.logins.iter();
        let logins =
            logins.map(|(registry, login)| (known_as(registry), credentials(registry, login))).collect();
        stream.reply.send(&ReplyFrame::Started).await?;
        let id = build(&engine, &root, &order, logins, stream).await?;
        // Not under `tags` of the file: on a host they would replace what other apps run under these names.
        let repository =
            order.name.rsplit_once(':').map_or(order.name.as_str(), |(repository, _)| repository);
        if let Err(error) = engine.keep_newest(repository, KEPT).await {
            tracing::warn!(%repository, %error, "old built images stay");
        }
        stream.reply.send(&ReplyFrame::Image(ImageReply::Built { id })).await
    }
}

fn read(order: &str) -> Result<BuildOrder, Failure> {
    if order.len() > MAX_BUILD_ORDER {
        return Err(Failure::invalid("the order to build is too long"));
    }
    let order: BuildOrder = serde_json::from_str(order)
        .map_err(|error| Failure::invalid(format!("the order to build cannot be read: {error}")))?;
    if order.logins.len() > MAX_BUILD_REGISTRIES {
        return Err(Failure::invalid("the order to build names too many registries"));
    }
    Ok(order)
}

/// The name by which engines look for the login to a registry: Docker Hub's has one of its own.
fn known_as(registry: &Registry) -> String {
    match registry.as_str() {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    }
}

async fn build(
    engine: &Engine,
    root: &Path,
    order: &BuildOrder,
    logins: HashMap<String, DockerCredentials>,
    stream: &mut RequestStream,
) -> Result<ContentDigest, Ended> {
    let (pieces, taken) = mpsc::channel(PIECES);
    let RequestStream { input, reply, over } = stream;
    let mut words = std::pin::pin!(engine.build(order, logins, taken));
    let mut feeding = std::pin::pin!(feed(input, pieces, root));
    let (mut fed, mut image) = (None, None);
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            word = words.next() => match word {
                Some(Ok(BuildWord::Text(text))) => {
                    reply.send(&ReplyFrame::Image(ImageReply::BuildOutput(text))).await?;
                }
                Some(Ok(BuildWord::Image(id))) => image = Some(id),
                // Why it was not fed to the end says more than that the builder did not like that.
                Some(Ok(BuildWord::Failed(why))) => {
                    let failure = Failure::failed(format!("the image cannot be built: {why}"));
                    return Err(fed.and_then(Result::err).unwrap_or_else(|| failure.into()));
                }
                Some(Err(error)) => return Err(fed.and_then(Result::err).unwrap_or_else(|| error.into())),
                None => return image.ok_or_else(|| Failure::failed("the builder ended without an image").into()),
            },
            ended = &mut feeding, if fed.is_none() => fed = Some(ended),
            _ = beat.tick() => reply.send(&ReplyFrame::Image(ImageReply::Waiting)).await?,
            () = over.cancelled() => return Err(Ended::Gone),
        }
    }
}
