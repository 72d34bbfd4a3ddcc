//! Who says what of a policy, and that the policies that come with omni are what the engine does.

use super::data::outlined;
use super::world::{World, key, repository};
use crate::backup::{Outline, Policy, Source, controllers_policy, policy};
use crate::state::{Command, RunKind, State};
use omni_catalogue::policies::Policies;
use omni_common::domain::app::ServiceName;
use omni_common::domain::backup::{DrillOptions, PolicyOptions, Probe, RunState, Schedule, Span};
use std::sync::Arc;
use std::time::Duration;

/// An app of services with these labels, each with a volume, and with these lines under `x-omni.backup`.
fn app(services: &[(&str, &str)], backup: &str) -> Outline {
    let mut text = "services:\n".to_owned();
    for (number, (component, tier)) in services.iter().enumerate() {
        text +=
            &format!("  s{number}:\n    image: ours/thing\n    volumes: [data{number}:/data]\n    labels:\n");
        text += &format!("      omni.quantum.component: {component}\n      omni.quantum.tier: {tier}\n");
    }
    let volumes: Vec<String> = (0..services.len()).map(|number| format!("data{number}: ")).collect();
    text += &format!("volumes: {{{}}}\n", volumes.join(", "));
    if !backup.is_empty() {
        text += &format!("x-omni: {{backup: {backup}}}\n");
    }
    outlined(&text)
}

/// A state with just these repositories.
fn with_repositories(names: &[&str]) -> State {
    let mut state = World::new("2026-11-23T00:30:00Z").state;
    state.repositories = names.iter().map(|name| ((*name).to_owned(), Arc::new(repository(name)))).collect();
    state
}

fn resolved(state: &State, outline: &Outline) -> Policy {
    policy(state, &state.apps[&key()], outline)
}

fn hours(number: u64) -> Duration {
    Duration::from_secs(number * 3_600)
}

/// What the file says of each component is what holds for an app that is this component. Breaks when the engine reads a key
/// in another way, or does not read it.
#[test]
fn each_component_gets_what_its_policy_says() {
    let (policies, state) = (Policies::builtin(), with_repositories(&["home"]));
    let mut seen = 0;
    for (name, rules) in policies.components() {
        let outline = app(&[(name, "standard")], "");
        // One whose data lies with another, or that is only a command, has nothing in a volume of its own.
        if outline.components.is_empty() {
            continue;
        }
        let own = resolved(&state, &outline);
        assert_eq!(own.basis.to_string(), format!("component {name}"));
        assert_eq!(
            own.schedule,
            Schedule::new(&rules.schedule, &rules.time_zone).expect("checked"),
            "{name}"
        );
        let lengths = [own.jitter, own.max_duration, own.copy_duration, own.max_age];
        let said = [rules.jitter, rules.max_duration, rules.copy_duration, rules.max_age];
        assert_eq!(lengths, said.map(Span::duration), "{name}");
        let drills = own.drills.as_ref().expect("each is drilled");
        let lengths = [drills.jitter, drills.max_age, drills.restore_within];
        let said = [rules.drill.jitter, rules.drill.max_age, rules.drill.restore_within];
        assert_eq!(lengths, said.map(Span::duration), "{name}");
        assert_eq!(drills.schedule_text, rules.drill.schedule, "{name}");
        assert_eq!(drills.max_duration, rules.drill.max_duration.max(rules.drill.restore_within).duration());
        let kept: Vec<&String> = own.retention.values().collect();
        let mut said: Vec<&String> = rules.retention.values().collect();
        assert_eq!(own.retention.len(), rules.retention.len(), "{name}");
        said.sort();
        let mut sorted = kept;
        sorted.sort();
        assert_eq!(sorted, said, "{name}");
        assert_eq!(
            (own.sources.schedule, own.sources.to, own.to.as_deref()),
            (Source::Rules, Some(Source::OnlyOne), Some("home"))
        );
        seen += 1;
    }
    assert!(seen > 30, "{seen} components were looked at");
}

