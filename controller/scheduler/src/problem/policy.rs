//! Limits on what one plan may do, and what an operator asked for.

/// When a loss is a storm: so many hosts at once that a broken network, or the controllers' own, is likelier than
/// that many broken hosts. Moving everything onto the rest would then do harm. An operator who knows better drains the
/// hosts that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// Hosts lost within this time of each other are lost at once, milliseconds. A minute: longer than one
    /// detection window, so that one cause seen in several sweeps counts once.
    pub window_ms: i64,
    /// More than this share of the hosts, in percent, is a storm. 40, so that one of three zones may be lost.
    pub max_percent: u32,
    /// More than this many hosts is a storm, whatever their share; absent: only the share counts.
    pub max_hosts: Option<u32>,
}

impl Default for Storm {
    fn default() -> Self {
        Self { window_ms: 60_000, max_percent: 40, max_hosts: None }
    }
}

/// A request to even out the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// Most moves in the plan.
    pub max_moves: u32,
    /// Points (see the scores) that a move has to gain. Below about 200 it would chase small differences in load.
    pub min_gain: i64,
}

impl Default for Rebalance {
    fn default() -> Self {
        Self { max_moves: 10, min_gain: 250 }
    }
}

/// Limits, and what an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When failover stops and says so.
    pub storm: Storm,
    /// Most slots of all groups that move at one time because hosts drain or the mesh is rebalanced. Bounds the
    /// images pulled and the instances held twice; failover is not counted.
    pub max_moving: u32,
    /// Even out the mesh; only on request.
    pub rebalance: Option<Rebalance>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { storm: Storm::default(), max_moving: 32, rebalance: None }
    }
}
