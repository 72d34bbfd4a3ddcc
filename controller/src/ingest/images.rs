//! Finds a host that has an image which another one needs, and joins the two. Bytes go through as they are, and flow
//! control reaches from the one's engine to the other's disk.
//!
//! A host is helped to the images that its allocations name, and to no others. Which image a name means is decided by what
//! most hosts have under it, those that died included; [`sources`] is that decision, pure.

use super::accept::Gateway;
use super::peers::splice;
use crate::app::ports::HostObserved;
use crate::state::{HostStatus, State};
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::{HostImage, familiar_name};
use omni_common::ids::HostId;
use omni_common::wire::{
    AgentRequest, HostReply, HostRequest, ImageReply, ImageRequest, ImageWanted, ReplyFrame, RequestInput,
};
use omni_transport::{FrameReader, FrameWriter, TransportError};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Hosts asked for one image before the asking one is told that none could help now.
const TRIES: usize = 5;
/// A host looks into its engine before it answers.
const OFFER_WITHIN: Duration = Duration::from_secs(10);
/// All of it takes at most this long; the asking host waits a little longer.
const FOUND_WITHIN: Duration = Duration::from_secs(45);
/// How kernels call the architectures of platforms.
const ARCHITECTURES: &[(&str, &str)] = &[
    ("linux/amd64", "x86_64"),
    ("linux/arm64", "aarch64"),
    ("linux/arm/v7", "armv7l"),
    ("linux/arm/v6", "armv6l"),
    ("linux/386", "i686"),
    ("linux/ppc64le", "ppc64le"),
    ("linux/s390x", "s390x"),
    ("linux/riscv64", "riscv64"),
];

/// A host as far as it matters here.
#[derive(Clone, Debug)]
struct Known<'a> {
    host: HostId,
    /// It can be asked now.
    connected: bool,
    /// Its architecture, as its kernel calls it.
    arch: Option<&'a str>,
    images: &'a [HostImage],
}

