//! What of a compose file is data.

use crate::backup::{Outline, outline};
use omni_catalogue::Catalogue;
use omni_catalogue::policies::Policies;
use omni_compose::{Input, read};
use std::collections::BTreeMap;

/// What of a file is data.
pub(super) fn outlined(text: &str) -> Outline {
    let files = vec![("compose.yml".to_owned(), text.as_bytes().to_vec())];
    let left_out = ["state".to_owned()].into();
    let input = Input { files, left_out, project_name: Some("shop".to_owned()), ..Input::default() };
    let reading = read(&input).unwrap_or_else(|faults| panic!("{faults}"));
    let outline = outline(&reading.spec, &Catalogue::builtin(), &Policies::builtin());
    assert_eq!(outline.fault, None);
    outline
}

/// The items of the only group, a line each.
fn items(text: &str) -> String {
    let outline = outlined(text);
    let lines = outline.groups.values().flatten().map(|item| {
        let quiesce = serde_json::to_string(&item.quiesce).expect("plain");
        format!("{} {} {quiesce}\n", item.name, serde_json::to_string(&item.take).expect("plain"))
    });
    lines.collect()
}

#[test]
fn databases_are_dumped_and_everything_else_is_taken_as_files() {
    insta::assert_snapshot!(items(
        r#"
services:
  db:
    image: docker.io/library/postgres:16-alpine
    volumes: [pg:/var/lib/postgresql/data, "wal:/wal"]
  cache:
    image: valkey/valkey:8
  queue:
    image: redis:7
    volumes: [queue:/data]
  sql:
    image: mysql
    volumes: [sql:/var/lib/mysql]
  web:
    image: shop/web
    volumes:
      - uploads:/srv/uploads
      - uploads:/srv/again
      - static:/srv/static:ro
      - ./state:/state
      - /srv/media:/media
      - /var/run/docker.sock:/var/run/docker.sock
      - /:/host:ro
    tmpfs: [/tmp]
volumes: {pg: , wal: , queue: , sql: , uploads: , static: }
"#
    ));
}

#[test]
fn what_the_file_says_goes_first() {
    insta::assert_snapshot!(items(
        r#"
services:
  db:
    image: registry.example.org/our/database
    volumes: [data:/data]
    x-omni: {backup: {method: postgres, databases: [shop, users]}}
  web:
    image: shop/web
    volumes: [uploads:/srv]
    x-omni: {backup: {include: [keep], exclude: ["*.tmp"], quiesce: pause}}
  worker:
    image: shop/worker
    volumes: [uploads:/srv, scratch:/scratch]
    x-omni: {backup: {quiesce: stop}}
  search:
    image: shop/search
    volumes: [index:/index]
    x-omni: {backup: {skip: true}}
  wiki:
    image: wiki
    x-omni: {backup: {method: command, save: [wiki, export], load: [wiki, import]}}
volumes: {data: , uploads: , scratch: , index: }
x-omni: {backup: {exclude: [cache/]}}
"#
    ));
}

#[test]
fn the_catalogue_knows_components_by_their_label() {
    let text = |component: &str| {
        items(&format!(
            "services:\n  a:\n    image: ours/thing\n    volumes: [data:/data]\n    labels:\n      omni.quantum.component: {component}\nvolumes: {{data: }}\n"
        ))
    };
    assert!(text("postgresql").starts_with("postgres-a "), "{}", text("postgresql"));
    assert_eq!(text("nothing-known"), text("nothing-known-either"));
    assert!(text("nothing-known").starts_with("volume-data "));
    // Its database is in the dump of the server that has it; here are files, with Gitea stopped.
    assert!(
        text("gitea").starts_with("volume-data ") && text("gitea").contains("\"stop\""),
        "{}",
        text("gitea")
    );
    assert!(text("qdrant").contains("\"pause\""), "{}", text("qdrant"));
    assert_eq!(text("docker-gc"), "", "nothing of it is worth keeping");
    // Only what the catalogue's command writes: its queues are no data.
    let rabbit = text("plane-mq");
    assert!(rabbit.starts_with("command-a ") && rabbit.lines().count() == 1, "{rabbit}");
    assert!(rabbit.contains("export_definitions") && rabbit.contains("import_definitions"), "{rabbit}");
}

#[test]
fn names_are_told_apart() {
    let text = items("services:\n  a:\n    image: a\n    volumes: ['/srv/x y:/1', '/srv/x-y:/2']\n");
    let names: BTreeMap<&str, ()> =
        text.lines().map(|line| (line.split(' ').next().unwrap_or_default(), ())).collect();
    assert_eq!(names.into_keys().collect::<Vec<_>>(), ["path--srv-x-y", "path--srv-x-y-2"]);
}
