use super::*;
use crate::{MetricsKind, Tier};

/// A component with everything that is required, and `more` at its end.
fn component(name: &str, more: &str) -> String {
    let more: String = more.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "  - name: {name}
    summary: A test.
    origin: own
    tier: standard
    critical: false
    health: {{kind: none}}
    metrics: {{kind: none}}
    logs: {{format: text}}
    backup: {{method: none, what: Nothing., restore: Nothing.}}
    placement: {{instances: one}}
    licence: {{name: MIT, open_source: true}}
    sources: [here]
    confidence: source
{more}"
    )
}

fn file(system: u16, components: &[String]) -> String {
    format!(
        "system: {system}\nname: Mine\ntier: standard\nsummary: Ours.\ncomponents:\n{}",
        components.concat()
    )
}

/// The catalogue with one operator file on top.
fn load(text: &str) -> Result<Catalogue> {
    load_all(&[("mine.yaml", text)])
}

fn load_all(files: &[(&str, &str)]) -> Result<Catalogue> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    Catalogue::with_folder(folder.path())
}

/// The problems as text, without the folder's name.
fn problems(files: &[(&str, &str)]) -> String {
    match load_all(files) {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(Error::Invalid(Problems(problems))) => problems
            .into_iter()
            .map(|mut problem| {
                problem.file = problem.file.rsplit('/').next().unwrap_or_default().to_owned();
                problem.what = problem.what.replace(std::env::temp_dir().to_str().expect("UTF-8"), "TMP");
                problem.to_string()
            })
            .collect::<Vec<_>>()
            .join("\n"),
        Err(other) => other.to_string(),
    }
}

fn problem(text: &str) -> String {
    problems(&[("mine.yaml", text)])
}

#[test]
fn the_built_in_catalogue_is_sound_and_whole() {
    let catalogue =
        Catalogue::empty().extended(Layer::Builtin, &builtin_sources()).unwrap_or_else(|e| panic!("{e}"));
    let numbers: Vec<u16> = catalogue.systems().map(|system| system.number).collect();
    assert_eq!(numbers, (1..=37).collect::<Vec<u16>>());
    assert!(catalogue.components().count() >= 107);
    for number in numbers {
        assert!(catalogue.of_system(number).next().is_some(), "system {number} has components");
    }
}

#[test]
fn tiers_follow_the_number_of_the_system() {
    for entry in Catalogue::builtin().entries() {
        let tier = match entry.system {
            1..=7 => Tier::Critical,
            8..=17 => Tier::High,
            18..=28 => Tier::Medium,
            _ => Tier::Standard,
        };
        assert_eq!(entry.component.tier, tier, "{}", entry.component.name);
    }
}

#[test]
fn every_superseded_component_says_how_to_keep_it() {
    for c in Catalogue::builtin().components().filter(|c| c.is_superseded()) {
        assert!(c.licence.flags.iter().any(|flag| flag.original.is_some()), "{}", c.name);
    }
}

#[test]
fn what_is_not_open_source_carries_a_flag() {
    for c in Catalogue::builtin().components().filter(|c| !c.licence.open_source) {
        assert!(!c.licence.flags.is_empty(), "{}", c.name);
    }
}

#[test]
fn labels_are_those_of_the_convention() {
    let catalogue = Catalogue::builtin();
    let labels = catalogue.require("coder").expect("coder").labels();
    let shown: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        shown,
        [
            "omni.quantum.component=coder",
            "omni.quantum.critical=false",
            "omni.quantum.tier=standard",
            "prometheus.path=/",
            "prometheus.port=2112",
            "prometheus.scrape=true",
        ]
    );
    let mattermost = catalogue.require("mattermost").expect("mattermost");
    assert_eq!(mattermost.metrics.kind, MetricsKind::None);
    assert!(!mattermost.labels().contains_key("prometheus.scrape"));
    assert!(catalogue.require("litellm").expect("litellm").scrape_needs_credential());
}

