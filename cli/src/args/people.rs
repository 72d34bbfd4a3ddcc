//! What can be typed about people.

use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use omni_common::api::v1::AccessRole;
use std::path::PathBuf;

/// `login`
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Addresses of controllers, e.g. `https://10.0.0.1:7601`; the first that answers is used
    #[arg(value_name = "URL")]
    pub addresses: Vec<String>,
    /// Sign in as this person; the password is asked for
    #[arg(long, short, value_name = "NAME", conflicts_with_all = ["token", "oidc"])]
    pub user: Option<String>,
    /// Sign in through the OpenID provider, in a browser of your choice
    #[arg(long, conflicts_with = "token")]
    pub oidc: bool,
    /// API token; `-` reads it from standard input [env: OMNI_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "user")]
    pub password_stdin: bool,
    /// Fingerprint of the cluster's root, as `omni-controller init` printed it; a context's when absent, else it is asked
    #[arg(long, value_name = "FINGERPRINT")]
    pub ca: Option<String>,
    /// Keep only the given addresses; otherwise those of all controllers are kept to fall back on
    #[arg(long)]
    pub only: bool,
}

/// Where a role holds.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PlacesArg {
    /// Only in this environment, or for this app (`ENVIRONMENT/APP`); may be repeated
    #[arg(long = "in", value_name = "PLACE")]
    pub places: Vec<String>,
}

fn role() -> clap::builder::ValueParser {
    clap::builder::ValueParser::new(str::parse::<AccessRole>)
}

/// `users …`
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List people
    #[command(alias = "ls")]
    List,
    /// Add a person; their password is asked for
    Create {
        /// Name to sign in with
        #[arg(value_name = "NAME")]
        name: String,
        /// What they may do: viewer, operator or admin
        #[arg(long, value_name = "ROLE", value_parser = role())]
        role: AccessRole,
        /// Where they may do it.
        #[command(flatten)]
        places: PlacesArg,
        /// As they are called
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change a person
    Set(SetUserArgs),
    /// Remove people, and sign them out everywhere
    Rm {
        /// Whom
        #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(complete::users))]
        names: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List a person's sessions, or end them
    Sessions {
        /// Whose
        #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::users))]
        name: String,
        /// End this one, by its id or the end of it
        #[arg(long, value_name = "ID", conflicts_with = "end_all")]
        end: Option<String>,
        /// End all of them
        #[arg(long)]
        end_all: bool,
    },
}

/// `users set`
#[derive(Debug, Args)]
pub(crate) struct SetUserArgs {
    /// Whom
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::users))]
    pub name: String,
    /// What they may do: viewer, operator or admin
    #[arg(long, value_name = "ROLE", value_parser = role())]
    pub role: Option<AccessRole>,
    /// Where they may do it.
    #[command(flatten)]
    pub places: PlacesArg,
    /// Everywhere, whatever was said before
    #[arg(long, conflicts_with = "places")]
    pub everywhere: bool,
    /// As they are called; empty for nothing
    #[arg(long, value_name = "TEXT")]
    pub display_name: Option<String>,
    /// They may not come in; they are signed out everywhere
    #[arg(long, conflicts_with = "enable")]
    pub disable: bool,
    /// They may come in again
    #[arg(long)]
    pub enable: bool,
    /// Ask for a new password; they are signed out everywhere
    #[arg(long)]
    pub password: bool,
    /// Read the new password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// `account …`
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Show it
    Show,
    /// Change the password; the other sessions end
    Password {
        /// Read the password that holds and the new one from standard input, a line each
        #[arg(long)]
        password_stdin: bool,
    },
    /// List sessions, or end them
    Sessions {
        /// End this one, by its id or the end of it
        #[arg(long, value_name = "ID", conflicts_with = "end_all")]
        end: Option<String>,
        /// Sign out everywhere, here too
        #[arg(long)]
        end_all: bool,
    },
}

/// `auth …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// The OpenID provider through which people sign in
    Oidc {
        /// What to do.
        #[command(subcommand)]
        command: OidcCommand,
    },
}

/// `auth oidc …`
#[derive(Debug, Subcommand)]
pub(crate) enum OidcCommand {
    /// Show it, without its secret
    Show,
    /// Set it; what is not said stays as it is
    Set(Box<SetOidcArgs>),
    /// Take it away; whoever signed in through it is signed out
    Rm {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `auth oidc set`
#[derive(Debug, Args)]
pub(crate) struct SetOidcArgs {
    /// Its issuer, exactly as it names itself, a slash at the end included
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// The client it knows omni as
    #[arg(long, value_name = "ID")]
    pub client: Option<String>,
    /// Ask for the client's secret
    #[arg(long)]
    pub secret: bool,
    /// Read the client's secret from standard input
    #[arg(long, conflicts_with_all = ["secret", "no_secret"])]
    pub secret_stdin: bool,
    /// It is a public client
    #[arg(long, conflicts_with = "secret")]
    pub no_secret: bool,
    /// The client for `omni login --oidc`, where it is another one; it is public
    #[arg(long, value_name = "ID")]
    pub device_client: Option<String>,
    /// What the dashboard's button says
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// A scope to ask for beside `openid`; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// The claim that names a person's groups
    #[arg(long, value_name = "CLAIM")]
    pub groups_claim: Option<String>,
    /// The claim that names the person
    #[arg(long, value_name = "CLAIM")]
    pub name_claim: Option<String>,
    /// What members of a group may do: `GROUP=ROLE`, or `GROUP=ROLE@PLACE,PLACE`; may be repeated. The first that fits
    /// decides, and all that were set before are replaced
    #[arg(long = "group", value_name = "MAPPING")]
    pub groups: Vec<String>,
    /// What people in none of the groups may do: a role, or `nothing`
    #[arg(long, value_name = "ROLE")]
    pub others: Option<String>,
    /// An address under which browsers reach omni beside those of the controllers; may be repeated
    #[arg(long = "origin", value_name = "URL")]
    pub origins: Vec<String>,
    /// File with the roots that the provider's own certificate may come from, PEM; an empty one for none
    #[arg(long, value_name = "FILE")]
    pub roots: Option<PathBuf>,
}