#[test]
fn repositories_of_the_rules_hold_where_they_are_there() {
    let gitea = app(&[("gitea", "high")], "");
    // Where to, copies, and who says the one and the other.
    let check = |names: &[&str], by_hand: PolicyOptions, defaults: PolicyOptions, expected: &str| {
        let mut state = with_repositories(names);
        state.backup_policies.insert(key(), Arc::new(by_hand));
        state.backup_defaults.policy = defaults;
        let own = resolved(&state, &gitea);
        let by = |source: Option<Source>| source.map_or("nobody".to_owned(), |by| format!("{by:?}"));
        let to = own.to.as_deref().unwrap_or("nowhere");
        let told =
            format!("{to} {}, {} [{}]", by(own.sources.to), by(own.sources.copy_to), own.copy_to.join(" "));
        assert_eq!(told, expected, "{names:?}");
        assert_eq!(own.fault.is_some(), own.to.is_none(), "{:?}", own.fault);
    };
    let none = PolicyOptions::default;
    let to = |name: &str| PolicyOptions { to: Some(name.to_owned()), ..none() };
    let copy_to = |name: &str| PolicyOptions { copy_to: Some(vec![name.to_owned()]), ..none() };
    let all = ["home-high", "object-high", "remote-high", "mine"];
    check(&all, none(), none(), "home-high Rules, Rules [object-high remote-high]");
    // A site that is not set up is left out, and the missing copy is shown elsewhere.
    check(&all[..2], none(), none(), "home-high Rules, Rules [object-high]");
    check(&all[..1], none(), none(), "home-high Rules, Rules []");
    check(&all[3..], none(), none(), "mine OnlyOne, nobody []");
    check(&["home-low", "mine"], none(), none(), "nowhere nobody, nobody []");
    check(&[], none(), none(), "nowhere nobody, nobody []");
    // Whoever says where to, says all of it; unless it is where the rules send it anyway.
    check(&all, none(), to("mine"), "mine Defaults, nobody []");
    check(&all, to("mine"), to("home-high"), "mine Hand, nobody []");
    check(&all, none(), to("home-high"), "home-high Defaults, Rules [object-high remote-high]");
    check(&all, none(), copy_to("mine"), "home-high Rules, Defaults [mine]");
}

#[test]
fn each_value_is_that_of_the_strongest_word() {
    let outline = app(
        &[("gitea", "high")],
        "{schedule: '5 * * * *', max_age: 3h, drill: {max_age: 30d, schedule: '0 5 * * *'}}",
    );
    let mut state = with_repositories(&["home"]);
    let drill = DrillOptions { restore_within: Some(Span::secs(60)), ..DrillOptions::default() };
    state.backup_defaults.policy = PolicyOptions {
        max_age: Some(Span::secs(60)),
        time_zone: Some("Europe/Berlin".to_owned()),
        drill: Some(drill),
        ..PolicyOptions::default()
    };
    let by_hand = PolicyOptions { schedule: Some("7 * * * *".to_owned()), ..PolicyOptions::default() };
    state.backup_policies.insert(key(), Arc::new(by_hand));
    let own = resolved(&state, &outline);
    let by = own.sources;
    assert_eq!((own.schedule_text.as_str(), by.schedule), ("7 * * * *", Source::Hand));
    assert_eq!((own.max_age, by.max_age), (hours(3), Source::File));
    assert_eq!((own.time_zone.as_str(), by.time_zone), ("Europe/Berlin", Source::Defaults));
    assert_eq!((own.jitter, by.jitter), (Duration::from_secs(600), Source::Rules));
    let drills = own.drills.expect("nobody switched them off");
    assert_eq!((drills.schedule_text.as_str(), by.drill_schedule), ("0 5 * * *", Source::File));
    assert_eq!((drills.max_age, by.drill_max_age), (hours(30 * 24), Source::File));
    assert_eq!((drills.restore_within, by.drill_restore_within), (Duration::from_secs(60), Source::Defaults));
    assert_eq!(drills.jitter, Duration::ZERO, "a schedule of one's own is meant to the minute");
}

