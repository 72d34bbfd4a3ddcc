//! The authority and the TLS configurations from outside.

mod authority;
mod tls;
