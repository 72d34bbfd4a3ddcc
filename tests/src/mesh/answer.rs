//! What a command that ran to its end left behind.

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use std::process::{Command, Output};

/// Exit code and output of a command.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it was called, for messages.
    pub called: String,
    /// Its exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Runs a command to its end.
    pub(super) fn of(mut command: Command) -> Result<Self> {
        let output = command.output().with_context(|| format!("running {command:?}"))?;
        Ok(Self::from_output(format!("{command:?}"), &output))
    }

    fn from_output(called: String, output: &Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            called,
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Its standard output, if it succeeded.
    ///
    /// # Errors
    /// When it failed, with all it said.
    pub fn done(self) -> Result<String> {
        ensure!(self.code == Some(0), "it failed: {self:#?}");
        Ok(self.stdout)
    }

    /// Its standard output as JSON, if it succeeded.
    ///
    /// # Errors
    /// When it failed, or printed something else.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let called = self.called.clone();
        let text = self.done()?;
        serde_json::from_str(&text).with_context(|| format!("{called} printed no such JSON:\n{text}"))
    }

    /// Checks that it failed with this code, and that standard error holds each of `words`.
    ///
    /// # Errors
    /// When it ended otherwise or said something else.
    pub fn refused(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code), "not exit code {code}: {self:#?}");
        for word in words {
            ensure!(self.stderr.contains(word), "it does not say {word:?}: {self:#?}");
        }
        Ok(())
    }
}
