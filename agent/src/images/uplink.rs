//! The gateway of the moment, for what needs it outside of the session.

use omni_transport::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The way to other hosts: there while a session lasts whose gateway knows about images.
#[derive(Default)]
pub struct Uplink(Mutex<Option<Connection>>);

/// The way is there while this is held.
pub struct Attached<'a>(&'a Uplink);

impl Uplink {
    /// A session has begun.
    pub fn attach(&self, connection: Connection) -> Attached<'_> {
        *self.lock() = Some(connection);
        Attached(self)
    }

    /// The connection, while there is one.
    pub fn connection(&self) -> Option<Connection> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
