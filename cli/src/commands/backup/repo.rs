//! `omni backup repo`: where snapshots lie.

use super::{begun, unlock};
use crate::args::{FollowArg, MediumArg, RepoAddArgs, RepoCommand};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::session::{Session, confirm};
use crate::table::{Cell, Column, Table, harmless};
use crate::tone::Tone;
use crate::units::{ABSENT, ago};
use anyhow::{Context, Result};
use omni_common::api::v1::{
    CreateRepository, RepositoryCredentials, RepositoryMedium, RepositoryView, StartRun, Upkeep,
};
use omni_common::clock::Time;
use omni_common::domain::SecretName;
use std::path::Path;

/// Width of the left column of one repository's screen.
const KEYS: usize = 14;

pub(super) async fn run(
    command: Option<&RepoCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None | Some(RepoCommand::List) => list(session, out).await,
        Some(RepoCommand::Add(args)) => add(args, session, out).await,
        Some(RepoCommand::Show { name }) => show(name, session, out).await,
        Some(RepoCommand::Check { name, read_data, follow }) => {
            let body = StartRun::Check { repository: name.clone(), read_data: *read_data };
            start(&body, *follow, session, out).await
        }
        Some(RepoCommand::Prune { name, follow }) => {
            start(&StartRun::Prune { repository: name.clone() }, *follow, session, out).await
        }
        Some(RepoCommand::Unlock { name, force, yes }) => {
            unlock::run(name, (*force, *yes), session, out).await
        }
        Some(RepoCommand::Rm { name, yes }) => remove(name, *yes, session, out).await,
    }
}

async fn start(
    body: &StartRun,
    follow: FollowArg,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let runs = session.client.start_runs(body).await?;
    begun(runs, follow, session, out).await
}

async fn list(session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let repositories = session.client.repositories().await?;
    if repositories.is_empty() && out.for_people() {
        out.say("There is no repository.");
        out.hint("add one with `omni backup repo add NAME LOCATION`");
        return Ok(ExitStatus::Done);
    }
    out.table(&repositories, || table(&repositories, session.now))?;
    Ok(ExitStatus::Done)
}

/// One row each.
pub(crate) fn table(repositories: &[RepositoryView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("NAME").shrinks_to(8),
        Column::new("LOCATION").shrinks_to(16),
        Column::new("REGION").shrinks_to(6).rank(2),
        Column::new("MEDIUM").rank(3),
        Column::new("TRAITS").rank(1),
        Column::new("SNAPSHOTS").right(),
        Column::new("CHECKED").right(),
        Column::new("PRUNED").right().rank(4),
        Column::new("HOST").wide(),
        Column::new("PASSWORD").wide(),
    ]);
    for one in repositories {
        let text = |value: Option<String>| value.unwrap_or_else(|| ABSENT.to_owned());
        table.row([
            one.name.as_str().into(),
            one.location.as_str().into(),
            text(one.region.clone()).into(),
            medium(one.medium).into(),
            text(traits(one)).into(),
            one.snapshots.to_string().into(),
            checked(one, now),
            text(one.pruned.map(|at| ago(at, now))).into(),
            text(one.host_name.clone()).into(),
            one.password.as_str().into(),
        ]);
    }
    table
}

fn checked(one: &RepositoryView, now: Time) -> Cell {
    match one.checked {
        None => Cell::toned("never", Tone::Warn),
        Some(check) if check.passed => ago(check.at, now).into(),
        Some(check) => Cell::toned(format!("damaged {}", ago(check.at, now)), Tone::Bad),
    }
}

fn medium(medium: RepositoryMedium) -> &'static str {
    match medium {
        RepositoryMedium::Disk => "disk",
        RepositoryMedium::Object => "object",
        RepositoryMedium::Other => "other",
    }
}

fn traits(one: &RepositoryView) -> Option<String> {
    let all = [(one.offsite, "offsite"), (one.append_only, "append-only")];
    let own: Vec<&str> = all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect();
    (!own.is_empty()).then(|| own.join(", "))
}

async fn add(args: &RepoAddArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let body = body(args)?;
    let made = body.password.is_none();
    let added = session.client.create_repository(&body).await?;
    out.say(&format!("Repository {} is added; its first backup makes it when it is not there.", added.name));
    if made {
        out.say(&format!(
            "Its password was made and is the secret {}. Keep a copy outside of this cluster, or its loss is the loss of \
             every backup:\n\n  omni secrets get {} --reveal\n",
            added.password, added.password
        ));
    }
    if !out.for_people() {
        out.text(&added, |_| String::new())?;
    }
    Ok(ExitStatus::Done)
}