#[test]
fn the_length_of_a_copy_follows_from_that_of_a_backup_that_somebody_says() {
    let state = with_repositories(&["home"]);
    let plain = resolved(&state, &app(&[("gitea", "high")], ""));
    assert_eq!(
        plain.copy_duration,
        Policies::builtin().component("gitea").expect("there").copy_duration.duration()
    );
    let said = resolved(&state, &app(&[("gitea", "high")], "{max_duration: 3h}"));
    assert_eq!((said.max_duration, said.copy_duration), (hours(3), hours(6)));
}

#[test]
fn a_database_has_to_answer_in_its_drill() {
    let state = with_repositories(&["home"]);
    let probes = |outline: &Outline| resolved(&state, outline).drills.expect("drilled").probes;
    let database = probes(&app(&[("postgresql", "critical")], ""));
    assert!(
        matches!(database.as_slice(), [Probe::Facts { item: None }, Probe::Sql { query, equals: None, .. }] if query == "SELECT 1"),
        "{database:?}"
    );
    assert_eq!(probes(&app(&[("caddy", "high")], "")), [Probe::Facts { item: None }]);
}

#[test]
fn what_the_rules_ask_beyond_facts_is_asked() {
    let state = with_repositories(&["home"]);
    let probes = |outline: &Outline| {
        let mut all = resolved(&state, outline).drills.expect("drilled").probes;
        assert_eq!(all.remove(0), Probe::Facts { item: None });
        all
    };
    let qdrant = Probe::Http {
        service: ServiceName::new("s0").expect("a name"),
        port: 6333,
        path: "/collections".to_owned(),
        status: None,
        text: None,
        needs: Vec::new(),
    };
    assert_eq!(probes(&app(&[("qdrant", "high")], "")), [qdrant]);
    assert_eq!(probes(&app(&[("gitea", "high")], "")), [Probe::Git { item: None }]);
    // Its files are taken, and no archive is written; unless somebody says so.
    assert_eq!(probes(&app(&[("openbao", "critical")], "")), []);
    let written = outlined(
        "services:\n  vault:\n    image: ours/vault\n    labels: {omni.quantum.component: openbao}\n    \
         x-omni: {backup: {method: command, save: [save-it]}}\n",
    );
    let item = written.groups["main"][0].name.clone();
    assert_eq!(probes(&written), [Probe::Archive { item: Some(item) }]);
}

/// The policies say so, and the engine does it.
#[test]
fn what_is_missed_is_not_made_up_for_where_the_policies_say_so() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.limits.catch_up = false;
    world.live(60);
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 2, "the first one, and the hour's");
    world.pass(Duration::from_secs(9 * 3600 + 30 * 60));
    world.decide();
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 2);
    assert!(
        world.state.open_runs().all(|run| run.kind() != RunKind::Backup),
        "none for those that were missed"
    );
    world.live(60);
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 3, "the next comes at its time");
}

#[test]
fn limits_hold_as_they_are_set() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.limits.per_repository = 1;
    world.live(30);
    world.pass(Duration::from_secs(40 * 60));
    world.decide();
    for name in ["home", "away"] {
        let using = world.given().into_iter().filter(|run| run.repositories().any(|one| one == name)).count();
        assert!(using <= 1, "{name}: {using}");
    }
    let lone = Command::SetBackupDefaults(Box::default());
    world.apply(lone).expect("zero is for what the policies say");
}

#[test]
fn the_controllers_own_state_follows_the_operators_policies() {
    let shipped = include_str!("../../../../compose/backup/policies/effective.yaml");
    let critical = "backup: {time_zone: UTC, schedule: 0 * * * *, jitter: 5m, max_duration: 15m}";
    assert!(shipped.contains(critical), "the critical tier is as this test knows it");
    let own = shipped.replacen(critical, &critical.replace("0 * * * *", "30 * * * *"), 1);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), own).expect("written");
    let policies = Policies::from_file(file.path()).expect("policies");
    let state = with_repositories(&["home"]);
    assert_eq!(controllers_policy(&state, &policies).schedule_text, "30 * * * *");
    assert_eq!(controllers_policy(&state, &Policies::builtin()).schedule_text, "0 * * * *");
}
