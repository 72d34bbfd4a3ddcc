//! The ways of `omni login` that need no token: a password, or the OpenID provider. Both end with a session's token.

use crate::args::LoginArgs;
use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::hidden::secret;
use crate::printer::Printer;
use crate::session::confirm;
use crate::settings::{Settings, address};
use anyhow::{Context, Result};
use omni_certs::{CaFingerprint, TokenText};
use omni_common::api::v1::{SessionStarted, StartSession};
use omni_sdk::{Address, Client, Options, shown_root};
use std::time::{Duration, Instant};

/// Signs in and gives the session's token.
pub(crate) async fn token(
    args: &LoginArgs,
    urls: &[String],
    settings: &Settings,
    out: &mut Printer,
) -> Result<String> {
    let addresses = urls.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    let ca = root(args, &addresses, settings, out).await?;
    let options = Options { timeout: settings.timeout, ..Options::default() };
    let client = Client::guest(addresses, ca, options)?;
    let started = match &args.user {
        Some(user) => by_password(&client, user, args.password_stdin).await?,
        None => by_provider(&client, out).await?,
    };
    started.token.context("the controller gave no token")
}

async fn by_password(client: &Client, user: &str, from_stdin: bool) -> Result<SessionStarted> {
    let password = secret(&format!("Password of {user}"), from_stdin)?;
    let body = StartSession { name: user.to_owned(), password, browser: false };
    client.sign_in(&body).await.context("cannot sign in")
}

async fn by_provider(client: &Client, out: &mut Printer) -> Result<SessionStarted> {
    let device = client.start_device().await.context("cannot sign in through the provider")?;
    let place = device.verification_uri_complete.as_ref().unwrap_or(&device.verification_uri);
    out.say(&format!(
        "Open {} in a browser, on any machine, and confirm the code {}.",
        crate::table::harmless(place),
        crate::table::harmless(&device.user_code)
    ));
    let began = Instant::now();
    let most = Duration::from_secs(device.ttl_secs);
    let mut pause = Duration::from_secs(device.interval_secs.clamp(1, 60));
    while began.elapsed() < most {
        tokio::time::sleep(pause).await;
        let answer =
            client.poll_device(&device.handle).await.context("cannot sign in through the provider")?;
        if let Some(started) = answer.started {
            return Ok(started);
        }
        pause = Duration::from_secs(answer.interval_secs.clamp(1, 60));
    }
    Err(Failure::TimedOut { what: "nobody confirmed the code".to_owned(), after: most }.into())
}

/// The root to trust: as typed, as a context of one of these addresses has it, or as the controller shows it and the
/// person says it is right.
async fn root(
    args: &LoginArgs,
    addresses: &[Address],
    settings: &Settings,
    out: &mut Printer,
) -> Result<CaFingerprint> {
    if let Some(text) = &args.ca {
        let bad = |_| Failure::Usage(format!("`{text}` is no fingerprint: it has 64 hex digits"));
        return Ok(text.parse().map_err(bad)?);
    }
    let contexts = Contexts::load(&settings.config_path)?;
    let texts: Vec<String> = addresses.iter().map(Address::to_string).collect();
    let known = contexts.contexts.values().find(|one| one.urls.iter().any(|url| texts.contains(url)));
    if let Some(token) = known.and_then(|context| context.token.parse::<TokenText>().ok()) {
        return Ok(token.ca);
    }
    let first = addresses.first().context("no address")?;
    let shown = shown_root(first).await?;
    out.say(&format!(
        "{first} shows the root {shown}.\n\
         It is the right one if `omni-controller init` printed it, or `omni context show` says so where somebody is logged in."
    ));
    confirm("Trust it?", false, out)
        .context("cannot tell whether this is your cluster; give the root's fingerprint with `--ca`")?;
    Ok(shown)
}
