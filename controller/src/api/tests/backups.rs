//! Secrets and backups over the router.

use super::{Reply, Site};
use crate::state::{ApiRole, RefusalCode};
use axum::http::Method;
use omni_common::api::v1::{
    AppBackupView, AppView, BackupDefaults, BackupPolicyView, ClusterKeyView, Page, PolicySourceKind,
    Protection, RepositoryView, RunView, SecretValue, SecretView, SnapshotView,
};
use serde_json::{Value, json};

const NAME: &str = "/api/v1/secrets/backup%2Fhome%2Fpassword";

async fn put(site: &Site, path: &str, body: Value) -> Reply {
    site.call(Method::PUT, path, ApiRole::Admin, Some(body)).await
}

#[tokio::test]
async fn a_secret_is_sealed_shown_only_when_asked_for_and_that_is_written_down() {
    let site = Site::new();
    let secret: SecretView = put(&site, NAME, json!({"value": "correct horse"})).await.ok();
    assert_eq!((secret.name.as_str(), secret.versions[0].version), ("backup/home/password", 1));
    let state = site.bench.app.store.current();
    let bytes = crate::state::snapshot::encode(&state).expect("encodes");
    let plain = zstd::stream::decode_all(&bytes[16..]).expect("unpacks");
    let seen = |bytes: &[u8]| bytes.windows(13).any(|window| window == b"correct horse");
    assert!(!seen(&plain), "no snapshot holds it in clear");
    let list = site.get("/api/v1/secrets").await;
    assert!(!seen(&list.body) && list.ok::<Page<SecretView>>().items.len() == 1);
    site.call(Method::POST, &format!("{NAME}/reveal"), ApiRole::Operator, Some(json!({})))
        .await
        .problem(403, "forbidden");
    let value: SecretValue = site.post(&format!("{NAME}/reveal"), json!({})).await.ok();
    assert_eq!((value.version, value.value.reveal()), (1, "correct horse"));
    let state = site.bench.app.store.current();
    let told: Vec<&str> = state.audit.values().map(|entry| entry.action.as_str()).collect();
    assert_eq!(told, ["secret.put", "secret.reveal"]);
    put(&site, NAME, json!({"value": ""})).await.problem(400, "invalid");
    put(&site, "/api/v1/secrets/a%20b", json!({"value": "x"})).await.problem(400, "invalid");
    site.post(&format!("{NAME}/reveal"), json!({"version": 7})).await.problem(404, "not_found");
    assert!(site.delete(NAME).await.status.is_success());
    site.get(NAME).await.problem(404, "not_found");
}

/// One of a name that the policies know is taken care of as they say, unless somebody says otherwise.
#[tokio::test]
async fn a_repository_is_taken_care_of_as_the_policies_say() {
    let site = Site::new();
    let add = async |name: &str, more: Value| {
        let mut body = json!({"name": name, "location": format!("rest:https://{name}.example.org/")});
        body.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        site.post("/api/v1/backup/repositories", body).await.ok::<RepositoryView>()
    };
    let care = |one: &RepositoryView| {
        let check = one.check.as_ref().expect("each is checked");
        (one.prune.as_ref().map(|prune| prune.schedule.clone()), check.schedule.clone(), check.parts)
    };
    let text = |text: &str| Some(text.to_owned());
    // On an append-only server nobody deletes through its address.
    assert_eq!(care(&add("home-high", json!({})).await), (None, "30 10 * * 6".to_owned(), 13));
    assert_eq!(
        care(&add("object-high", json!({})).await),
        (text("30 2 * * *"), "30 10 * * 6".to_owned(), 13)
    );
    assert_eq!(care(&add("mine", json!({})).await), (text("36 3 * * *"), "36 5 * * *".to_owned(), 91));
    let own = json!({"prune": {"schedule": "1 1 * * *", "max_duration": "1h"}});
    assert_eq!(care(&add("home-medium", own).await), (text("1 1 * * *"), "0 16 * * 6".to_owned(), 13));
}

