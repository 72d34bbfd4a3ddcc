//! Passwords and other secrets, typed without being shown, or read from standard input for scripts.

use crate::failure::Failure;
use anyhow::{Context, Result};
use std::io::{self, BufRead, IsTerminal};

/// Longest line looked at, bytes.
const MAX_LINE: u64 = 4096;

/// One secret: from the terminal, or the next line of standard input.
pub(crate) fn secret(question: &str, from_stdin: bool) -> Result<String> {
    if from_stdin {
        return line();
    }
    if !io::stdin().is_terminal() {
        let message =
            "cannot ask for a password without a terminal; see `--help` for how to give it on standard input";
        return Err(Failure::Usage(message.to_owned()).into());
    }
    rpassword::prompt_password(format!("{question}: ")).context("cannot read from the terminal")
}

/// A new secret: on a terminal it is typed twice.
pub(crate) fn new_secret(question: &str, from_stdin: bool) -> Result<String> {
    let first = secret(question, from_stdin)?;
    if !from_stdin && secret("Once more", false)? != first {
        return Err(Failure::Usage("the two are not the same; nothing was changed".to_owned()).into());
    }
    Ok(first)
}

fn line() -> Result<String> {
    let mut text = String::new();
    let mut input = io::Read::take(io::stdin().lock(), MAX_LINE);
    input.read_line(&mut text).context("cannot read from standard input")?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::Usage("standard input holds no password".to_owned()).into());
    }
    Ok(text.to_owned())
}
