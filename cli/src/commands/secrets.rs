//! `omni secrets`: passwords and keys, kept sealed by the cluster. A value is never an argument, and never printed unless
//! that is said.

use crate::args::{SecretsCommand, SecretsRmArgs};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::hidden;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::{Cell, Column, Table};
use crate::units::{ABSENT, ago, bytes};
use anyhow::{Context, Result};
use omni_common::api::v1::{PutSecret, SecretView};
use omni_common::clock::Time;
use omni_common::domain::MAX_SECRET;
use omni_common::domain::backup::Hidden;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

/// Does what was asked; lists when nothing was.
pub(crate) async fn run(
    command: Option<&SecretsCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None | Some(SecretsCommand::List) => list(session, out).await,
        Some(SecretsCommand::Put { name, file, new }) => put(name, file.as_deref(), *new, session, out).await,
        Some(SecretsCommand::Get { name, version, reveal }) => {
            get(name, *version, *reveal, session, out).await
        }
        Some(SecretsCommand::Versions { name }) => versions(name, session, out).await,
        Some(SecretsCommand::Rm(args)) => remove(args, session, out).await,
    }
}

async fn list(session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let secrets = session.client.secrets().await?;
    if secrets.is_empty() && out.for_people() {
        out.say("There is no secret.");
        return Ok(ExitStatus::Done);
    }
    out.table(&secrets, || table(&secrets, session.now))?;
    Ok(ExitStatus::Done)
}

pub(super) fn table(secrets: &[SecretView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("NAME").shrinks_to(16),
        Column::new("VERSION").right(),
        Column::new("PUT").right(),
        Column::new("BY").shrinks_to(8).rank(1),
        Column::new("USED BY").shrinks_to(8),
    ]);
    for secret in secrets {
        let newest = secret.versions.first();
        let text = |value: Option<String>| Cell::from(value.unwrap_or_else(|| ABSENT.to_owned()));
        table.row([
            secret.name.as_str().into(),
            text(newest.map(|one| one.version.to_string())),
            text(newest.map(|one| ago(one.at, now))),
            text(newest.map(|one| one.by.clone())),
            text(Some(secret.used_by.join(", ")).filter(|names| !names.is_empty())),
        ]);
    }
    table
}

async fn put(
    name: &str,
    file: Option<&Path>,
    new: bool,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let value = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            text(std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?)?
        }
        None if io::stdin().is_terminal() => {
            text(hidden::secret(&format!("Value of {name} (unseen)"), false)?.as_bytes())?
        }
        None => text(io::stdin().lock())?,
    };
    let body = PutSecret { value };
    let secret = session.client.put_secret(name, &body, new.then_some(0)).await?;
    let version = secret.versions.first().map_or(0, |one| one.version);
    out.say(&format!("Secret {name} has version {version}."));
    if !out.for_people() {
        out.text(&secret, |_| String::new())?;
    }
    Ok(ExitStatus::Done)
}

/// All of a source as text; one line end at the end of a single line is the pipe's, not the value's.
fn text(source: impl Read) -> Result<Hidden> {
    let mut value = String::new();
    source.take(MAX_SECRET as u64 + 2).read_to_string(&mut value).context("a secret is text")?;
    if value.lines().count() == 1 {
        value.truncate(value.trim_end_matches(['\n', '\r']).len());
    }
    match value.len() {
        0 => Err(Failure::Usage("the value is empty".to_owned()).into()),
        size if size > MAX_SECRET => {
            Err(Failure::Usage(format!("a secret has at most {MAX_SECRET} bytes")).into())
        }
        _ => Ok(Hidden::new(value)),
    }
}

/// The value alone on standard output: `PASSWORD=$(omni secrets get NAME --reveal)`.
async fn get(
    name: &str,
    version: Option<u64>,
    reveal: bool,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    if !reveal {
        let message =
            format!("the value of {name} would be printed; add `--reveal` to say that this is wanted");
        return Err(Failure::Usage(message).into());
    }
    let value = session.client.reveal_secret(name, version).await?;
    out.text(&value, |_| format!("{}\n", value.value.reveal()))?;
    Ok(ExitStatus::Done)
}

async fn versions(name: &str, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let secret = session.client.secret(name).await?;
    out.table(&secret.versions, || {
        let mut table = Table::new([
            Column::new("VERSION").right(),
            Column::new("PUT").right(),
            Column::new("BY").shrinks_to(8),
            Column::new("SIZE").right(),
        ]);
        for one in &secret.versions {
            let cells: [Cell; 4] = [
                one.version.to_string().into(),
                ago(one.at, session.now).into(),
                one.by.as_str().into(),
                bytes(one.size.into()).into(),
            ];
            table.row(cells);
        }
        table
    })?;
    Ok(ExitStatus::Done)
}

async fn remove(args: &SecretsRmArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let SecretsRmArgs { name, version, yes } = args;
    let what = version.map_or_else(
        || format!("secret {name} with all its versions"),
        |version| format!("version {version} of secret {name}"),
    );
    confirm(&format!("Remove {what}? What was sealed with it alone cannot be opened any more."), *yes, out)?;
    session.client.remove_secret(name, *version).await?;
    out.say(&format!("Removed {what}."));
    Ok(ExitStatus::Done)
}
