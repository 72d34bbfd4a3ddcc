//! `omni context`: switch between clusters.

use crate::args::ContextCommand;
use crate::contexts::{Context, Contexts};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::DEFAULT_ENVIRONMENT;
use crate::settings::{Settings, SettingsError};
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use anyhow::Result;
use omni_certs::TokenText;
use serde::Serialize;

/// A context as it may be shown: without the secret.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    current: bool,
    urls: &'a [String],
    environment: &'a str,
    token_id: Option<String>,
    ca_fingerprint: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(name: &'a str, context: &'a Context, contexts: &Contexts) -> Self {
        let token = context.token.parse::<TokenText>().ok();
        Self {
            name,
            current: contexts.current.as_deref() == Some(name),
            urls: &context.urls,
            environment: context.environment.as_deref().unwrap_or(DEFAULT_ENVIRONMENT),
            token_id: token.as_ref().map(|token| token.id.to_string()),
            ca_fingerprint: token.map(|token| token.ca.to_string()),
        }
    }
}

/// Runs one of the context commands.
pub(crate) fn run(command: &ContextCommand, settings: &Settings, out: &mut Printer) -> Result<ExitStatus> {
    let mut contexts = Contexts::load(&settings.config_path)?;
    match command {
        ContextCommand::List => list(&contexts, out),
        ContextCommand::Use { name } => switch(name, &mut contexts, settings, out),
        ContextCommand::Show { name } => show(name.as_deref(), &contexts, settings, out),
        ContextCommand::Env { name, unset } => {
            environment(name.as_deref(), *unset, &mut contexts, settings, out)
        }
        ContextCommand::Rm { name } => remove(name, &mut contexts, settings, out),
    }
}

fn list(contexts: &Contexts, out: &mut Printer) -> Result<ExitStatus> {
    let shown: Vec<Shown<'_>> =
        contexts.contexts.iter().map(|(name, context)| Shown::of(name, context, contexts)).collect();
    if shown.is_empty() && out.for_people() {
        out.say("There is no context yet.");
        out.hint("run `omni login https://HOST:7601 --token TOKEN`");
        return Ok(ExitStatus::Done);
    }
    out.table(&shown, || {
        let mut table = Table::new([
            Column::new("CURRENT"),
            Column::new("NAME"),
            Column::new("CONTROLLERS").shrinks_to(24),
            Column::new("ENVIRONMENT").wide(),
            Column::new("CA").wide(),
        ]);
        for context in &shown {
            table.row([
                Cell::toned(if context.current { "*" } else { "" }, Tone::Good),
                context.name.into(),
                context.urls.join(" ").into(),
                context.environment.into(),
                context.ca_fingerprint.clone().unwrap_or_default().into(),
            ]);
        }
        table
    })?;
    Ok(ExitStatus::Done)
}

fn switch(name: &str, contexts: &mut Contexts, settings: &Settings, out: &mut Printer) -> Result<ExitStatus> {
    find(name, contexts)?;
    contexts.current = Some(name.to_owned());
    contexts.save(&settings.config_path)?;
    out.say(&format!("Context `{name}` is now the current one."));
    Ok(ExitStatus::Done)
}

fn show(
    name: Option<&str>,
    contexts: &Contexts,
    settings: &Settings,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => settings.context_name(contexts)?,
    };
    let shown = Shown::of(&name, find(&name, contexts)?, contexts);
    out.text(&shown, |_| {
        let unreadable = || "(the token cannot be read)".to_owned();
        let mut lines =
            format!("name         {}{}\n", shown.name, if shown.current { " (current)" } else { "" });
        for (position, url) in shown.urls.iter().enumerate() {
            lines.push_str(&format!("{:<13}{url}\n", if position == 0 { "controllers" } else { "" }));
        }
        lines.push_str(&format!("environment  {}\n", shown.environment));
        lines.push_str(&format!("token        {}\n", shown.token_id.clone().unwrap_or_else(unreadable)));
        lines
            .push_str(&format!("CA           {}\n", shown.ca_fingerprint.clone().unwrap_or_else(unreadable)));
        lines
    })?;
    Ok(ExitStatus::Done)
}

/// Shows or sets the environment of apps that are named without one.
fn environment(
    name: Option<&str>,
    unset: bool,
    contexts: &mut Contexts,
    settings: &Settings,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let context = settings.context_name(contexts)?;
    if name.is_none() && !unset {
        let now = settings.environment(contexts).unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
        out.text(&now, |_| format!("{now}\n"))?;
        return Ok(ExitStatus::Done);
    }
    let now = name.filter(|name| *name != DEFAULT_ENVIRONMENT).map(str::to_owned);
    out.say(&format!(
        "In context `{context}` apps are now looked for in environment `{}`.",
        now.as_deref().unwrap_or(DEFAULT_ENVIRONMENT)
    ));
    contexts.contexts.entry(context).and_modify(|known| known.environment = now);
    contexts.save(&settings.config_path)?;
    Ok(ExitStatus::Done)
}

/// Forgets a context; also what `logout` does.
pub(super) fn remove(
    name: &str,
    contexts: &mut Contexts,
    settings: &Settings,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let session = find(name, contexts)?.token.starts_with("omni-session1.");
    contexts.remove(name);
    contexts.save(&settings.config_path)?;
    out.say(&match session {
        true => format!("Context `{name}` is forgotten."),
        false => format!("Context `{name}` is forgotten. Its token stays valid: `omni token rm` revokes it."),
    });
    match &contexts.current {
        Some(current) => out.say(&format!("The current context is `{current}`.")),
        None if !contexts.contexts.is_empty() => out.hint("choose another one with `omni context use NAME`"),
        None => {}
    }
    Ok(ExitStatus::Done)
}

fn find<'a>(name: &str, contexts: &'a Contexts) -> Result<&'a Context, SettingsError> {
    contexts.contexts.get(name).ok_or_else(|| SettingsError::UnknownContext {
        name: name.to_owned(),
        known: contexts.contexts.keys().cloned().collect(),
    })
}
