//! `omni login` and `omni logout`.

use crate::args::{LoginArgs, LogoutArgs};
use crate::contexts::{Context, Contexts};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::client;
use crate::settings::{Connection, Settings, address, connection};
use anyhow::{Context as _, Result};
use omni_certs::TokenKind;
use omni_common::api::v1::WhoAmI;
use omni_sdk::{Address, Client};
use serde::Serialize;
use std::io::{self, Read};

/// Longest token text looked at, bytes.
const MAX_TOKEN: u64 = 4096;

#[derive(Serialize)]
struct LoggedIn<'a> {
    context: &'a str,
    urls: &'a [String],
    #[serde(flatten)]
    who: &'a WhoAmI,
}

/// Checks the token against the cluster that its fingerprint names, then keeps both.
pub(crate) async fn login(args: &LoginArgs, settings: &Settings, out: &mut Printer) -> Result<ExitStatus> {
    let urls = if args.addresses.is_empty() { settings.urls() } else { &args.addresses };
    if urls.is_empty() {
        return Err(Failure::Usage(
            "name a controller, e.g. `omni login https://HOST:7601 --token TOKEN`".to_owned(),
        )
        .into());
    }
    let token = match args.user.is_some() || args.oidc {
        true => super::sign_in::token(args, urls, settings, out).await?,
        false => token(args, settings)?,
    };
    let connection = connection(None, urls, &token, "given")?;
    let client = client(settings, &connection)?;
    let who = client.whoami().await.context("cannot log in")?;
    let mut addresses = connection.addresses.clone();
    if !args.only {
        learn(&client, &mut addresses, out).await;
    }
    keep(&connection, &addresses, &who, settings, out)
}

/// The token text: typed, read from standard input, or from the environment.
fn token(args: &LoginArgs, settings: &Settings) -> Result<String> {
    match (args.token.as_deref(), settings.env_token()) {
        (Some("-"), _) => {
            let mut text = String::new();
            io::stdin()
                .take(MAX_TOKEN)
                .read_to_string(&mut text)
                .context("cannot read the token from standard input")?;
            Ok(text)
        }
        (Some(typed), _) => Ok(typed.to_owned()),
        (None, Some(variable)) => Ok(variable.to_owned()),
        (None, None) => Err(Failure::Usage(
            "say who you are: `--user NAME`, `--oidc`, `--token TOKEN`, `--token -` to read it from standard input, or \
             OMNI_TOKEN"
                .to_owned(),
        )
        .into()),
    }
}

/// Adds the other controllers, so that the context works when the ones named are gone.
async fn learn(client: &Client, addresses: &mut Vec<Address>, out: &mut Printer) {
    let controllers = match client.controllers().await {
        Ok(controllers) => controllers,
        Err(error) => {
            out.warn(&format!("could not learn the other controllers' addresses: {error}"));
            return;
        }
    };
    let others = controllers.iter().filter_map(|controller| address(&controller.api).ok());
    for other in others {
        if !addresses.contains(&other) {
            addresses.push(other);
        }
    }
}

fn keep(
    connection: &Connection,
    addresses: &[Address],
    who: &WhoAmI,
    settings: &Settings,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let name = settings.wanted_context.clone().unwrap_or_else(|| connection.addresses[0].host().to_owned());
    let urls: Vec<String> = addresses.iter().map(Address::to_string).collect();
    let mut contexts = Contexts::load(&settings.config_path)?;
    let before = contexts.contexts.get(&name);
    let replaced = before.is_some();
    let environment = before.and_then(|context| context.environment.clone());
    contexts.put(&name, Context { urls: urls.clone(), token: connection.token.to_string(), environment });
    contexts.save(&settings.config_path)?;
    let logged_in = LoggedIn { context: &name, urls: &urls, who };
    if !out.for_people() {
        out.text(&logged_in, |_| String::new())?;
    }
    let verb = if replaced { "replaced" } else { "made" };
    out.say(&format!(
        "Logged in to cluster {} as {} ({}).\nContext `{name}` was {verb} and is now the current one; it knows {}.",
        who.cluster,
        who.name,
        who.role,
        crate::units::count(urls.len(), "controller"),
    ));
    Ok(ExitStatus::Done)
}

/// Forgets a context. A session ends with it; an API token stays valid until it is revoked.
pub(crate) async fn logout(args: &LogoutArgs, settings: &Settings, out: &mut Printer) -> Result<ExitStatus> {
    let mut contexts = Contexts::load(&settings.config_path)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => settings.context_name(&contexts)?,
    };
    if let Some(context) = contexts.contexts.get(&name) {
        sign_out(context, settings, out).await;
    }
    super::context::remove(&name, &mut contexts, settings, out)
}

/// Ends the session of a context, if it is one. A cluster that does not answer must not keep its context alive here.
async fn sign_out(context: &Context, settings: &Settings, out: &mut Printer) {
    let Ok(connection) = connection(None, &context.urls, &context.token, "of the context") else { return };
    if connection.token.kind != TokenKind::Session {
        return;
    }
    let ended = match client(settings, &connection) {
        Ok(client) => client.sign_out().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        out.warn(&format!("the session could not be ended and ends by itself: {error}"));
    }
}
