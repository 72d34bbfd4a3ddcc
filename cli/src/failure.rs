//! From an error to an exit code, a message and the next step.

use crate::commands::deploy::{ContextError, FindError, PackError};
use crate::exit::ExitStatus;
use crate::names::NameError;
use crate::printer::Printer;
use crate::settings::SettingsError;
use anyhow::Error;
use serde::Serialize;
use std::time::Duration;

/// What commands themselves find wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The person said no.
    #[error("nothing was changed")]
    Declined,
    /// It did not come in time.
    #[error("gave up after {}: {what}", crate::units::span(*.after))]
    TimedOut {
        /// What stood in the way last.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// Nothing has this name.
    #[error("{0}")]
    NotFound(String),
}

/// The exit code that says what went wrong.
pub(crate) fn exit_status(error: &Error) -> ExitStatus {
    error
        .chain()
        .find_map(|cause| {
            if let Some(error) = cause.downcast_ref::<omni_sdk::Error>() {
                return Some(of_call(error));
            }
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return Some(of_failure(failure));
            }
            // What lies in the folder is part of what was asked for.
            if cause.is::<PackError>() || cause.is::<FindError>() || cause.is::<ContextError>() {
                return Some(ExitStatus::Usage);
            }
            if let Some(name) = cause.downcast_ref::<NameError>() {
                return Some(match name {
                    NameError::Unknown { .. } => ExitStatus::NotFound,
                    NameError::Ambiguous { .. } => ExitStatus::Usage,
                });
            }
            cause.downcast_ref::<SettingsError>().map(|settings| match settings {
                SettingsError::UnknownContext { .. } => ExitStatus::NotFound,
                _ => ExitStatus::Usage,
            })
        })
        .unwrap_or(ExitStatus::Failed)
}

fn of_failure(failure: &Failure) -> ExitStatus {
    match failure {
        Failure::Usage(_) => ExitStatus::Usage,
        Failure::Declined => ExitStatus::Failed,
        Failure::TimedOut { .. } => ExitStatus::TimedOut,
        Failure::NotFound(_) => ExitStatus::NotFound,
    }
}

fn of_call(error: &omni_sdk::Error) -> ExitStatus {
    use omni_sdk::Error as Sdk;
    match error {
        Sdk::Api(problem) => match problem.status {
            400 | 422 => ExitStatus::Usage,
            401 | 403 | 409 | 412 | 428 => ExitStatus::Refused,
            404 => ExitStatus::NotFound,
            // The client has asked again until its time was up.
            503 | 504 => ExitStatus::TimedOut,
            _ => ExitStatus::Failed,
        },
        Sdk::NoControllerReachable { .. } | Sdk::NoAddress => ExitStatus::Unreachable,
        Sdk::TimedOut { .. } => ExitStatus::TimedOut,
        Sdk::Interrupted { .. } | Sdk::Lost { .. } | Sdk::BadAnswer { .. } | Sdk::Setup(_) => {
            ExitStatus::Failed
        }
    }
}

/// What to do next.
fn hint(error: &Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(settings) = cause.downcast_ref::<SettingsError>() {
            return of_settings(settings);
        }
        if let Some(NameError::Unknown { kind, .. }) = cause.downcast_ref::<NameError>() {
            return match *kind {
                "container" => Some("`omni ps -a` lists all containers".to_owned()),
                "app" => Some("`omni apps` lists the apps of all environments".to_owned()),
                _ => None,
            };
        }
        cause.downcast_ref::<omni_sdk::Error>().and_then(after_call)
    })
}

fn of_settings(error: &SettingsError) -> Option<String> {
    let text = match error {
        SettingsError::NoContext => "run `omni login https://HOST:7601 --token TOKEN`",
        SettingsError::NoneCurrent(_) => "choose one with `omni context use NAME`",
        SettingsError::UnknownContext { .. } => {
            "see `omni context list`, or run `omni login https://HOST:7601 --token TOKEN --context NAME`"
        }
        SettingsError::Token { .. } => "ask an admin for `omni token create-api`, then run `omni login`",
        SettingsError::NoHome => "set OMNI_CONFIG to a file that may be written",
        SettingsError::Address { .. } => "write `https://HOST:7601`",
        SettingsError::Variable { .. } => return None,
    };
    Some(text.to_owned())
}

