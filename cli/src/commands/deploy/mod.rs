//! `omni deploy`: from compose files in a folder to an app that runs.
//!
//! ```text
//! find ─▶ pack ⇄ read by a controller (what else is needed?) ─▶ plan ─▶ ask ─▶ build ─▶ deploy ─▶ follow
//!                 └─ --check ends here                           └─ --plan ends here
//! ```

mod build;
mod context;
mod find;
mod mention;
mod pack;
mod plan;
mod source;

use super::apps::life::{finish, finish_move};
use super::apps::watch::DEFAULT_WAIT;
use crate::app_name::AppName;
use crate::args::DeployArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::settings::process_variable;
use anyhow::{Context as _, Result};
pub(crate) use build::Builds;
pub(crate) use context::ContextError;
pub(crate) use find::FindError;
use find::find;
use omni_common::api::v1::{Adopt, AppStatus, Deploy, Project, ProjectReading, ReadProject};
use omni_sdk::Error as SdkError;
pub(crate) use pack::PackError;
use pack::Packer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most times that a project is read to find out what else it needs: files may include each other sixteen deep, and
/// what the last of them refers to comes after that.
const MAX_ROUNDS: usize = 20;
/// Variable that names the compose files when none is typed.
const COMPOSE_FILE: &str = "COMPOSE_FILE";

/// Reads, plans and deploys; as far as was asked for.
pub(crate) async fn run(args: &DeployArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let typed: Vec<PathBuf> = args.paths.iter().chain(&args.files).cloned().collect();
    let found = find(&typed, process_variable(COMPOSE_FILE).as_deref(), &here)?;
    found.remarks.iter().for_each(|remark| out.warn(remark));
    let mut packer = Packer::new(&found.files, args.root.as_ref().map(|root| here.join(root)).as_deref())?;
    let asked = Asked::new(args, session)?;
    let places = Places::new(&packer, &here);
    let (mut project, reading) =
        read(&mut packer, &asked, session, out).await.map_err(|error| places.explain(error))?;
    for note in &reading.notes {
        out.note(&format!("{}: {}", places.local(&note.place), note.message));
    }
    if args.check {
        out.text(&reading, |_| reading.normalised.clone())?;
        return Ok(ExitStatus::Done);
    }
    let app = AppName { environment: asked.environment.clone(), name: reading.name.clone() };
    // What is taken over runs the images that it has.
    let wanted = if args.adopt.is_some() { Vec::new() } else { reading.builds };
    let builds = Builds::look(wanted, app, &packer, args, session).await?;
    project.built = builds.names();
    builds.tell(out);
    let folder = found.files.first().and_then(|file| file.parent()).unwrap_or(&here);
    let source = match &args.source {
        Some(source) => Some(source.clone()),
        None => source::of_folder(folder).await,
    };
    let environment = Some(asked.environment.clone());
    let adopt = args.adopt.as_deref().map(adopted).transpose()?;
    let body = Deploy { project, environment, source, note: args.note.clone(), adopt };
    let result = deploy(&How::from(args), &body, &builds, session, out).await;
    result.map_err(|error| places.explain(error))
}

/// `HOST/PROJECT`.
fn adopted(text: &str) -> Result<Adopt, Failure> {
    match text.split_once('/') {
        Some((host, project)) if !host.is_empty() && !project.is_empty() => {
            Ok(Adopt { host: host.to_owned(), project: project.to_owned() })
        }
        _ => Err(Failure::Usage(format!("`--adopt {text}` names no project: write `--adopt HOST/PROJECT`"))),
    }
}

/// How far it goes, and whether it asks and waits.
pub(crate) struct How {
    /// Only print what would be done.
    pub(crate) plan: bool,
    /// Do not ask.
    pub(crate) yes: bool,
    /// Do not wait.
    pub(crate) detach: bool,
    /// Wait so long.
    pub(crate) wait: Option<Duration>,
}

impl From<&DeployArgs> for How {
    fn from(args: &DeployArgs) -> Self {
        Self { plan: args.plan, yes: args.yes, detach: args.detach, wait: args.wait }
    }
}

/// Plans, asks, deploys and follows.
pub(crate) async fn deploy(
    args: &How,
    body: &Deploy,
    builds: &Builds,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let plan = session.client.plan_deploy(body).await?;
    if body.adopt.is_some() && out.for_people() {
        // What is taken over belongs to what is shown before anybody is asked.
        for note in &plan.notes {
            out.note(&format!("{}: {}", note.place, note.message));
        }
    }
    if args.plan {
        out.text(&plan, |look| plan::draw(&plan, look))?;
        return Ok(if plan::is_idle(&plan) { ExitStatus::Done } else { ExitStatus::Changes });
    }
    let name = AppName { environment: plan.environment.clone(), name: plan.name.clone() };
    if plan::is_idle(&plan) {
        out.say(&format!(
            "Nothing would change: {name} is at this release. `omni restart {name}` starts it anew."
        ));
        return finish(&name, AppStatus::Healthy, wait(args, out), session, out).await;
    }
    if !args.yes && out.for_people() {
        out.talk_bytes(plan::draw(&plan, out.look().for_talk()).as_bytes());
    }
    let question = match &body.adopt {
        Some(adopt) => format!("Take over {} on {} as {name}?", adopt.project, adopt.host),
        None => format!("Deploy {name}?"),
    };
    confirm(&question, args.yes, out)?;
    builds.run(session, out).await?;
    // Only if the app is still as it was when the plan was made.
    let app = session.client.deploy(body, Some(plan.revision)).await?;
    let wait = wait(args, out);
    if plan.unchanged {
        out.say(&format!("{name} is to run, at release {} as before.", app.release));
        return finish(&name, AppStatus::Healthy, wait, session, out).await;
    }
    let watch =
        if wait.is_some() { String::new() } else { format!("; `omni rollout watch {name}` follows it") };
    out.say(&format!("Release {} of {name} is being rolled out{watch}.", app.release));
    finish_move(&name, app, wait, session, out).await
}