#[tokio::test]
async fn a_repository_is_added_with_a_password_of_its_own() {
    let site = Site::new();
    let path = "/api/v1/backup/repositories";
    let add = |body: Value| site.post(path, body);
    let home: RepositoryView =
        add(json!({"name": "home", "location": "rest:https://b.example.org:8000/x"})).await.ok();
    assert_eq!(home.password.as_str(), "backup/home/password");
    let secret: SecretView = site.get(NAME).await.ok();
    assert_eq!((secret.used_by.as_slice(), secret.versions[0].size), (&["home".to_owned()][..], 43));
    for (body, status, code, why) in [
        (json!({"name": "x", "location": "rest:https://u:p@h/"}), 400, "invalid", "in the credentials"),
        (json!({"name": "x", "location": "/srv/b"}), 400, "invalid", "on one host"),
        (json!({"name": "x", "location": "/srv/b", "host": "nowhere"}), 404, "not_found", "nowhere"),
        (
            json!({"name": "x", "location": "/srv/b", "credentials": {"rest": {"user": "u", "password": "p"}}}),
            400,
            "invalid",
            "not for a local folder",
        ),
        (
            json!({"name": "x", "location": "rest:https://h/", "password": "none/such"}),
            404,
            "not_found",
            "none/such",
        ),
        (
            json!({"name": "x", "location": "rest:https://h/", "check": {"schedule": "daily", "max_duration": "1h"}}),
            400,
            "invalid",
            "five cron",
        ),
        (
            json!({"name": "home", "location": "rest:https://h/"}),
            409,
            RefusalCode::NameTaken.as_str(),
            "exists",
        ),
    ] {
        let problem = add(body).await.problem(status, code);
        let text = serde_json::to_string(&problem).expect("plain");
        assert!(text.contains(why), "{text}");
    }
    let runs: Page<RunView> =
        site.post("/api/v1/backup/runs", json!({"check": {"repository": "home"}})).await.ok();
    let run = &runs.items[0];
    assert_eq!((run.state.as_str(), run.app.as_deref(), run.by.as_str()), ("queued", None, "token:admins"));
    let one: RunView = site.get(&format!("/api/v1/backup/runs/{}", run.id.short())).await.ok();
    assert_eq!(one.id, run.id);
    assert_eq!(
        site.get("/api/v1/backup/runs?kind=check&state=queued").await.ok::<Page<RunView>>().items.len(),
        1
    );
    assert!(site.get("/api/v1/backup/runs?kind=drill").await.ok::<Page<RunView>>().items.is_empty());
    site.get("/api/v1/backup/runs?kind=party").await.problem(400, "invalid");
    site.delete("/api/v1/backup/repositories/home").await.problem(409, "conflict");
    site.post(&format!("/api/v1/backup/runs/{}/cancel", run.id), json!(null)).await.ok::<RunView>();
    assert!(site.delete("/api/v1/backup/repositories/home").await.status.is_success());
}

/// Deploys a compose file as the app `shop`.
async fn deploy(site: &Site, text: &str) -> Reply {
    use base64::Engine;
    let content = base64::engine::general_purpose::STANDARD.encode(text);
    let project =
        json!({"name": "shop", "compose": ["compose.yml"], "files": {"compose.yml": {"content": content}}});
    site.post("/api/v1/environments", json!({"name": "default"})).await;
    site.post("/api/v1/apps", json!({"project": project})).await
}

const SHOP: &str = "services:\n  db:\n    image: postgres:16\n    volumes: [data:/var/lib/postgresql/data]\nvolumes: {data: }\nx-omni: {backup: {to: home, max_age: 3h}}\n";

