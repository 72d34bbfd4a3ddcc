//! A dump of Redis or Valkey into a server: the file is put where the server looks for it when it starts.
//!
//! A server that keeps an append-only file looks at that alone, so it is started once without, and then told to write one
//! from what it has loaded. Where the server looks, and whether it keeps one, it is asked itself: started on the empty
//! volume for a moment.

use super::lone::{Lone, Volumes};
use super::{One, Wanted, folder, load};
use crate::backup::context::{Context, blocking};
use crate::backup::facts::Facts;
use crate::backup::facts::stream::{Kind, Watch, Watched};
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use crate::backup::take::methods::redis::{ask, environment};
use omni_common::domain::app::{MountSource, ServiceName};
use omni_common::domain::backup::{ItemOutcome, Phase};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// One question may take this long.
const ANSWER: Duration = Duration::from_secs(30);
/// Writing the append-only file may take this long.
const REWRITE: Duration = Duration::from_secs(3600);
/// Whether it is done is asked this often.
const LOOK: Duration = Duration::from_millis(300);

/// Loads a dump in place: the server is stopped again afterwards.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a part of one restore, and they are not together anywhere else"
)]
pub(super) async fn restore(
    context: &Context<'_>,
    place: &Place<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    service: &ServiceName,
    data: &str,
    volumes: &Volumes,
    outcome: &mut ItemOutcome,
) -> Result<(), Failure> {
    let (lone, facts) = into(context, place, wanted, one, service, data, volumes).await?;
    let stopped = lone.stop(context).await;
    lone.remove(context).await?;
    stopped?;
    load::written_down(outcome, &facts);
    Ok(())
}

/// What a server says about where its data lies.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    folder: PathBuf,
    file: String,
    append_only: bool,
}

/// Loads a dump into a server that runs when this returns, and says what it holds.
pub(super) async fn into(
    context: &Context<'_>,
    place: &Place<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    service: &ServiceName,
    data: &str,
    volumes: &Volumes,
) -> Result<(Lone, Facts), Failure> {
    let variables = environment(place.service(service)?);
    let first = Lone::start(context, place, service, volumes, &[], None).await?;
    let asked = async {
        first.ready(context, &ask_for_pong(), &variables, false).await?;
        let settings = settings(context, &first, &variables).await?;
        Ok((settings, context.shared.docker.command(&first.id).await?))
    };
    let asked: Result<(Settings, Vec<String>), Failure> = asked.await;
    first.remove(context).await?;
    let (settings, mut command) = asked?;
    let mut facts = put(context, place, wanted, one, service, data, volumes, &settings).await?;
    context.errand.reporter.enter(Phase::Loading, Some(&one.told.item.name));
    command.extend(["--appendonly", "no"].map(str::to_owned));
    let command = settings.append_only.then_some(command);
    let lone = Lone::start(context, place, service, volumes, &[], command).await?;
    lone.ready(context, &ask_for_pong(), &variables, false).await?;
    if settings.append_only {
        append(context, &lone, &variables).await?;
    }
    // What the server says it has, not what the file's header says.
    facts.retain(|key, _| !key.starts_with("keys:"));
    facts.extend(keyspace(&answer(context, &lone, &["INFO", "keyspace"], &variables).await?));
    Ok((lone, facts))
}

/// The answer to `PING` is `PONG` only when everything is loaded.
fn ask_for_pong() -> Vec<String> {
    let mut command = ask(&["PING"]);
    if let Some(script) = command.get_mut(2) {
        *script =
            script.replace("exec \"$client\" --raw \"$@\"", "[ \"$(\"$client\" --raw \"$@\")\" = PONG ]");
    }
    command
}

async fn answer(
    context: &Context<'_>,
    lone: &Lone,
    words: &[&str],
    variables: &[String],
) -> Result<String, Failure> {
    let answer = lone.ask(context, &ask(words), variables, ANSWER).await;
    answer.map_err(|reason| Failure::new("load_failed", format!("{}: {reason}", words.join(" "))))
}

async fn settings(context: &Context<'_>, lone: &Lone, variables: &[String]) -> Result<Settings, Failure> {
    let mut values = Vec::new();
    for name in ["dir", "dbfilename", "appendonly"] {
        let text = answer(context, lone, &["CONFIG", "GET", name], variables).await?;
        let value = text.lines().nth(1).map(str::to_owned);
        values.push(value.ok_or_else(|| {
            Failure::new("load_failed", format!("the server does not say what its setting {name} is"))
        })?);
    }
    let [folder, file, append_only] = &values[..] else {
        return Err(Failure::new("internal", "three settings were asked for"));
    };
    Ok(Settings { folder: folder.into(), file: file.clone(), append_only: append_only == "yes" })
}