/// The hosts that have an image of this name, in the order in which to ask them, with the image they have.
///
/// Hosts whose architecture is the wanted one come first. Among them the image that most have, the newer one when there
/// are as many; hosts that are gone have a say in that. Different asking hosts begin with different ones that have it.
fn sources(name: &str, platform: &str, asking: HostId, hosts: &[Known<'_>]) -> Vec<(HostId, ContentDigest)> {
    let wanted = ARCHITECTURES.iter().find(|(known, _)| platform.starts_with(known)).map(|(_, arch)| *arch);
    let mut having = Vec::new();
    let mut votes: BTreeMap<(bool, &ContentDigest), (usize, Option<Time>)> = BTreeMap::new();
    for known in hosts {
        let fits = wanted.is_none() || known.arch.is_none() || known.arch == wanted;
        let of_name = known.images.iter().filter(|image| image.tags.iter().any(|tag| tag == name));
        for image in of_name {
            let (count, created) = votes.entry((fits, &image.id)).or_default();
            *count += 1;
            *created = (*created).max(image.created);
            if known.connected && known.host != asking {
                having.push((fits, &image.id, known.host));
            }
        }
    }
    having.sort_by_key(|(fits, id, host)| {
        let (count, created) = votes[&(*fits, *id)];
        (Reverse(*fits), Reverse(count), Reverse(created), *id, distance(*host, asking))
    });
    having.into_iter().map(|(_, id, host)| (host, id.clone())).collect()
}

/// Different for each asking host, so that many that ask at the same time do not all begin with the same one.
fn distance(one: HostId, other: HostId) -> u128 {
    one.0.as_u128() ^ other.0.as_u128()
}

/// Whether an allocation of this host names the image.
fn needs(state: &State, host: HostId, name: &str) -> bool {
    state.allocations_on(host).any(|held| {
        let release = state.apps.get(&held.app).and_then(|app| app.releases.get(&held.release));
        let group = release.and_then(|release| release.groups.get(&held.group));
        group
            .is_some_and(|group| group.images.iter().any(|image| familiar_name(image).as_deref() == Ok(name)))
    })
}

/// Answers an agent's request for an image; the rest of the stream is between it and the host that has the image.
pub(super) async fn serve(
    gateway: &Gateway,
    asking: HostId,
    wanted: &ImageWanted,
    requests: FrameReader<HostRequest>,
    mut replies: FrameWriter<HostReply>,
) -> Result<(), TransportError> {
    let finding = tokio::time::timeout(FOUND_WITHIN, find(gateway, asking, wanted)).await;
    let late =
        || unavailable(format!("the hosts that have it did not answer within {} s", FOUND_WITHIN.as_secs()));
    let found = match finding.unwrap_or_else(|_| Err(late())) {
        Ok(found) => found,
        Err(refusal) => {
            replies.send(&refusal).await?;
            replies.finish();
            return Ok(());
        }
    };
    tracing::info!(node = %asking, peer = found.name, image = wanted.reference, "image goes from host to host");
    replies.send(&HostReply::Found { host: found.name, id: found.id }).await?;
    let mut replies = FrameWriter::<ReplyFrame>::new(replies.into_inner());
    replies.send(&found.offer).await?;
    let mut to_asking = replies.into_inner();
    let (from_source, already_read) = found.pipe.replies.into_inner();
    to_asking.write_all(&already_read).await?;
    let (from_asking, already_read) = requests.followed_by::<RequestInput>().into_inner();
    let mut to_source = found.pipe.input.into_inner();
    to_source.write_all(&already_read).await?;
    splice(from_asking, to_source, from_source, to_asking).await;
    Ok(())
}

/// A host that hands the image on.
struct Found {
    name: String,
    id: ContentDigest,
    pipe: super::agents::AgentPipe,
    /// Its first frame.
    offer: ReplyFrame,
}

async fn find(gateway: &Gateway, asking: HostId, wanted: &ImageWanted) -> Result<Found, HostReply> {
    let state = gateway.store.current();
    let name = familiar_name(&wanted.reference).map_err(|error| not_found(error.to_string()))?;
    if !needs(&state, asking, &name) {
        return Err(not_found("nothing that is to run on this host names it".to_owned()));
    }
    let all = gateway.observed.all();
    let candidates = {
        let known: Vec<Known<'_>> = all.iter().map(|(host, seen)| known(&state, *host, seen)).collect();
        sources(&name, &wanted.platform, asking, &known)
    };
    if candidates.is_empty() {
        return Err(nobody(&state, &name, asking, &all));
    }
    let mut other_platform = BTreeSet::new();
    let mut last = String::new();
    let mut tries = 0;
    for (host, id) in candidates {
        if tries == TRIES || other_platform.contains(&id) {
            continue;
        }
        tries += 1;
        let name = name_of(&state, host);
        match ask(gateway, host, &id, &wanted.platform).await {
            Ok((pipe, offer)) => return Ok(Found { name, id, pipe, offer }),
            Err(Refused { code, message }) => {
                tracing::debug!(node = %host, image = wanted.reference, code, message, "image not handed on");
                last = format!("host {name} has it, and does not hand it on: {message}");
                if code == "other_platform" {
                    other_platform.insert(id);
                }
            }
        }
    }
    Err(unavailable(last))
}

struct Refused {
    code: String,
    message: String,
}

/// Asks one host; its offer is the answer.
async fn ask(
    gateway: &Gateway,
    host: HostId,
    id: &ContentDigest,
    platform: &str,
) -> Result<(super::agents::AgentPipe, ReplyFrame), Refused> {
    let refused = |code: &str, message: String| Refused { code: code.to_owned(), message };
    let request = AgentRequest::Image(ImageRequest { id: id.clone(), platform: platform.to_owned() });
    let opened = gateway.open_agent(host, request).await;
    let mut pipe = opened.map_err(|error| refused("unavailable", error.to_string()))?;
    match tokio::time::timeout(OFFER_WITHIN, pipe.replies.next()).await {
        Ok(Ok(Some(offer @ ReplyFrame::Image(ImageReply::Offer(_))))) => Ok((pipe, offer)),
        Ok(Ok(Some(ReplyFrame::Failed { code, message }))) => Err(Refused { code, message }),
        Ok(Ok(_)) => Err(refused("invalid", "its agent answered with something else".to_owned())),
        Ok(Err(error)) => Err(refused("unavailable", error.to_string())),
        Err(_) => Err(refused("unavailable", format!("no answer within {} s", OFFER_WITHIN.as_secs()))),
    }
}

fn known<'a>(state: &'a State, host: HostId, seen: &'a HostObserved) -> Known<'a> {
    let member = state.hosts.get(&host);
    Known {
        host,
        connected: seen.gateway.is_some() && member.is_some_and(|host| host.status != HostStatus::Down),
        arch: member.and_then(|host| host.facts.as_ref()).map(|facts| facts.arch.as_str()),
        images: seen.images.as_deref().map_or(&[], Vec::as_slice),
    }
}

/// Why there is nobody to ask. Only when the images of all hosts are known is that an answer that lasts.
fn nobody(
    state: &State,
    name: &str,
    asking: HostId,
    all: &[(HostId, std::sync::Arc<HostObserved>)],
) -> HostReply {
    let has = |seen: &HostObserved| {
        let images = seen.images.as_deref().map_or(&[][..], Vec::as_slice);
        images.iter().any(|image| image.tags.iter().any(|tag| tag == name))
    };
    if let Some((host, _)) = all.iter().find(|(host, seen)| *host != asking && has(seen)) {
        return unavailable(format!("host {} has it, which is not connected", name_of(state, *host)));
    }
    let has_engine = |host: HostId| {
        let facts = state.hosts.get(&host).and_then(|host| host.facts.as_ref());
        facts.is_some_and(|facts| facts.docker.is_some())
    };
    let unknown = all
        .iter()
        .filter(|(host, seen)| {
            *host != asking && has_engine(*host) && seen.gateway.is_some() && seen.images.is_none()
        })
        .count();
    match unknown {
        0 => not_found("no other host has it".to_owned()),
        count => {
            unavailable(format!("no other host is known to have it ({count} have not said what they have)"))
        }
    }
}

fn name_of(state: &State, host: HostId) -> String {
    state.hosts.get(&host).map_or_else(|| host.to_string(), |host| host.name.clone())
}

fn not_found(message: String) -> HostReply {
    HostReply::Failed { code: "not_found".to_owned(), message }
}

fn unavailable(message: String) -> HostReply {
    HostReply::Failed { code: "unavailable".to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKING: HostId = HostId::from_u128(0);

    fn image(id: &str, tag: &str, created: i64) -> HostImage {
        HostImage {
            id: ContentDigest::of(id.as_bytes()),
            tags: vec![tag.to_owned()],
            size_bytes: 1,
            created: Some(Time::from_secs(created)),
        }
    }

    /// Hosts as `NUMBER[!] ARCH ID@CREATED…`, where `!` is not connected, all under the name `web:1`; and who is asked for
    /// what, in order.
    fn check(hosts: &[&str], platform: &str, asked: &[&str]) {
        let parsed: Vec<(HostId, bool, String, Vec<HostImage>)> =
            hosts.iter().map(|text| parse(text)).collect();
        let known: Vec<Known<'_>> = parsed
            .iter()
            .map(|(host, connected, arch, images)| Known {
                host: *host,
                connected: *connected,
                arch: Some(arch),
                images,
            })
            .collect();
        let found: Vec<String> = sources("web:1", platform, ASKING, &known)
            .into_iter()
            .map(|(host, id)| {
                let named = ["a", "b", "c"].into_iter().find(|name| ContentDigest::of(name.as_bytes()) == id);
                format!("{} {}", host.0.as_u128(), named.expect("one of these"))
            })
            .collect();
        assert_eq!(found, asked, "{hosts:?}");
    }

    fn parse(text: &str) -> (HostId, bool, String, Vec<HostImage>) {
        let mut words = text.split_whitespace();
        let number = words.next().expect("a number");
        let host = HostId::from_u128(number.trim_end_matches('!').parse().expect("a number"));
        let arch = words.next().expect("an architecture").to_owned();
        let images = words.map(|word| {
            let (id, created) = word.split_once('@').expect("an image and when it was built");
            image(id, "web:1", created.parse().expect("a number"))
        });
        (host, !number.ends_with('!'), arch, images.collect())
    }

    #[test]
    fn what_most_hosts_have_is_what_the_name_means() {
        check(&[], "linux/amd64", &[]);
        check(&["1 x86_64 a@1", "2 x86_64 b@9", "3 x86_64 a@1"], "linux/amd64", &["1 a", "3 a", "2 b"]);
        check(&["1 x86_64 a@1", "2 x86_64 b@9"], "linux/amd64", &["2 b", "1 a"]);
        // Those that are gone have a say, and are not asked; neither is the one that asks.
        check(
            &["1! x86_64 a@1", "2 x86_64 b@9", "3 x86_64 a@1", "0 x86_64 a@1"],
            "linux/amd64",
            &["3 a", "2 b"],
        );
        check(&["1! x86_64 a@1"], "linux/amd64", &[]);
    }

    #[test]
    fn the_right_architecture_comes_first() {
        let hosts = ["1 x86_64 a@1", "2 x86_64 a@1", "3 aarch64 b@1"];
        check(&hosts, "linux/arm64/v8", &["3 b", "1 a", "2 a"]);
        check(&hosts, "linux/amd64", &["1 a", "2 a", "3 b"]);
        check(&hosts, "plan9/mips", &["1 a", "2 a", "3 b"]);
    }

    #[test]
    fn other_names_are_other_images() {
        let images = [image("a", "web:2", 1), image("b", "web", 1)];
        let known = Known { host: HostId::from_u128(1), connected: true, arch: None, images: &images };
        assert_eq!(sources("web:1", "linux/amd64", ASKING, &[known]), []);
    }
}
