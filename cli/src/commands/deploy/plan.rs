//! A plan on the screen.

use crate::commands::apps::diff::lines;
use crate::printer::Look;
use crate::table::harmless;
use crate::tone::Tone;
use omni_common::api::v1::DeployPlan;

/// Whether there is nothing to do. A release that is the same may still have steps: of an app that was stopped, say.
pub(crate) fn is_idle(plan: &DeployPlan) -> bool {
    plan.unchanged && plan.steps.is_empty()
}

/// What would change, what would be done about it and why, and what would wait.
pub(crate) fn draw(plan: &DeployPlan, look: Look) -> String {
    let name = harmless(&format!("{}/{}", plan.environment, plan.name));
    let what = match (plan.from, plan.unchanged) {
        (None, _) => "a new app".to_owned(),
        (Some(from), true) => format!("the same as release {from}"),
        (Some(from), false) => format!("a new release after release {from}"),
    };
    let mut text = format!("{}: {what}\n", Tone::Strong.paint(&name, look.colour));
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text += &format!("\n{}\n", Tone::Strong.paint(title, look.colour));
            text.extend(lines.iter().map(|line| format!("  {}\n", line.trim_end())));
        }
    };
    // Of a new app everything is new; its own file says it better.
    if plan.from.is_some() {
        section("Changes", plan.changes.iter().map(|change| lines(change, look)).collect());
    }
    section("Steps", plan.steps.iter().map(|step| harmless(step)).collect());
    let waits = plan.waiting.iter().map(|wait| Tone::Warn.paint(&harmless(wait), look.colour));
    section("Waiting", waits.collect());
    if is_idle(plan) {
        text += "\nNothing would change.\n";
    }
    text
}
