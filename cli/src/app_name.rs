//! From what a person calls an app to the app: `NAME` in the environment at hand, or `ENVIRONMENT/NAME`.

use crate::args::AppArg;
use crate::failure::Failure;
use crate::names::{NameError, near};
use crate::session::Session;
use anyhow::Result;
use omni_common::api::v1::{AppView, AppsQuery};
use std::fmt;

/// Which app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppName {
    /// Its environment.
    pub environment: String,
    /// Its name in it.
    pub name: String,
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.environment, self.name)
    }
}

impl AppName {
    /// Of an app as the API shows it.
    pub(crate) fn of(view: &AppView) -> Self {
        Self { environment: view.environment.clone(), name: view.name.clone() }
    }

    /// What was typed, completed with the environment at hand.
    pub(crate) fn read(typed: &AppArg, at_hand: &str) -> Result<Self, Failure> {
        let flag = typed.environment.as_deref();
        let (environment, name) = match (typed.app.split_once('/'), flag) {
            (Some((environment, _)), Some(flag)) if environment != flag => {
                let message = format!("`{}` and `--env {flag}` name two environments", typed.app);
                return Err(Failure::Usage(message));
            }
            (Some((environment, name)), _) => (environment, name),
            (None, flag) => (flag.unwrap_or(at_hand), typed.app.as_str()),
        };
        if environment.is_empty() || name.is_empty() || name.contains('/') {
            let message = format!("`{}` names no app: write `NAME` or `ENVIRONMENT/NAME`", typed.app);
            return Err(Failure::Usage(message));
        }
        Ok(Self { environment: environment.to_owned(), name: name.to_owned() })
    }

    /// That there is none, with names that may have been meant.
    fn unknown(&self, all: &[AppView]) -> NameError {
        let elsewhere = all.iter().filter(|app| app.name == self.name).map(|app| Self::of(app).to_string());
        let mut likely: Vec<String> = elsewhere.collect();
        if likely.is_empty() {
            let here = all.iter().filter(|app| app.environment == self.environment);
            likely = near(&self.name, here.map(|app| app.name.as_str()));
        }
        NameError::Unknown { kind: "app", name: self.to_string(), near: likely }
    }
}

/// The app that was typed, asked of the cluster; near names are suggested when there is none.
pub(crate) async fn find(typed: &AppArg, session: &Session) -> Result<(AppName, AppView)> {
    let name = AppName::read(typed, &session.environment)?;
    match session.client.app(&name.environment, &name.name).await {
        Ok(view) => Ok((name, view)),
        Err(error) => Err(explained(&name, error, session).await),
    }
}

/// The same error, or which app may have been meant when there is none of that name.
pub(crate) async fn explained(name: &AppName, error: omni_sdk::Error, session: &Session) -> anyhow::Error {
    if error.status() != Some(404) {
        return error.into();
    }
    // A list that cannot be had takes nothing from the answer: there is no such app.
    let all = session.client.apps(AppsQuery::default()).await.unwrap_or_default();
    match all.iter().any(|app| AppName::of(app) == *name) {
        // It is there; something else is not, and the controller has said what.
        true => error.into(),
        false => name.unknown(&all).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::app;

    fn read(app: &str, environment: Option<&str>) -> Result<String, Failure> {
        let typed = AppArg { app: app.to_owned(), environment: environment.map(str::to_owned) };
        AppName::read(&typed, "default").map(|name| name.to_string())
    }

    #[test]
    fn the_environment_is_typed_or_at_hand() {
        assert_eq!(read("shop", None), Ok("default/shop".to_owned()));
        assert_eq!(read("shop", Some("staging")), Ok("staging/shop".to_owned()));
        assert_eq!(read("staging/shop", None), Ok("staging/shop".to_owned()));
        assert_eq!(read("staging/shop", Some("staging")), Ok("staging/shop".to_owned()));
        for (text, flag) in [("staging/shop", Some("test")), ("/shop", None), ("a/", None), ("a/b/c", None)] {
            assert!(matches!(read(text, flag), Err(Failure::Usage(_))), "{text}");
        }
    }

    #[test]
    fn an_unknown_app_is_met_with_one_elsewhere_or_a_near_name() {
        let all = [app("default", "shop"), app("staging", "wiki")];
        let told = |environment: &str, name: &str| {
            let wanted = AppName { environment: environment.to_owned(), name: name.to_owned() };
            wanted.unknown(&all).to_string()
        };
        assert_eq!(told("default", "wiki"), "there is no app `default/wiki`; did you mean `staging/wiki`?");
        assert_eq!(told("default", "shpo"), "there is no app `default/shpo`; did you mean `shop`?");
        assert_eq!(told("default", "zzz"), "there is no app `default/zzz`");
    }
}
