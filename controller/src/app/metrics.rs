//! What hosts measure: newest sample, recent history, live samples, processes.

use super::hosts::{age_ms, find_host};
use super::selectors::texts;
use super::{App, AppError};
use crate::state::{Host, State};
use omni_common::api::v1::{
    HostMetrics, LiveMetricsQuery, LiveSample, MetricsQuery, MetricsSource, Processes,
};
use omni_common::clock::Time;
use omni_common::domain::HostSample;
use omni_common::ids::HostId;
use omni_common::wire::{AgentRequest, ReplyFrame};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT_SPAN: Duration = Duration::from_secs(3600);
/// An hour at ten seconds.
const DEFAULT_SAMPLES: u32 = 360;
const MAX_SAMPLES: u32 = 2000;

/// A span of history.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Time,
    to: Time,
    max: u32,
}

impl App {
    /// The newest sample of a host and its recent history: from the host itself, or, when it does not
    /// answer, what the controllers have kept of it.
    pub async fn host_metrics(
        &self,
        state: &State,
        name: &str,
        query: &MetricsQuery,
    ) -> Result<HostMetrics, AppError> {
        let host = find_host(state, name)?;
        let span = span(query, self.clock.now())?;
        let (history, source) = self.history(host, span, query.source).await?;
        let observed = self.observed.host(host.id).unwrap_or_default();
        let latest = observed.sample.as_ref();
        Ok(HostMetrics {
            host: host.id,
            host_name: host.name.clone(),
            latest: latest.map(|(sample, _)| HostSample::clone(sample)),
            latest_age_ms: latest.map(|(_, at)| age_ms(*at)),
            history,
            source,
        })
    }

    async fn history(
        &self,
        host: &Host,
        span: Span,
        source: Option<MetricsSource>,
    ) -> Result<(Vec<HostSample>, MetricsSource), AppError> {
        let kept = || {
            let samples = self.observed.rollups(host.id, span.from, span.to);
            (thin(samples, span.max as usize), MetricsSource::Gateway)
        };
        if source == Some(MetricsSource::Gateway) {
            return Ok(kept());
        }
        match self.recorded(host, span).await {
            Ok(samples) => Ok((samples, MetricsSource::Agent)),
            Err(error) if source == Some(MetricsSource::Agent) => Err(error),
            Err(_) => Ok(kept()),
        }
    }

    async fn recorded(&self, host: &Host, span: Span) -> Result<Vec<HostSample>, AppError> {
        let Span { from, to, max } = span;
        let mut samples = Vec::new();
        let take = |frame| match frame {
            ReplyFrame::Samples(more) if samples.len() + more.len() <= max as usize => {
                samples.extend(more);
                Ok(())
            }
            other => Err(other),
        };
        self.ask(host, AgentRequest::History { from, to, max }, take).await?;
        Ok(samples)
    }

    /// The process table of a host, read now.
    pub async fn processes(&self, state: &State, name: &str) -> Result<Processes, AppError> {
        let host = find_host(state, name)?;
        let mut items = Vec::new();
        let take = |frame| match frame {
            ReplyFrame::Processes(more) => {
                items.extend(more);
                Ok(())
            }
            other => Err(other),
        };
        self.ask(host, AgentRequest::Processes, take).await?;
        Ok(Processes { host: host.id, host_name: host.name.clone(), items })
    }

    /// Begins to watch hosts.
    pub fn watch_hosts(&self, state: &State, query: &LiveMetricsQuery) -> Result<LiveTail, AppError> {
        let named = super::containers::named_hosts(state, texts(query.host.as_ref()))?;
        Ok(LiveTail { named, shown: BTreeMap::new() })
    }
}

/// Who watches which hosts, and what they have seen. A sample that is replaced before it was looked at is
/// skipped: nobody who watches wants the past.
#[derive(Debug)]
pub struct LiveTail {
    named: Option<Vec<HostId>>,
    shown: BTreeMap<HostId, Time>,
}

impl LiveTail {
    /// Keeps the named hosts sampling each second. Those who watch everything get the usual pace.
    pub fn keep_awake(&self, app: &App) {
        if let Some(hosts) = &self.named {
            app.mesh.watch(hosts);
        }
    }

    /// Samples that have not been shown yet, by host.
    pub fn step(&mut self, app: &App) -> Vec<LiveSample> {
        let state = app.store.current();
        let hosts: Vec<HostId> = match &self.named {
            Some(named) => named.clone(),
            None => state.hosts.keys().copied().collect(),
        };
        hosts.into_iter().filter_map(|id| self.fresh(app, state.hosts.get(&id)?)).collect()
    }

    fn fresh(&mut self, app: &App, host: &Host) -> Option<LiveSample> {
        let observed = app.observed.host(host.id)?;
        let (sample, at) = observed.sample.as_ref()?;
        if self.shown.insert(host.id, sample.at) == Some(sample.at) {
            return None;
        }
        Some(LiveSample {
            host: host.id,
            host_name: host.name.clone(),
            age_ms: age_ms(*at),
            sample: HostSample::clone(sample),
        })
    }
}

fn span(query: &MetricsQuery, now: Time) -> Result<Span, AppError> {
    let to = query.to.unwrap_or(now);
    let from = query.from.unwrap_or_else(|| to.minus(DEFAULT_SPAN));
    let max = query.max.unwrap_or(DEFAULT_SAMPLES);
    if from >= to {
        return Err(AppError::invalid("from", "must be earlier than `to`"));
    }
    if !(1..=MAX_SAMPLES).contains(&max) {
        return Err(AppError::invalid("max", format!("use a number from 1 to {MAX_SAMPLES}")));
    }
    Ok(Span { from, to, max })
}

/// At most `max` of `samples`, evenly spread, the newest among them.
fn thin(samples: Vec<HostSample>, max: usize) -> Vec<HostSample> {
    let count = samples.len();
    if count <= max {
        return samples;
    }
    let kept = |position: usize| (position + 1) * max / count > position * max / count;
    let indexed = samples.into_iter().enumerate();
    indexed.filter(|(position, _)| kept(*position)).map(|(_, sample)| sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn thinning_keeps_order_number_and_the_newest(count in 0usize..300, max in 1usize..100) {
            let samples: Vec<HostSample> = (0..count)
                .map(|n| HostSample { at: Time::from_secs(n as i64), ..HostSample::default() })
                .collect();
            let kept = thin(samples.clone(), max);
            prop_assert_eq!(kept.len(), count.min(max));
            prop_assert!(kept.windows(2).all(|pair| pair[0].at < pair[1].at));
            prop_assert_eq!(kept.last().map(|s| s.at), samples.last().map(|s| s.at));
        }
    }

    #[test]
    fn a_span_has_a_beginning_and_an_end() {
        let now = Time::from_secs(10_000);
        let all = span(&MetricsQuery::default(), now).expect("defaults fit");
        assert_eq!((all.from, all.to, all.max), (Time::from_secs(6_400), now, 360));
        let upside_down = MetricsQuery { from: Some(now), ..MetricsQuery::default() };
        assert!(span(&upside_down, now).is_err());
    }
}
