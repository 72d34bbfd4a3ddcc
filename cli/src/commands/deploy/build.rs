//! Images that the project's services are built from folders of this machine: named before the plan, because a name follows
//! from what it is built from; built, on a host, once the plan is agreed to, and only those that no host has.

use super::context::{Context, OWN_DOCKERFILE};
use super::pack::Packer;
use crate::app_name::AppName;
use crate::args::DeployArgs;
use crate::printer::Printer;
use crate::session::Session;
use crate::tame::tame;
use crate::units;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use omni_common::api::v1::{BuildOutput, BuildStart, ImagesQuery, ProjectBuild};
use omni_common::domain::Registry;
use omni_common::domain::app::{BuildContext, BuiltName, ContentDigest, MAX_BUILD_REGISTRIES};
use omni_common::ids::RequestId;
use omni_sdk::{BuildReader, BuildWriter};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes of the tar file sent at once, and how many such pieces wait for the connection.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;
/// The Dockerfile where none is named.
const DOCKERFILE: &str = "Dockerfile";
/// A host tells of a new image within seconds. Others ask for it once they know.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS: usize = 120;

/// Images to build, by the services that they are for.
#[derive(Default)]
pub(crate) struct Builds {
    app: AppName,
    host: Option<String>,
    wanted: Vec<Wanted>,
}

struct Wanted {
    build: ProjectBuild,
    name: String,
    /// Absent when the host fetches what it is built from.
    context: Option<Arc<Context>>,
    /// No host has it.
    missing: bool,
}

impl Builds {
    /// Looks at what is to be built, and whether it was built before.
    pub(super) async fn look(
        wanted: Vec<ProjectBuild>,
        app: AppName,
        packer: &Packer,
        args: &DeployArgs,
        session: &Session,
    ) -> Result<Self> {
        let mut builds = Self { app, host: args.build_on.clone(), wanted: Vec::new() };
        for mut build in wanted {
            let context =
                context(&mut build, packer).with_context(|| format!("the image of {}", build.service))?;
            let mut how = serde_json::to_vec(&build)?;
            if args.build {
                // Another name, so that what runs of the same source is replaced.
                how.extend_from_slice(RequestId::mint().to_string().as_bytes());
            }
            let digest = match &context {
                Some(context) => context.digest(&how)?,
                None => ContentDigest::of(&how),
            };
            let names = BuiltName::new(&builds.app.environment, &builds.app.name, &build.service);
            let name = names.of(&digest);
            let missing = !is_somewhere(&name, session).await?;
            builds.wanted.push(Wanted { build, name, context: context.map(Arc::new), missing });
        }
        Ok(builds)
    }

    /// What the images will be called, by service.
    pub(super) fn names(&self) -> BTreeMap<String, String> {
        self.wanted.iter().map(|wanted| (wanted.build.service.clone(), wanted.name.clone())).collect()
    }

    /// What has to be built, for people.
    pub(super) fn tell(&self, out: &mut Printer) {
        for wanted in self.wanted.iter().filter(|wanted| wanted.missing) {
            let from = match (&wanted.context, &wanted.build.build.context) {
                (Some(context), _) => format!("{} of this machine", units::count(context.files(), "file")),
                (None, BuildContext::Remote(address)) => address.clone(),
                (None, BuildContext::Folder(_)) => "nothing".to_owned(),
            };
            out.note(&format!("{}: is to be built from {from}, as {}", wanted.build.service, wanted.name));
        }
    }

    /// Builds what is missing.
    pub(super) async fn run(&self, session: &Session, out: &mut Printer) -> Result<()> {
        for wanted in self.wanted.iter().filter(|wanted| wanted.missing) {
            let built = self.build(wanted, session, out).await;
            built.with_context(|| format!("the image of {} was not built", wanted.build.service))?;
        }
        Ok(())
    }

    async fn build(&self, wanted: &Wanted, session: &Session, out: &mut Printer) -> Result<()> {
        let start = BuildStart {
            service: wanted.build.service.clone(),
            name: wanted.name.clone(),
            build: wanted.build.build.clone(),
            platform: wanted.build.platform.clone(),
            registries: wanted.registries(),
            host: self.host.clone(),
        };
        let AppName { environment, name } = &self.app;
        let (mut writer, mut reader) = session.client.build_image(environment, name, start).await?;
        let host = match reader.next().await? {
            BuildOutput::Started { host } => host,
            _ => bail!("the controller did not begin to build"),
        };
        out.say(&format!("{host} builds {}.", wanted.build.service));
        let mut told = Told { service: &wanted.build.service, line: String::new() };
        let sending = send(wanted.context.clone(), &mut writer);
        let mut sending = std::pin::pin!(sending);
        let mut sent = false;
        loop {
            tokio::select! {
                ended = &mut sending, if !sent => match ended {
                    Ok(()) => sent = true,
                    Err(Sending::Source(error)) => return Err(error),
                    // What the builder says is the reason.
                    Err(Sending::Lost(error)) => return Err(rest(&mut reader, &mut told, out).await.err().unwrap_or(error)),
                },
                word = reader.next() => if told.take(word?, out) { break },
            }
        }
        wait_for(&wanted.name, session, out).await
    }
}

