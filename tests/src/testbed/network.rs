//! Cables: a bridge in spaces of its own, and one virtual cable from it to each host.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::machine::Machine;
use super::run::Run;

/// All hosts are in this network; it exists in their network spaces only.
const PREFIX: &str = "10.77.0";
/// The same as engines write networks.
pub(super) const SUBNET: &str = "10.77.0.0/24";
/// Host number 1 has address .11.
const FIRST_ADDRESS: usize = 10;
/// What still fits an address ending, with room to spare.
const MAX_HOSTS: usize = 200;
/// What the kernel answers when it was built without a queueing discipline.
const UNKNOWN_QDISC: &str = "qdisc kind is unknown";

/// What became of the wish to slow a link down.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a kernel without netem slows nothing; the test has to say so"]
pub enum Slowed {
    /// Packets of this host are delayed from now on.
    Yes,
    /// This kernel cannot, and why.
    Unsupported(String),
}

/// The bridge that all hosts are plugged into.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    machine: Arc<Machine>,
}

impl Switch {
    pub(super) fn start(run: &Run) -> Result<Self> {
        let machine = Machine::boot(run, "switch")?;
        ip(&machine, "link add br0 type bridge")?;
        ip(&machine, "link set br0 up")?;
        Ok(Self { machine: Arc::new(machine) })
    }

    /// Lays the cable of host `number`.
    pub(super) fn plug(&self, host: &Machine, number: usize) -> Result<()> {
        let (address, port, switch) = (address(number)?, port(number), self.machine.pid());
        // The same hardware address at each boot, or the others would go on sending to the old one.
        let mac = format!("02:00:00:00:00:{number:02x}");
        ip(host, &format!("link add eth0 address {mac} type veth peer name {port} netns {switch}"))?;
        ip(host, &format!("addr add {address}/24 dev eth0"))?;
        ip(host, "link set eth0 up")?;
        ip(&self.machine, &format!("link set {port} master br0 up"))
    }

    /// Takes the cable of host `number` away, both ends of it.
    pub(super) fn unplug(&self, number: usize) -> Result<()> {
        ip(&self.machine, &format!("link del {}", port(number)))
    }

    /// Pulls (`connected = false`) or puts back the plug of host `number`.
    pub(super) fn set_connected(&self, number: usize, connected: bool) -> Result<()> {
        let state = if connected { "up" } else { "down" };
        ip(&self.machine, &format!("link set {} {state}", port(number)))
    }
}

/// The IPv4 address of host `number`.
pub(super) fn address(number: usize) -> Result<String> {
    ensure!((1..=MAX_HOSTS).contains(&number), "the testbed has room for {MAX_HOSTS} hosts");
    Ok(format!("{PREFIX}.{}", FIRST_ADDRESS + number))
}

/// Drops (or lets through again) all packets between this host, its containers included, and `peer`.
/// Unlike a pulled plug nothing tells either side: their links stay up.
pub(super) fn set_blocked(host: &Machine, peer: &str, blocked: bool) -> Result<()> {
    // Forwarded packets of containers pass PREROUTING; the host's own leave through OUTPUT.
    for (chain, direction) in [("PREROUTING", "-s"), ("PREROUTING", "-d"), ("OUTPUT", "-d")] {
        let action = if blocked { "-I" } else { "-D" };
        let mut command = host.network_command("iptables");
        command.args(["-w", "-t", "raw", action, chain, direction, peer, "-j", "DROP"]);
        succeed(&mut command)?;
    }
    Ok(())
}

/// Delays each packet that leaves the host.
pub(super) fn slow(host: &Machine, delay: Duration) -> Result<Slowed> {
    let delay = format!("{}us", delay.as_micros());
    let output = output(tc(host).args(["replace", "dev", "eth0", "root", "netem", "delay", &delay]))?;
    if output.status.success() {
        return Ok(Slowed::Yes);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if message.contains(UNKNOWN_QDISC) {
        return Ok(Slowed::Unsupported(format!("this kernel has no netem ({message})")));
    }
    bail!("tc: {message}")
}

/// Narrows what leaves the host to this many kilobits per second; what does not fit a short queue is dropped.
pub(super) fn throttle(host: &Machine, kilobits: u32) -> Result<()> {
    let rate = format!("{kilobits}kbit");
    let shape = ["tbf", "rate", &rate, "burst", "32kbit", "latency", "400ms"];
    succeed(tc(host).args(["replace", "dev", "eth0", "root"]).args(shape))
}

/// Undoes [`slow`] and [`throttle`]. Fine when neither was on.
pub(super) fn full_speed(host: &Machine) -> Result<()> {
    // Replacing by the default queue works whether or not there is something to delete.
    succeed(tc(host).args(["replace", "dev", "eth0", "root", "pfifo_fast"]))
}

fn port(number: usize) -> String {
    format!("p{number}")
}

/// `ip` with its arguments as one would type them.
fn ip(machine: &Machine, args: &str) -> Result<()> {
    succeed(machine.network_command("ip").args(args.split(' ')))
}

fn tc(host: &Machine) -> Command {
    let mut command = host.network_command("tc");
    command.arg("qdisc");
    command
}

/// Runs a command to its end and collects what it printed.
pub(super) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("running {command:?}"))
}

/// Runs a command to its end; its failure is ours, with what it said.
pub(super) fn succeed(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
