//! The gateway of the moment, for what needs it outside of the session.

use omni_transport::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a gateway has for images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carries {
    /// It knows which other host has an image.
    pub images: bool,
    /// It says how to sign in to registries.
    pub logins: bool,
}

/// The way to the gateway, there while a session lasts.
#[derive(Default)]
pub struct Uplink(Mutex<Option<(Connection, Carries)>>);

/// The way is there while this is held.
pub struct Attached<'a>(&'a Uplink);

impl Uplink {
    /// A session has begun.
    pub fn attach(&self, connection: Connection, carries: Carries) -> Attached<'_> {
        *self.lock() = Some((connection, carries));
        Attached(self)
    }

    /// The connection, while there is one.
    pub fn connection(&self) -> Option<Connection> {
        self.to(|_| true)
    }

    /// The connection, while there is one whose gateway knows about images.
    pub fn for_images(&self) -> Option<Connection> {
        self.to(|carries| carries.images)
    }

    /// The connection, while there is one whose gateway knows about logins.
    pub fn for_logins(&self) -> Option<Connection> {
        self.to(|carries| carries.logins)
    }

    fn to(&self, has: impl Fn(&Carries) -> bool) -> Option<Connection> {
        let way = self.lock();
        way.as_ref().filter(|(_, carries)| has(carries)).map(|(connection, _)| connection.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Connection, Carries)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
