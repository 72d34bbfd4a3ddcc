//! Backups, restores, drills and the care of repositories on this host.
mod debts;
pub use debts::{Change, Debt, Debts};
