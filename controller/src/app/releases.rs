//! Releases: read a project, plan, deploy, look back.

use super::adoption::{self, Taking};
use super::apps::{NoIds, find_app, view};
use super::{App, AppError, Call, View, builds, outline};
use crate::ingest::content_context;
use crate::rollout;
use crate::state::command::NewRelease;
use crate::state::{
    App as AppState, AppKey, Command, Deployment, DeploymentState, Goal, Proposal, Release, State, apply,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::{
    AppView, Change, Deploy, DeployPlan, NeededFile, Project, ProjectReading, ReadProject, ReadQuery,
    ReadingNote, ReleaseView,
};
use omni_common::domain::app::{AppSpec, ContentDigest};
use omni_common::ids::DeploymentId;
use omni_compose::{Input, ProjectFile, Reading};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The environment that is meant when none is named.
const DEFAULT_ENVIRONMENT: &str = "default";
/// Longest source or note, bytes.
const MAX_REMARK: usize = 1_024;

impl App {
    /// How a project reads.
    pub fn read_project(&self, body: &ReadProject) -> Result<ProjectReading, AppError> {
        let environment = environment(body.environment.as_deref());
        let input = input(&body.project, environment)?;
        let needed = needed(&input)?;
        Ok(match omni_compose::read(&input) {
            Ok(reading) => ProjectReading {
                name: reading.spec.name.clone(),
                normalised: omni_compose::normalised(&reading),
                notes: notes(&reading.notes),
                needed,
                builds: builds::to_build(environment, &reading, &body.project.built),
            },
            Err(faults) if faults.only_needed().is_some() => ProjectReading {
                name: String::new(),
                normalised: String::new(),
                notes: notes(&faults.notes),
                needed,
                builds: Vec::new(),
            },
            Err(faults) => return Err(AppError::Project(faults)),
        })
    }

    /// What deploying a project would do.
    pub fn plan_deploy(
        &self,
        state: &State,
        call: &Call,
        body: &Deploy,
        taking: Option<&Taking>,
    ) -> Result<DeployPlan, AppError> {
        let read = self.read_for(state, call, body, taking)?;
        let before = state.apps.get(&read.key);
        let current = before.and_then(|app| app.wanted());
        let changes = match current {
            Some(release) => diff(&self.spec_value(state, release)?, &value(&read.reading.spec)),
            None => diff(&Value::Null, &value(&read.reading.spec)),
        };
        let unchanged = before.is_some_and(|app| stands(app, &read.spec));
        let command = match unchanged {
            true => start(&read.key, None),
            false => self.create(&read, body, DeploymentId::from_u128(0), None)?,
        };
        let proposal = Proposal {
            request: call.request,
            fingerprint: None,
            at: self.clock.now(),
            actor: call.actor.clone(),
            command,
        };
        let (after, outcome) = apply(state, state.index + 1, &proposal);
        outcome?;
        let decision = rollout::decide(&after, &self.foreign(), proposal.at, &mut NoIds);
        let own = |group: &omni_scheduler::GroupKey| {
            *group.environment == *read.key.environment && *group.app == *read.key.name
        };
        Ok(DeployPlan {
            name: read.key.name.clone(),
            environment: read.key.environment.clone(),
            from: current.map(|release| release.number),
            unchanged,
            changes,
            steps: decision
                .plan
                .steps
                .iter()
                .filter(|step| own(step.group()))
                .map(ToString::to_string)
                .collect(),
            waiting: decision
                .plan
                .waiting
                .iter()
                .filter(|waiting| own(&waiting.group))
                .map(ToString::to_string)
                .collect(),
            notes: notes(&read.reading.notes)
                .into_iter()
                .chain(taking.into_iter().flat_map(|taking| taking.notes(&read.reading.spec)))
                .collect(),
            revision: before.map_or(0, |app| app.revision),
        })
    }

    /// Makes a release of a project and moves the app to it. An app that stands at just this already gets no release; it
    /// runs again if it was stopped.
    pub async fn deploy(
        &self,
        call: &Call,
        body: &Deploy,
        expect: Option<u64>,
    ) -> Result<View<AppView>, AppError> {
        let state = self.read(ReadQuery::default()).await?;
        let taking = self.taking(&state, call, body.adopt.as_ref()).await?;
        let read = self.read_for(&state, call, body, taking.as_ref())?;
        let command = match state.apps.get(&read.key).filter(|app| stands(app, &read.spec)) {
            Some(app) if app.goal == Goal::Run && expect.is_none_or(|expect| expect == app.revision) => {
                return Ok(View { index: state.index, body: view(&state, app, &BTreeMap::new()) });
            }
            Some(_) => start(&read.key, expect),
            None => self.create(&read, body, DeploymentId::mint(), expect)?,
        };
        let written = self.write(call, |_| Ok(command.clone())).await?;
        let app = find_app(&written.state, &read.key.environment, &read.key.name)?;
        Ok(View { index: written.state.index, body: view(&written.state, app, &BTreeMap::new()) })
    }

    /// An app's releases, newest first.
    pub fn list_releases(
        &self,
        state: &State,
        environment: &str,
        name: &str,
    ) -> Result<Vec<ReleaseView>, AppError> {
        let app = find_app(state, environment, name)?;
        Ok(app.releases.values().rev().map(|release| release_view(release, app.release)).collect())
    }

    /// The specification of a release.
    pub fn get_release(
        &self,
        state: &State,
        environment: &str,
        name: &str,
        number: u64,
    ) -> Result<AppSpec, AppError> {
        let release = find_release(state, environment, name, number)?;
        self.spec_of(state, release)
    }

    /// What differs between two releases.
    pub fn diff_releases(
        &self,
        state: &State,
        environment: &str,
        name: &str,
        from: u64,
        to: u64,
    ) -> Result<Vec<Change>, AppError> {
        let one = self.spec_value(state, find_release(state, environment, name, from)?)?;
        let other = self.spec_value(state, find_release(state, environment, name, to)?)?;
        Ok(diff(&one, &other))
    }

    /// Reads what is to be deployed, with the secrets and configs that it calls external.
    fn read_for(
        &self,
        state: &State,
        call: &Call,
        body: &Deploy,
        taking: Option<&Taking>,
    ) -> Result<Read, AppError> {
        for (pointer, text) in [("source", &body.source), ("note", &body.note)] {
            if text.as_ref().is_some_and(|text| text.len() > MAX_REMARK) {
                return Err(AppError::invalid(pointer, format!("at most {MAX_REMARK} bytes")));
            }
        }
        let environment = environment(body.environment.as_deref());
        let mut reading =
            omni_compose::read(&input(&body.project, environment)?).map_err(AppError::Project)?;
        let key = AppKey { environment: environment.to_owned(), name: reading.spec.name.clone() };
        call.check_app(&key)?;
        builds::take_built(environment, &mut reading, &body.project.built)?;
        self.take_external(state, &key, &mut reading)?;
        let wanted = state.apps.get(&key).and_then(|app| app.wanted());
        match taking {
            Some(taking) => {
                taking.apply(&mut reading.spec)?;
                // A call that is repeated finds its own release.
                let other = wanted.is_none_or(|release| release.spec != reading.spec.digest());
                if state.apps.contains_key(&key) && other {
                    return Err(AppError::NotHere(format!(
                        "{key} is an app already: adopt the project under another name, or in another environment"
                    )));
                }
            }
            None => {
                if let Some(release) = wanted {
                    adoption::carry(&self.spec_of(state, release)?, &mut reading.spec);
                }
            }
        }
        builds::check_images(&reading.spec)?;
        let spec = reading.spec.digest();
        let source = body.source.clone().or_else(|| taking.map(Taking::source));
        Ok(Read { key, spec, reading, source })
    }

    fn spec_of(&self, state: &State, release: &Release) -> Result<AppSpec, AppError> {
        let value = self.spec_value(state, release)?;
        serde_json::from_value(value).map_err(|_| AppError::Content(release.spec.clone()))
    }

    fn create(
        &self,
        read: &Read,
        body: &Deploy,
        deployment: DeploymentId,
        expect: Option<u64>,
    ) -> Result<Command, AppError> {
        let json = read.reading.spec.to_canonical_json();
        let mut contents = vec![self.sealed(&read.spec, &json)?];
        for (digest, bytes) in &read.reading.files {
            contents.push(self.sealed(digest, bytes)?);
        }
        Ok(Command::CreateRelease(Box::new(NewRelease {
            app: read.key.clone(),
            deployment: Some(deployment),
            spec: read.spec.clone(),
            files: read.reading.files.keys().cloned().collect(),
            contents,
            groups: outline::groups(&read.reading.spec),
            source: read.source.clone(),
            note: body.note.clone(),
            expect,
        })))
    }

    fn sealed(&self, digest: &ContentDigest, bytes: &[u8]) -> Result<(ContentDigest, Vec<u8>), AppError> {
        let sealed = self.cluster_key.seal(&content_context(digest), bytes).map_err(AppError::Secret)?;
        Ok((digest.clone(), sealed))
    }

    /// A release's specification as JSON.
    fn spec_value(&self, state: &State, release: &Release) -> Result<Value, AppError> {
        let missing = || AppError::Content(release.spec.clone());
        let content = state.contents.get(&release.spec).ok_or_else(missing)?;
        let bytes = self
            .cluster_key
            .open(&content_context(&release.spec), &content.sealed)
            .map_err(AppError::Secret)?;
        serde_json::from_slice(&bytes).map_err(|_| missing())
    }
}

/// Whether a deploy of this specification would change nothing. One that failed before is tried again, and so is what
/// a person has paused.
fn stands(app: &AppState, spec: &ContentDigest) -> bool {
    let troubled = |deployment: &Deployment| {
        matches!(
            deployment.state,
            DeploymentState::Failed | DeploymentState::Aborted | DeploymentState::Paused
        )
    };
    matches!(app.goal, Goal::Run | Goal::Stop)
        && app.wanted().is_some_and(|release| release.spec == *spec)
        && !app.deployment().is_some_and(troubled)
}

fn start(key: &AppKey, expect: Option<u64>) -> Command {
    Command::SetGoal { app: key.clone(), goal: Goal::Run, expect }
}

/// A project that has been read.
struct Read {
    key: AppKey,
    spec: ContentDigest,
    reading: Reading,
    /// Where it comes from.
    source: Option<String>,
}

fn environment(named: Option<&str>) -> &str {
    named.unwrap_or(DEFAULT_ENVIRONMENT)
}

pub(crate) fn input(project: &Project, environment: &str) -> Result<Input, AppError> {
    let mut files: BTreeMap<String, ProjectFile> = BTreeMap::new();
    for (path, file) in &project.files {
        let bytes = STANDARD.decode(&file.content).map_err(|error| {
            AppError::invalid(format!("project.files.{path}"), format!("not base64: {error}"))
        })?;
        files.insert(path.clone(), ProjectFile { bytes, mode: file.mode });
    }
    let mut main = Vec::new();
    for path in &project.compose {
        let file = files.remove(path);
        let file = file.ok_or_else(|| {
            AppError::invalid("project.compose", format!("`{path}` is not among the files"))
        })?;
        main.push((path.clone(), file.bytes));
    }
    if main.is_empty() {
        return Err(AppError::invalid("project.compose", "name at least one compose file"));
    }
    Ok(Input {
        files: main,
        project_files: files,
        left_out: project.left_out.iter().cloned().collect(),
        project_directory: None,
        environment: project.variables.clone(),
        profiles: project.profiles.iter().cloned().collect::<BTreeSet<_>>(),
        project_name: project.name.clone(),
        env_name: environment.to_owned(),
    })
}

fn needed(input: &Input) -> Result<Vec<NeededFile>, AppError> {
    let references = omni_compose::needs(input).map_err(AppError::Project)?;
    let missing = references.into_iter().filter(|reference| !reference.given);
    Ok(missing
        .map(|reference| NeededFile {
            kind: word(&reference.kind),
            path: reference.path,
            optional: reference.optional,
            writable: reference.writable,
        })
        .collect())
}

/// The word that serde writes for a plain variant.
fn word(kind: &impl serde::Serialize) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn notes(notes: &[omni_compose::Note]) -> Vec<ReadingNote> {
    let note = |note: &omni_compose::Note| ReadingNote {
        place: note.place.to_string(),
        message: note.message.clone(),
    };
    notes.iter().map(note).collect()
}

fn value(spec: &AppSpec) -> Value {
    serde_json::from_slice(&spec.to_canonical_json()).unwrap_or_default()
}

fn find_release<'a>(
    state: &'a State,
    environment: &str,
    name: &str,
    number: u64,
) -> Result<&'a Arc<Release>, AppError> {
    let app = find_app(state, environment, name)?;
    let release = app.releases.get(&number);
    release.ok_or_else(|| AppError::not_found("release", format!("{environment}/{name} {number}")))
}

