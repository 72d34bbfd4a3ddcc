//! What the crate promises, from outside: tables of text in and text out, many real-looking files, and the real
//! tool beside it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests; a panic is their way to fail"
)]

mod cases;
mod corpus;
mod keys;
mod oracle;
mod pack;
mod platform;
mod properties;

/// Compares with a file that is kept; `OMNI_BLESS=1` writes it anew.
fn golden(path: &std::path::Path, actual: &str) -> Result<(), String> {
    #[allow(clippy::disallowed_methods, reason = "a switch of the developer's, for tests only")]
    let bless = std::env::var_os("OMNI_BLESS").is_some();
    if bless {
        std::fs::write(path, actual).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(());
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    Err(format!("{} is not what comes out (OMNI_BLESS=1 writes it anew):\n{actual}", path.display()))
}
