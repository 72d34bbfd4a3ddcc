//! Which protocol is for whom.

use omni_certs::{Identity, Role};
use omni_common::wire::{ALPN_AGENT, ALPN_ENROLL, ALPN_PEER, ALPN_RAFT, CloseCode};

/// Every protocol a controller answers.
pub(crate) const ALL_ALPNS: &[&[u8]] = &[ALPN_ENROLL, ALPN_AGENT, ALPN_RAFT, ALPN_PEER];

/// Whether somebody who dialled in under `alpn` may speak it; else what to close the connection with.
pub(crate) fn check_role(alpn: &[u8], peer: Option<Identity>) -> Result<(), CloseCode> {
    let role = peer.map(|identity| identity.role);
    let fits = match alpn {
        ALPN_ENROLL => role.is_none(),
        ALPN_AGENT => matches!(role, Some(Role::Host(_))),
        ALPN_RAFT | ALPN_PEER => matches!(role, Some(Role::Controller(_))),
        _ => return Err(CloseCode::UnsupportedProtocol),
    };
    if fits { Ok(()) } else { Err(CloseCode::WrongRole) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::ids::{ClusterId, ControllerId, HostId};

    #[test]
    fn every_protocol_has_its_role() {
        let cluster = ClusterId::from_u128(1);
        let host = Some(Identity::host(cluster, HostId::from_u128(2)));
        let controller = Some(Identity::controller(cluster, ControllerId(3)));
        let fits = |alpn: &[u8]| [None, host, controller].map(|peer| check_role(alpn, peer).is_ok());
        assert_eq!(fits(ALPN_ENROLL), [true, false, false]);
        assert_eq!(fits(ALPN_AGENT), [false, true, false]);
        assert_eq!(fits(ALPN_RAFT), [false, false, true]);
        assert_eq!(fits(ALPN_PEER), [false, false, true]);
        assert_eq!(check_role(b"h3", None), Err(CloseCode::UnsupportedProtocol));
        assert_eq!(check_role(ALPN_AGENT, controller), Err(CloseCode::WrongRole));
    }
}