#[tokio::test]
async fn policies_come_from_the_file_and_from_hand() {
    let site = Site::new();
    deploy(&site, SHOP).await.ok::<AppView>();
    let path = "/api/v1/backup/policies/default/shop";
    let own: BackupPolicyView = site.get(path).await.ok();
    assert_eq!((own.max_age.to_string().as_str(), own.items["main"][0].name.as_str()), ("3h", "postgres-db"));
    assert!(
        own.fault.as_deref().is_some_and(|fault| fault.contains("no repository `home`")),
        "{:?}",
        own.fault
    );
    site.post(
        "/api/v1/backup/repositories",
        json!({"name": "home", "location": "rest:https://b.example.org:8000/x"}),
    )
    .await
    .ok::<RepositoryView>();
    let by_hand: BackupPolicyView =
        put(&site, path, json!({"max_age": "1h", "schedule": "*/10 * * * *"})).await.ok();
    assert_eq!(
        (by_hand.max_age.to_string().as_str(), by_hand.to.as_deref(), by_hand.fault.as_deref()),
        ("1h", Some("home"), None)
    );
    put(&site, path, json!({"schedule": "now and then"})).await.problem(422, "invalid");
    put(&site, path, json!({"copy_to": ["away"]})).await.problem(404, "not_found");
    let kind = |view: &BackupPolicyView, name: &str| view.sources.get(name).map(|source| source.kind);
    assert_eq!(kind(&by_hand, "schedule"), Some(PolicySourceKind::ByHand));
    assert_eq!(kind(&by_hand, "to"), Some(PolicySourceKind::File));
    let back: BackupPolicyView = site.delete(path).await.ok();
    assert_eq!(back.max_age.to_string(), "3h");
    assert_eq!(kind(&back, "schedule"), Some(back.follows.kind));
    assert_eq!((back.follows.kind, back.follows.name.as_deref()), (PolicySourceKind::Tier, Some("standard")));
    let mut defaults: BackupDefaults = site.get("/api/v1/backup/defaults").await.ok();
    let limits = defaults.limits.as_ref().expect("told");
    assert_eq!((defaults.per_host, limits.per_host, limits.per_repository), (None, 2, 6));
    defaults.per_host = Some(5);
    let body = serde_json::to_value(&defaults).expect("plain");
    let set = put(&site, "/api/v1/backup/defaults", body).await.ok::<BackupDefaults>();
    assert_eq!((set.per_host, set.limits.map(|limits| limits.per_host)), (Some(5), Some(5)));
    put(&site, "/api/v1/backup/defaults", json!({"policy": {}, "per_host": 0})).await.problem(400, "invalid");
}

#[tokio::test]
async fn what_is_unproven_is_never_green() {
    let site = Site::new();
    deploy(&site, SHOP).await.ok::<AppView>();
    let status: Page<AppBackupView> = site.get("/api/v1/backup/status").await.ok();
    let shop = &status.items[0];
    assert_eq!((shop.protection, shop.age_ms), (Protection::Unprotected, None));
    assert!(shop.sentence.contains("loses all its data"), "{}", shop.sentence);
    assert!(shop.missing.iter().any(|why| why.contains("1 of 3 copies")), "{:?}", shop.missing);
    assert_eq!(shop.next_drill, None, "there is nothing to bring back yet");
    let text = site.get("/metrics").await.text();
    assert!(
        text.contains("omni_backup_protected{app=\"shop\",component=\"shop\",environment=\"default\"} 0"),
        "{text}"
    );
    let body = json!({"environment": "default", "app": "shop", "dry_run": true});
    site.post("/api/v1/backup/restores", body).await.problem(404, "not_found");
    assert!(site.get("/api/v1/backup/snapshots").await.ok::<Page<SnapshotView>>().items.is_empty());
}

