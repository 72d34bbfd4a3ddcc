//! `omni scale`: how many instances an app's groups have.

use super::watch::settle;
use crate::app_name::{AppName, find};
use crate::args::ScaleArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::Result;
use omni_common::api::v1::{AppStatus, AppView, UpdateApp};
use std::collections::BTreeMap;

/// What is typed for the number that the release says.
const AS_RELEASED: &str = "default";

/// Sets the numbers.
pub(crate) async fn run(args: &ScaleArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, app) = find(&args.app, session).await?;
    let replicas = counts(&args.counts, &name, &app)?;
    let change = UpdateApp { replicas: Some(replicas.clone()), ..UpdateApp::default() };
    let mut app = session.client.update_app(&name.environment, &name.name, &change, None).await?;
    for (group, count) in &replicas {
        let count = count.map_or_else(|| "as many as its release says".to_owned(), |count| count.to_string());
        out.say(&format!("Group {group} of {name} is to have {count}."));
    }
    if let Some(limit) = args.wait.wait {
        app = settle(&name, limit, session, out, |app| app.status == AppStatus::Healthy).await?;
    }
    if !out.for_people() {
        out.text(&app, |_| String::new())?;
    }
    Ok(ExitStatus::Done)
}

/// Instances by group, as they were typed.
fn counts(typed: &[String], name: &AppName, app: &AppView) -> Result<BTreeMap<String, Option<u32>>, Failure> {
    let mut counts = BTreeMap::new();
    for text in typed {
        let (group, count) = match text.split_once('=') {
            Some((group, count)) => (group.to_owned(), count),
            None => (only_group(name, app)?, text.as_str()),
        };
        if !app.groups.iter().any(|known| known.name == group) {
            let message = format!("{name} has no group `{group}`; it has {}", groups(app));
            return Err(Failure::NotFound(message));
        }
        let count = match count {
            AS_RELEASED => None,
            number => Some(number.parse().map_err(|_| {
                Failure::Usage(format!("`{number}` is no number of instances; write e.g. `{group}=3`"))
            })?),
        };
        if counts.insert(group.clone(), count).is_some() {
            return Err(Failure::Usage(format!("group `{group}` is named twice")));
        }
    }
    Ok(counts)
}

fn only_group(name: &AppName, app: &AppView) -> Result<String, Failure> {
    match app.groups.as_slice() {
        [one] => Ok(one.name.clone()),
        [] => Err(Failure::Usage(format!("{name} has no group that could be scaled"))),
        _ => Err(Failure::Usage(format!(
            "{name} has several groups; write `GROUP=N` with one of {}",
            groups(app)
        ))),
    }
}

fn groups(app: &AppView) -> String {
    app.groups.iter().map(|group| format!("`{}`", group.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::app;
    use omni_common::api::v1::GroupView;

    fn read(words: &[&str], app: &AppView) -> Result<BTreeMap<String, Option<u32>>, Failure> {
        let typed: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        counts(&typed, &AppName::of(app), app)
    }

    #[test]
    fn a_bare_number_is_enough_for_one_group() {
        let one = app("default", "shop");
        assert_eq!(read(&["3"], &one), Ok(BTreeMap::from([("main".to_owned(), Some(3))])));
        assert_eq!(read(&["main=default"], &one), Ok(BTreeMap::from([("main".to_owned(), None)])));
        assert!(matches!(read(&["jobs=1"], &one), Err(Failure::NotFound(_))));
        for nonsense in [&["many"][..], &["main="], &["-1"], &["1", "main=2"]] {
            assert!(matches!(read(nonsense, &one), Err(Failure::Usage(_))), "{nonsense:?}");
        }
    }

    #[test]
    fn with_several_groups_each_number_names_its_own() {
        let mut several = app("default", "shop");
        several.groups.push(GroupView { name: "jobs".to_owned(), ..several.groups[0].clone() });
        let error = read(&["3"], &several).expect_err("of which?");
        assert_eq!(
            error.to_string(),
            "default/shop has several groups; write `GROUP=N` with one of `main`, `jobs`"
        );
        let both = BTreeMap::from([("jobs".to_owned(), Some(0)), ("main".to_owned(), Some(2))]);
        assert_eq!(read(&["main=2", "jobs=0"], &several), Ok(both));
    }
}