/// How long the outcome is waited for: as typed, else on a terminal.
fn wait(args: &How, out: &Printer) -> Option<Duration> {
    let by_itself = out.look().talk_is_terminal && out.for_people() && !args.detach;
    args.wait.or(by_itself.then_some(DEFAULT_WAIT))
}

/// What of the command line goes into each request.
struct Asked {
    environment: String,
    name: Option<String>,
    profiles: Vec<String>,
    set: BTreeMap<String, String>,
}

impl Asked {
    fn new(args: &DeployArgs, session: &Session) -> Result<Self, Failure> {
        Ok(Self {
            environment: args.environment.clone().unwrap_or_else(|| session.environment.clone()),
            name: args.name.clone(),
            profiles: args.profile.clone(),
            set: args.set.iter().map(|text| variable(text)).collect::<Result<_, _>>()?,
        })
    }

    /// The packed project, with what was typed over what the shell has.
    fn complete(&self, packer: &Packer) -> Project {
        let mut project = packer.project(process_variable);
        project.variables.extend(self.set.clone());
        project.profiles.clone_from(&self.profiles);
        project.name.clone_from(&self.name);
        project
    }
}

pub(crate) fn variable(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::Usage(format!("`--set {text}` sets no variable: write `--set KEY=value`"))),
    }
}

/// Has the project read, and packs what it turns out to need, until nothing more is needed.
async fn read(
    packer: &mut Packer,
    asked: &Asked,
    session: &Session,
    out: &mut Printer,
) -> Result<(Project, ProjectReading)> {
    for _ in 0..MAX_ROUNDS {
        let project = asked.complete(packer);
        let body = ReadProject { project, environment: Some(asked.environment.clone()) };
        let reading = session.client.read_project(&body).await?;
        let more = packer.take(&reading.needed)?;
        packer.take_remarks().iter().for_each(|remark| out.warn(remark));
        if !more {
            return Ok((body.project, reading));
        }
    }
    let message = format!(
        "the compose files need more and more files, after {MAX_ROUNDS} rounds still; do they include each other?"
    );
    Err(Failure::Usage(message).into())
}

/// From places in the pack to places as they can be opened from here.
struct Places {
    packed: String,
    shown: String,
}

impl Places {
    fn new(packer: &Packer, here: &Path) -> Self {
        let (root, prefix) = packer.root();
        let here = here.canonicalize().unwrap_or_else(|_| here.to_owned());
        let shown = match root.strip_prefix(&here) {
            Ok(below) if below.as_os_str().is_empty() => String::new(),
            Ok(below) => format!("{}/", below.display()),
            Err(_) => format!("{}/", root.display()),
        };
        Self { packed: format!("{prefix}/"), shown }
    }

    /// `shop/compose.yaml:3:5: key` as `compose.yaml:3:5: key` in the folder `shop`.
    fn local(&self, place: &str) -> String {
        match place.strip_prefix(&self.packed) {
            Some(rest) => format!("{}{rest}", self.shown),
            None => place.to_owned(),
        }
    }

    /// The same of the faults that a controller found in the project.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<SdkError>() {
            Ok(SdkError::Api(mut problem)) => {
                for fault in &mut problem.errors {
                    fault.pointer = self.local(&fault.pointer);
                }
                SdkError::Api(problem).into()
            }
            Ok(other) => other.into(),
            Err(other) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_as_they_can_be_opened_from_here() {
        let places = |shown: &str| Places { packed: "shop/".to_owned(), shown: shown.to_owned() };
        assert_eq!(places("").local("shop/compose.yaml:3:5: services"), "compose.yaml:3:5: services");
        assert_eq!(places("apps/shop/").local("shop/x.yml:1:1"), "apps/shop/x.yml:1:1");
        assert_eq!(places("").local("project.name"), "project.name");
    }

    #[test]
    fn a_project_to_adopt_is_named_with_its_host() {
        let shop = Adopt { host: "web-1".to_owned(), project: "shop".to_owned() };
        assert_eq!(adopted("web-1/shop"), Ok(shop));
        assert!(adopted("shop").is_err() && adopted("/shop").is_err() && adopted("web-1/").is_err());
    }

    #[test]
    fn variables_are_set_with_an_equals_sign() {
        let own = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(variable("A=b=c"), own("A", "b=c"));
        assert_eq!(variable("A="), own("A", ""));
        assert!(variable("A").is_err() && variable("=a").is_err());
    }
}
