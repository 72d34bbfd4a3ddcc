//! `omni version`.

use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::settings::SettingsError;
use anyhow::Result;
use omni_common::api::v1::VersionInfo;
use serde::Serialize;

/// This program's version.
const CLIENT: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Versions {
    client: &'static str,
    server: Option<VersionInfo>,
}

/// Prints both versions. Without a context there is no server to ask, and that is fine.
pub(crate) async fn run(session: Result<Session>, out: &mut Printer) -> Result<ExitStatus> {
    let session = match session {
        Ok(session) => session,
        Err(error) if error.downcast_ref() == Some(&SettingsError::NoContext) => return print(None, out),
        Err(error) => return Err(error),
    };
    match session.client.version().await {
        Ok(server) => print(Some(server), out),
        Err(error) => {
            print(None, out)?;
            Err(error.into())
        }
    }
}

fn print(server: Option<VersionInfo>, out: &mut Printer) -> Result<ExitStatus> {
    let versions = Versions { client: CLIENT, server };
    out.text(&versions, |_| {
        let mut text = format!("omni        {CLIENT}\n");
        if let Some(server) = &versions.server {
            text.push_str(&format!(
                "controller  {} (controller {}, agent protocol {} to {})\ncluster     {}\n",
                server.version, server.controller, server.protocol_min, server.protocol_max, server.cluster
            ));
        }
        text
    })?;
    Ok(ExitStatus::Done)
}
