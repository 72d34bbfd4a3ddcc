//! A project as an agent finds it, and what it comes to.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::domain::{FoundContainer, FoundFile};
use omni_common::ids::HostId;
use serde_json::{Value, json};

pub(crate) const COMPOSE: &str = "\
version: '3'
services:
  web:
    image: web:1
    env_file: web.env
    environment: {MODE: fast}
    ports: ['8080:80']
    volumes: ['./site:/srv:ro', './app.conf:/etc/app.conf:ro']
    depends_on: [db]
  db:
    build: ./db
    command: serve
    restart: always
    volumes: ['tables:/var/lib/db']
volumes:
  tables:
";

fn image() -> Value {
    json!({"Env": ["PATH=/bin"], "Cmd": ["idle"], "Labels": {"built": "today"}})
}

fn container(service: &str, config: Value, host: Value, mounts: Value) -> FoundContainer {
    let mut inspect = json!({
        "Id": format!("{service}-id"),
        "Name": format!("/shop_{service}_1"),
        "State": {"Status": "running"},
        "Config": {"Hostname": service, "WorkingDir": ""},
        "HostConfig": {"NetworkMode": "shop_default"},
        "Mounts": mounts,
        "NetworkSettings": {"Networks": {"shop_default": {"Aliases": [service]}}},
    });
    for (key, given) in [("Config", config), ("HostConfig", host)] {
        for (name, value) in given.as_object().expect("an object") {
            inspect[key][name] = value.clone();
        }
    }
    FoundContainer {
        id: format!("{service}-id"),
        service: service.to_owned(),
        number: 1,
        inspect,
        image: Some(image()),
    }
}

/// The project of `COMPOSE` as docker-compose 1.29 has started it in `/srv/shop`.
pub(crate) fn found() -> FoundProject {
    let file = |text: &str| FoundFile { content: STANDARD.encode(text), mode: 0o644 };
    let bind = |source: &str, target: &str| json!({"Type": "bind", "Source": source, "Destination": target, "RW": false});
    let web = container(
        "web",
        json!({"Image": "web:1", "Env": ["PATH=/bin", "MODE=fast", "KEY=a$b"], "Cmd": ["idle"],
            "Labels": {"built": "today", "com.docker.compose.service": "web"}}),
        json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}),
        json!([bind("/srv/shop/site", "/srv"), bind("/srv/shop/app.conf", "/etc/app.conf")]),
    );
    let db = container(
        "db",
        json!({"Image": "shop_db", "Env": ["PATH=/bin"], "Cmd": ["serve"], "Labels": {"built": "today"}}),
        json!({"RestartPolicy": {"Name": "always"}}),
        json!([
            {"Type": "volume", "Name": "shop_tables", "Source": "/var/lib/docker/volumes/shop_tables/_data",
             "Destination": "/var/lib/db", "RW": true},
            {"Type": "volume", "Name": "0".repeat(64), "Destination": "/tmp", "RW": true},
        ]),
    );
    FoundProject {
        name: "shop".to_owned(),
        folder: Some("/srv/shop".to_owned()),
        compose: vec!["/srv/shop/docker-compose.yml".to_owned()],
        files: BTreeMap::from([
            ("/srv/shop/docker-compose.yml".to_owned(), file(COMPOSE)),
            ("/srv/shop/web.env".to_owned(), file("KEY=a$$b\n")),
        ]),
        unread: BTreeMap::new(),
        containers: vec![web, db],
    }
}

fn read(project: &omni_common::api::v1::Project) -> AppSpec {
    let input = crate::app::releases::input(project, "default").expect("it is whole");
    omni_compose::read(&input).expect("it reads").spec
}

fn taking(found: &FoundProject) -> Taking {
    Taking { host: HostId::from_u128(1), host_name: "web-1".to_owned(), found: found.clone() }
}

