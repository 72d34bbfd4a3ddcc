//! How many peers were turned away, by reason.

use omni_common::wire::CloseCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of refused handshakes and of connections closed for a fault, readable for metrics. Clones share
/// the counts.
#[derive(Clone, Debug, Default)]
pub struct Rejections(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Indexed like [`CloseCode::ALL`]; the last one is for codes of newer versions.
    closed: [AtomicU64; CloseCode::ALL.len() + 1],
    handshakes: AtomicU64,
    handshake_timeouts: AtomicU64,
}

impl Rejections {
    /// All counts that are not zero: close codes by name, `handshake` for failed TLS, `handshake_timeout` for
    /// peers that began and did not finish.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let codes = CloseCode::ALL.iter().map(|code| code.name()).chain(["other"]);
        let mut counts: BTreeMap<_, _> = codes.zip(self.0.closed.iter().map(read)).collect();
        counts.insert("handshake", read(&self.0.handshakes));
        counts.insert("handshake_timeout", read(&self.0.handshake_timeouts));
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// Counts a connection that this side closes; true when the code says that the peer is at fault.
    pub(crate) fn closing(&self, code: CloseCode) -> bool {
        if matches!(code, CloseCode::Done | CloseCode::ShuttingDown) {
            return false;
        }
        let position = CloseCode::ALL.iter().position(|known| *known == code).unwrap_or(CloseCode::ALL.len());
        self.0.closed[position].fetch_add(1, Ordering::Relaxed);
        true
    }

    pub(crate) fn handshake_failed(&self) {
        self.0.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn handshake_timed_out(&self) {
        self.0.handshake_timeouts.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_are_counted() {
        let rejections = Rejections::default();
        assert!(!rejections.closing(CloseCode::Done));
        assert!(!rejections.closing(CloseCode::ShuttingDown));
        assert!(rejections.closing(CloseCode::BadFrame));
        assert!(rejections.clone().closing(CloseCode::BadFrame));
        assert!(rejections.closing(CloseCode::Other(4711)));
        rejections.handshake_failed();
        assert_eq!(rejections.counts(), BTreeMap::from([("bad_frame", 2), ("other", 1), ("handshake", 1)]));
    }
}
