//! `omni users`: people, what they may do, and their sessions.

use crate::args::{PlacesArg, SetUserArgs, UsersCommand};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::hidden::new_secret;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, ago, until};
use anyhow::Result;
use omni_common::api::v1::{AccessScope, CreateUser, SessionView, UpdateUser, UserView, UsersQuery};
use omni_common::clock::Time;
use omni_common::ids::TokenId;

/// Runs one of the commands; lists when there is none.
pub(crate) async fn run(
    command: Option<&UsersCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None | Some(UsersCommand::List) => list(session, out).await,
        Some(UsersCommand::Create { name, role, places, display_name, password_stdin }) => {
            let body = CreateUser {
                name: name.clone(),
                display_name: display_name.clone(),
                role: *role,
                scope: scope(places),
                password: new_secret(&format!("Password for {name}"), *password_stdin)?,
            };
            let made = session.client.create_user(&body).await?;
            if !out.for_people() {
                out.text(&made, |_| String::new())?;
            }
            let url = &session.connection.addresses[0];
            out.say(&format!(
                "{name} is {}. They sign in at {url}, or with `omni login {url} --user {name}`.",
                made.role
            ));
            Ok(ExitStatus::Done)
        }
        Some(UsersCommand::Set(args)) => set(args, session, out).await,
        Some(UsersCommand::Rm { names, yes }) => remove(names, *yes, session, out).await,
        Some(UsersCommand::Sessions { name, end, end_all }) => {
            sessions(name, end.as_deref(), *end_all, session, out).await
        }
    }
}

/// Places as the API takes them.
pub(crate) fn scope(PlacesArg { places }: &PlacesArg) -> AccessScope {
    let (apps, environments) = places.iter().cloned().partition(|place| place.contains('/'));
    AccessScope { environments, apps }
}

/// Where a role holds, in a few words.
pub(crate) fn places(scope: &AccessScope) -> String {
    let all: Vec<&str> = scope.environments.iter().chain(&scope.apps).map(String::as_str).collect();
    if all.is_empty() { "everywhere".to_owned() } else { all.join(", ") }
}

async fn list(session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let users = session.client.users(UsersQuery::default()).await?;
    if users.is_empty() && out.for_people() {
        out.say(
            "There are no people yet, only tokens. `omni users create NAME --role admin` adds the first.",
        );
        return Ok(ExitStatus::Done);
    }
    out.table(&users, || table(&users, session.now))?;
    Ok(ExitStatus::Done)
}

pub(crate) fn table(users: &[UserView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("NAME").shrinks_to(8),
        Column::new("ROLE"),
        Column::new("WHERE").shrinks_to(10),
        Column::new("SIGNED IN").right(),
        Column::new("SESSIONS").right(),
        Column::new("FROM").rank(1),
        Column::new("CALLED").shrinks_to(8).rank(2),
        Column::new("ADDED").right().rank(3),
        Column::new("ADDED BY").wide(),
    ]);
    for user in users {
        let name = if user.disabled {
            Cell::toned(format!("{} (disabled)", user.name), Tone::Dim)
        } else {
            user.name.as_str().into()
        };
        table.row(vec![
            name,
            user.role.to_string().into(),
            places(&user.scope).into(),
            user.signed_in.map_or_else(|| "never".to_owned(), |at| ago(at, now)).into(),
            user.sessions.to_string().into(),
            user.source.as_str().into(),
            user.display_name.as_deref().unwrap_or(ABSENT).into(),
            ago(user.created, now).into(),
            user.created_by.as_str().into(),
        ]);
    }
    table
}

async fn set(args: &SetUserArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let ask = args.password || args.password_stdin;
    let password = match ask {
        true => Some(new_secret(&format!("New password for {}", args.name), args.password_stdin)?),
        false => None,
    };
    let scoped = args.everywhere || !args.places.places.is_empty();
    let body = UpdateUser {
        display_name: args.display_name.clone(),
        role: args.role,
        scope: scoped.then(|| scope(&args.places)),
        disabled: (args.disable || args.enable).then_some(args.disable),
        password,
    };
    if body == UpdateUser::default() {
        return Err(
            Failure::Usage("say what to change, e.g. `--role viewer`; see `--help`".to_owned()).into()
        );
    }
    let user = session.client.update_user(&args.name, &body, None).await?;
    if !out.for_people() {
        out.text(&user, |_| String::new())?;
    }
    let state = if user.disabled { "may not come in" } else { "may come in" };
    out.say(&format!("{} is {}, {}, and {state}.", user.name, user.role, places(&user.scope)));
    Ok(ExitStatus::Done)
}

async fn remove(names: &[String], yes: bool, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    // All are found before the first is removed: a slip in the last name must not leave half of it done.
    for name in names {
        session.client.user(name).await?;
    }
    confirm(&format!("Remove {}?", names.join(", ")), yes, out)?;
    for name in names {
        session.client.remove_user(name).await?;
        out.say(&format!(
            "{name} is removed and signed out. API tokens made by them stay: see `omni token list`."
        ));
    }
    Ok(ExitStatus::Done)
}

async fn sessions(
    name: &str,
    end: Option<&str>,
    end_all: bool,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    if end_all {
        session.client.end_sessions(name).await?;
        out.say(&format!("{name} is signed out everywhere."));
        return Ok(ExitStatus::Done);
    }
    let open = session.client.sessions(name).await?;
    if let Some(wanted) = end {
        session.client.end_session(name, find(wanted, &open)?).await?;
        out.say(&format!("That session of {name} is over."));
        return Ok(ExitStatus::Done);
    }
    show(&open, session.now, out)
}

/// Lists sessions.
pub(crate) fn show(open: &[SessionView], now: Time, out: &mut Printer) -> Result<ExitStatus> {
    if open.is_empty() && out.for_people() {
        out.say("No session is open.");
        return Ok(ExitStatus::Done);
    }
    out.table(&open, || sessions_table(open, now))?;
    Ok(ExitStatus::Done)
}

/// The session that goes by its whole id, or by the end of it as the list shows it.
pub(crate) fn find(wanted: &str, open: &[SessionView]) -> Result<TokenId, Failure> {
    let fits = |one: &&SessionView| one.id.to_string() == wanted || one.id.short() == wanted;
    let found = open.iter().find(fits).map(|one| one.id);
    found.ok_or_else(|| Failure::NotFound(format!("there is no open session `{wanted}`")))
}

fn sessions_table(open: &[SessionView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("ID"),
        Column::new("KIND"),
        Column::new("FROM").shrinks_to(8),
        Column::new("USED").right(),
        Column::new("BEGAN").right(),
        Column::new("ENDS").right(),
        Column::new("BY").rank(1),
        Column::new("PROGRAM").shrinks_to(10).rank(2),
        Column::new("FULL ID").wide(),
    ]);
    for one in open {
        let kind = if one.browser { "browser" } else { "program" };
        table.row(vec![
            one.id.short().into(),
            if one.current { format!("{kind} (this)") } else { kind.to_owned() }.into(),
            one.from.as_deref().unwrap_or(ABSENT).into(),
            ago(one.seen, now).into(),
            ago(one.created, now).into(),
            until(one.expires, now).into(),
            one.by.as_str().into(),
            one.agent.as_deref().unwrap_or(ABSENT).into(),
            one.id.to_string().into(),
        ]);
    }
    table
}
