//! Which seeds run, and what is said when one fails.
//!
//! `OMNI_SIM_SEED=n` runs that one seed, `OMNI_SIM_SEEDS=n` the first n; otherwise a test's own number of seeds
//! runs. Seeds are shared out between tests, so that a machine's cores share them too.

use anyhow::{Context, Result};
use std::cell::RefCell;
use std::future::Future;
use std::sync::Once;
use tokio::runtime::Runtime;

/// A test's share of the seeds: those that leave `part` when divided by `of`.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Which share.
    pub part: u64,
    /// Of how many.
    pub of: u64,
    /// Seeds of all shares together, when nothing else is asked for.
    pub seeds: u64,
}

/// Runs `scenario` once for each seed of `share`, each in a runtime of its own.
///
/// # Panics
/// When a seed fails; the message ends in the one line that repeats it.
pub fn each<F: Future<Output = Result<String>>>(
    share: Share,
    runtime: impl Fn() -> Runtime,
    scenario: impl Fn(u64) -> F,
) {
    record_panics();
    for seed in chosen(share) {
        take_panics();
        match run(&runtime(), scenario(seed)) {
            Ok(summary) => eprintln!("seed {seed}: {summary}"),
            Err(error) => panic!("seed {seed}: {error:#}\n\nmake sim SEED={seed}\n"),
        }
    }
}

/// Runs one seed. A panic in any of its tasks fails it, though the runtime itself would swallow that.
fn run<T>(runtime: &Runtime, scenario: impl Future<Output = Result<T>>) -> Result<T> {
    let result = runtime.block_on(scenario);
    match take_panics().into_iter().next() {
        Some(panic) => Err(anyhow::anyhow!("a task panicked: {panic}")),
        None => result,
    }
}

fn chosen(share: Share) -> Vec<u64> {
    let number = |name| asked(name).unwrap_or_else(|error| panic!("{error:?}"));
    let seeds = match (number("OMNI_SIM_SEED"), number("OMNI_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..share.seeds,
    };
    seeds.filter(|seed| seed % share.of == share.part).collect()
}

#[allow(clippy::disallowed_methods, reason = "the one place of the simulation that reads the environment")]
fn asked(name: &str) -> Result<Option<u64>> {
    match std::env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => text.parse().map(Some).with_context(|| format!("{name} is `{text}`, not a number")),
        Err(_) => Ok(None),
    }
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes panics of this thread, on which a whole simulated cluster runs.
fn record_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            usual(info);
        }));
    });
}

fn take_panics() -> Vec<String> {
    PANICS.with_borrow_mut(std::mem::take)
}