fn after_call(error: &omni_sdk::Error) -> Option<String> {
    let text = match (error, error.status(), error.code()) {
        (omni_sdk::Error::NoControllerReachable { .. }, ..) => {
            "check that a controller runs and that `omni context show` names its address"
        }
        (_, Some(401), _) => {
            "the token is unknown, expired or revoked: get one with `omni token create-api` and run `omni login` again"
        }
        (_, Some(403), _) => {
            "ask an admin for a token with that role: `omni token create-api --role ROLE --name NAME`"
        }
        (omni_sdk::Error::TimedOut { .. }, ..) | (_, Some(503 | 504), _) => {
            "most controllers may be gone: `omni controllers --stale` shows who is missing, and `--stale` reads work"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The last thing a program reads on standard error.
#[derive(Serialize)]
struct Report<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: String,
    exit_code: u8,
    code: Option<&'a str>,
    request_id: Option<&'a str>,
    hint: Option<String>,
}

/// Tells what went wrong and what to do next: as text, or as JSON when data would have been JSON.
pub(crate) fn report(error: &Error, out: &mut Printer) -> ExitStatus {
    let status = exit_status(error);
    let message = format!("{error:#}");
    let hint = hint(error);
    if out.for_people() {
        out.error(&message);
        if let Some(hint) = hint {
            out.hint(&hint);
        }
        return status;
    }
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<omni_sdk::Error>()?.problem());
    let report = Report {
        error: Detail {
            message,
            exit_code: status.code(),
            code: problem.map(|problem| problem.code.as_str()),
            request_id: problem.and_then(|problem| problem.request_id.as_deref()),
            hint,
        },
    };
    let text = serde_json::to_string(&report).expect("text and numbers are always JSON");
    out.talk_bytes(format!("{text}\n").as_bytes());
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::api::v1::Problem;

    fn problem(status: u16, code: &str) -> Error {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: "title".to_owned(),
            status,
            detail: None,
            instance: None,
            code: code.to_owned(),
            request_id: None,
            errors: Vec::new(),
        };
        Error::new(omni_sdk::Error::from(problem)).context("cannot do it")
    }

    #[test]
    fn each_kind_of_failure_has_its_code() {
        let cases = [
            (problem(400, "invalid"), ExitStatus::Usage),
            (problem(401, "unauthenticated"), ExitStatus::Refused),
            (problem(403, "forbidden"), ExitStatus::Refused),
            (problem(404, "not_found"), ExitStatus::NotFound),
            (problem(409, "name_taken"), ExitStatus::Refused),
            (problem(500, "internal"), ExitStatus::Failed),
            (problem(503, "no_leader"), ExitStatus::TimedOut),
            (problem(504, "outcome_unknown"), ExitStatus::TimedOut),
            (omni_sdk::Error::NoControllerReachable { tried: vec![] }.into(), ExitStatus::Unreachable),
            (Failure::Declined.into(), ExitStatus::Failed),
            (SettingsError::NoContext.into(), ExitStatus::Usage),
            (anyhow::anyhow!("something else"), ExitStatus::Failed),
        ];
        for (error, expected) in cases {
            assert_eq!(exit_status(&error), expected, "{error:#}");
        }
    }

    #[test]
    fn the_next_step_is_named_where_there_is_one() {
        let hint = hint(&SettingsError::NoContext.into()).expect("log in");
        assert!(hint.contains("omni login https://HOST:7601 --token"), "{hint}");
        assert!(super::hint(&problem(503, "no_leader")).expect("look").contains("--stale"));
        assert_eq!(super::hint(&problem(500, "internal")), None);
    }
}
