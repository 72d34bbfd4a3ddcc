//! `omni registry`: how hosts sign in where images come from. A login is one of the cluster's secrets, under a name that
//! follows from the registry's.

use crate::args::{RegistryCommand, RegistryLoginArgs, RegistryLogoutArgs};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::hidden;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::{Column, Table};
use crate::units::{ABSENT, ago};
use anyhow::Result;
use omni_common::api::v1::PutSecret;
use omni_common::clock::Time;
use omni_common::domain::backup::Hidden;
use omni_common::domain::{Registry, RegistryLogin, SecretName};
use serde::Serialize;

/// A registry that hosts sign in to.
#[derive(Debug, Serialize)]
pub(crate) struct RegistryView {
    /// As images name it.
    pub registry: String,
    /// The secret that holds the login.
    pub secret: String,
    /// When the login was put.
    pub put: Option<Time>,
    /// Who put it.
    pub by: Option<String>,
}

/// Does what was asked; lists when nothing was.
pub(crate) async fn run(
    command: Option<&RegistryCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None | Some(RegistryCommand::List) => list(session, out).await,
        Some(RegistryCommand::Login(args)) => login(args, session, out).await,
        Some(RegistryCommand::Logout(args)) => logout(args, session, out).await,
    }
}

async fn list(session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let secrets = session.client.secrets().await?;
    let view = |secret: omni_common::api::v1::SecretView| {
        let newest = secret.versions.first();
        Some(RegistryView {
            registry: Registry::of_secret(&secret.name)?.to_string(),
            put: newest.map(|version| version.at),
            by: newest.map(|version| version.by.clone()),
            secret: secret.name.to_string(),
        })
    };
    let registries: Vec<_> = secrets.into_iter().filter_map(view).collect();
    if registries.is_empty() && out.for_people() {
        out.say("Hosts sign in to no registry. Have them with `omni registry login REGISTRY --user NAME`.");
        return Ok(ExitStatus::Done);
    }
    out.table(&registries, || table(&registries, session.now))?;
    Ok(ExitStatus::Done)
}

pub(super) fn table(registries: &[RegistryView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("REGISTRY").shrinks_to(16),
        Column::new("PUT").right(),
        Column::new("BY").shrinks_to(8).rank(1),
        Column::new("SECRET").shrinks_to(16).rank(1),
    ]);
    for one in registries {
        table.row([
            one.registry.as_str().into(),
            one.put.map_or_else(|| ABSENT.to_owned(), |put| ago(put, now)).into(),
            one.by.as_deref().unwrap_or(ABSENT).into(),
            one.secret.as_str().into(),
        ]);
    }
    table
}

async fn login(args: &RegistryLoginArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (registry, name) = named(&args.registry)?;
    let question = format!("Password or access token of {} at {registry}", args.user);
    let password = hidden::secret(&question, args.password_stdin)?;
    let login = RegistryLogin { username: args.user.clone(), password: Hidden::new(password) };
    let value = Hidden::new(serde_json::to_string(&login)?);
    session.client.put_secret(name.as_str(), &PutSecret { value }, None).await?;
    out.say(&format!(
        "Hosts sign in to {registry} as {} from their next pull on. Whether it lets them in shows then.",
        args.user
    ));
    Ok(ExitStatus::Done)
}

async fn logout(args: &RegistryLogoutArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (registry, name) = named(&args.registry)?;
    confirm(
        &format!("Remove the login to {registry}? Apps with images from there may not start elsewhere."),
        args.yes,
        out,
    )?;
    session.client.remove_secret(name.as_str(), None).await?;
    out.say(&format!("Hosts no longer sign in to {registry}."));
    Ok(ExitStatus::Done)
}

/// A registry and its secret's name.
fn named(text: &str) -> Result<(Registry, SecretName)> {
    let registry = Registry::new(text).map_err(|error| Failure::Usage(error.to_string()))?;
    let name = registry.secret().map_err(|error| Failure::Usage(error.to_string()))?;
    Ok((registry, name))
}
