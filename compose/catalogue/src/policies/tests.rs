//! The file that comes with omni, and files that are wrong.

use super::*;
use omni_common::domain::backup::Span;

fn builtin_text() -> &'static str {
    BUILTIN.1
}

fn read(text: String) -> Result<Policies> {
    Policies::read(&Source { file: "mine.yaml".into(), text })
}

#[test]
fn the_built_in_file_is_made_from_the_built_in_catalogue() {
    assert_eq!(Policies::builtin().stale(&Catalogue::builtin()), Vec::<String>::new());
}

#[test]
fn every_component_with_data_has_rules_and_the_others_have_none() {
    let (policies, catalogue) = (Policies::builtin(), Catalogue::builtin());
    for component in catalogue.components() {
        let kept = !matches!(component.backup.method, crate::Method::None | crate::Method::Shared);
        assert_eq!(policies.component(component.name.as_str()).is_some(), kept, "{}", component.name);
    }
    let gitea = policies.component("gitea").expect("it has data");
    assert_eq!((gitea.schedule.as_str(), gitea.max_age), ("20 4 * * *", Span::secs(26 * 3600)));
    assert!(gitea.reason.as_deref().is_some_and(|reason| reason.contains("stopped")));
    assert_eq!(gitea.retention["last"], "1");
    let high = policies.tier(Tier::High);
    assert_eq!((high.repository.as_str(), high.copy_to.len()), ("home-high", 2));
    assert_eq!(policies.repository("object-high").expect("named").maintenance.via, Via::Credentials);
    assert_eq!(policies.usual_maintenance().check.read_data_parts, 91);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let whole = builtin_text();
    let line = |text: &str| 1 + whole.lines().position(|line| line == text).expect("it is there");
    let gitea = line("  gitea:");
    for (from, to, told) in [
        ("version: 1", "version: 2", "`version`: 2 is unknown"),
        ("limits: {per_host: 2", "limits: {per_host: 0", "`limits`: are 1 to 64"),
        ("limits: {per_host: 2", "limits: {per_hosts: 2", "unknown field `per_hosts`"),
        ("mode: newest", "mode: all", "unknown variant `all`"),
        ("time_zone: UTC\ncatch_up", "time_zone: Mars\ncatch_up", "no time zone `Mars`"),
        (
            "schedule: 20 4 * * *",
            "schedule: 20 4 * *",
            "component `gitea`: `backup`: `20 4 * *` is no schedule",
        ),
        ("prune: {schedule: 36 3 * * *", "prune: {schedule: 66 3 * * *", "maintenance.prune"),
        ("    repository: home-medium\n", "    repository: home-middle\n", "`home-middle` is not among"),
        ("monthly: 1y, yearly: 3y}", "monthly: 1y, yearly: lots}", "`yearly: lots` is not a length"),
        ("tiers:\n  critical:", "tiers:\n  urgent:", "unknown variant `urgent`"),
        ("    max_age: 2h\n    worst_age: 95m", "    max_age: 1h\n    worst_age: 95m", "over max_age 1h"),
        ("tags: [component=gitea,", "tags: [component=gitee,", "are not component=gitea"),
    ] {
        assert!(whole.contains(from), "{from}");
        let told_now = read(whole.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(told_now.contains(told) && told_now.contains("mine.yaml:"), "{to}: {told_now}");
        if told.contains("gitea`") {
            let near = (gitea..gitea + 2).any(|line| told_now.contains(&format!("mine.yaml:{line}:")));
            assert!(near, "{told_now}");
        }
    }
}

#[test]
fn a_file_of_ones_own_takes_the_place_of_the_built_in_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("effective.yaml");
    let text = builtin_text().replace("limits: {per_host: 2", "limits: {per_host: 5");
    std::fs::write(&path, text).expect("written");
    assert_eq!(Policies::from_file(&path).expect("good").limits().per_host, 5);
    let missing = Policies::from_file(folder.path().join("other.yaml")).expect_err("absent").to_string();
    assert!(missing.contains("other.yaml"), "{missing}");
}

#[test]
fn a_file_of_another_catalogue_says_where() {
    let text = builtin_text()
        .replace("  docker-gc: ", "  docker-gone: ")
        .replace("    take: {method: qdrant,", "    take: {method: volume, paths: [/x],");
    let told = read(text).expect("it holds together").stale(&Catalogue::builtin());
    assert!(told.iter().any(|one| one.starts_with("qdrant has another take")), "{told:?}");
    assert!(told.iter().any(|one| one == "docker-gone is not in the catalogue"), "{told:?}");
}
