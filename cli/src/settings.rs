//! Settings: what was typed, the environment and the contexts file, merged once, in that order.
//!
//! A `--context` that was typed beats `OMNI_URL` and `OMNI_TOKEN`: who names a context means all of it.
//! The environment is read here and nowhere else.

use crate::contexts::Contexts;
use clap::ValueEnum;
use omni_certs::{TokenKind, TokenText};
use omni_sdk::Address;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// How long a request may take when nothing else is said.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// How data is written. (What doc comments say of values, clap would spread over the help of every verb.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
pub(crate) enum Format {
    // A table for people.
    #[default]
    Table,
    // A table with every column.
    Wide,
    // JSON; streams are one line each.
    Json,
    // YAML; streams are one document each.
    Yaml,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    // On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    // Also into a pipe.
    Always,
    // Not at all.
    Never,
}

impl ColourChoice {
    /// Whether to colour an output.
    pub(crate) fn on(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Flags that every command takes, as typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed {
    /// `--context`.
    pub context: Option<String>,
    /// `--url`, repeated.
    pub urls: Vec<String>,
    /// `--output`.
    pub output: Option<Format>,
    /// `--color`.
    pub colour: Option<ColourChoice>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--stale`.
    pub stale: bool,
}

/// A variable of the environment by name; empty ones count as unset.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's own environment.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A variable of the process's own environment as it is, also when it is empty: compose files tell the difference.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Settings that do not make sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SettingsError {
    /// Nobody has logged in.
    #[error("no context yet")]
    NoContext,
    /// There are contexts, but none is in use.
    #[error("no context is in use; known: {}", .0.join(", "))]
    NoneCurrent(Vec<String>),
    /// The named context does not exist.
    #[error("there is no context `{name}`{}", list_known(.known))]
    UnknownContext {
        /// As asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// An address cannot be read.
    #[error("`{text}` is not a controller's address: {why}")]
    Address {
        /// As given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// The token cannot be read.
    #[error("the token {origin} cannot be used: {why}")]
    Token {
        /// Where it came from.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// A variable of the environment has a value it cannot have.
    #[error("{name}={value} makes no sense: {why}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// There is no folder to keep contexts in.
    #[error("cannot tell where to keep contexts: neither OMNI_CONFIG, XDG_CONFIG_HOME nor HOME is set")]
    NoHome,
}

fn list_known(names: &[String]) -> String {
    if names.is_empty() { ", nor any other".to_owned() } else { format!("; known: {}", names.join(", ")) }
}

/// How to reach a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Name of the context it came from.
    pub context: Option<String>,
    /// Controllers, in the order to try them.
    pub addresses: Vec<Address>,
    /// Who we are, and which cluster we trust.
    pub token: TokenText,
}

/// Everything that is the same for each command.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where contexts are kept.
    pub config_path: PathBuf,
    /// How data is written.
    pub output: Format,
    /// When to use colours.
    pub colour: ColourChoice,
    /// How long a request may take.
    pub timeout: Duration,
    /// Read from whichever controller answers, even if it may be behind.
    pub stale: bool,
    /// The context that was typed or named by the environment.
    pub wanted_context: Option<String>,
    urls: Vec<String>,
    token: Option<String>,
    environment: Option<String>,
}

impl Settings {
    /// Merges what was typed with the environment.
    pub(crate) fn merge(typed: Typed, env: Env<'_>) -> Result<Self, SettingsError> {
        let whole_context = typed.context.is_some();
        let from_env = |name: &str| env(name).filter(|_| !whole_context);
        let urls = if typed.urls.is_empty() {
            from_env("OMNI_URL").map(|list| split_list(&list)).unwrap_or_default()
        } else {
            typed.urls
        };
        Ok(Self {
            config_path: config_path(env)?,
            output: variable(typed.output, "OMNI_OUTPUT", env, |text| Format::from_str(text, true))?
                .unwrap_or_default(),
            colour: typed.colour.unwrap_or_else(|| colour_from_env(env)),
            timeout: variable(typed.timeout, "OMNI_TIMEOUT", env, crate::moment::length)?
                .unwrap_or(DEFAULT_TIMEOUT),
            stale: typed.stale,
            token: from_env("OMNI_TOKEN"),
            environment: from_env("OMNI_ENV"),
            wanted_context: typed.context.or_else(|| env("OMNI_CONTEXT")),
            urls,
        })
    }

    /// How to reach the cluster, completed from the contexts file where flags and environment leave a gap.
    pub(crate) fn connection(&self, contexts: &Contexts) -> Result<Connection, SettingsError> {
        if let (false, Some(token)) = (self.urls.is_empty(), &self.token) {
            return connection(None, &self.urls, token, "in OMNI_TOKEN");
        }
        let name = self.context_name(contexts)?;
        let context = &contexts.contexts[&name];
        let urls = if self.urls.is_empty() { &context.urls } else { &self.urls };
        match &self.token {
            Some(token) => connection(Some(name), urls, token, "in OMNI_TOKEN"),
            None => {
                let origin = format!("of context `{name}`");
                connection(Some(name), urls, &context.token, &origin)
            }
        }
    }

    /// The environment of apps that are named without one: the variable's, else the context's.
    pub(crate) fn environment(&self, contexts: &Contexts) -> Option<String> {
        self.environment.clone().or_else(|| {
            let name = self.context_name(contexts).ok()?;
            contexts.contexts[&name].environment.clone()
        })
    }

    /// Which context is meant.
    pub(crate) fn context_name(&self, contexts: &Contexts) -> Result<String, SettingsError> {
        let known = || contexts.contexts.keys().cloned().collect::<Vec<_>>();
        match self.wanted_context.as_ref().or(contexts.current.as_ref()) {
            Some(name) if contexts.contexts.contains_key(name) => Ok(name.clone()),
            Some(name) => Err(SettingsError::UnknownContext { name: name.clone(), known: known() }),
            None if contexts.contexts.is_empty() => Err(SettingsError::NoContext),
            None => Err(SettingsError::NoneCurrent(known())),
        }
    }

    /// The token of the environment, for `login`.
    pub(crate) fn env_token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Addresses that were typed or named by the environment, for `login`.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }
}

/// Checks addresses and token, and puts them together.
pub(crate) fn connection(
    context: Option<String>,
    urls: &[String],
    token: &str,
    origin: &str,
) -> Result<Connection, SettingsError> {
    let addresses = urls.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    let bad_token = |why: String| SettingsError::Token { origin: origin.to_owned(), why };
    let token: TokenText = token.trim().parse().map_err(|e| bad_token(format!("{e}")))?;
    if token.kind == TokenKind::Join {
        return Err(bad_token(
            "it is a join token, which machines join with; people need one that begins with `omni-api1.`"
                .to_owned(),
        ));
    }
    Ok(Connection { context, addresses, token })
}

/// Reads a controller's address.
pub(crate) fn address(text: &str) -> Result<Address, SettingsError> {
    text.parse().map_err(|error: omni_sdk::InvalidAddress| SettingsError::Address {
        text: text.to_owned(),
        why: error.to_string(),
    })
}

fn split_list(list: &str) -> Vec<String> {
    let parts = list.split([',', ' ']).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn config_path(env: Env<'_>) -> Result<PathBuf, SettingsError> {
    if let Some(path) = env("OMNI_CONFIG") {
        return Ok(path.into());
    }
    let folder = match env("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env("HOME").ok_or(SettingsError::NoHome)?).join(".config"),
    };
    Ok(folder.join("omni/config.toml"))
}

fn colour_from_env(env: Env<'_>) -> ColourChoice {
    let dumb = env("TERM").is_some_and(|term| term == "dumb");
    if env("NO_COLOR").is_some() || dumb { ColourChoice::Never } else { ColourChoice::Auto }
}

/// The typed value, else the variable's.
fn variable<T>(
    typed: Option<T>,
    name: &'static str,
    env: Env<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, SettingsError> {
    match (typed, env(name)) {
        (Some(typed), _) => Ok(Some(typed)),
        (None, None) => Ok(None),
        (None, Some(value)) => match parse(&value) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(why) => Err(SettingsError::Variable { name, value, why }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contexts::Context;
    use omni_certs::{Authority, Secret};
    use omni_common::clock::Time;
    use omni_common::ids::{ClusterId, TokenId};

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            let found = pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            found.or_else(|| (name == "HOME").then(|| "/home/ann".to_owned()))
        }
    }

    fn token(kind: TokenKind) -> String {
        let authority =
            Authority::create(ClusterId::from_u128(1), Time::from_secs(0)).expect("keys can be made");
        let secret = Secret::generate().expect("the random source works");
        TokenText::new(kind, TokenId::from_u128(7), &secret, authority.fingerprint()).to_string()
    }

    fn contexts() -> Contexts {
        let mut contexts = Contexts::default();
        for name in ["work", "home"] {
            let context = Context {
                urls: vec![format!("https://{name}:7601")],
                token: token(TokenKind::Api),
                environment: None,
            };
            contexts.put(name, context);
        }
        contexts
    }

    fn merged(typed: Typed, pairs: &[(&str, &str)]) -> Settings {
        Settings::merge(typed, &env(pairs)).expect("these make sense")
    }

    fn in_context(name: &str) -> Typed {
        Typed { context: Some(name.to_owned()), ..Typed::default() }
    }

    #[test]
    fn what_was_typed_beats_the_environment_and_that_beats_defaults() {
        let settings = merged(Typed::default(), &[]);
        assert_eq!((settings.output, settings.timeout), (Format::Table, DEFAULT_TIMEOUT));
        let variables = [("OMNI_OUTPUT", "json"), ("OMNI_TIMEOUT", "3s")];
        let settings = merged(Typed::default(), &variables);
        assert_eq!((settings.output, settings.timeout), (Format::Json, Duration::from_secs(3)));
        let typed =
            Typed { output: Some(Format::Yaml), timeout: Some(Duration::from_secs(9)), ..Typed::default() };
        let settings = merged(typed, &variables);
        assert_eq!((settings.output, settings.timeout), (Format::Yaml, Duration::from_secs(9)));
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_named() {
        let error =
            Settings::merge(Typed::default(), &env(&[("OMNI_TIMEOUT", "soon")])).expect_err("no length");
        assert!(error.to_string().starts_with("OMNI_TIMEOUT=soon"), "{error}");
    }

    #[test]
    fn the_context_comes_from_flag_variable_or_file_in_this_order() {
        let contexts = contexts();
        let name = |typed, pairs: &[_]| merged(typed, pairs).connection(&contexts).expect("known").context;
        assert_eq!(name(Typed::default(), &[]).as_deref(), Some("home"), "logged in to last");
        assert_eq!(name(Typed::default(), &[("OMNI_CONTEXT", "work")]).as_deref(), Some("work"));
        assert_eq!(name(in_context("home"), &[("OMNI_CONTEXT", "work")]).as_deref(), Some("home"));
    }

    #[test]
    fn url_and_token_of_the_environment_need_no_file() {
        let text = token(TokenKind::Api);
        let settings = merged(Typed::default(), &[("OMNI_URL", "a, b:99"), ("OMNI_TOKEN", &text)]);
        let connection = settings.connection(&Contexts::default()).expect("complete");
        let urls: Vec<String> = connection.addresses.iter().map(Address::to_string).collect();
        assert_eq!(urls, ["https://a:7601", "https://b:99"]);
        assert_eq!((connection.context, connection.token.to_string()), (None, text));
    }

    #[test]
    fn a_typed_context_means_all_of_it() {
        let text = token(TokenKind::Api);
        let variables = [("OMNI_URL", "https://elsewhere"), ("OMNI_TOKEN", text.as_str())];
        let connection = merged(in_context("work"), &variables).connection(&contexts()).expect("known");
        assert_eq!(connection.addresses[0].host(), "work");
        assert_ne!(connection.token.to_string(), text);
    }

    #[test]
    fn a_typed_url_is_asked_with_the_contexts_token() {
        let typed = Typed { urls: vec!["c".to_owned()], ..Typed::default() };
        let contexts = contexts();
        let connection = merged(typed, &[]).connection(&contexts).expect("known");
        assert_eq!(connection.addresses[0].host(), "c");
        assert_eq!(connection.token.to_string(), contexts.contexts["home"].token);
    }

    #[test]
    fn the_environment_comes_from_the_variable_or_the_context() {
        let mut contexts = contexts();
        let environment =
            |contexts: &Contexts, typed, pairs: &[_]| merged(typed, pairs).environment(contexts);
        assert_eq!(environment(&contexts, Typed::default(), &[]), None);
        contexts.contexts.get_mut("home").expect("it is there").environment = Some("staging".to_owned());
        assert_eq!(environment(&contexts, Typed::default(), &[]).as_deref(), Some("staging"));
        assert_eq!(environment(&contexts, in_context("work"), &[]), None);
        let variable = [("OMNI_ENV", "test")];
        assert_eq!(environment(&contexts, Typed::default(), &variable).as_deref(), Some("test"));
        let whole = environment(&contexts, in_context("home"), &variable);
        assert_eq!(whole.as_deref(), Some("staging"), "a typed context means all of it");
    }

    #[test]
    fn what_is_missing_is_said() {
        let settings = merged(Typed::default(), &[]);
        assert_eq!(settings.connection(&Contexts::default()), Err(SettingsError::NoContext));
        let mut undecided = contexts();
        undecided.current = None;
        let error = settings.connection(&undecided).expect_err("two to choose from");
        assert_eq!(error.to_string(), "no context is in use; known: home, work");
        let error = merged(in_context("hom"), &[]).connection(&contexts()).expect_err("a slip");
        assert_eq!(error.to_string(), "there is no context `hom`; known: home, work");
    }

    #[test]
    fn a_join_token_is_not_taken_for_an_api_token() {
        let text = token(TokenKind::Join);
        let settings = merged(Typed::default(), &[("OMNI_URL", "a"), ("OMNI_TOKEN", &text)]);
        let error = settings.connection(&Contexts::default()).expect_err("the wrong kind");
        assert!(error.to_string().contains("join token"), "{error}");
    }

    #[test]
    fn the_file_is_where_the_user_or_the_desktop_wants_it() {
        let path = |pairs: &[_]| merged(Typed::default(), pairs).config_path;
        assert_eq!(path(&[]), PathBuf::from("/home/ann/.config/omni/config.toml"));
        assert_eq!(path(&[("XDG_CONFIG_HOME", "/x")]), PathBuf::from("/x/omni/config.toml"));
        assert_eq!(path(&[("XDG_CONFIG_HOME", "/x"), ("OMNI_CONFIG", "/y.toml")]), PathBuf::from("/y.toml"));
    }

    #[test]
    fn colours_are_off_where_they_are_not_wanted() {
        let colour = |pairs: &[_]| merged(Typed::default(), pairs).colour.on(true);
        assert!(colour(&[]));
        assert!(!colour(&[("NO_COLOR", "1")]));
        assert!(!colour(&[("TERM", "dumb")]));
        let typed = Typed { colour: Some(ColourChoice::Always), ..Typed::default() };
        assert!(merged(typed, &[("NO_COLOR", "1")]).colour.on(false), "typed beats the environment");
    }
}
