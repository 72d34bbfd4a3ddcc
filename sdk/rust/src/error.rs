//! What can go wrong with a call.

use crate::address::Address;
use omni_common::api::v1::Problem;
use std::fmt;
use std::time::Duration;

/// Short for a result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One address that was tried in vain, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub address: Address,
    /// Why it did not help, for a person.
    pub why: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.why)
    }
}

/// A call that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A controller said no. Branch on [`Problem::code`] or [`Problem::status`].
    #[error("{}", describe(.0))]
    Api(Box<Problem>),
    /// No address answered.
    #[error("no controller is reachable{}", list(.tried))]
    NoControllerReachable {
        /// Each address and why it did not help.
        tried: Vec<Attempt>,
    },
    /// The answer did not come within the deadline.
    #[error("no answer within {}{}", seconds(.after), list(.tried))]
    TimedOut {
        /// The deadline that ran out.
        after: Duration,
        /// What happened at each address on the way.
        tried: Vec<Attempt>,
    },
    /// A stream broke and could not be taken up again at any controller.
    #[error("the stream broke and could not be taken up again within {}: {why}", seconds(.after))]
    Interrupted {
        /// How long it was tried.
        after: Duration,
        /// How it broke last.
        why: String,
    },
    /// The connection broke after a request was sent that must not be sent twice.
    #[error("the connection to {address} was lost; what was begun may still go on: {why}")]
    Lost {
        /// Where it was sent.
        address: Address,
        /// How it broke.
        why: String,
    },
    /// A controller answered with something that is no answer to the call.
    #[error("{address} gave an answer that cannot be understood: {why}")]
    BadAnswer {
        /// Who answered.
        address: Address,
        /// What is wrong with it.
        why: String,
    },
    /// The client was built without any address.
    #[error("no controller address is known")]
    NoAddress,
    /// The client could not be set up.
    #[error("the client cannot be set up: {0}")]
    Setup(String),
}

impl Error {
    /// The problem a controller reported, if one did.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Api(problem) => Some(problem),
            _ => None,
        }
    }

    /// The stable word of the problem a controller reported.
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// The HTTP status of the problem a controller reported.
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Api(Box::new(problem))
    }
}

fn describe(problem: &Problem) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
    for error in &problem.errors {
        text.push_str(&format!("\n  {}: {}", error.pointer, error.detail));
    }
    text
}

fn list(tried: &[Attempt]) -> String {
    tried.iter().map(|attempt| format!("\n  {attempt}")).collect()
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_listed_with_its_reason() {
        let error = Error::NoControllerReachable {
            tried: vec![
                Attempt { address: "a:1".parse().expect("an address"), why: "connection refused".to_owned() },
                Attempt { address: "b:2".parse().expect("an address"), why: "no answer".to_owned() },
            ],
        };
        assert_eq!(
            error.to_string(),
            "no controller is reachable\n  https://a:1: connection refused\n  https://b:2: no answer"
        );
    }
}