fn body(args: &RepoAddArgs) -> Result<CreateRepository> {
    let secret = |name: &String| {
        SecretName::new(name.clone()).map_err(|error| Failure::Usage(format!("`{name}`: {error}")))
    };
    Ok(CreateRepository {
        name: args.name.clone(),
        location: args.location.clone(),
        region: args.region.clone(),
        medium: args.medium.map(|medium| match medium {
            MediumArg::Disk => RepositoryMedium::Disk,
            MediumArg::Object => RepositoryMedium::Object,
            MediumArg::Other => RepositoryMedium::Other,
        }),
        offsite: args.offsite,
        append_only: args.append_only,
        host: args.host.clone(),
        upload_kib: args.upload_kib,
        download_kib: args.download_kib,
        password: args.password_secret.as_ref().map(secret).transpose()?,
        credentials: credentials(args, secret)?,
        ca: args.ca.as_deref().map(file).transpose()?,
        prune: None,
        check: None,
    })
}

fn credentials(
    args: &RepoAddArgs,
    secret: impl Fn(&String) -> Result<SecretName, Failure>,
) -> Result<RepositoryCredentials> {
    if !args.rclone.is_empty() {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, own)) => Ok((name.to_owned(), secret(&own.to_owned())?)),
            None => Err(Failure::Usage(format!("`{text}` is no variable: write `RCLONE_…=SECRET`"))),
        };
        let variables = args.rclone.iter().map(pair).collect::<Result<_, _>>()?;
        return Ok(RepositoryCredentials::Rclone { variables });
    }
    let Some(own) = &args.server_secret else { return Ok(RepositoryCredentials::None) };
    let own = secret(own)?;
    Ok(match (&args.user, &args.access_key_id) {
        (Some(user), _) => RepositoryCredentials::Rest { user: user.clone(), password: own },
        (None, Some(id)) => RepositoryCredentials::S3 {
            access_key_id: id.clone(),
            secret_access_key: own,
            region: args.s3_region.clone(),
        },
        (None, None) => RepositoryCredentials::Sftp {
            private_key: own,
            known_hosts: args.known_hosts.as_deref().map(file).transpose()?,
        },
    })
}

fn file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

async fn show(name: &str, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let one = session.client.repository(name).await?;
    out.text(&one, |look| draw(&one, session.now, look))?;
    Ok(ExitStatus::Done)
}

fn draw(one: &RepositoryView, now: Time, look: Look) -> String {
    let mut lines = vec![
        ("repository", Tone::Strong.paint(&harmless(&one.name), look.colour)),
        ("location", harmless(&one.location)),
    ];
    lines.extend(one.region.iter().map(|region| ("region", harmless(region))));
    lines.push(("medium", medium(one.medium).to_owned()));
    lines.extend(traits(one).map(|traits| ("traits", traits)));
    lines.extend(one.host_name.iter().map(|host| ("only on host", harmless(host))));
    lines.push(("password", format!("secret {}", one.password)));
    lines.extend(server(&one.credentials).map(|text| ("server", harmless(&text))));
    let most = |kib: u32| format!("{kib} KiB/s");
    lines.extend(one.upload_kib.map(|kib| ("sends at most", most(kib))));
    lines.extend(one.download_kib.map(|kib| ("fetches", most(kib))));
    lines.push(("snapshots", one.snapshots.to_string()));
    lines.push((
        "checked",
        match one.checked {
            None => "never".to_owned(),
            Some(check) if check.passed => format!("{}, whole", ago(check.at, now)),
            Some(check) => format!("{}, damaged; see run {}", ago(check.at, now), check.run.short()),
        },
    ));
    lines.push(("checks", one.check.as_ref().map_or_else(|| "never by itself".to_owned(), upkeep)));
    let never = "never through omni: apply retention where its server keeps it".to_owned();
    lines.push(("prunes", one.prune.as_ref().map_or(never, upkeep)));
    lines.extend(one.pruned.map(|at| ("pruned", ago(at, now))));
    lines.push(("added", ago(one.created, now)));
    lines.iter().map(|(key, value)| format!("{key:<KEYS$}{value}\n")).collect()
}

fn upkeep(upkeep: &Upkeep) -> String {
    format!("{} ({}), at most {}", upkeep.schedule, upkeep.time_zone, upkeep.max_duration)
}

fn server(credentials: &RepositoryCredentials) -> Option<String> {
    match credentials {
        RepositoryCredentials::None => None,
        RepositoryCredentials::Rest { user, password } => Some(format!("user {user}, secret {password}")),
        RepositoryCredentials::S3 { access_key_id, secret_access_key, .. } => {
            Some(format!("key {access_key_id}, secret {secret_access_key}"))
        }
        RepositoryCredentials::Sftp { private_key, .. } => Some(format!("SSH key in secret {private_key}")),
        RepositoryCredentials::Rclone { variables } => {
            let names: Vec<&str> = variables.keys().map(String::as_str).collect();
            Some(format!("rclone variables {}", names.join(", ")))
        }
    }
}

async fn remove(name: &str, yes: bool, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let one = session.client.repository(name).await?;
    confirm(
        &format!(
            "Forget repository {name} and the {} snapshots known in it? What lies at {} stays there.",
            one.snapshots, one.location
        ),
        yes,
        out,
    )?;
    session.client.remove_repository(name).await?;
    out.say(&format!("Repository {name} is forgotten; its password stays as secret {}.", one.password));
    Ok(ExitStatus::Done)
}
