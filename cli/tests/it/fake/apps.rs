//! The fake's routes about apps. A project is read for a few words only: `imagee` is a typo, `app.conf` a mounted
//! file, `more.yml` an included one. What is deployed as `bad` does not come up; as `same` it is nothing new.

use super::{Fake, not_found, problem};
use crate::fixtures;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::*;
use omni_common::clock::Time;
use omni_common::ids::DeploymentId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

/// An app's looks to come, by environment and name.
type Looks = BTreeMap<(String, String), VecDeque<AppView>>;

/// What apps look like at each look from now on; the last look stays.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Looks>>);

impl Script {
    fn set(&self, views: Vec<AppView>) {
        let key = (views[0].environment.clone(), views[0].name.clone());
        self.0.lock().expect("not poisoned").insert(key, views.into());
    }

    /// Gone from now on.
    fn clear(&self, environment: &str, name: &str) {
        let key = (environment.to_owned(), name.to_owned());
        self.0.lock().expect("not poisoned").insert(key, VecDeque::new());
    }

    fn look(&self, environment: &str, name: &str) -> Option<AppView> {
        let mut all = self.0.lock().expect("not poisoned");
        match all.get_mut(&(environment.to_owned(), name.to_owned())) {
            Some(views) if views.len() > 1 => views.pop_front(),
            Some(views) => views.front().cloned(),
            None => {
                let known = fixtures::apps().into_iter();
                let mut own = known.filter(|app| app.environment == environment && app.name == name);
                own.next()
            }
        }
    }
}

pub(super) fn router() -> Router<Fake> {
    Router::new()
        .route("/api/v1/apps", get(list).post(deploy))
        .route("/api/v1/apps/read", post(read))
        .route("/api/v1/apps/plan", post(plan))
        .route("/api/v1/apps/{environment}/{app}", get(show).patch(update).delete(remove))
        .route("/api/v1/apps/{environment}/{app}/restart", post(restart))
        .route("/api/v1/apps/{environment}/{app}/rollback", post(rollback))
        .route("/api/v1/apps/{environment}/{app}/move", post(start_move))
        .route("/api/v1/apps/{environment}/{app}/move/confirm", post(confirm_move))
        .route("/api/v1/apps/{environment}/{app}/move/back", post(return_move))
        .route("/api/v1/apps/{environment}/{app}/explain", get(explain))
        .route("/api/v1/apps/{environment}/{app}/releases", get(releases))
        .route("/api/v1/apps/{environment}/{app}/diff", get(diff))
        .route("/api/v1/apps/{environment}/{app}/deployments/{deployment}", post(steer))
        .route("/api/v1/hosts/{host}/drain", post(drain))
        .route("/api/v1/hosts/{host}/projects", get(projects))
        .route("/api/v1/hosts/{host}/projects/{project}", get(definition))
        .route("/api/v1/environments", get(environments))
}

type AppPath = Path<(String, String)>;

async fn list(State(fake): State<Fake>, Query(query): Query<AppsQuery>) -> Json<Page<AppView>> {
    let known = fixtures::apps().into_iter().filter_map(|app| fake.script.look(&app.environment, &app.name));
    let mut apps: Vec<AppView> = known.collect();
    apps.retain(|app| {
        let on = |host: &String| {
            app.allocations.iter().any(|one| one.host_name == *host || one.host.to_string() == *host)
        };
        query.environment.as_ref().is_none_or(|environment| app.environment == *environment)
            && query.q.as_ref().is_none_or(|text| app.name.contains(text))
            && query.host.as_ref().is_none_or(on)
    });
    Json(Page::whole(apps))
}

/// Text of a packed file, and the rest of the project's rules.
fn check(project: &Project) -> Result<BTreeMap<String, String>, Box<Response>> {
    let bad = |what: &str| Box::new(problem(StatusCode::BAD_REQUEST, "invalid", what));
    if project.compose.is_empty() || project.compose.iter().any(|path| !project.files.contains_key(path)) {
        return Err(bad("every compose file is among the files"));
    }
    let mut texts = BTreeMap::new();
    for (path, file) in &project.files {
        let bytes = STANDARD.decode(&file.content).map_err(|_| bad("content is base64"))?;
        texts.insert(path.clone(), String::from_utf8_lossy(&bytes).into_owned());
    }
    if let Some(at) = texts[&project.compose[0]].find("imagee") {
        let line = texts[&project.compose[0]][..at].lines().count();
        return Err(Box::new(faults(&format!("{}:{line}:5: services.web.imagee", project.compose[0]))));
    }
    Ok(texts)
}

