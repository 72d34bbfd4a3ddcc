//! The client against real TLS servers on this machine: failover, retries, trust, and streams that resume.

mod apps;
mod calls;
mod contract;
mod server;
mod streams;
mod trust;
