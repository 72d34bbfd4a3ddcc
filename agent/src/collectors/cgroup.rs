//! Which control group, and which container, a process is in: from `/proc/<pid>/cgroup`.
//!
//! ```text
//! v1   4:memory:/docker/<id>            one line for each hierarchy, with its controllers
//! v2   0::/system.slice/docker-<id>.scope/init      one line
//! ```
//!
//! A container that runs an init system moves its processes into groups below its own, so a path is cut
//! after the part that carries the container's id.

use super::Roots;
use super::read::Reader;
use super::read::names;
use std::path::{Path, PathBuf};

/// Hex digits of a Docker id.
const ID_LENGTH: usize = 64;

/// Where control groups are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hierarchies {
    /// One folder for each controller.
    V1 { root: PathBuf },
    /// One folder for all.
    V2 { root: PathBuf },
}

impl Hierarchies {
    /// A machine that mounts v2 beside v1 (`unified`) has its controllers in v1.
    pub(super) fn detect(roots: &Roots) -> Self {
        let root = roots.sys.join("fs/cgroup");
        if root.join("cgroup.controllers").exists() { Self::V2 { root } } else { Self::V1 { root } }
    }
}

/// The folder of a v1 controller: its own, or one it shares, such as `cpu,cpuacct`.
pub(super) fn controller_folder(root: &Path, controller: &str) -> PathBuf {
    let own = root.join(controller);
    if own.exists() {
        return own;
    }
    names(root)
        .into_iter()
        .find(|name| name.split(',').any(|part| part == controller))
        .map_or(own, |shared| root.join(shared))
}

/// Path of a container's group below its hierarchy, without the leading slash. `controller` is empty for v2.
/// `None` when the process is not in the container's group: its pid belongs to another process by now.
pub(super) fn group<'a>(table: &'a str, controller: &str, id: &str) -> Option<&'a str> {
    let path = paths(table).find_map(|(controllers, path)| {
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    let end = path.find(id)? + id.len();
    let end = path[end..].find('/').map_or(path.len(), |slash| end + slash);
    Some(path[..end].trim_start_matches('/'))
}

/// The Docker id in a process's group paths.
pub(super) fn container(table: &str) -> Option<&str> {
    paths(table).find_map(|(_, path)| path.split('/').find_map(docker_id))
}

/// Name and container of a process, as far as it still exists.
pub(super) fn describe(proc: &Path, pid: u32, reader: &mut Reader) -> (Option<String>, Option<String>) {
    let folder = proc.join(pid.to_string());
    let name = reader.line(&folder.join("comm"));
    (name, container_of(&folder, reader))
}

/// Container of the process whose folder this is.
pub(super) fn container_of(folder: &Path, reader: &mut Reader) -> Option<String> {
    let table = reader.text(&folder.join("cgroup")).ok()?;
    container(&table).map(str::to_owned)
}

/// Controllers and path of each line.
fn paths(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'))
}

/// `<id>` as the `cgroupfs` driver names groups, `docker-<id>.scope` as the `systemd` driver does.
fn docker_id(part: &str) -> Option<&str> {
    let id = match part.strip_prefix("docker-") {
        Some(scope) => scope.strip_suffix(".scope")?,
        None => part,
    };
    (id.len() == ID_LENGTH && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::tests::Tree;
    use proptest::prelude::*;

    const ID: &str = "4f5c0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

    fn v1() -> String {
        format!(
            "9:name=systemd:/docker/{ID}\n4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}/inner/more\n0::/\n"
        )
    }

    #[test]
    fn v1_is_found_by_controller_and_cut_at_the_container() {
        let table = v1();
        assert_eq!(group(&table, "memory", ID), Some(format!("docker/{ID}").as_str()));
        assert_eq!(group(&table, "cpuacct", ID), Some(format!("docker/{ID}").as_str()));
        assert_eq!(group(&table, "pids", ID), None);
        assert_eq!(container(&table), Some(ID));
    }

    #[test]
    fn v2_is_found_under_systemd() {
        let table = format!("0::/system.slice/docker-{ID}.scope/init.scope\n");
        assert_eq!(group(&table, "", ID), Some(format!("system.slice/docker-{ID}.scope").as_str()));
        assert_eq!(container(&table), Some(ID));
    }

    #[test]
    fn a_pid_that_now_belongs_to_another_process_finds_nothing() {
        assert_eq!(group("0::/user.slice/session-1.scope\n", "", ID), None);
        assert_eq!(container("0::/user.slice/session-1.scope\n"), None);
    }

    #[test]
    fn other_runtimes_ids_are_not_docker_ids() {
        assert_eq!(container(&format!("0::/machine.slice/libpod-{ID}.scope\n")), None);
        assert_eq!(container(&format!("0::/kubepods/cri-containerd-{ID}.scope\n")), None);
    }

    #[test]
    fn shared_controller_folders_are_found() {
        let tree = Tree::new();
        tree.file("sys/fs/cgroup/cpu,cpuacct/tasks", "");
        tree.file("sys/fs/cgroup/memory/tasks", "");
        let root = tree.roots().sys.join("fs/cgroup");
        assert_eq!(controller_folder(&root, "cpuacct"), root.join("cpu,cpuacct"));
        assert_eq!(controller_folder(&root, "memory"), root.join("memory"));
        assert_eq!(Hierarchies::detect(&tree.roots()), Hierarchies::V1 { root: root.clone() });
        tree.file("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n");
        assert_eq!(Hierarchies::detect(&tree.roots()), Hierarchies::V2 { root });
    }

    proptest! {
        #[test]
        fn no_table_makes_the_parser_panic(table in "\\PC{0,200}", id in "[0-9a-f]{0,64}") {
            let _ = group(&table, "memory", &id);
            let _ = container(&table);
        }
    }
}
