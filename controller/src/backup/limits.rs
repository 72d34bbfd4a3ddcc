//! How many runs there are at a time, and what is made up for after downtime: what a person set, else what the policies say.

use crate::state::State;
use omni_catalogue::policies::{CatchUpMode, Policies};
use std::time::Duration;

/// What holds for all runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs at a time on one host.
    pub per_host: u32,
    /// Runs at a time on one repository.
    pub per_repository: u32,
    /// Drills at a time on one host.
    pub drills_per_host: u32,
    /// Runs that were missed are made up for: the newest of each.
    pub catch_up: bool,
    /// They begin within this.
    pub spread: Duration,
}

/// What holds now.
pub fn limits(state: &State, policies: &Policies) -> Limits {
    let (set, said, catch_up) = (&state.backup_defaults, policies.limits(), policies.catch_up());
    let or = |set: u32, said: u32| if set == 0 { said } else { set };
    let spread = set.spread.duration();
    Limits {
        per_host: or(set.per_host, said.per_host),
        per_repository: or(set.per_repository, said.per_repository),
        drills_per_host: or(set.drills_per_host, said.drills_per_host),
        catch_up: catch_up.mode == CatchUpMode::Newest,
        spread: if spread.is_zero() { catch_up.spread.duration() } else { spread },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::domain::backup::Span;

    #[test]
    fn what_a_person_set_goes_over_what_the_policies_say() {
        let policies = Policies::builtin();
        let mut state = State::default();
        let said = limits(&state, &policies);
        assert_eq!((said.per_host, said.per_repository, said.drills_per_host), (2, 6, 1));
        assert_eq!((said.catch_up, said.spread), (true, Duration::from_secs(900)));
        state.backup_defaults.per_host = 5;
        state.backup_defaults.spread = Span::secs(60);
        let set = Limits { per_host: 5, spread: Duration::from_secs(60), ..said };
        assert_eq!(limits(&state, &policies), set);
    }
}
