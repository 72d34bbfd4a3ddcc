//! What the windows came to, and how it is shown.

use crate::bench::report::{Goal, number, table};
use crate::bench::stats::{Ratio, mean};
use crate::bench::usage::Cost;
use comfy_table::Table;
use serde::Serialize;

/// Docker counts as no busier up to this much of a core: three of the hundredths of a second in which the kernel
/// counts, each minute.
const NO_BUSIER: f64 = 0.05;

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) rounds: Vec<Round>,
    pub(super) watched: Watched,
}

/// One round.
#[derive(Debug, Serialize)]
pub(super) struct Round {
    pub(super) without: Seen,
    pub(super) with: Seen,
    /// Processor time of the agent from its start until it had settled, milliseconds.
    pub(super) start_cpu_ms: f64,
}

/// One window.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    pub(super) exporter: Cost,
    pub(super) dockerd: Cost,
    pub(super) containerd: Cost,
    pub(super) agent: Option<Cost>,
    pub(super) scrapes: u64,
}

/// While somebody looks at the host.
#[derive(Debug, Default, Serialize)]
pub(super) struct Watched {
    pub(super) agent: Cost,
    pub(super) samples_per_second: f64,
}

/// Whose cost, …
type Who = fn(&Seen) -> Option<Cost>;
/// … in which window of a round, …
type When = fn(&Round) -> &Seen;
/// … and which number of it.
type What = fn(&Cost) -> f64;

impl Outcome {
    /// Over all rounds: in one window the kernel counts too few hundredths of a second to tell small costs apart.
    fn mean(&self, who: Who, when: When, what: What) -> f64 {
        mean(self.rounds.iter().filter_map(|round| who(when(round))).map(|cost| what(&cost)))
    }

    /// Round by round, the agent's over the exporter's.
    fn over_exporter(&self, what: What) -> Ratio {
        let pair = |round: &Round| Some((what(&round.with.agent?), what(&round.with.exporter)));
        Ratio::of(self.rounds.iter().filter_map(pair))
    }

    /// Percent of a core that Docker uses more with the agent.
    fn docker_added(&self) -> f64 {
        let docker = |seen: &Seen| seen.dockerd.cpu_percent + seen.containerd.cpu_percent;
        mean(self.rounds.iter().map(|round| docker(&round.with) - docker(&round.without)))
    }

    pub(super) fn tables(&self) -> Vec<(String, Table)> {
        let mut costs = table(&["", "CPU % of a core", "RSS MiB", "PSS MiB", "private MiB", "switches/s"]);
        let rows: [(&str, Who, When); 7] = [
            ("omni-agent", |seen| seen.agent, |round| &round.with),
            ("node_exporter, same window", |seen| Some(seen.exporter), |round| &round.with),
            ("node_exporter, without the agent", |seen| Some(seen.exporter), |round| &round.without),
            ("dockerd, with the agent", |seen| Some(seen.dockerd), |round| &round.with),
            ("dockerd, without", |seen| Some(seen.dockerd), |round| &round.without),
            ("containerd, with the agent", |seen| Some(seen.containerd), |round| &round.with),
            ("containerd, without", |seen| Some(seen.containerd), |round| &round.without),
        ];
        let cells = |name: &str, pick: &dyn Fn(What) -> f64| {
            [
                name.to_owned(),
                format!("{:.3}", pick(|cost| cost.cpu_percent)),
                number(pick(|cost| cost.rss_mib)),
                number(pick(|cost| cost.pss_mib)),
                number(pick(|cost| cost.private_mib)),
                number(pick(|cost| cost.switches_per_second)),
            ]
        };
        for (name, who, when) in rows {
            costs.add_row(cells(name, &|what| self.mean(who, when, what)));
        }
        let watched = format!("omni-agent, watched ({} samples/s)", number(self.watched.samples_per_second));
        costs.add_row(cells(&watched, &|what| what(&self.watched.agent)));

        let mut ratios = table(&["omni-agent / node_exporter", "all rounds", "lowest", "highest"]);
        let quantities: [(&str, What); 4] = [
            ("CPU", |cost| cost.cpu_percent),
            ("RSS", |cost| cost.rss_mib),
            ("private memory", |cost| cost.private_mib),
            ("context switches", |cost| cost.switches_per_second),
        ];
        for (name, what) in quantities {
            let Ratio { min, max, .. } = self.over_exporter(what);
            let own = self.mean(|seen| seen.agent, |round| &round.with, what);
            let peer = self.mean(|seen| Some(seen.exporter), |round| &round.with, what);
            ratios.add_row([name.to_owned(), number(own / peer), number(min), number(max)]);
        }
        let start = mean(self.rounds.iter().map(|round| round.start_cpu_ms));
        vec![
            (format!("a host; the agent's start took {start:.0} ms of processor time"), costs),
            ("the same in ratios".into(), ratios),
        ]
    }

    pub(super) fn goals(&self) -> Vec<Goal> {
        let agent: (Who, When) = (|seen| seen.agent, |round| &round.with);
        vec![
            Goal::at_most("agent", 15.0, self.mean(agent.0, agent.1, |cost| cost.rss_mib), "MiB RSS"),
            Goal::at_most("agent", 0.3, self.mean(agent.0, agent.1, |cost| cost.cpu_percent), "% of a core"),
            Goal::at_most("added to dockerd and containerd", NO_BUSIER, self.docker_added(), "% of a core"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu_percent: f64) -> Cost {
        Cost { cpu_percent, ..Cost::default() }
    }

    fn round(without: f64, with: f64, agent: f64) -> Round {
        let seen = |docker, agent: Option<f64>| Seen {
            exporter: cost(0.5),
            dockerd: cost(docker),
            containerd: cost(0.1),
            agent: agent.map(cost),
            scrapes: 6,
        };
        Round { without: seen(without, None), with: seen(with, Some(agent)), start_cpu_ms: 1.0 }
    }

    #[test]
    fn docker_is_compared_with_itself() {
        let rounds = vec![round(0.2, 0.3, 0.1), round(1.0, 1.02, 0.2), round(0.5, 0.5, 0.3)];
        let outcome = Outcome { rounds, ..Outcome::default() };
        assert!((outcome.docker_added() - 0.04).abs() < 1e-9);
        assert!((outcome.over_exporter(|cost| cost.cpu_percent).median - 0.4).abs() < 1e-9);
    }
}
