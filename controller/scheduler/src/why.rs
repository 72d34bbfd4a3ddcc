//! Reasons, as values for programs and as sentences for people.

use crate::ids::{AllocationRef, GroupKey, HostRef};
use crate::problem::{Failover, MAX_REPLICAS};
use std::fmt;

/// Why something is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceWhy {
    /// Fewer run than should.
    Missing,
    /// Its host is lost.
    Lost(HostRef),
    /// It failed where it was.
    Failed(HostRef),
    /// Its host is emptied.
    Drain,
    /// What filled its slot is outdated.
    Renew,
    /// The mesh is evened out, which gains so many points.
    Rebalance(i64),
}

impl fmt::Display for PlaceWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Lost(host) => write!(f, "{host} is lost"),
            Self::Failed(host) => write!(f, "it failed on {host}"),
            Self::Drain => f.write_str("its host is emptied"),
            Self::Renew => f.write_str("takes the place of an outdated one"),
            Self::Rebalance(gain) => write!(f, "rebalance, gains {gain} points"),
        }
    }
}

/// Why something is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopWhy {
    /// No app wants it.
    NotWanted,
    /// More run than should.
    ScaledDown,
    /// A newer allocation of its slot took over, or does in this plan.
    Replaced(u64),
    /// It failed, and is tried again; or was to take over from one that goes on.
    Failed,
    /// It is outdated, and makes room for its successor.
    Outdated,
    /// Its host is emptied, and it must not run twice; it goes to the host named, if any.
    Drain(Option<HostRef>),
    /// Its host was to be empty by now, and there is no other place for it.
    Overdue,
    /// Its group runs on every host that matches, and this one no longer does.
    NoMatch(String),
}

impl fmt::Display for StopWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => f.write_str("no longer wanted"),
            Self::ScaledDown => f.write_str("scaled down"),
            Self::Replaced(epoch) => write!(f, "replaced by epoch {epoch}"),
            Self::Failed => f.write_str("it failed"),
            Self::Outdated => f.write_str("outdated; its successor follows"),
            Self::Drain(Some(to)) => write!(f, "its host is emptied; it then goes to {to}"),
            Self::Drain(None) => f.write_str("its host is emptied"),
            Self::Overdue => f.write_str("its host was to be empty by now"),
            Self::NoMatch(why) => write!(f, "its host no longer matches: {why}"),
        }
    }
}

/// The host that came nearest to fitting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The host.
    pub host: HostRef,
    /// The first filter that it did not pass.
    pub filter: &'static str,
    /// What was missing, with numbers.
    pub text: String,
}

/// No host fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoHost {
    /// The nearest miss; absent when there is no host at all.
    pub nearest: Option<Miss>,
    /// How many hosts each filter ruled out, in the order of the filters.
    pub out: Vec<(&'static str, usize)>,
}

impl fmt::Display for NoHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(miss) = &self.nearest else { return f.write_str("there is no host") };
        write!(f, "{}; nearest is {}", miss.text, miss.host)?;
        let hosts: usize = self.out.iter().map(|(_, count)| count).sum();
        if hosts > 1 {
            let parts: Vec<String> =
                self.out.iter().map(|(filter, count)| format!("{count} by {filter}")).collect();
            write!(f, " ({hosts} hosts ruled out: {})", parts.join(", "))?;
        }
        Ok(())
    }
}

/// What something waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Room, or a host that fits.
    NoHost(NoHost),
    /// The leases of its lost host to end, so that it cannot run twice.
    Fence,
    /// Its host to return: it runs nowhere else.
    HostDown,
    /// Its host to return: `failover: never`.
    Never,
    /// Its host to return: an operator pinned it.
    Pinned,
    /// The host that has its data.
    Data {
        /// The volume.
        volume: String,
        /// Who has it.
        holder: HostRef,
        /// What may be done about it.
        failover: Failover,
        /// The best host to restore the data on, with `failover: restore`.
        restore_on: Option<HostRef>,
    },
    /// One host to have all of its data.
    DataSplit(Vec<(String, HostRef)>),
    /// An operator, in a storm.
    Storm,
    /// An older allocation that must have stopped first.
    Stopping(Box<AllocationRef>, HostRef),
    /// Its replacement to be healthy.
    Handover(HostRef),
    /// An operator or a new release: it failed too often.
    Failed {
        /// How often it failed.
        times: u32,
        /// How often it is tried again.
        limit: u32,
    },
    /// Others of its group to be healthy.
    MinHealthy {
        /// How many are.
        healthy: u32,
        /// How many have to remain.
        minimum: u32,
    },
    /// Other moves to end; so many are allowed at a time.
    Moves(u32),
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost(miss) => miss.fmt(f),
            Self::Fence => f.write_str("its host is lost but may still run it until its lease is over"),
            Self::HostDown => f.write_str("its host is down"),
            Self::Never => f.write_str("its host is lost, and its failover is `never`"),
            Self::Pinned => f.write_str("an operator pinned it to its host"),
            Self::Data { volume, holder, failover, restore_on } => {
                write!(f, "its data (volume {volume}) is on {holder}")?;
                match (failover, restore_on) {
                    (Failover::Restore, Some(host)) => write!(f, "; to be restored on {host}"),
                    (Failover::Restore, None) => f.write_str("; no host fits to restore it on"),
                    (Failover::Restart, _) => f.write_str(", and its failover is `restart`"),
                    (Failover::Never, _) => f.write_str(", and its failover is `never`"),
                }
            }
            Self::DataSplit(volumes) => {
                let parts: Vec<String> =
                    volumes.iter().map(|(volume, host)| format!("{volume} on {host}")).collect();
                write!(f, "its data is on several hosts: {}", parts.join(", "))
            }
            Self::Storm => f.write_str("too many hosts were lost at once"),
            Self::Stopping(allocation, host) => write!(f, "{allocation} on {host} has to stop first"),
            Self::Handover(host) => write!(f, "its replacement on {host} is not healthy yet"),
            Self::Failed { times, limit: 0 } => {
                write!(f, "it failed {}, and is not tried again", often(*times))
            }
            Self::Failed { times, limit } => {
                write!(f, "it failed {}, and is tried again only {}", often(*times), often(*limit))
            }
            Self::MinHealthy { healthy, minimum } => {
                write!(f, "{healthy} of its group are healthy and {minimum} have to remain")
            }
            Self::Moves(limit) => write!(f, "only {limit} may move at a time"),
        }
    }
}

fn often(times: u32) -> String {
    match times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{times} times"),
    }
}

/// What an operator should know, though nothing is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It runs where it would not be placed today. A rebalance or the next release moves it.
    Misplaced {
        /// Which.
        allocation: AllocationRef,
        /// Where it is.
        host: HostRef,
        /// What no longer holds.
        why: String,
    },
    /// More replicas are asked for than are planned.
    TooMany {
        /// Whose.
        group: GroupKey,
        /// How many were asked for.
        asked: u32,
    },
    /// Groups that depend on each other in a circle are placed in the order of their names.
    Circle(Vec<GroupKey>),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misplaced { allocation, host, why } => {
                write!(f, "{allocation} on {host} would not be placed there now: {why}")
            }
            Self::TooMany { group, asked } => {
                write!(f, "{group} asks for {asked} replicas; {MAX_REPLICAS} are planned at most")
            }
            Self::Circle(groups) => {
                let names: Vec<String> = groups.iter().map(GroupKey::to_string).collect();
                write!(f, "{} depend on each other in a circle", names.join(", "))
            }
        }
    }
}