#[test]
fn the_start_order_puts_databases_first_and_accepts_stand_ins() {
    let catalogue = Catalogue::builtin();
    let waves =
        catalogue.start_order(["plane-api", "plane-migrator", "postgresql", "seaweedfs"]).expect("known");
    let names: Vec<Vec<&str>> =
        waves.iter().map(|wave| wave.iter().map(|c| c.name.as_str()).collect()).collect();
    assert_eq!(names, [vec!["postgresql", "seaweedfs"], vec!["plane-migrator"], vec!["plane-api"]]);

    let missing =
        catalogue.missing(["plane-api", "plane-migrator", "postgresql", "seaweedfs"]).expect("known");
    let missing: Vec<String> = missing.iter().map(|(who, what)| format!("{who} -> {what}")).collect();
    assert_eq!(missing, ["plane-api -> redis", "plane-api -> plane-mq", "plane-migrator -> redis"]);
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    let catalogue = Catalogue::builtin();
    let said = |name| catalogue.require(name).expect_err("unknown").to_string();
    assert_eq!(said("postgresq"), "the catalogue has no component `postgresq`; did you mean `postgresql`?");
    assert_eq!(said("spreadsheet"), "the catalogue has no component `spreadsheet`");
}

#[test]
fn a_file_adds_a_system_of_its_own() {
    let catalogue = load(&file(100, &[component("mine", "depends: {hard: [postgresql]}")])).expect("sound");
    let entry = catalogue.entry("mine").expect("added");
    assert_eq!((entry.system, entry.line), (100, 6));
    assert!(entry.file.ends_with("mine.yaml"));
    assert_eq!(catalogue.system(100).expect("added").name, "Mine");
    assert_eq!(catalogue.systems().count(), 38);
}

#[test]
fn a_file_replaces_a_built_in_component_as_a_whole_and_leaves_its_system_alone() {
    let text = format!("system: 13\ncomponents:\n{}", component("gitea", ""));
    let catalogue = load(&text).expect("sound");
    let gitea = catalogue.get("gitea").expect("still there");
    assert_eq!(gitea.summary, "A test.");
    assert!(gitea.image.is_none());
    assert_eq!(catalogue.system(13).expect("there").name, "Git Hosting");
    assert_eq!(catalogue.of_system(13).count(), 1);
}

#[test]
fn a_component_joins_a_built_in_system() {
    let text = format!("system: 13\ncomponents:\n{}", component("forge", ""));
    let catalogue = load(&text).expect("sound");
    let names: Vec<&str> = catalogue.of_system(13).map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["gitea", "forge"]);
}

#[test]
fn other_files_of_the_folder_are_left_alone() {
    let good = file(100, &[component("mine", "")]);
    let files = [("a.yml", good.as_str()), ("notes.txt", "no: [yaml"), (".b.yaml", "no: [yaml")];
    assert!(load_all(&files).expect("sound").get("mine").is_some());
}

#[test]
fn a_missing_folder_is_named() {
    let error = Catalogue::with_folder("/no/such/folder").expect_err("missing");
    assert_eq!(error.to_string(), "cannot list the catalogue folder /no/such/folder");
}

#[test]
fn a_folder_or_file_without_end_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("big.yaml"), "#".repeat(1024 * 1024 + 1)).expect("a file");
    let error = Catalogue::with_folder(folder.path()).expect_err("too large");
    assert!(error.to_string().ends_with("big.yaml is too large: 1048577 bytes, 1048576 at most"), "{error}");
}