fn faults(place: &str) -> Response {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: "Unprocessable".to_owned(),
        status: 422,
        detail: Some("the project cannot be read".to_owned()),
        instance: None,
        code: "invalid_project".to_owned(),
        request_id: Some("01JDREQUEST".to_owned()),
        errors: vec![FieldError {
            pointer: place.to_owned(),
            detail: "Compose has no key `imagee` (did you mean `image`?)".to_owned(),
        }],
    };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))];
    let text = serde_json::to_string(&problem).expect("plain");
    (StatusCode::UNPROCESSABLE_ENTITY, kind, text).into_response()
}

fn name(project: &Project) -> String {
    let folder = project.compose[0].split('/').next().unwrap_or_default();
    project.name.clone().unwrap_or_else(|| folder.to_owned())
}

async fn read(Json(body): Json<ReadProject>) -> Response {
    let texts = match check(&body.project) {
        Ok(texts) => texts,
        Err(problem) => return *problem,
    };
    let folder = body.project.compose[0].rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let main = texts.values().cloned().collect::<String>();
    let wanted = [("app.conf", "mount"), ("more.yml", "compose_file"), ("../beside", "mount")];
    let above = folder.rsplit_once('/').map(|(above, _)| format!("{above}/")).unwrap_or_default();
    let from_above = |path: &str| path.strip_prefix("../").map(|path| format!("{above}{path}"));
    let needed = wanted.iter().filter(|(path, _)| main.contains(path)).map(|(path, kind)| NeededFile {
        path: from_above(path).unwrap_or_else(|| format!("{folder}/{path}")),
        kind: (*kind).to_owned(),
        optional: false,
        writable: false,
    });
    let reading = ProjectReading {
        name: name(&body.project),
        normalised: "services:\n  web:\n    image: shop:2\n".to_owned(),
        notes: vec![fixtures::note()],
        needed: needed.filter(|file| !texts.contains_key(&file.path)).collect(),
        builds: Vec::new(),
    };
    Json(reading).into_response()
}

/// Projects run on `web-1` alone.
async fn projects(Path(host): Path<String>) -> Response {
    match host.as_str() {
        "web-1" => Json(Page::whole(fixtures::projects())).into_response(),
        _ => not_found("host", &host),
    }
}

async fn definition(
    Path((host, project)): Path<(String, String)>,
    Query(query): Query<DefinitionQuery>,
) -> Response {
    if host != "web-1" || project != "fresh" {
        return not_found("project", &project);
    }
    Json(fixtures::definition(query.from.unwrap_or(DefinitionSource::Files))).into_response()
}

async fn plan(Json(body): Json<Deploy>) -> Response {
    if let Err(problem) = check(&body.project) {
        return *problem;
    }
    let environment = body.environment.unwrap_or_else(|| "default".to_owned());
    let mut plan = DeployPlan { name: name(&body.project), environment, ..fixtures::plan() };
    match plan.name.as_str() {
        "same" => {
            (plan.unchanged, plan.changes, plan.steps) = (true, Vec::new(), Vec::new());
            plan.waiting.clear();
        }
        "fresh" => (plan.from, plan.revision) = (None, 0),
        _ => {}
    }
    if let Some(adopt) = &body.adopt {
        if adopt.host != "web-1" || adopt.project != "fresh" {
            return not_found("project", &adopt.project);
        }
        let message = "is taken over as it runs".to_owned();
        plan.notes = vec![ReadingNote { place: "fresh_web_1".to_owned(), message }];
    }
    Json(plan).into_response()
}

