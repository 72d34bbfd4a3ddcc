//! What a command works with: a client of the cluster, and the present moment.

use crate::contexts::{Contexts, open_to_others};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::{Connection, Settings};
use anyhow::Result;
use omni_common::api::v1::Consistency;
use omni_common::clock::Time;
use omni_sdk::{Client, Options};
use std::io::{self, BufRead, IsTerminal};

/// The environment that is meant when nothing names one.
pub(crate) const DEFAULT_ENVIRONMENT: &str = "default";

/// A command's surroundings.
pub(crate) struct Session {
    /// How the cluster is reached.
    pub connection: Connection,
    /// A client of the cluster.
    pub client: Client,
    /// The environment of apps that are named without one.
    pub environment: String,
    /// When the command began; ages are counted to here.
    pub now: Time,
}

impl Session {
    /// Finds out which cluster is meant. Nothing is sent yet.
    pub(crate) fn open(settings: &Settings, now: Time, out: &mut Printer) -> Result<Self> {
        let contexts = Contexts::load(&settings.config_path)?;
        if open_to_others(&settings.config_path) {
            let path = settings.config_path.display();
            out.warn(&format!("others can read the tokens in {path}; run `chmod 600 {path}`"));
        }
        let connection = settings.connection(&contexts)?;
        let client = client(settings, &connection)?;
        let environment = settings.environment(&contexts).unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
        Ok(Self { connection, client, environment, now })
    }
}

/// A client as the settings want it.
pub(crate) fn client(settings: &Settings, connection: &Connection) -> Result<Client> {
    let options = Options {
        timeout: settings.timeout,
        consistency: if settings.stale { Consistency::Stale } else { Consistency::Linearizable },
    };
    Ok(Client::new(connection.addresses.clone(), &connection.token, options)?)
}

/// Asks before something that cannot be undone. Without a terminal the answer must have been given.
pub(crate) fn confirm(question: &str, yes: bool, out: &mut Printer) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(
            Failure::Usage("cannot ask for confirmation without a terminal; add `--yes`".to_owned()).into()
        );
    }
    out.talk_bytes(format!("{question} [y/N] ").as_bytes());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Failure::Declined.into()) }
}