#[test]
fn what_yaml_cannot_be_read_names_file_line_and_key() {
    let unknown = problem(&file(100, &[component("mine", "colour: red")]));
    assert!(unknown.starts_with("mine.yaml:19: component `mine`: `colour`: "), "{unknown}");
    assert!(unknown.contains("unknown field"), "{unknown}");

    let port = problem(&file(100, &[component("mine", "ports:\n  - {name: a, port: 70000, protocol: tcp}")]));
    assert!(port.starts_with("mine.yaml:20: component `mine`: `port`: "), "{port}");
    assert!(port.contains("a port is 1 to 65535, not 70000"), "{port}");
    let zero = problem(&file(100, &[component("mine", "ports:\n  - {name: a, port: 0, protocol: tcp}")]));
    assert!(zero.contains("a port is 1 to 65535, not 0"), "{zero}");

    let name = problem(&file(100, &[component("Mine", "")]));
    assert!(name.starts_with("mine.yaml:6: component `Mine`: `name`: "), "{name}");
    assert!(name.contains("is not a component name"), "{name}");

    let tier = problem(&file(100, &[component("mine", "").replace("tier: standard", "tier: huge")]));
    assert!(tier.starts_with("mine.yaml:9: component `mine`: `tier`: "), "{tier}");

    let lacking = problem(&file(100, &[component("mine", "").replace("    summary: A test.\n", "")]));
    assert!(lacking.contains("summary"), "{lacking}");

    let twice = problem(&file(100, &[component("mine", "tier: standard")]));
    assert!(twice.starts_with("mine.yaml:19: "), "{twice}");

    assert!(problem("system: 100\ncomponents: [").starts_with("mine.yaml:"), "half a file");
}

#[test]
fn all_problems_are_told_at_once() {
    let text = file(
        100,
        &[
            component("one", "").replace("critical: false", "critical: true"),
            component("two", "image: {ref: thing, tag_seen: true}\ndepends: {hard: [postgresq]}"),
        ],
    );
    assert_eq!(
        problem(&text),
        "mine.yaml:6: component `one`: `critical`: must be false because the tier is standard: critical is true exactly when the tier is critical\n\
         mine.yaml:19: component `two`: `image.ref`: has no tag: pin a version\n\
         mine.yaml:19: component `two`: `depends.hard`: no component `postgresq`; did you mean `postgresql`?"
    );
}