async fn deploy(State(fake): State<Fake>, headers: HeaderMap, Json(body): Json<Deploy>) -> Response {
    let name = name(&body.project);
    let expected = if name == "fresh" { "\"0\"" } else { "\"17\"" };
    if headers.get(header::IF_MATCH).is_none_or(|value| value != expected) {
        return problem(StatusCode::PRECONDITION_FAILED, "changed", "the app has changed meanwhile");
    }
    let environment = body.environment.unwrap_or_else(|| "default".to_owned());
    let running = moving(fixtures::app(&environment, &name), 2, Some(1));
    let mut outcome = running.clone();
    let end = outcome.deployment.as_mut().expect("it moves");
    if name == "bad" {
        end.state = DeploymentState::RolledBack;
        end.reason = Some("main.0 on web-1 was not healthy within 5m".to_owned());
        end.log = Some("starting\n\u{1b}[31mcannot bind 0.0.0.0:80\u{1b}[0m\n".to_owned());
        let failed = outcome.deployment.take().expect("just there");
        outcome.earlier_deployments = vec![failed];
        let back = fixtures::deployment(1, Some(2));
        outcome.deployment = Some(DeploymentView { back: true, id: DeploymentId::from_u128(0xbac), ..back });
    } else {
        end.state = DeploymentState::Done;
        outcome.status = AppStatus::Healthy;
        outcome.allocations.iter_mut().for_each(|one| one.state = HEALTHY);
    }
    let views = if name == "slow" { vec![running.clone()] } else { vec![running.clone(), outcome] };
    fake.script.set(views);
    (StatusCode::CREATED, Json(running)).into_response()
}

const HEALTHY: omni_common::domain::AllocationState = omni_common::domain::AllocationState::Healthy;

/// An app on its way to a release.
fn moving(mut app: AppView, to: u64, from: Option<u64>) -> AppView {
    app.release = to;
    app.status = AppStatus::Deploying;
    app.deployment = Some(fixtures::deployment(to, from));
    for one in &mut app.allocations {
        one.release = to;
        one.state = omni_common::domain::AllocationState::Starting;
    }
    app
}

async fn show(State(fake): State<Fake>, Path((environment, name)): AppPath) -> Response {
    match fake.script.look(&environment, &name) {
        Some(app) => Json(app).into_response(),
        None => not_found("app", &format!("{environment}/{name}")),
    }
}

/// Finds an app, changes it, and shows it so from now on.
fn change(fake: &Fake, (environment, name): (String, String), how: impl FnOnce(&mut AppView)) -> Response {
    let Some(mut app) = fake.script.look(&environment, &name) else {
        return not_found("app", &format!("{environment}/{name}"));
    };
    how(&mut app);
    fake.script.set(vec![app.clone()]);
    Json(app).into_response()
}

async fn update(State(fake): State<Fake>, Path(app): AppPath, Json(body): Json<UpdateApp>) -> Response {
    if body.goal.is_some() == body.replicas.is_some() {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "say either `goal` or `replicas`");
    }
    change(&fake, app, |app| match body.goal {
        Some(AppGoal::Stop) => {
            app.status = AppStatus::Stopped;
            app.allocations.clear();
        }
        Some(_) => app.status = AppStatus::Healthy,
        None => {}
    })
}

async fn remove(
    State(fake): State<Fake>,
    Path((environment, name)): AppPath,
    Query(_): Query<RemoveAppQuery>,
) -> Response {
    if fake.script.look(&environment, &name).is_none() {
        return not_found("app", &format!("{environment}/{name}"));
    }
    fake.script.clear(&environment, &name);
    StatusCode::NO_CONTENT.into_response()
}

/// `gone` is no host that anything moves to; `full` has no room. What begins settles at the third look.
async fn start_move(
    State(fake): State<Fake>,
    Path((environment, name)): AppPath,
    Json(body): Json<StartMove>,
) -> Response {
    let Some(app) = fake.script.look(&environment, &name) else {
        return not_found("app", &format!("{environment}/{name}"));
    };
    let plan = fixtures::move_plan();
    match (body.to.as_str(), body.dry_run) {
        ("gone", _) => not_found("host", "gone"),
        ("full", _) => {
            let why =
                "host full cannot take main of default/shop: 512 MiB of memory are free, 1 GiB is asked for";
            problem(StatusCode::CONFLICT, "conflict", why)
        }
        (_, true) => Json(plan).into_response(),
        (_, false) => {
            let stages = [MoveStage::Copying, MoveStage::Filling, MoveStage::Settled];
            let look = |stage| AppView {
                moving: Some(fixtures::moving(stage, None)),
                old_data: vec![fixtures::old_data("web-1")],
                ..app.clone()
            };
            fake.script.set(stages.into_iter().map(look).collect());
            Json(MovePlan { moving: Some(fixtures::moving(MoveStage::Copying, None)), ..plan })
                .into_response()
        }
    }
}