fn release_view(release: &Release, current: u64) -> ReleaseView {
    let images: BTreeSet<String> =
        release.groups.values().flat_map(|group| group.images.iter().cloned()).collect();
    ReleaseView {
        number: release.number,
        current: release.number == current,
        created: release.created,
        author: release.author.clone(),
        source: release.source.clone(),
        note: release.note.clone(),
        digest: release.spec.to_string(),
        images: images.into_iter().collect(),
        files: u32::try_from(release.files.len()).unwrap_or(u32::MAX),
    }
}

/// Differences between two JSON documents, by path. Values of environment variables and anything else that may be a
/// secret are told as changed, not shown.
fn diff(from: &Value, to: &Value) -> Vec<Change> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", from, &mut before);
    flatten("", to, &mut after);
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differs
        .map(|path| Change {
            path: path.clone(),
            from: before.get(path).map(|value| shown(path, value)),
            to: after.get(path).map(|value| shown(path, value)),
        })
        .collect()
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null if path.is_empty() => {}
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(&join(key), value, into);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (index, value) in list.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), value, into);
            }
        }
        Value::String(text) => drop(into.insert(path.to_owned(), text.clone())),
        other => drop(into.insert(path.to_owned(), other.to_string())),
    }
}

fn shown(path: &str, value: &str) -> String {
    let secret = path.contains(".environment.") || path.starts_with("secrets.");
    if secret { "(hidden)".to_owned() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_told_by_path_and_secrets_are_not_shown() {
        let one = json!({"services": {"web": {"image": "web:1", "environment": {"PASSWORD": "a"}, "cap_add": ["A"]}}});
        let other = json!({"services": {"web": {"image": "web:2", "environment": {"PASSWORD": "b"}}, "db": {"tty": true}}});
        let told: Vec<String> = diff(&one, &other)
            .into_iter()
            .map(|change| format!("{} {:?} {:?}", change.path, change.from, change.to))
            .collect();
        assert_eq!(
            told,
            [
                r#"services.db.tty None Some("true")"#,
                r#"services.web.cap_add Some("[\"A\"]") None"#,
                r#"services.web.environment.PASSWORD Some("(hidden)") Some("(hidden)")"#,
                r#"services.web.image Some("web:1") Some("web:2")"#,
            ]
        );
        assert!(diff(&one, &one).is_empty());
    }
}
