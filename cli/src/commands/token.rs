//! `omni token`: tokens to join with, and tokens to call the API with.

use crate::args::{JoinRoleArg, TokenCommand};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::names::near;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::{Cell, Column, Table, harmless};
use crate::tone::Tone;
use crate::units::{ABSENT, ago, until};
use anyhow::Result;
use omni_common::api::v1::{
    ApiTokenView, CreateApiToken, CreateJoinToken, JoinRole, JoinTokenView, TokensQuery,
};
use omni_common::clock::Time;
use omni_common::ids::TokenId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Controllers named in a line to paste: one that answers is enough, it tells of the others.
const MOST_ADDRESSES: usize = 3;

/// Runs one of the token commands.
pub(crate) async fn run(command: &TokenCommand, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    match command {
        TokenCommand::Create { role, ttl, uses, label } => {
            create(*role, *ttl, *uses, label, session, out).await
        }
        TokenCommand::CreateApi { name, role, places, ttl } => {
            let body = CreateApiToken {
                name: name.clone(),
                role: *role,
                scope: super::users::scope(places),
                ttl_secs: ttl.map(|ttl| ttl.as_secs()),
            };
            create_api(&body, session, out).await
        }
        TokenCommand::List { all } => list(*all, session, out).await,
        TokenCommand::Rm { tokens, yes } => remove(tokens, *yes, session, out).await,
    }
}

/// The token itself is data and alone on standard output: `TOKEN=$(omni token create --role agent)`.
async fn create(
    role: JoinRoleArg,
    ttl: Option<Duration>,
    uses: Option<u32>,
    labels: &[String],
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let role = match role {
        JoinRoleArg::Agent => JoinRole::Agent,
        JoinRoleArg::Controller => JoinRole::Controller,
        JoinRoleArg::Admin => JoinRole::Admin,
    };
    let body = CreateJoinToken {
        role,
        ttl_secs: ttl.map(|ttl| ttl.as_secs()),
        uses,
        labels: labels.iter().map(|text| parse_label(text)).collect::<Result<_, _>>()?,
    };
    let created = session.client.create_join_token(&body).await?;
    out.text(&created, |_| format!("{}\n", created.token))?;
    let uses = match created.view.uses_left {
        None => "any number of times".to_owned(),
        Some(1) => "once".to_owned(),
        Some(uses) => format!("{uses} times"),
    };
    let (place, line) = match role {
        JoinRole::Admin => {
            let url = &session.connection.addresses[0];
            (
                "Whoever opens this chooses a name and a password and may do everything",
                format!("{url}/#/setup/{}", created.token),
            )
        }
        _ => ("On the new machine", join_line(role, &created.token, session).await),
    };
    out.say(&format!(
        "\nIt can be used {uses}, and ends {}. It is not shown again. {place}:\n\n  {line}\n",
        until(created.view.expires, session.now),
    ));
    Ok(ExitStatus::Done)
}

/// The line to paste, with the controllers to go to.
async fn join_line(role: JoinRole, token: &str, session: &Session) -> String {
    // Without the list the line is still worth printing: the person knows the addresses, or can find them.
    let known = session.client.controllers().await.unwrap_or_default();
    let mut addresses: Vec<String> = known.into_iter().map(|one| one.quic).take(MOST_ADDRESSES).collect();
    if addresses.is_empty() {
        addresses.push("HOST:7600".to_owned());
    }
    let controllers: String =
        addresses.iter().map(|address| format!(" --controller {}", harmless(address))).collect();
    match role {
        JoinRole::Agent | JoinRole::Admin => {
            format!("omni-agent join --data-dir /var/lib/omni-agent{controllers} --token {token}")
        }
        JoinRole::Controller => {
            format!(
                "omni-controller join --data-dir /var/lib/omni-controller --name NAME{controllers} --token {token}"
            )
        }
    }
}

fn parse_label(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::Usage(format!("`{text}` is no label: write `key=value`"))),
    }
}

async fn create_api(body: &CreateApiToken, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let created = session.client.create_api_token(body).await?;
    out.text(&created, |_| format!("{}\n", created.token))?;
    let url = &session.connection.addresses[0];
    let end = created
        .view
        .expires
        .map_or_else(|| "does not end".to_owned(), |at| format!("ends {}", until(at, session.now)));
    out.say(&format!(
        "\n{} is {} with it; it {end}. It is not shown again. To log in:\n\n  omni login {url} --token {}\n",
        created.view.name, created.view.role, created.token,
    ));
    Ok(ExitStatus::Done)
}

/// Both kinds.
#[derive(Serialize)]
struct Tokens {
    join: Vec<JoinTokenView>,
    api: Vec<ApiTokenView>,
}

impl Tokens {
    async fn fetch(all: bool, session: &Session) -> Result<Self> {
        let query = TokensQuery { all, ..TokensQuery::default() };
        let (join, api) =
            tokio::try_join!(session.client.join_tokens(query.clone()), session.client.api_tokens(query))?;
        Ok(Self { join, api })
    }
}

async fn list(all: bool, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let tokens = Tokens::fetch(all, session).await?;
    if tokens.join.is_empty() && tokens.api.is_empty() && out.for_people() {
        out.say("There is no token.");
        return Ok(ExitStatus::Done);
    }
    out.table(&tokens, || table(&tokens, session.now))?;
    Ok(ExitStatus::Done)
}

