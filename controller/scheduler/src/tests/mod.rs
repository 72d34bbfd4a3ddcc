//! The planner, tested through text: a mesh in, a plan out.
//!
//! `check` is the only thing here that knows the planner's interface. Each case also carries its plan out and plans
//! again: there must be nothing left to do.

mod carry_out;
mod changes;
mod constraints;
mod drain;
mod explain;
mod failover;
mod global;
mod gpus;
mod language;
mod placement;
mod properties;
mod purity;
mod random;
mod rebalance;
mod renew;
mod scale;

use crate::{Plan, Problem};
use carry_out::carry_out;

/// The plan for a mesh, both as text. See `language.rs` for the words.
fn check(mesh: &str, expected: &str) {
    let problem = language::read(mesh);
    let plan = crate::plan(&problem);
    assert_eq!(plan.to_string().trim_end(), dedent(expected), "\nfor the mesh\n{mesh}\nwhich plans\n{plan}");
    assert_settles(&problem, &plan);
}

/// A plan that has been carried out leaves nothing to do. What is renewed in place may need less than before, and something
/// else may wait for just that: then the next plan leaves nothing to do.
fn assert_settles(problem: &Problem, plan: &Plan) {
    let mut after = carry_out(problem, plan);
    let mut again = crate::plan(&after);
    if plan.steps.iter().any(|step| matches!(step, crate::Step::Renew { .. })) {
        after = carry_out(&after, &again);
        again = crate::plan(&after);
    }
    assert!(again.is_empty(), "carried out, the plan\n{plan}\nleaves\n{again}");
}

fn dedent(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}
