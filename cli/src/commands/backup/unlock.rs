//! `omni backup repo unlock`: who holds a repository, and which locks go.

use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::{Cell, Column, Table, harmless};
use crate::tone::Tone;
use crate::units::{ABSENT, ago};
use anyhow::Result;
use omni_common::api::v1::{HostStatus, LockHolder, RepositoryLock, UnlockRepository};
use omni_common::clock::Time;

pub(super) async fn run(
    name: &str,
    (force, yes): (bool, bool),
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    if force {
        let found = session.client.repository_locks(name).await?;
        let at_work: Vec<_> = found.iter().filter(|lock| lock.holder != LockHolder::Nobody).collect();
        if !at_work.is_empty() {
            for lock in &at_work {
                out.warn(&format!(
                    "{} on {}: {}",
                    lock.process,
                    harmless(&lock.hostname),
                    harmless(&lock.why)
                ));
            }
            confirm(
                &format!(
                    "Remove {} locks of repository {name} whose holders may be at work? What they have written since their \
                     last whole snapshot can be lost, and a prune beside a backup can take data with it that the backup \
                     still needs.",
                    at_work.len()
                ),
                yes,
                out,
            )?;
        }
    }
    let done = session.client.unlock_repository(name, &UnlockRepository { force }).await?;
    if !out.for_people() {
        out.text(&done, |_| String::new())?;
        return Ok(status(&done.left));
    }
    if done.removed.is_empty() && done.left.is_empty() {
        out.say(&format!("Repository {name} has no locks."));
        return Ok(ExitStatus::Done);
    }
    if !done.removed.is_empty() {
        let count = match done.removed.len() {
            1 => "One lock was".to_owned(),
            count => format!("{count} locks were"),
        };
        out.say(&format!("{count} removed from repository {name}."));
    }
    if !done.left.is_empty() {
        out.table(&done.left, || table(&done.left, session.now))?;
        for lock in &done.left {
            out.say(&format!("{} on {}: {}", lock.process, harmless(&lock.hostname), harmless(&lock.why)));
        }
        out.hint(&format!(
            "when you know that nobody is at work there, `omni backup repo unlock {name} --force` removes all of them"
        ));
    }
    Ok(status(&done.left))
}

/// Locks that were left were not taken from whoever holds them: that is a no.
fn status(left: &[RepositoryLock]) -> ExitStatus {
    if left.is_empty() { ExitStatus::Done } else { ExitStatus::Refused }
}

fn table(locks: &[RepositoryLock], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("HOST").shrinks_to(8),
        Column::new("STATUS"),
        Column::new("PROCESS").right(),
        Column::new("USER").rank(2),
        Column::new("RENEWED").right(),
        Column::new("ALONE").rank(3),
        Column::new("RUN"),
    ]);
    for lock in locks {
        let text = |value: Option<String>| value.unwrap_or_else(|| ABSENT.to_owned());
        table.row([
            lock.host.as_deref().unwrap_or(&lock.hostname).into(),
            status_of(lock.host_status),
            lock.process.to_string().into(),
            lock.user.as_str().into(),
            text(lock.renewed.map(|at| ago(at, now))).into(),
            (if lock.exclusive { "yes" } else { "no" }).into(),
            text(lock.run.map(|run| run.short().to_string())).into(),
        ]);
    }
    table
}

fn status_of(status: Option<HostStatus>) -> Cell {
    match status {
        None => "not of the mesh".into(),
        Some(HostStatus::Up) => "up".into(),
        Some(HostStatus::Pending) => "pending".into(),
        Some(HostStatus::Suspect) => Cell::toned("suspect", Tone::Warn),
        Some(HostStatus::Down) => Cell::toned("down, fenced", Tone::Bad),
    }
}
