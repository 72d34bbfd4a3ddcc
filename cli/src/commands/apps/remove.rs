//! `omni rm`: removes an app; its data only when that is said, after it was shown.

use super::watch::gone;
use crate::app_name::{AppName, explained, find};
use crate::args::RemoveArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::units::count;
use anyhow::Result;
use omni_common::api::v1::{AppView, VolumeView};

/// Removes an app.
pub(crate) async fn run(args: &RemoveArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, app) = find(&args.app, session).await?;
    let fate = fate(&name, &app, args.volumes);
    match (fate.is_empty(), args.volumes) {
        (true, _) => {}
        // Also with `--yes`: what is lost is to stand in the log of who did it.
        (false, true) => out.warn(&fate),
        (false, false) => out.say(&fate),
    }
    confirm(&question(&name, &app, args.volumes), args.yes, out)?;
    if let Err(error) = session.client.remove_app(&name.environment, &name.name, args.volumes).await {
        return Err(explained(&name, error, session).await);
    }
    out.say(&format!("{name} is on its way out."));
    if let Some(limit) = args.wait.wait {
        gone(&name, limit, session, out).await?;
        out.say(&format!("{name} is gone."));
    }
    Ok(ExitStatus::Done)
}

/// What becomes of the data, volume by volume; empty when there is none.
fn fate(name: &AppName, app: &AppView, volumes: bool) -> String {
    if app.volumes.is_empty() {
        return String::new();
    }
    let mut known: Vec<&VolumeView> = app.volumes.iter().collect();
    known.sort();
    let place = |volume: &&VolumeView| {
        format!("\n  {} of {}.{} on {}", volume.name, volume.group, volume.slot, volume.host_name)
    };
    let list: String = known.iter().map(place).collect();
    if volumes {
        format!("the data of {name} is lost with it:{list}")
    } else {
        format!("the data of {name} stays on its hosts:{list}")
    }
}

fn question(name: &AppName, app: &AppView, volumes: bool) -> String {
    let running = count(app.allocations.iter().filter(|one| one.run).count(), "instance");
    match (volumes, app.volumes.len()) {
        (true, 0) => format!("Remove {name} ({running}, no data)?"),
        (true, some) => format!("Remove {name} ({running}) and delete {}?", count(some, "volume")),
        (false, _) => format!("Remove {name} ({running})? Its releases are forgotten."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{app, volume};

    #[test]
    fn what_is_lost_is_named_with_its_host() {
        let mut shop = app("default", "shop");
        let name = AppName::of(&shop);
        assert_eq!(fate(&name, &shop, true), "");
        shop.volumes = vec![volume("pgdata", "web-2"), volume("media", "web-1")];
        assert_eq!(
            fate(&name, &shop, true),
            "the data of default/shop is lost with it:\n  media of main.0 on web-1\n  pgdata of main.0 on web-2"
        );
        assert!(fate(&name, &shop, false).contains("stays"));
        assert_eq!(question(&name, &shop, true), "Remove default/shop (2 instances) and delete 2 volumes?");
        assert_eq!(
            question(&name, &shop, false),
            "Remove default/shop (2 instances)? Its releases are forgotten."
        );
    }
}