async fn confirm_move(State(fake): State<Fake>, Path(app): AppPath, Json(_): Json<ConfirmMove>) -> Response {
    change(&fake, app, |app| app.old_data.clear())
}

async fn return_move(State(fake): State<Fake>, Path((environment, name)): AppPath) -> Response {
    let known = fake.script.look(&environment, &name);
    if known.is_some_and(|app| app.moving.is_none()) {
        let why = format!("{environment}/{name} has not been moved; there is nothing to go back to");
        return problem(StatusCode::CONFLICT, "conflict", &why);
    }
    change(&fake, (environment, name), |app| {
        app.moving = Some(fixtures::moving(MoveStage::Returned, Some("taken back by ann")));
    })
}

async fn restart(State(fake): State<Fake>, Path(app): AppPath) -> Response {
    change(&fake, app, |app| *app = moving(app.clone(), 1, Some(1)))
}

async fn rollback(
    State(fake): State<Fake>,
    Path(app): AppPath,
    headers: HeaderMap,
    Json(body): Json<Rollback>,
) -> Response {
    if headers.get(header::IF_MATCH).is_none_or(|value| value != "\"17\"") {
        return problem(StatusCode::PRECONDITION_FAILED, "changed", "the app has changed meanwhile");
    }
    let Some(to) = body.to.or(Some(3)).filter(|to| (1..=3).contains(to)) else {
        return problem(
            StatusCode::NOT_FOUND,
            "not_found",
            "app staging/shop has no release 9; it has 2, 3, 4",
        );
    };
    change(&fake, app, |app| {
        let from = app.release;
        *app = moving(app.clone(), to, Some(from));
        app.deployment.as_mut().expect("it moves").back = true;
    })
}

async fn explain(Path((environment, name)): AppPath) -> Response {
    match fixtures::apps().iter().any(|app| app.environment == environment && app.name == name) {
        true => Json(fixtures::explanation()).into_response(),
        false => not_found("app", &format!("{environment}/{name}")),
    }
}

async fn releases(Path((environment, name)): AppPath) -> Response {
    match fixtures::apps().iter().any(|app| app.environment == environment && app.name == name) {
        true => Json(Page::whole(fixtures::releases())).into_response(),
        false => not_found("app", &format!("{environment}/{name}")),
    }
}

async fn diff(Path((environment, name)): AppPath, Query(query): Query<DiffQuery>) -> Response {
    if query.from == query.to {
        return Json(Page::<Change>::whole(Vec::new())).into_response();
    }
    match query.from.max(query.to) {
        0..=4 => Json(Page::whole(fixtures::changes())).into_response(),
        other => not_found("release", &format!("{environment}/{name} {other}")),
    }
}

async fn steer(
    State(fake): State<Fake>,
    Path((environment, name, id)): Path<(String, String, DeploymentId)>,
    Json(body): Json<SteerDeployment>,
) -> Response {
    let known = fake.script.look(&environment, &name).and_then(|app| app.deployment);
    match known {
        Some(open) if open.id == id && open.state == DeploymentState::Running => {}
        Some(_) => return problem(StatusCode::CONFLICT, "conflict", "the deployment is over"),
        None => return not_found("deployment", &id.to_string()),
    }
    change(&fake, (environment, name), |app| {
        let open = app.deployment.as_mut().expect("just looked at");
        match body.action {
            SteerAction::Pause => open.state = DeploymentState::Paused,
            SteerAction::Abort => {
                let back = fixtures::deployment(3, Some(4));
                *open = DeploymentView { back: true, id: DeploymentId::from_u128(0xbac), ..back };
            }
            SteerAction::Resume | SteerAction::Promote => {}
        }
    })
}

async fn drain(Path(id): Path<String>, Json(_): Json<DrainHost>) -> Response {
    let found = fixtures::hosts().into_iter().find(|host| host.id.to_string() == id);
    found.map_or_else(|| not_found("host", &id), |host| Json(host).into_response())
}

async fn environments() -> Json<Page<EnvironmentView>> {
    let environment =
        |name: &str| EnvironmentView { name: name.to_owned(), created: Time::EPOCH, revision: 1 };
    Json(Page::whole(vec![environment("default"), environment("staging")]))
}
