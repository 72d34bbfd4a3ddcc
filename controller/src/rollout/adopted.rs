//! What placing knows of a group that is taken over from a compose project: where it runs. It stands among the group's
//! constraints, in words of its own that no file can say.

use crate::state::{App, DeploymentState, Group, State};
use omni_common::ids::HostId;
use std::collections::BTreeSet;

/// What the constraint is about.
const PROPERTY: &str = "omni.adopted";

/// The constraint of a group whose containers run in this project of this host.
pub(crate) fn mark(host: HostId, project: &str) -> String {
    format!("{PROPERTY} == {host}/{project}")
}

/// The host and the project that a group is taken over from.
pub(super) fn read(group: &Group) -> Option<(HostId, &str)> {
    group.constraints.iter().find_map(|text| parse(text))
}

fn parse(text: &str) -> Option<(HostId, &str)> {
    let (host, project) = text.strip_prefix(PROPERTY)?.strip_prefix(" == ")?.split_once('/')?;
    Some((host.parse().ok()?, project))
}

/// The host that a group has to start on: its containers are there and nowhere else. Once the app has been healthy as omni's,
/// it may go where any other may.
pub(super) fn pinned_to(app: &App, group: &Group) -> Option<String> {
    let (host, _) = read(group)?;
    let healthy_once = app.deployments.iter().any(|past| past.state == DeploymentState::Done);
    (!healthy_once).then(|| format!("node.id == {host}"))
}

/// Projects that are not foreign: apps take them over.
pub(super) fn projects(state: &State) -> BTreeSet<(HostId, String)> {
    let wanted = state.apps.values().filter_map(|app| app.wanted());
    let marks = wanted.flat_map(|release| release.groups.values()).filter_map(|group| read(group));
    marks.map(|(host, project)| (host, project.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_no_file_can_write_it() {
        let host = HostId::from_u128(7);
        let text = mark(host, "shop");
        let (read_host, project) = parse(&text).expect("it is one");
        assert_eq!((read_host, project), (host, "shop"));
        for other in ["node.id == 7", "node.labels.omni.adopted == x/y", "omni.adopted == x/y", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
        assert!(
            text.parse::<omni_scheduler::Constraint>().is_err(),
            "the scheduler is told the host instead"
        );
    }
}