#[tokio::test]
async fn the_controllers_are_backed_up_like_an_app_and_not_restored_like_one() {
    let site = Site::new();
    site.bench.change(|state| state.cluster = Some(cluster()));
    let own = async || {
        let status: Page<AppBackupView> = site.get("/api/v1/backup/status").await.ok();
        let own = status.items.last().expect("they are always there").clone();
        assert_eq!((own.environment.as_str(), own.app.as_str()), ("@omni", "controllers"));
        own
    };
    let unprotected = own().await;
    assert_eq!(unprotected.protection, Protection::Unprotected);
    assert!(
        unprotected.sentence.contains("the cluster is lost (there is no repository"),
        "{}",
        unprotected.sentence
    );
    let text = site.get("/metrics").await.text();
    let line = "omni_backup_protected{app=\"controllers\",component=\"omni\",environment=\"@omni\"} 0";
    assert!(text.contains(line), "{text}");
    let body = json!({"backup": {"environment": "@omni", "app": "controllers"}});
    site.post("/api/v1/backup/runs", body.clone()).await.problem(400, "invalid");
    for name in ["home", "away"] {
        let location = format!("rest:https://{name}.example.org:8000/x");
        site.post("/api/v1/backup/repositories", json!({"name": name, "location": location}))
            .await
            .ok::<RepositoryView>();
    }
    assert!(own().await.sentence.contains("no repository is named"), "of two, none is meant");
    let path = "/api/v1/backup/policies/@omni/controllers";
    let policy: BackupPolicyView = put(&site, path, json!({"to": "home", "copy_to": ["away"]})).await.ok();
    assert_eq!((policy.to.as_deref(), policy.fault), (Some("home"), None));
    assert_eq!(policy.items["main"][0].method, "state");
    let runs: Page<RunView> = site.post("/api/v1/backup/runs", body).await.ok();
    assert_eq!((runs.items.len(), runs.items[0].repository.as_str()), (1, "home"));
    let body = json!({"environment": "@omni", "app": "controllers", "dry_run": true});
    let problem = site.post("/api/v1/backup/restores", body).await.problem(400, "invalid");
    let text = serde_json::to_string(&problem).expect("plain");
    assert!(text.contains("omni-controller restore"), "{text}");
    put(&site, "/api/v1/backup/policies/@omni/other", json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_key_is_given_to_admins_and_that_is_written_down() {
    let site = Site::new();
    let path = "/api/v1/cluster/key/reveal";
    site.bench.change(|state| state.cluster = Some(cluster()));
    site.call(Method::POST, path, ApiRole::Operator, Some(json!(null))).await.problem(403, "forbidden");
    let view: ClusterKeyView = site.post(path, json!(null)).await.ok();
    let key: omni_certs::KeyText = view.key.reveal().parse().expect("a key");
    assert_eq!((key.cluster, key.key.as_bytes()), (view.cluster, site.bench.app.cluster_key.as_bytes()));
    let state = site.bench.app.store.current();
    let (_, told) = state.audit.get_max().expect("it was written down");
    assert_eq!(
        (told.action.as_str(), told.target.as_str()),
        ("cluster.key-reveal", &*view.cluster.to_string())
    );
    let bytes = crate::state::snapshot::encode(&state).expect("encodes");
    let plain = zstd::stream::decode_all(&bytes[16..]).expect("unpacks");
    let text = view.key.reveal().as_bytes();
    assert!(!plain.windows(text.len()).any(|window| window == text), "the answer is not kept");
}

fn cluster() -> crate::state::Cluster {
    crate::state::Cluster {
        id: omni_common::ids::ClusterId::mint(),
        created: crate::app::testing::NOW,
        ca_cert: vec![1],
        ca_key_sealed: vec![2],
        liveness: crate::state::LivenessConfig::default(),
    }
}

#[tokio::test]
async fn a_fault_in_the_file_is_told_with_its_place() {
    let site = Site::new();
    let bad = SHOP.replace("max_age: 3h", "max_age: soon");
    let problem = deploy(&site, &bad).await.problem(422, "project");
    assert_eq!(problem.errors[0].pointer, "compose.yml:6:38: x-omni.backup.max_age");
}
