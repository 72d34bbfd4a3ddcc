//! A connection that is made inside a container: from its own network, to its own loopback.
//!
//! A container without a network has a loopback all the same, and only who is inside reaches it. One thread goes there for
//! the moment that connecting takes, and ends: a thread cannot be sure to come back from another network, so it serves
//! nobody afterwards. The connection stays where it was made.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Over a loopback a connection is there at once, or nobody listens.
const WITHIN: Duration = Duration::from_secs(5);

/// Connects to a port in the network of a container, whose process the engine says is `pid`.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when that process cannot be seen from here, as by an agent in a container without the host's
/// processes; when the agent may not go there, or nobody listens there.
pub async fn connect(container: &str, pid: u32, port: u16) -> io::Result<TcpStream> {
    let (told, tells) = oneshot::channel();
    let container = container.to_owned();
    let work = move || {
        // Nobody may wait for it any more.
        told.send(from_inside(&container, pid, port)).ok();
    };
    std::thread::Builder::new().name("inside".to_owned()).spawn(work)?;
    let stream = tells.await.map_err(|_| io::Error::other("the thread ended"))??;
    TcpStream::from_std(stream)
}

fn from_inside(container: &str, pid: u32, port: u16) -> io::Result<std::net::TcpStream> {
    let network = File::open(format!("/proc/{pid}/ns/net"))?;
    // The engine's number means another process here when the agent sees other processes than the engine does.
    if !std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?.contains(container) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "its process cannot be seen from here"));
    }
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    let (usual, other) = (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into());
    let stream = std::net::TcpStream::connect_timeout(&usual, WITHIN)
        .or_else(|first| std::net::TcpStream::connect_timeout(&other, WITHIN).map_err(|_| first))?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