impl Wanted {
    /// Registries that base images may come from: those of every word of the Dockerfile that could name an image.
    fn registries(&self) -> Vec<Registry> {
        let text = self.context.as_ref().and_then(|context| context.dockerfile());
        let text = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\''));
        let args = self.build.build.args.values().flatten().map(String::as_str);
        let named = words.chain(args).filter(|word| word.contains('/')).map(Registry::of_image);
        let hub = Registry::of_image("scratch");
        named.chain([hub]).collect::<BTreeSet<_>>().into_iter().take(MAX_BUILD_REGISTRIES).collect()
    }
}

/// What the builder says until its end.
async fn rest(reader: &mut BuildReader, told: &mut Told<'_>, out: &mut Printer) -> Result<()> {
    while !told.take(reader.next().await?, out) {}
    Ok(())
}

/// The builder's output, line by line, each with the service in front.
struct Told<'a> {
    service: &'a str,
    line: String,
}

impl Told<'_> {
    /// Takes a word in; whether it was the last.
    fn take(&mut self, word: BuildOutput, out: &mut Printer) -> bool {
        let over = matches!(word, BuildOutput::Built { .. });
        if let BuildOutput::Output { text } = word {
            self.line.push_str(&text);
        } else if over && !self.line.is_empty() {
            self.line.push('\n');
        }
        while let Some(end) = self.line.find('\n') {
            let line: String = self.line.drain(..=end).collect();
            // Bars of progress overwrite themselves; only how they end is of use.
            let line = line.trim_end().rsplit('\r').next().unwrap_or_default();
            if !line.is_empty() {
                let line = tame(line, out.look().talk_colour);
                out.say(&format!("{} | {line}", self.service));
            }
        }
        over
    }
}

/// Why not all was sent.
enum Sending {
    Source(anyhow::Error),
    Lost(anyhow::Error),
}

/// Sends what is built from, as it is read.
async fn send(context: Option<Arc<Context>>, writer: &mut BuildWriter) -> Result<(), Sending> {
    let lost = |error: omni_sdk::Error| Sending::Lost(error.into());
    if let Some(context) = context {
        let (pieces, mut taken) = mpsc::channel::<Bytes>(PIECES);
        let reading = tokio::task::spawn_blocking(move || {
            context.write(BufWriter::with_capacity(PIECE, Pieces(pieces)))
        });
        let sending = async {
            while let Some(piece) = taken.recv().await {
                writer.send(piece).await.map_err(lost)?;
            }
            Ok(())
        };
        let (read, sent) = tokio::join!(reading, sending);
        sent?;
        let read = read.map_err(anyhow::Error::from).and_then(|read| read.map_err(anyhow::Error::from));
        read.context("reading what is built from").map_err(Sending::Source)?;
    }
    writer.finish().await.map_err(lost)
}

/// Writes into a channel.
struct Pieces(mpsc::Sender<Bytes>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a host that is there has the image.
async fn is_somewhere(name: &str, session: &Session) -> Result<bool> {
    let query = ImagesQuery { q: Some(name.to_owned()), ..ImagesQuery::default() };
    let images = session.client.images(query).await?;
    Ok(images.iter().any(|image| image.name == name && image.hosts.iter().any(|host| host.connected)))
}

/// Until the mesh knows of the image, other hosts would not find it.
async fn wait_for(name: &str, session: &Session, out: &mut Printer) -> Result<()> {
    for _ in 0..LOOKS {
        if is_somewhere(name, session).await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    out.warn(
        "the host that built the image has not told of it yet; other hosts ask for it until they find it",
    );
    Ok(())
}

/// What an image is built from; changes how it is built to what the host sees.
fn context(build: &mut ProjectBuild, packer: &Packer) -> Result<Option<Context>> {
    let Some(folder) = &build.folder else { return Ok(None) };
    let folder = packer.local(folder)?;
    if let Some(inline) = build.build.dockerfile_inline.take() {
        build.build.dockerfile = Some(OWN_DOCKERFILE.to_owned());
        return Ok(Some(Context::of(&folder, None)?.with_dockerfile(inline.into_bytes())));
    }
    let named = build.build.dockerfile.as_deref().unwrap_or(DOCKERFILE);
    if let Some(inside) = below(named) {
        return Ok(Some(Context::of(&folder, Some(&inside))?));
    }
    let content = packer.beside(&folder.join(named))?;
    build.build.dockerfile = Some(OWN_DOCKERFILE.to_owned());
    Ok(Some(Context::of(&folder, None)?.with_dockerfile(content)))
}

/// A path that stays below where it begins, without detours; absent for one that leaves.
fn below(path: &str) -> Option<PathBuf> {
    let mut parts = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part),
            Component::ParentDir if parts.pop() => {}
            _ => return None,
        }
    }
    (!parts.as_os_str().is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_lies_in_its_context_or_beside_it() {
        assert_eq!(below("./docker/../web.Dockerfile"), Some(PathBuf::from("web.Dockerfile")));
        assert_eq!(below("../Dockerfile"), None);
        assert_eq!(below("/etc/Dockerfile"), None);
        assert_eq!(below("."), None);
    }
}
