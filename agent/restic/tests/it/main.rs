//! The crate against the real restic, with local folders and real servers. What is made to fail here fails
//! for real.
//!
//! Runs with the restic that is first on the search path; all of it passes with 0.14 (Debian 12) and with
//! 0.18 (Debian 13).

mod away;
mod backup;
mod bed;
mod browse;
mod cancel;
mod copy;
mod damage;
mod death;
mod edge;
mod full;
mod interop;
mod keys;
mod locks;
mod program;
mod restore;
mod retention;
mod servers;
mod sftp;
mod stream;
