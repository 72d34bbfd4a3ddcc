//! `omni account`: one's own account.

use super::users::{find, places, show};
use crate::args::AccountCommand;
use crate::exit::ExitStatus;
use crate::hidden::{new_secret, secret};
use crate::printer::Printer;
use crate::session::Session;
use crate::units::ABSENT;
use anyhow::Result;
use omni_common::api::v1::{ChangePassword, UserView};

/// Runs one of the commands; shows the account when there is none.
pub(crate) async fn run(
    command: Option<&AccountCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let client = &session.client;
    match command {
        None | Some(AccountCommand::Show) => {
            let account = client.account().await?;
            out.text(&account, |_| card(&account))?;
        }
        Some(AccountCommand::Password { password_stdin }) => {
            let current = secret("Password that holds", *password_stdin)?;
            let new = new_secret("New password", *password_stdin)?;
            client.change_password(&ChangePassword { current, new }).await?;
            out.say("The password is changed. Your other sessions are over.");
        }
        Some(AccountCommand::Sessions { end_all: true, .. }) => {
            client.end_own_sessions().await?;
            out.say("You are signed out everywhere, here too.");
        }
        Some(AccountCommand::Sessions { end, .. }) => {
            let open = client.own_sessions().await?;
            let Some(wanted) = end else { return show(&open, session.now, out) };
            client.end_own_session(find(wanted, &open)?).await?;
            out.say("That session is over.");
        }
    }
    Ok(ExitStatus::Done)
}

fn card(account: &UserView) -> String {
    let called = account.display_name.as_deref().unwrap_or(ABSENT);
    format!(
        "name      {}\ncalled    {called}\nrole      {}\nwhere     {}\nfrom      {}\nsessions  {}\n",
        account.name,
        account.role,
        places(&account.scope),
        account.source.as_str(),
        account.sessions,
    )
}
