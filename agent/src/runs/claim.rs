//! What a run needs for itself. Pure.

use omni_common::domain::backup::{Destination, RunOrder, Task};

/// What a run works on, as far as another one must not at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claim {
    /// Locations of repositories, and whether nobody else may be at work there.
    repositories: Vec<(String, bool)>,
    /// Environment, app, group and slot of the instance whose data it reads or writes.
    instance: Option<(String, String, String, u32)>,
}

impl Claim {
    /// The claim of an order.
    pub(super) fn of(order: &RunOrder) -> Self {
        let shared = |location: &String| (location.clone(), false);
        let instance = |of: &omni_common::domain::backup::Instance| {
            Some((of.environment.clone(), of.app.clone(), of.group.clone(), of.slot))
        };
        match &order.task {
            Task::Backup(task) => {
                Self { repositories: vec![shared(&task.to.location)], instance: instance(&task.instance) }
            }
            Task::Copy(task) => Self {
                repositories: vec![shared(&task.from.location), shared(&task.to.location)],
                instance: None,
            },
            Task::Ready(task) => Self { repositories: Vec::new(), instance: instance(&task.instance) },
            Task::Check(task) => Self::alone(&task.repository.location),
            Task::Prune(task) => Self::alone(&task.repository.location),
            Task::Controllers(task) => {
                Self { repositories: vec![shared(&task.repository.location)], instance: None }
            }
            Task::Restore(task) => Self {
                repositories: vec![shared(&task.from.location)],
                instance: match task.into {
                    Destination::InPlace { .. } => instance(&task.instance),
                    Destination::Scratch { .. } | Destination::Folder { .. } => None,
                },
            },
        }
    }

    fn alone(location: &str) -> Self {
        Self { repositories: vec![(location.to_owned(), true)], instance: None }
    }

    /// Whether the two cannot be under way at the same time.
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        let same_instance = self.instance.is_some() && self.instance == other.instance;
        let meet =
            |mine: &(String, bool), theirs: &(String, bool)| mine.0 == theirs.0 && (mine.1 || theirs.1);
        same_instance
            || self.repositories.iter().any(|mine| other.repositories.iter().any(|theirs| meet(mine, theirs)))
    }
}
