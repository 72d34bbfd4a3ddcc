//! `omni diff`: what differs between two releases.

use crate::app_name::find;
use crate::args::DiffArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::table::harmless;
use crate::tone::Tone;
use anyhow::Result;
use omni_common::api::v1::{Change, DiffQuery, ReleaseView};

/// Compares two releases; the wanted one with the one before it when none is named.
pub(crate) async fn run(args: &DiffArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, app) = find(&args.app, session).await?;
    let releases = match (args.from, args.to) {
        (Some(from), Some(to)) => DiffQuery { from, to },
        (Some(from), None) => DiffQuery { from, to: app.release },
        (None, _) => {
            let all = session.client.releases(&name.environment, &name.name).await?;
            let from = before(app.release, &all).ok_or_else(|| {
                Failure::NotFound(format!("release {} of {name} has none before it", app.release))
            })?;
            DiffQuery { from, to: app.release }
        }
    };
    let changes = session.client.diff_releases(&name.environment, &name.name, &releases).await?;
    if changes.is_empty() {
        out.say(&format!("Releases {} and {} of {name} do not differ.", releases.from, releases.to));
    } else {
        out.say(&format!("From release {} to {} of {name}:", releases.from, releases.to));
    }
    out.text(&changes, |look| changes.iter().map(|change| lines(change, look)).collect())?;
    Ok(ExitStatus::Done)
}

/// The newest release older than `release`.
fn before(release: u64, all: &[ReleaseView]) -> Option<u64> {
    all.iter().map(|one| one.number).filter(|number| *number < release).max()
}

/// `~ path: from -> to`, `+ path: to`, `- path: from`.
pub(crate) fn lines(change: &Change, look: Look) -> String {
    let path = harmless(&change.path);
    let (text, tone) = match (&change.from, &change.to) {
        (Some(from), Some(to)) if from == to => (format!("~ {path}: changed, {}", harmless(to)), Tone::Warn),
        (Some(from), Some(to)) => (format!("~ {path}: {} -> {}", harmless(from), harmless(to)), Tone::Warn),
        (None, Some(to)) => (format!("+ {path}: {}", harmless(to)), Tone::Good),
        (Some(from), None) => (format!("- {path}: {}", harmless(from)), Tone::Bad),
        (None, None) => (format!("~ {path}"), Tone::Warn),
    };
    format!("{}\n", tone.paint(&text, look.colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_has_its_sign() {
        let told = |from: Option<&str>, to: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let change = Change { path: "services.web.image".to_owned(), from: own(from), to: own(to) };
            lines(&change, Look::default())
        };
        assert_eq!(told(Some("a"), Some("b")), "~ services.web.image: a -> b\n");
        assert_eq!(told(None, Some("b\u{1b}")), "+ services.web.image: b\u{fffd}\n");
        assert_eq!(told(Some("a"), None), "- services.web.image: a\n");
        let hidden = told(Some("(hidden)"), Some("(hidden)"));
        assert_eq!(hidden, "~ services.web.image: changed, (hidden)\n");
    }
}
