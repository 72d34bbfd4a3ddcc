//! The control stream: heartbeats, leases, renewals, and noticing when the gateway is gone.

use super::Agent;
use super::acks::Acks;
use super::end::End;
use super::handshake::{Established, explain};
use super::leaderless::{Search, Watch};
use super::probe::PortProbe;
use super::renewal::Schedule;
use crate::workloads::Account;
use omni_common::wire::{AgentFrame, CloseCode, GatewayFrame, MAX_REPORTS_PER_FRAME};
use omni_transport::{Connection, FrameReader, FrameWriter};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Heartbeats are not sent faster or slower than this, whatever the gateway says.
const MIN_BEAT: Duration = Duration::from_millis(100);
const MAX_BEAT: Duration = Duration::from_secs(10);
/// The gateway has this long to take our leave before the connection is closed under it.
const LEAVE: Duration = Duration::from_millis(500);

/// One session's control stream.
pub(super) struct Control<'a> {
    agent: &'a Agent,
    connection: &'a Connection,
    writer: FrameWriter<AgentFrame>,
    reader: FrameReader<GatewayFrame>,
    beat: Duration,
    acks: Acks,
    leader: Watch,
    renewal: Option<Schedule>,
    /// The gateway takes reports about allocations.
    reports: bool,
    /// The gateway takes reports about runs.
    runs: bool,
}

impl<'a> Control<'a> {
    pub(super) fn new(
        agent: &'a Agent,
        connection: &'a Connection,
        established: Begun,
        search: Search,
    ) -> Self {
        let beat = Duration::from_millis(established.heartbeat_ms.into()).clamp(MIN_BEAT, MAX_BEAT);
        if established.runs {
            agent.workloads.reports().rewind();
        }
        if established.has_runs {
            agent.runs.rewind();
        }
        if let Some(alone) = agent.runs.alone() {
            alone.session(established.has_standing);
        }
        Self {
            reports: established.runs,
            runs: established.has_runs,
            agent,
            connection,
            writer: established.writer,
            reader: established.reader,
            beat,
            acks: Acks::new(beat, search.patience_with_silence()),
            leader: Watch::new(
                search,
                beat,
                agent.book.list().controllers.len(),
                Instant::now(),
                &mut agent.rng(),
            ),
            renewal: agent.credentials.as_ref().map(|own| Schedule::new(own.validity())),
        }
    }

    /// Runs until the session is over.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> End {
        let mut beats = interval(self.beat, Duration::ZERO);
        let probe = match self.agent.probe_ports {
            true => PortProbe::new(&self.connection.remote()).await,
            false => None,
        };
        let mut probes = interval(self.beat / 2, self.beat / 2);
        loop {
            let (silent, leaderless) = (self.acks.deadline(), self.leader.deadline());
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => self.leave().await,
                frame = self.reader.next() => match frame {
                    Ok(Some(frame)) => self.take(frame),
                    Ok(None) => Some(explain(self.connection, &"the gateway ended the control stream").await),
                    Err(error) => {
                        let end = explain(self.connection, &error).await;
                        self.connection.close(error.close_code(), "control stream");
                        Some(end)
                    }
                },
                () = until(silent) => self.acks.give_up(Instant::now()).then_some(End::Silent),
                () = until(leaderless) => self.leader.give_up(Instant::now()).then_some(End::Leaderless),
                _ = beats.tick() => self.beat().await,
                () = news(self.agent, self.reports) => self.report().await,
                () = news_of_runs(self.agent, self.runs) => self.report_runs().await,
                true = refused(probe.as_ref(), &mut probes) => Some(End::Gone),
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    async fn beat(&mut self) -> Option<End> {
        let seq = self.acks.sent(Instant::now());
        let sent_ms = self.agent.lease.heartbeat();
        let heartbeat =
            AgentFrame::Heartbeat { seq, sent_ms, generation: self.agent.workloads.depot().generation() };
        if let Some(end) = self.send(&heartbeat).await {
            return Some(end);
        }
        match self.renewal_request() {
            Some(csr) => self.send(&AgentFrame::Renew { csr }).await,
            None => None,
        }
    }

    async fn report(&mut self) -> Option<End> {
        while let Some(Account { all, reports, more }) =
            self.agent.workloads.reports().take(MAX_REPORTS_PER_FRAME)
        {
            if let Some(end) = self.send(&AgentFrame::Allocations { all, reports, more }).await {
                return Some(end);
            }
        }
        None
    }

    async fn report_runs(&mut self) -> Option<End> {
        while let Some(report) = self.agent.runs.take() {
            if let Some(end) = self.send(&AgentFrame::Run(Box::new(report))).await {
                return Some(end);
            }
        }
        None
    }

    /// A request for a certificate, when one is due.
    fn renewal_request(&mut self) -> Option<Vec<u8>> {
        let now = self.agent.clock.now();
        let schedule = self.renewal.as_mut()?;
        if !schedule.ask(now) {
            return None;
        }
        match self.agent.credentials.as_ref()?.request() {
            Ok(csr) => Some(csr),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no certificate request made");
                schedule.refused(now);
                None
            }
        }
    }