fn faults(spec: &mut AppSpec, found: &FoundProject) -> Vec<String> {
    match taking(found).apply(spec) {
        Ok(()) => Vec::new(),
        Err(AppError::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_files_ask_for_what_they_refer_to_and_mounts_stay_where_they_are() {
    let mut found = found();
    let env = found.files.remove("/srv/shop/web.env").expect("it is there");
    let project = definition::project(&found).expect("it can be read");
    let wanted = definition::wanted(&found, &project).expect("it reads");
    assert_eq!(wanted, ["/srv/shop/.env", "/srv/shop/web.env"]);
    found.files.insert("/srv/shop/web.env".to_owned(), env);
    let project = definition::project(&found).expect("it can be read");
    let wanted = definition::wanted(&found, &project).expect("it reads");
    assert_eq!(wanted, ["/srv/shop/.env"], "which nobody has to have");
    let mut spec = read(&project);
    assert_eq!(faults(&mut spec, &found), [""; 0]);
    let sources: Vec<_> =
        spec.services["web"].mounts.iter().map(|mount| format!("{:?}", mount.source)).collect();
    assert!(sources.iter().all(|source| source.contains("/srv/shop/")), "{sources:?}");
    assert_eq!(spec.volumes["tables"].name.as_deref(), Some("shop_tables"));
    assert_eq!(spec.networks["default"].name.as_deref(), Some("shop_default"));
    assert_eq!(spec.services["db"].image.as_deref(), Some("shop_db"), "what was built runs under that name");
    let adopted = spec.adopted.expect("it adopts");
    assert_eq!(adopted.containers.keys().collect::<Vec<_>>(), ["db-id", "web-id"]);
}

#[test]
fn what_does_not_fit_is_named_key_by_key() {
    let good = found();
    let base = read(&definition::project(&good).expect("it can be read"));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut found = good.clone();
        change(&mut found.containers[0].inspect);
        faults(&mut base.clone(), &found)
    };
    for (pointer, value, key) in [
        ("/Config/Image", json!("web:2"), "services.web.image"),
        ("/Config/Cmd", json!(["other"]), "services.web.command"),
        ("/Config/Env", json!(["PATH=/bin", "MODE=slow", "KEY=a$b"]), "services.web.environment.MODE"),
        ("/Config/Env", json!(["PATH=/bin", "MODE=fast"]), "services.web.environment.KEY"),
        ("/Config/Env", json!(["PATH=/bin", "MODE=fast", "KEY=a$b", "X=1"]), "services.web.environment.X"),
        ("/Mounts/0/Source", json!("/elsewhere"), "services.web.volumes"),
        ("/Mounts/0/RW", json!(true), "services.web.volumes"),
        ("/HostConfig/PortBindings", json!({}), "services.web.ports"),
        ("/HostConfig/Privileged", json!(true), "services.web.privileged"),
        ("/NetworkSettings/Networks", json!({"other": {}}), "services.web.networks"),
    ] {
        let told = changed(&|inspect| {
            let (parent, name) = pointer.rsplit_once('/').expect("it has a parent");
            match inspect.pointer_mut(parent).expect("it is there") {
                Value::Array(items) => items[name.parse::<usize>().expect("a number")] = value.clone(),
                parent => parent[name] = value.clone(),
            }
        });
        assert_eq!(told, [key], "{pointer}");
    }
    let mut stray = good.clone();
    stray.containers[0].service = "worker".to_owned();
    assert_eq!(faults(&mut base.clone(), &stray), ["services.worker"]);
    let mut two = good.clone();
    two.containers.push(FoundContainer { id: "web-2".to_owned(), number: 2, ..good.containers[0].clone() });
    assert_eq!(faults(&mut base.clone(), &two), ["services.web.scale"]);
}

#[test]
fn secrets_are_not_shown() {
    let mut found = found();
    let base = read(&definition::project(&found).expect("it can be read"));
    found.containers[0].inspect["Config"]["Env"] = json!(["PATH=/bin", "MODE=hunter2", "KEY=a$b"]);
    let error = taking(&found).apply(&mut base.clone()).expect_err("it differs");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn without_files_the_definition_comes_from_what_runs() {
    let mut found = found();
    found.unread.insert("/srv/shop/docker-compose.yml".to_owned(), "No such file".to_owned());
    assert!(definition::project(&found).expect_err("it is gone").contains("No such file"));
    found.containers[1].inspect["HostConfig"]["Ulimits"] = json!([{"Name": "nofile"}]);
    let (project, notes) = inspected::project(&found).expect("it can be written");
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("db: HostConfig.Ulimits"), "{notes:?}");
    let text = STANDARD.decode(&project.files["compose.yaml"].content).expect("base64");
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("KEY: a$$b") && !text.contains("PATH") && !text.contains("built"), "{text}");
    let mut spec = read(&project);
    assert_eq!(faults(&mut spec, &found), [""; 0], "by its nature it fits\n{text}");
    assert!(spec.volumes["shop_tables"].external && spec.networks["shop_default"].external);
}

#[test]
fn later_releases_go_on_with_the_projects_things() {
    let found = found();
    let mut first = read(&definition::project(&found).expect("it can be read"));
    taking(&found).apply(&mut first).expect("it fits");
    // The same again: nothing is different, not even what is taken over.
    let mut same = read(&definition::project(&found).expect("it can be read"));
    carry(&first, &mut same);
    assert_eq!(same, first);
    let mut project = definition::project(&found).expect("it can be read");
    let changed = STANDARD.encode(COMPOSE.replace("web:1", "web:2"));
    project.files.get_mut("docker-compose.yml").expect("there").content = changed;
    let mut second = read(&project);
    carry(&first, &mut second);
    let adopted = second.adopted.as_ref().expect("it remembers");
    assert_eq!(adopted.containers.keys().collect::<Vec<_>>(), ["db-id"], "the other is another one now");
    assert_eq!(second.volumes["tables"].name.as_deref(), Some("shop_tables"));
    assert_eq!(second.services["db"], first.services["db"]);
}

#[test]
fn a_project_that_asks_for_several_instances_is_none() {
    let found = found();
    let mut spec = read(&definition::project(&found).expect("it can be read"));
    for group in spec.groups.values_mut() {
        group.mode = GroupMode::Replicated(3);
    }
    assert_eq!(faults(&mut spec, &found), ["services.db.deploy", "services.web.deploy"]);
}
