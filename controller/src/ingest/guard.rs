//! Cuts connections of members that were removed.

use crate::state::State;
use crate::store::Store;
use omni_certs::Role;
use omni_common::wire::CloseCode;
use omni_transport::Connection;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Live incoming connections of members.
#[derive(Clone, Default)]
pub(crate) struct Connections {
    live: Arc<Mutex<Live>>,
}

#[derive(Default)]
struct Live {
    next: u64,
    by_number: BTreeMap<u64, (Role, Connection)>,
}

/// Keeps a connection listed; dropping it takes it off the list.
pub(crate) struct Listed {
    connections: Connections,
    number: u64,
}

impl Connections {
    /// Lists a member's connection.
    pub(crate) fn add(&self, role: Role, connection: Connection) -> Listed {
        let mut live = self.live.lock().expect("no holder of this lock panics");
        let number = live.next;
        live.next += 1;
        live.by_number.insert(number, (role, connection));
        Listed { connections: self.clone(), number }
    }

    /// Closes every connection of somebody who is no member of `state`.
    fn cut(&self, state: &State) {
        let live = self.live.lock().expect("no holder of this lock panics");
        for (role, connection) in live.by_number.values() {
            if !state.accepts_certificate(*role) {
                connection.close(CloseCode::Revoked, "this member was removed");
            }
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.live.lock().expect("no holder of this lock panics").by_number.remove(&self.number);
    }
}

/// Cuts at once whenever members change. Runs until told to stop.
pub(crate) async fn cut_revoked(store: Store, connections: Connections, stop: CancellationToken) {
    let mut applied = store.watch();
    let mut seen = store.current();
    loop {
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let state = store.current();
        if !state.hosts.ptr_eq(&seen.hosts) || !state.controllers.ptr_eq(&seen.controllers) {
            connections.cut(&state);
        }
        seen = state;
    }
}
