//! A dump into a server: read from the repository, and fed to the program that loads it as it comes.

use super::lone::{Lone, Volumes};
use super::{One, Wanted};
use crate::backup::context::Context;
use crate::backup::facts::Facts;
use crate::backup::facts::stream::{Kind, Watch, Watched};
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use crate::backup::repository::Opened;
use crate::backup::seam::{Ended, Exec};
use crate::backup::take::methods::Load;
use omni_common::domain::backup::{ItemOutcome, Phase, RunState};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes that wait to be loaded.
const BUFFER: usize = 256 << 10;
/// Asking who owns a database may take this long.
const ANSWER: Duration = Duration::from_secs(30);

/// Loads an item into a service that is started for it and stopped afterwards.
pub(super) async fn restore(
    context: &Context<'_>,
    place: &Place<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    load: &Load,
    volumes: &Volumes,
    outcome: &mut ItemOutcome,
) -> Result<(), Failure> {
    let lone = Lone::start(context, place, &load.service, volumes, &load.defaults, None).await?;
    let loaded = async {
        let facts = into(context, &wanted.opened, one, load, &lone).await?;
        lone.stop(context).await?;
        Ok(facts)
    };
    let loaded: Result<Facts, Failure> = loaded.await;
    context.errand.reporter.enter(Phase::Tidying, Some(&one.told.item.name));
    lone.remove(context).await?;
    written_down(outcome, &loaded?);
    Ok(())
}

/// What has been loaded, as an outcome.
pub(super) fn written_down(outcome: &mut ItemOutcome, facts: &Facts) {
    outcome.bytes = facts.get("bytes").and_then(|text| text.parse().ok()).unwrap_or(0);
    (outcome.files, outcome.state) = (1, RunState::Succeeded);
}

/// Waits until the service is ready, and feeds the dump to it. Returns what the dump holds.
pub(super) async fn into(
    context: &Context<'_>,
    opened: &Opened,
    one: &One<'_>,
    load: &Load,
    lone: &Lone,
) -> Result<Facts, Failure> {
    context.errand.reporter.enter(Phase::Preparing, Some(&one.told.item.name));
    let healthy = load.owner.is_none() && load.ready.len() == 1;
    lone.ready(context, &load.ready, &load.environment, healthy).await?;
    let owner = match &load.owner {
        Some(command) => {
            let answer = lone.ask(context, command, &load.environment, ANSWER).await;
            Some(answer.map_err(|reason| Failure::new("load_failed", reason))?)
        }
        None => None,
    };
    context.errand.reporter.enter(Phase::Loading, Some(&one.told.item.name));
    let watch = Watch::new(load.kind);
    let exec = Exec {
        container: lone.id.clone(),
        command: load.command.clone(),
        environment: load.environment.clone(),
        input: true,
    };
    let fed = opened
        .unlocked(|| async {
            let watch = watch.renew(load.kind);
            feed(context, opened, one, exec.clone(), owner.as_deref(), watch).await
        })
        .await?;
    fed.verdict(&load.name).map_err(|reason| Failure::new("load_failed", reason))?;
    watch.complete().map_err(|reason| Failure::new("dump_incomplete", reason))?;
    Ok(watch.facts())
}

/// Reads an item to its end, and keeps nothing of it but what it holds.
pub(super) async fn read(context: &Context<'_>, opened: &Opened, one: &One<'_>) -> Result<Facts, Failure> {
    context.errand.reporter.enter(Phase::Transferring, Some(&one.told.item.name));
    let watch = Watch::new(Kind::Bytes);
    let inside = one.snapshot.paths.first().map_or("/", String::as_str);
    opened
        .unlocked(|| async {
            let to = Watched { inner: tokio::io::sink(), watch: watch.renew(Kind::Bytes) };
            let dump = opened.restic.dump(&opened.repository, &one.snapshot.id, Path::new(inside), to)?;
            context.attend(dump).await
        })
        .await?;
    Ok(watch.facts())
}

