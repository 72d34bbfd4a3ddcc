//! One image: is it here, is it new enough, and how far is its pull.

use super::Fault;
use crate::docker::{DockerError, Engine, ImageFacts};
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use futures_util::StreamExt;
use omni_common::clock::Time;
use omni_common::domain::app::PullPolicy;
use std::collections::BTreeMap;
use std::time::Duration;

/// A pull that makes no progress for this long is given up.
const STALLED: Duration = Duration::from_secs(120);
/// Layers whose progress is followed; images have a few dozen.
const MAX_LAYERS: usize = 512;
/// Words by which an engine or a registry says that there is no such image for us.
const NO_SUCH_IMAGE: &[&str] = &[
    "manifest unknown",
    "manifest for",
    "not found",
    "pull access denied",
    "does not exist",
    "invalid reference",
    "no matching manifest",
];

/// Has the image on the host, as its policy wants it.
pub(super) async fn ensure(
    engine: &Engine,
    image: &str,
    policy: PullPolicy,
    platform: Option<&str>,
    now: Time,
    progress: impl Fn(String),
) -> Result<(), Fault> {
    let here = engine.image(image).await?;
    if is_enough(here.as_ref(), policy, platform, now) {
        return Ok(());
    }
    match policy {
        PullPolicy::Never => Err(Fault::lasting(format!(
            "the image {image} is not on this host, and its pull_policy is `never`"
        ))),
        PullPolicy::Build => Err(Fault::lasting(format!(
            "building is not available yet, and the image {image} is not on this host: build it, push it to a registry and name it with `image:`"
        ))),
        _ => pull(engine, image, platform, progress).await,
    }
}

fn is_enough(here: Option<&ImageFacts>, policy: PullPolicy, platform: Option<&str>, now: Time) -> bool {
    let Some(here) = here else { return false };
    if platform.is_some_and(|platform| !platform.starts_with(&here.platform)) {
        return false;
    }
    match policy {
        PullPolicy::Never | PullPolicy::Missing | PullPolicy::Build => true,
        PullPolicy::Always => false,
        PullPolicy::OlderThan(age_ms) => {
            here.tagged.is_some_and(|tagged| now.since(tagged) <= Duration::from_millis(age_ms))
        }
    }
}

/// The registry's credentials for an image. Until secrets of the platform reach hosts there are none.
fn credentials(_image: &str) -> Option<DockerCredentials> {
    None
}

async fn pull(
    engine: &Engine,
    image: &str,
    platform: Option<&str>,
    progress: impl Fn(String),
) -> Result<(), Fault> {
    let mut stream = engine.pull(image, platform, credentials(image))?.boxed();
    let mut layers = Layers::default();
    loop {
        match tokio::time::timeout(STALLED, stream.next()).await {
            Err(_) => {
                return Err(Fault::passing(format!(
                    "the pull of {image} has made no progress for {} s",
                    STALLED.as_secs()
                )));
            }
            Ok(None) => return Ok(()),
            Ok(Some(Ok(info))) => {
                layers.note(info);
                progress(format!("pulls {image}{}", layers.show()));
            }
            Ok(Some(Err(error))) => return Err(explain(image, error)),
        }
    }
}

fn explain(image: &str, error: DockerError) -> Fault {
    let text = error.to_string();
    if text.contains("no space left on device") {
        return Fault::passing(format!(
            "the image {image} cannot be pulled: the disk of this host is full ({text})"
        ));
    }
    let reason = format!("the image {image} cannot be pulled: {text}");
    let lasting =
        matches!(error, DockerError::NotFound(_)) || NO_SUCH_IMAGE.iter().any(|words| text.contains(words));
    if lasting { Fault::lasting(reason) } else { Fault::passing(reason) }
}

/// How far the layers of a pull are.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, (i64, i64)>);

impl Layers {
    fn note(&mut self, info: CreateImageInfo) {
        let (Some(id), Some(detail)) = (info.id, info.progress_detail) else { return };
        let (Some(current), Some(total)) = (detail.current, detail.total) else { return };
        // Unpacking counts once more from zero; what was fetched stays fetched.
        if info.status.as_deref() == Some("Downloading")
            && (self.0.len() < MAX_LAYERS || self.0.contains_key(&id))
        {
            self.0.insert(id, (current, total));
        }
    }

    /// In steps of a tenth, so that a report is not sent for every megabyte.
    fn show(&self) -> String {
        let (current, total) = self.0.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        match total {
            0 => String::new(),
            total => format!(": {} % of {} MiB", current * 10 / total * 10, total >> 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(tagged: Option<Time>) -> ImageFacts {
        ImageFacts { id: "sha256:1".to_owned(), platform: "linux/amd64".to_owned(), tagged }
    }

    #[test]
    fn policies_decide_what_is_enough() {
        let now = Time::from_secs(1_000);
        let enough = |here: Option<&ImageFacts>, policy| is_enough(here, policy, None, now);
        let here = facts(Some(Time::from_secs(900)));
        for policy in
            [PullPolicy::Never, PullPolicy::Missing, PullPolicy::Build, PullPolicy::OlderThan(100_000)]
        {
            assert!(enough(Some(&here), policy), "{policy:?}");
            assert!(!enough(None, policy), "{policy:?}");
        }
        assert!(!enough(Some(&here), PullPolicy::Always));
        assert!(!enough(Some(&here), PullPolicy::OlderThan(99_000)));
        assert!(!enough(Some(&facts(None)), PullPolicy::OlderThan(99_000)), "an unknown age is too old");
        assert!(is_enough(Some(&here), PullPolicy::Missing, Some("linux/amd64"), now));
        assert!(!is_enough(Some(&here), PullPolicy::Missing, Some("linux/arm64"), now));
    }

    #[test]
    fn failures_tell_what_can_help() {
        let refused = |message: &str| DockerError::Refused { status: 500, message: message.to_owned() };
        assert!(explain("web:9", refused("manifest for web:9 not found: manifest unknown")).lasting);
        let full = explain("web:9", refused("write /var/lib/docker/tmp: no space left on device"));
        assert!(!full.lasting && full.reason.contains("the disk of this host is full"), "{full:?}");
        assert!(!explain("web:9", refused("dial tcp: i/o timeout")).lasting);
    }

    #[test]
    fn progress_moves_in_tenths() {
        let mut layers = Layers::default();
        let info = |id: &str, current| CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some("Downloading".to_owned()),
            progress_detail: Some(bollard::models::ProgressDetail {
                current: Some(current),
                total: Some(10 << 20),
            }),
            ..CreateImageInfo::default()
        };
        assert_eq!(layers.show(), "");
        layers.note(info("a", 5 << 20));
        layers.note(info("b", 2 << 20));
        assert_eq!(layers.show(), ": 30 % of 20 MiB");
    }
}