/// Puts the file where the server looks for it, as its own.
#[expect(clippy::too_many_arguments, reason = "see above")]
async fn put(
    context: &Context<'_>,
    place: &Place<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    service: &ServiceName,
    data: &str,
    volumes: &Volumes,
    settings: &Settings,
) -> Result<Facts, Failure> {
    let on_host = volumes.0.get(data).cloned().unwrap_or_default();
    let volume = context.shared.docker.volume(&on_host).await?;
    let root = volume.map(|volume| volume.root).ok_or_else(|| {
        Failure::new("volume_missing", format!("the volume {on_host} has gone while it was restored to"))
    })?;
    let inner = inner(place, service, data, &settings.folder)?;
    let (folder, cleared) = (root.join(&inner), root.clone());
    let owner = {
        let folder = folder.clone();
        blocking(move || {
            let owner = fs::metadata(&folder).or_else(|_| fs::metadata(&cleared));
            let owner = owner.map_err(|error| Failure::io("opening", &cleared, &error))?;
            super::stage::clear(&cleared)?;
            fs::create_dir_all(&folder).map_err(|error| Failure::io("making", &folder, &error))?;
            Ok((owner.uid(), owner.gid()))
        })
        .await?
    };
    let target = folder.join(&settings.file);
    let inside = one.snapshot.paths.first().map_or("/", String::as_str);
    folder::write(context, &wanted.opened, one, Path::new(inside), &target).await?;
    let facts = whole(&target).await?;
    blocking(move || {
        for path in [&folder, &target] {
            chown(path, Some(owner.0), Some(owner.1))
                .map_err(|error| Failure::io("giving an owner to", path, &error))?;
        }
        Ok(facts)
    })
    .await
}

/// Refuses a dump that was cut off, which a server would take for what it is only after it has begun.
async fn whole(path: &Path) -> Result<Facts, Failure> {
    let failed = |error: std::io::Error| Failure::io("reading", path, &error);
    let watch = Watch::new(Kind::Rdb);
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut watched = Watched { inner: file, watch: watch.clone() };
    tokio::io::copy(&mut watched, &mut tokio::io::sink()).await.map_err(failed)?;
    watch.complete().map_err(|reason| Failure::new("dump_incomplete", reason))?;
    Ok(watch.facts())
}

/// Where in the volume a folder of the container is. Pure.
fn inner(place: &Place<'_>, service: &ServiceName, data: &str, folder: &Path) -> Result<PathBuf, Failure> {
    let mounts = place.service(service)?.mounts.iter();
    let target = mounts.filter_map(|mount| match &mount.source {
        MountSource::Volume(volume) if volume.volume.as_deref() == Some(data) => Some(&mount.target),
        _ => None,
    });
    let inner = target.filter_map(|target| folder.strip_prefix(target).ok()).next();
    inner.map(Path::to_owned).ok_or_else(|| {
        Failure::new(
            "invalid",
            format!("{service} keeps its data in {}, which is not in the volume {data}", folder.display()),
        )
    })
}

/// Has the server write its append-only file, and waits until that is there.
async fn append(context: &Context<'_>, lone: &Lone, variables: &[String]) -> Result<(), Failure> {
    answer(context, lone, &["CONFIG", "SET", "appendonly", "yes"], variables).await?;
    let deadline = Instant::now() + REWRITE;
    while Instant::now() < deadline {
        context.check()?;
        let info = answer(context, lone, &["INFO", "persistence"], variables).await?;
        let is = |line: &str| info.lines().any(|found| found.trim() == line);
        if is("aof_enabled:1") && is("aof_rewrite_in_progress:0") && is("aof_rewrite_scheduled:0") {
            return match is("aof_last_bgrewrite_status:ok") {
                true => Ok(()),
                false => Err(Failure::new("load_failed", "the server could not write its append-only file")),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::new("load_failed", "the server has not written its append-only file in an hour"))
}

/// Keys that never expire, by database: `db0:keys=3,expires=1,avg_ttl=0`. Pure.
fn keyspace(info: &str) -> Facts {
    let line = |line: &str| {
        let (database, sizes) = line.trim().strip_prefix("db")?.split_once(':')?;
        let size = |name: &str| {
            let found = sizes.split(',').find_map(|size| size.strip_prefix(name)?.strip_prefix('='));
            found?.parse::<u64>().ok()
        };
        Some((format!("keys:{database}"), size("keys")?.saturating_sub(size("expires")?).to_string()))
    };
    info.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_by_database() {
        let info =
            "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\ndb7:keys=5,expires=0,avg_ttl=0,subexpiry=0\r\n";
        let expected =
            [("keys:0", "2"), ("keys:7", "5")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(keyspace(info), Facts::from(expected));
        assert_eq!(keyspace("# Keyspace\r\n"), Facts::new());
    }

    #[test]
    fn a_server_that_still_loads_is_not_ready() {
        assert!(ask_for_pong()[2].contains("= PONG ]"), "{:?}", ask_for_pong());
    }
}