/// Feeds a dump to a program, and says how that ended. An error is one of reading the dump.
async fn feed(
    context: &Context<'_>,
    opened: &Opened,
    one: &One<'_>,
    exec: Exec,
    owner: Option<&str>,
    watch: Watch,
) -> Result<Ended, omni_restic::Error> {
    let broken = |detail: String| omni_restic::Error::Source { detail };
    let mut program = context.shared.docker.run(exec).await.map_err(|error| broken(error.to_string()))?;
    let input = program.input.take().ok_or_else(|| broken("the program takes no input".to_owned()))?;
    let mut nowhere = tokio::io::sink();
    let (to, from) = tokio::io::duplex(BUFFER);
    let inside = one.snapshot.paths.first().map_or("/", String::as_str);
    let to = Watched { inner: to, watch };
    let dump = opened.restic.dump(&opened.repository, &one.snapshot.id, Path::new(inside), to)?;
    let (dumped, fed, _, ended) = tokio::join!(
        context.attend(dump),
        carry(from, input, owner.map(Filter::new), |bytes| context.errand.reporter.bytes(bytes)),
        tokio::io::copy(&mut program.output, &mut nowhere),
        program.ended,
    );
    let ended = ended.unwrap_or(Ended { code: None, words: String::new() });
    match (dumped, fed) {
        // It stopped reading: why, it has said itself.
        (_, Err(_)) if ended.code != Some(0) => Ok(ended),
        (Err(error), _) => Err(error),
        (Ok(_), Err(error)) => Err(broken(format!("the program did not read all of the dump: {error}"))),
        (Ok(_), Ok(())) => Ok(ended),
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut filter: Option<Filter>,
    told: impl Fn(u64),
) -> std::io::Result<()> {
    let mut done = 0;
    let mut buffer = vec![0; 64 << 10];
    let mut out = Vec::with_capacity(64 << 10);
    loop {
        let count = from.read(&mut buffer).await?;
        out.clear();
        match &mut filter {
            Some(filter) if count == 0 => filter.finish(&mut out),
            Some(filter) => filter.feed(&buffer[..count], &mut out),
            None => out.extend_from_slice(&buffer[..count]),
        }
        to.write_all(&out).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        done += count as u64;
        told(done);
    }
}

/// Leaves out the lines by which a dump of PostgreSQL would remove and make the very user that loads it. They stand before
/// the first `\connect`, beyond which nothing is looked at.
#[derive(Debug)]
struct Filter {
    unwanted: Vec<Vec<u8>>,
    /// The beginning of a line that may become an unwanted one, or a `\connect`.
    held: Vec<u8>,
    at_start: bool,
    over: bool,
}

const CONNECT: &[u8] = b"\\connect ";

impl Filter {
    fn new(owner: &str) -> Self {
        let quoted = format!("\"{}\"", owner.replace('"', "\"\""));
        let lines = [owner, &quoted].map(|name| {
            [format!("DROP ROLE IF EXISTS {name};\n"), format!("CREATE ROLE {name};\n")]
                .map(String::into_bytes)
        });
        Self { unwanted: lines.concat(), held: Vec::new(), at_start: true, over: false }
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for (at, byte) in bytes.iter().enumerate() {
            if self.over {
                return out.extend_from_slice(&bytes[at..]);
            }
            if !self.at_start {
                out.push(*byte);
                self.at_start = *byte == b'\n';
                continue;
            }
            self.held.push(*byte);
            self.over = self.held == CONNECT;
            if self.unwanted.contains(&self.held) {
                self.held.clear();
            } else if self.over || !self.may_become_one() {
                self.at_start = *byte == b'\n';
                out.append(&mut self.held);
            }
        }
    }

    fn may_become_one(&self) -> bool {
        CONNECT.starts_with(&self.held) || self.unwanted.iter().any(|line| line.starts_with(&self.held))
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filtered(owner: &str, text: &str, cut: usize) -> String {
        let (mut filter, mut out) = (Filter::new(owner), Vec::new());
        text.as_bytes().chunks(cut).for_each(|piece| filter.feed(piece, &mut out));
        filter.finish(&mut out);
        String::from_utf8(out).expect("it was text")
    }

    const DUMP: &str = "--\nDROP ROLE IF EXISTS shop;\nDROP ROLE IF EXISTS postgres;\n\nCREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER;\n CREATE ROLE postgres;\n\\connect template1\nCREATE ROLE postgres;\n";
    const LOADED: &str = "--\nDROP ROLE IF EXISTS shop;\n\nALTER ROLE postgres WITH SUPERUSER;\n CREATE ROLE postgres;\n\\connect template1\nCREATE ROLE postgres;\n";

    #[test]
    fn the_owner_is_neither_removed_nor_made() {
        assert_eq!(filtered("postgres", DUMP, 1000), LOADED);
        assert_eq!(filtered("nobody", DUMP, 1000), DUMP);
        assert_eq!(
            filtered("my-user", "CREATE ROLE \"my-user\";\nCREATE ROLE \"other\";", 3),
            "CREATE ROLE \"other\";"
        );
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cut in 1_usize..60) {
            prop_assert_eq!(filtered("postgres", DUMP, cut), LOADED);
        }

        #[test]
        fn everything_else_passes(text in "[a-zA-Z;\\\\ \n]{0,200}", cut in 1_usize..20) {
            prop_assert_eq!(filtered("postgres", &text, cut), text);
        }
    }
}
