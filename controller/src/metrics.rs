//! Names of the metrics that a controller exports about itself. Dashboards and alerts use these names and
//! no others.

/// Operations in one commit of the Raft log.
pub const RAFT_BATCH: &str = "omni_raft_commit_operations";
/// Proposals by outcome.
pub const PROPOSALS: &str = "omni_proposals_total";
/// Seconds from a proposal to its answer.
pub const PROPOSAL_SECONDS: &str = "omni_proposal_seconds";
/// Live agent sessions at this gateway.
pub const SESSIONS: &str = "omni_agent_sessions";
/// Telemetry frames taken in, by kind.
pub const TELEMETRY: &str = "omni_telemetry_frames_total";
/// Connections closed or refused, by code.
pub const REFUSED: &str = "omni_connections_refused_total";
/// Peers turned away before they could speak, by code.
pub const REFUSED_HANDSHAKES: &str = "omni_handshakes_refused_total";
/// Runs of a reconciler, by name and outcome.
pub const RECONCILES: &str = "omni_reconcile_runs_total";
/// Backups and their kin that came to an end while this controller led, by component, kind and outcome.
pub const BACKUP_RUNS: &str = "omni_backup_runs_total";
/// Raft term.
pub const RAFT_TERM: &str = "omni_raft_term";
/// Last applied log index.
pub const RAFT_APPLIED: &str = "omni_raft_applied_index";
/// Whether this controller leads: 0 or 1.
pub const RAFT_LEADER: &str = "omni_raft_is_leader";
/// Container events dropped because a host sent too many.
pub const EVENTS_DROPPED: &str = "omni_container_events_dropped_total";
/// HTTP requests by route, method and status.
pub const HTTP_REQUESTS: &str = "omni_http_requests_total";
/// Seconds of HTTP requests by route and method.
pub const HTTP_SECONDS: &str = "omni_http_request_seconds";