fn table(tokens: &Tokens, now: Time) -> Table {
    let mut table = Table::new([
        Column::new("ID"),
        Column::new("KIND"),
        Column::new("ROLE"),
        Column::new("NAME").shrinks_to(8),
        Column::new("USES LEFT").right(),
        Column::new("ENDS").right(),
        Column::new("MADE BY").shrinks_to(8).rank(1),
        Column::new("MADE").right().rank(2),
        Column::new("LABELS").shrinks_to(8).rank(3),
        Column::new("FULL ID").wide(),
    ]);
    for token in &tokens.join {
        table.row(join_row(token, now));
    }
    for token in &tokens.api {
        table.row(api_row(token, now));
    }
    table
}

fn join_row(token: &JoinTokenView, now: Time) -> Vec<Cell> {
    let role = match token.role {
        JoinRole::Agent => "agent",
        JoinRole::Controller => "controller",
        JoinRole::Admin => "admin",
    };
    vec![
        token.id.short().into(),
        "join".into(),
        role.into(),
        ABSENT.into(),
        token.uses_left.map_or_else(|| "no limit".to_owned(), |uses| uses.to_string()).into(),
        end(Some(token.expires), now),
        token.created_by.as_str().into(),
        ago(token.created, now).into(),
        super::hosts::labels(&token.labels).into(),
        token.id.to_string().into(),
    ]
}

fn api_row(token: &ApiTokenView, now: Time) -> Vec<Cell> {
    vec![
        token.id.short().into(),
        "api".into(),
        token.role.to_string().into(),
        token.name.as_str().into(),
        ABSENT.into(),
        end(token.expires, now),
        token.created_by.as_str().into(),
        ago(token.created, now).into(),
        super::hosts::labels(&BTreeMap::new()).into(),
        token.id.to_string().into(),
    ]
}

fn end(at: Option<Time>, now: Time) -> Cell {
    match at {
        None => "never".into(),
        Some(at) if at <= now => Cell::toned(format!("ended {}", ago(at, now)), Tone::Dim),
        Some(at) => until(at, now).into(),
    }
}

/// A token to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doomed {
    Join(TokenId),
    Api(TokenId, String),
}

async fn remove(wanted: &[String], yes: bool, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let tokens = Tokens::fetch(true, session).await?;
    // All are found before the first is revoked: a slip in the last name must not leave half of it done.
    let doomed = wanted.iter().map(|text| find(text, &tokens)).collect::<Result<Vec<_>, _>>()?;
    let own = session.connection.token.id;
    if doomed.iter().any(|token| matches!(token, Doomed::Api(id, _) if *id == own)) {
        out.warn("one of them is the token you are using: you will be logged out");
    }
    confirm(&format!("Revoke {}?", crate::units::count(doomed.len(), "token")), yes, out)?;
    for token in doomed {
        let name = match token {
            Doomed::Join(id) => {
                session.client.remove_join_token(id).await?;
                format!("Join token {}", id.short())
            }
            Doomed::Api(id, name) => {
                session.client.remove_api_token(id).await?;
                format!("API token {} of {name}", id.short())
            }
        };
        out.say(&format!("{name} is revoked."));
    }
    Ok(ExitStatus::Done)
}

/// By whole id, by the end of an id as the list shows it, or by an API token's name.
fn find(wanted: &str, tokens: &Tokens) -> Result<Doomed, Failure> {
    let fits = |id: TokenId| id.to_string() == wanted || id.short() == wanted;
    let join = tokens.join.iter().filter(|token| fits(token.id)).map(|token| Doomed::Join(token.id));
    let api = tokens.api.iter().filter(|token| fits(token.id) || token.name == wanted);
    let found: Vec<Doomed> = join.chain(api.map(|token| Doomed::Api(token.id, token.name.clone()))).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let near = near(wanted, tokens.api.iter().map(|token| token.name.as_str()));
            let suggestion = near.first().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            Err(Failure::NotFound(format!("there is no token `{wanted}`{suggestion}")))
        }
        several => Err(Failure::Usage(format!(
            "`{wanted}` means {} tokens; name one by its id from `omni token list -o wide`",
            several.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::api::v1::{AccessRole, AccessScope};

    fn api(id: u128, name: &str) -> ApiTokenView {
        ApiTokenView {
            id: TokenId::from_u128(id),
            name: name.to_owned(),
            role: AccessRole::Viewer,
            scope: AccessScope::default(),
            created: Time::EPOCH,
            created_by: "token:admin".to_owned(),
            expires: None,
        }
    }

    #[test]
    fn a_token_is_found_by_name_and_by_either_form_of_its_id() {
        let tokens = Tokens {
            join: vec![],
            api: vec![api(0x1234_5678, "ci"), api(0x9999_9999, "bot"), api(0xaaaa_aaaa, "bot")],
        };
        let ci = Doomed::Api(TokenId::from_u128(0x1234_5678), "ci".to_owned());
        assert_eq!(find("ci", &tokens), Ok(ci.clone()));
        assert_eq!(find("12345678", &tokens), Ok(ci.clone()));
        assert_eq!(find(&TokenId::from_u128(0x1234_5678).to_string(), &tokens), Ok(ci));
        assert!(matches!(find("bot", &tokens), Err(Failure::Usage(_))));
        assert!(matches!(find("nobody", &tokens), Err(Failure::NotFound(_))));
    }
}
