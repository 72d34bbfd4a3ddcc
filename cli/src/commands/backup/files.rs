//! `omni snapshots files`: what is in a snapshot, one folder at a time.

use crate::app_name::{AppName, explained};
use crate::args::FilesArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Column, Table};
use crate::units::{ABSENT, ago, bytes};
use anyhow::Result;
use omni_common::api::v1::FilesQuery;
use omni_common::clock::Time;
use omni_common::domain::backup::{FileEntry, FileKind};

pub(crate) async fn run(args: &FilesArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let name = AppName::read(&args.app, &session.environment)?;
    let query = FilesQuery { path: Some(args.path.clone()), limit: args.limit, cursor: None };
    let listed = session.client.snapshot_files(&name.environment, &name.name, &args.snapshot, query).await;
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) => return Err(explained(&name, error, session).await),
    };
    if entries.is_empty() && out.for_people() {
        out.say("The folder is empty.");
        return Ok(ExitStatus::Done);
    }
    out.table(&entries, || table(&entries, session.now))?;
    Ok(ExitStatus::Done)
}

fn table(entries: &[FileEntry], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("MODE"),
        Column::new("OWNER").right().rank(2),
        Column::new("SIZE").right(),
        Column::new("CHANGED").right().rank(1),
        Column::new("NAME").shrinks_to(16),
        Column::new("MOMENT").wide(),
    ]);
    for one in entries {
        table.row([
            mode(one).into(),
            format!("{}:{}", one.uid, one.gid).into(),
            if one.kind == FileKind::File { bytes(one.size) } else { ABSENT.to_owned() }.into(),
            one.modified.map_or_else(|| ABSENT.to_owned(), |at| ago(at, now)).into(),
            shown(one).into(),
            one.modified.map_or_else(|| ABSENT.to_owned(), |at| at.to_string()).into(),
        ]);
    }
    table
}

/// As `ls -F` shows a name, and what a link points at.
fn shown(one: &FileEntry) -> String {
    match (one.kind, &one.target) {
        (FileKind::Folder, _) => format!("{}/", one.name),
        (FileKind::Link, Some(target)) => format!("{} -> {target}", one.name),
        _ => one.name.clone(),
    }
}

/// As `ls -l` shows it.
fn mode(one: &FileEntry) -> String {
    let kind = match one.kind {
        FileKind::File => '-',
        FileKind::Folder => 'd',
        FileKind::Link => 'l',
        FileKind::Special => '?',
    };
    let mut text = String::from(kind);
    // Of each three: the shift, the special bit that shows in place of `x`, and how.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = one.mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, one.mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: FileKind, mode: u32, target: Option<&str>) -> FileEntry {
        let (name, target) = ("x".to_owned(), target.map(str::to_owned));
        FileEntry { name, kind, size: 0, mode, uid: 0, gid: 0, modified: None, target, whole: false }
    }

    #[test]
    fn modes_and_names_look_as_ls_shows_them() {
        for (kind, bits, target, expected) in [
            (FileKind::File, 0o640, None, "-rw-r----- x"),
            (FileKind::Folder, 0o3775, None, "drwxrwsr-t x/"),
            (FileKind::File, 0o4711, None, "-rws--x--x x"),
            (FileKind::File, 0o7000, None, "---S--S--T x"),
            (FileKind::Link, 0o777, Some("a/b"), "lrwxrwxrwx x -> a/b"),
            (FileKind::Link, 0o777, None, "lrwxrwxrwx x"),
            (FileKind::Special, 0o600, None, "?rw------- x"),
        ] {
            let one = entry(kind, bits, target);
            assert_eq!(format!("{} {}", mode(&one), shown(&one)), expected);
        }
    }
}
