//! What `omni registry` takes.

use clap::{Args, Subcommand};

/// `registry …`
#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// List registries that hosts sign in to
    #[command(alias = "ls")]
    List,
    /// Have hosts sign in to a registry; the password is typed unseen
    Login(RegistryLoginArgs),
    /// Have hosts pull from a registry without signing in
    Logout(RegistryLogoutArgs),
}

/// `registry login`
#[derive(Debug, Args)]
pub(crate) struct RegistryLoginArgs {
    /// Its host as images name it, with the port if they have one; `docker.io` is Docker Hub
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// Name of the account
    #[arg(long, short, value_name = "NAME")]
    pub user: String,
    /// Read the password or access token from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// `registry logout`
#[derive(Debug, Args)]
pub(crate) struct RegistryLogoutArgs {
    /// Its host as images name it
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}