    fn take(&mut self, frame: GatewayFrame) -> Option<End> {
        match frame {
            GatewayFrame::HeartbeatAck { seq, lease, controllers } => {
                self.acks.answered(seq);
                if let Some(lease) = lease {
                    self.leader.heard(Instant::now());
                    if let Some(alone) = self.agent.runs.alone() {
                        alone.heard();
                    }
                    // By the list of before, something might start that runs elsewhere by now. The next answer brings it
                    // again.
                    if self.agent.workloads.depot().is_current() {
                        self.agent.lease.granted(lease);
                    }
                }
                if let Some(list) = controllers {
                    self.agent.learn(list);
                }
            }
            GatewayFrame::Renewed { chain } => self.renewed(chain),
            GatewayFrame::RenewRefused { code, message } => {
                tracing::warn!(code, reason = message, "certificate not renewed");
                self.renewal_failed();
            }
            GatewayFrame::Watch { interval_ms, for_ms } => {
                let now = Instant::now();
                self.agent.pace.send_modify(|pace| pace.watch(interval_ms, for_ms, now));
            }
            GatewayFrame::Desired(desired) => self.agent.workloads.depot().desire(desired),
            GatewayFrame::Runs(desired) => self.agent.runs.desire(desired),
            GatewayFrame::Goodbye { reason } => {
                self.connection.close(CloseCode::Done, "goodbye");
                return Some(End::Goodbye(reason));
            }
            GatewayFrame::Welcome(_) => {
                self.connection.close(CloseCode::OutOfOrder, "welcomed twice");
                return Some(End::Broken("the gateway said welcome twice".to_owned()));
            }
        }
        None
    }

    fn renewed(&mut self, chain: Vec<Vec<u8>>) {
        let Some(credentials) = self.agent.credentials.clone() else {
            return;
        };
        if let Err(error) = credentials.accept(chain) {
            tracing::error!(error = &error as &dyn std::error::Error, "certificate not taken up");
            return self.renewal_failed();
        }
        let validity = credentials.validity();
        tracing::info!(not_after = %validity.1, "certificate renewed");
        self.renewal = Some(Schedule::new(validity));
        // A slow disk must not hold up heartbeats.
        self.agent.background.spawn(async move { credentials.save().await });
    }

    fn renewal_failed(&mut self) {
        let now = self.agent.clock.now();
        if let Some(schedule) = &mut self.renewal {
            schedule.refused(now);
        }
    }

    /// Sends a frame; a gateway that does not take it in time is gone.
    async fn send(&mut self, frame: &AgentFrame) -> Option<End> {
        match tokio::time::timeout(self.beat * 2, self.writer.send(frame)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(explain(self.connection, &error).await),
            Err(_) => Some(End::Silent),
        }
    }

    /// Tells the gateway that this is on purpose, and waits until it has heard it.
    async fn leave(&mut self) -> Option<End> {
        let leave = async {
            self.writer.send(&AgentFrame::Leaving).await.ok();
            self.writer.finish();
            self.writer.stopped().await;
        };
        tokio::time::timeout(LEAVE, leave).await.ok();
        self.connection.close(CloseCode::ShuttingDown, "the agent stops");
        Some(End::Stopped)
    }
}

/// What the control stream needs of a session that has begun.
pub(super) struct Begun {
    writer: FrameWriter<AgentFrame>,
    reader: FrameReader<GatewayFrame>,
    heartbeat_ms: u32,
    runs: bool,
    has_runs: bool,
    has_standing: bool,
}

impl From<Established> for Begun {
    fn from(established: Established) -> Self {
        let (runs, has_runs) = (established.runs(), established.has_runs());
        let has_standing = established.has_standing() && has_runs;
        Self {
            writer: established.writer,
            reader: established.reader,
            heartbeat_ms: established.welcome.heartbeat_ms,
            runs,
            has_runs,
            has_standing,
        }
    }
}

/// Resolves when there is something to tell about allocations, to a gateway that wants to hear it.
async fn news(agent: &Agent, wanted: bool) {
    match wanted {
        true => agent.workloads.reports().changed().await,
        false => std::future::pending().await,
    }
}

/// The same about runs.
async fn news_of_runs(agent: &Agent, wanted: bool) {
    match wanted {
        true => agent.runs.told().await,
        false => std::future::pending().await,
    }
}

fn interval(period: Duration, first: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + first, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

pub(super) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Whether the gateway's port turns out to be closed at the next probe.
async fn refused(probe: Option<&PortProbe>, probes: &mut Interval) -> bool {
    match probe {
        Some(probe) => {
            probes.tick().await;
            probe.refused().await
        }
        None => std::future::pending().await,
    }
}