/// Each rule broken once: what is added to a sound component, and what is said.
#[test]
fn each_rule_says_what_it_wants() {
    let cases = [
        ("image: {ref: 'a/b:latest', tag_seen: true}", "`image.ref`: latest is not a version: pin one"),
        ("image: {ref: 'host:5000/b', tag_seen: true}", "`image.ref`: has no tag: pin a version"),
        (
            "ports: [{name: a, port: 1, protocol: tcp}, {name: b, port: 1, protocol: tcp}]",
            "`ports`: 1 is listed twice",
        ),
        (
            "data: {paths: [{path: x, keep: state, holds: y}]}",
            "`data.paths`: `x` is not absolute: start it with /",
        ),
        ("instead_of: mine", "`instead_of`: names the component itself"),
        ("superseded_by: [nothing-like-it]", "`superseded_by`: no component `nothing-like-it`"),
        ("depends: {uses: [nothing-like-it]}", "`depends.uses`: no component `nothing-like-it`"),
    ];
    for (more, said) in cases {
        let expected = format!("mine.yaml:6: component `mine`: {said}");
        assert_eq!(problem(&file(100, &[component("mine", more)])), expected, "{more}");
    }
    let swaps = [
        ("health: {kind: none}", "health: {kind: http, path: /}", "`health.port`: is needed for kind http"),
        ("health: {kind: none}", "health: {kind: http, port: 1}", "`health.path`: is needed for kind http"),
        ("health: {kind: none}", "health: {kind: tcp}", "`health.port`: is needed for kind tcp"),
        ("health: {kind: none}", "health: {kind: exec}", "`health.command`: is needed for kind exec"),
        (
            "health: {kind: none}",
            "health: {kind: none, port: 1}",
            "`health.kind`: none leaves no room for port, path or command",
        ),
        (
            "health: {kind: none}",
            "health: {kind: exec, command: [curl, x]}",
            "`health.command`: starts with CMD or CMD-SHELL, and the command follows",
        ),
        (
            "health: {kind: none}",
            "health: {kind: none, start_period: 2m}",
            "`health.start_period`: is whole seconds: 120s",
        ),
        (
            "metrics: {kind: none}",
            "metrics: {kind: native, port: 1, path: /metrics, access: open}",
            "`metrics.enable`: is needed for kind native",
        ),
        (
            "metrics: {kind: none}",
            "metrics: {kind: none, port: 1}",
            "`metrics.port`: makes sense only for kind native",
        ),
        (
            "metrics: {kind: none}",
            "metrics: {kind: exporter}",
            "`metrics.exporter`: is needed for kind exporter",
        ),
        ("method: none", "method: volume", "`backup.paths`: is needed for this method"),
        (
            "method: none",
            "method: postgres, server: postgresql",
            "`backup.databases`: is needed for this method",
        ),
        ("method: none", "method: s3", "`backup.buckets`: is needed for this method"),
        ("method: none", "method: host-path", "`backup.host_paths`: is needed for this method"),
        ("method: none", "method: command", "`backup.command`: is needed for this method"),
        ("method: none", "method: shared", "`backup.shared_with`: is needed for this method"),
        (
            "method: none",
            "method: none, command: [x]",
            "`backup.command`: makes sense only for method command",
        ),
        ("method: none", "method: none, keys: [KEY]", "`backup.keys`: `KEY` is not among its secrets"),
        (
            "restore: Nothing.}",
            "restore: Nothing., keys: [KEY]}\n    secrets: [{name: KEY, kind: env}]",
            "`secrets`: `KEY` has to say `keep: true`: backup.keys names it",
        ),
        (
            "method: none",
            "method: shared, shared_with: plane-worker",
            "`backup.shared_with`: `plane-worker` is itself covered by another: name that one",
        ),
    ];
    for (old, new, said) in swaps {
        let expected = format!("mine.yaml:6: component `mine`: {said}");
        let text = component("mine", "");
        assert!(text.contains(old), "{old}");
        assert_eq!(problem(&file(100, &[text.replace(old, new)])), expected, "{new}");
    }
}

#[test]
fn a_circle_is_shown_as_one() {
    let text =
        file(100, &[component("one", "depends: {hard: [two]}"), component("two", "depends: {hard: [one]}")]);
    assert_eq!(
        problem(&text),
        "mine.yaml:6: component `one`: `depends.hard`: waits for itself: one -> two -> one; make one of them `uses`"
    );
}

#[test]
fn two_files_may_not_describe_the_same_component() {
    let text = file(100, &[component("mine", "")]);
    let said = problems(&[("a.yaml", &text), ("b.yaml", &text)]);
    assert!(said.starts_with("b.yaml:6: component `mine`: `name`: already described at "), "{said}");
    assert!(said.ends_with("a.yaml:6; keep one of them"), "{said}");
}

#[test]
fn a_built_in_component_stays_in_its_system() {
    assert_eq!(
        problem(&file(100, &[component("gitea", "")])),
        "mine.yaml:6: component `gitea`: `system`: belongs to system 13: put it into a file for that one"
    );
}

#[test]
fn a_new_system_needs_a_head() {
    let text = format!("system: 100\ncomponents:\n{}", component("mine", ""));
    assert_eq!(
        problem(&text),
        "mine.yaml:1: `system`: system 100 is new: give it `name`, `tier` and `summary`"
    );
    let text = file(0, &[component("mine", "")]);
    assert_eq!(
        problem(&text),
        "mine.yaml:1: `system`: 0 is not a system number: 1 to 999, your own from 100 on"
    );
}

#[test]
fn a_system_mentions_only_what_exists() {
    let text = file(100, &[component("mine", "")])
        .replace("components:", "extends: [99]\nreuses: [gitae]\ncomponents:");
    assert_eq!(
        problem(&text),
        "mine.yaml:1: `reuses`: no component `gitae`; did you mean `gitea`?\nmine.yaml:1: `extends`: no system 99"
    );
}
