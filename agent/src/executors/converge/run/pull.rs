//! One image: is it here, is it new enough, how far is its pull, and where else can it be had.
//!
//! The registry is asked first, when the policy has one asked at all. When it does not answer or has no such image, other
//! hosts are asked over the mesh; what both said is told when that is in vain too. An image that is here and was to be
//! made newer is run as it is while the registry cannot be reached: an app must not be down because its registry is.

use super::Fault;
use crate::docker::{DockerError, Engine, ImageFacts};
use crate::images::{Images, Miss};
use bollard::models::CreateImageInfo;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, Peekable};
use omni_common::clock::Time;
use omni_common::domain::Registry;
use omni_common::domain::app::PullPolicy;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

/// A pull that makes no progress for this long is given up.
const STALLED: Duration = Duration::from_secs(120);
/// A registry that has said nothing by then may be away: an engine tries for half a minute and more. Other hosts are asked
/// meanwhile, and the pull goes on when they have nothing.
const FIRST_WORD: Duration = Duration::from_secs(5);
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

/// Words by which an engine or a registry says that it wants another login.
const NOT_LET_IN: &[&str] = &["no basic auth credentials", "unauthorized", "authentication required"];

/// An image that is needed.
#[derive(Clone, Copy)]
pub(crate) struct Needed<'a> {
    /// Its reference.
    pub(crate) image: &'a str,
    /// When to pull it.
    pub(crate) policy: PullPolicy,
    /// Platform that it has to be for.
    pub(crate) platform: Option<&'a str>,
}

/// Has the image on the host, as its policy wants it.
pub(crate) async fn ensure(
    engine: &Engine,
    images: &Images,
    needed: Needed<'_>,
    now: Time,
    told: &(dyn Fn(String) + Send + Sync),
) -> Result<(), Fault> {
    let Needed { image, policy, .. } = needed;
    let here = engine.image(image).await?;
    if is_enough(here.as_ref(), policy, needed.platform, now) {
        return Ok(());
    }
    let usable = is_enough(here.as_ref(), PullPolicy::Missing, needed.platform, now);
    let fault = match policy {
        PullPolicy::Never => {
            Fault::lasting(format!("the image {image} is not on this host, and its pull_policy is `never`"))
        }
        // Its host may only be about to say that it has it.
        PullPolicy::Build => Fault::passing(format!(
            "the image {image} was built and is not on this host: if no host has it any more, `omni deploy --build` builds it again"
        )),
        _ => {
            let mut pull = Pull::begin(engine, images, needed).await?;
            if !usable
                && pull.is_silent().await
                && from_hosts(engine, images, needed, now, told).await.is_ok()
            {
                return Ok(());
            }
            // What the hosts said meanwhile may have changed by the time that the engine has given up.
            match pull.follow(told).await {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            }
        }
    };
    match usable {
        false => from_hosts(engine, images, needed, now, told).await.map_err(|miss| neither(fault, miss)),
        true if fault.lasting => Err(fault),
        true => {
            tracing::warn!(image, reason = fault.reason, "not made newer, runs as it is");
            Ok(())
        }
    }
}

/// Has another host hand the image on, unless that has been done while this waited for its turn.
async fn from_hosts(
    engine: &Engine,
    images: &Images,
    needed: Needed<'_>,
    now: Time,
    told: &(dyn Fn(String) + Send + Sync),
) -> Result<(), Miss> {
    let turn = images.turn().await;
    // Newer than another host's it need not be.
    if let Ok(Some(here)) = engine.image(needed.image).await
        && is_enough(Some(&here), PullPolicy::Missing, needed.platform, now)
    {
        return Ok(());
    }
    turn.fetch(engine, needed.image, needed.platform, now, told).await
}

/// Neither the registry nor another host had it. It lasts only when both say so.
fn neither(fault: Fault, miss: Miss) -> Fault {
    Fault { reason: format!("{}; and {}", fault.reason, miss.reason), lasting: fault.lasting && miss.lasting }
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

/// A pull under way. Dropped, it is given up.
struct Pull<'a> {
    image: &'a str,
    stream: Peekable<BoxStream<'static, Result<CreateImageInfo, DockerError>>>,
    layers: Layers,
}

impl<'a> Pull<'a> {
    async fn begin(engine: &Engine, images: &Images, needed: Needed<'a>) -> Result<Self, DockerError> {
        let image = needed.image;
        let login = images.login(image).await;
        let stream = engine.pull(image, needed.platform, login)?.boxed().peekable();
        Ok(Self { image, stream, layers: Layers::default() })
    }

    /// Whether nothing is heard of the registry for [`FIRST_WORD`]. What is heard is not lost.
    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(FIRST_WORD, Pin::new(&mut self.stream).peek()).await.is_err()
    }

    /// Follows it to its end.
    async fn follow(&mut self, told: &(dyn Fn(String) + Send + Sync)) -> Result<(), Fault> {
        loop {
            match tokio::time::timeout(STALLED, self.stream.next()).await {
                Err(_) => {
                    return Err(Fault::passing(format!(
                        "the pull of {} has made no progress for {} s",
                        self.image,
                        STALLED.as_secs()
                    )));
                }
                Ok(None) => return Ok(()),
                Ok(Some(Ok(info))) => {
                    self.layers.note(info);
                    told(format!("pulls {}{}", self.image, self.layers.show()));
                }
                Ok(Some(Err(error))) => return Err(explain(self.image, error)),
            }
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
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    let reason = format!("the image {image} cannot be pulled: {text}");
    if says(NOT_LET_IN) {
        let registry = Registry::of_image(image);
        return Fault::lasting(format!(
            "{reason}; tell hosts its login with `omni registry login {registry} --user NAME`"
        ));
    }
    let lasting = matches!(error, DockerError::NotFound(_)) || says(NO_SUCH_IMAGE);
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
        let (id, platform) = ("sha256:1".to_owned(), "linux/amd64".to_owned());
        ImageFacts { id, platform, tagged, layers: Vec::new(), size_bytes: 0 }
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
        let barred = explain("registry.lan:5000/web:9", refused("no basic auth credentials"));
        assert!(
            barred.lasting && barred.reason.contains("omni registry login registry.lan:5000 "),
            "{barred:?}"
        );
    }

    #[test]
    fn what_neither_a_registry_nor_a_host_has_is_told_of_both() {
        let miss = |lasting| Miss { reason: "no other host has it".to_owned(), lasting };
        let told = neither(Fault::lasting("the image web:9 cannot be pulled: not found"), miss(true));
        assert_eq!(told.reason, "the image web:9 cannot be pulled: not found; and no other host has it");
        assert!(told.lasting);
        assert!(!neither(Fault::passing("away"), miss(true)).lasting, "the registry may come back");
        assert!(!neither(Fault::lasting("not found"), miss(false)).lasting, "a host may come back");
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
