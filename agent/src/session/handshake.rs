//! Hello and Welcome: a connection becomes a session.

use super::Agent;
use super::end::End;
use crate::images::Carries;
use omni_certs::Role;
use omni_common::wire::{
    AgentFrame, CAPABILITY_FILES, CAPABILITY_IMAGES, CAPABILITY_LOGINS, CAPABILITY_RUN, CAPABILITY_RUNS,
    CAPABILITY_STANDING, CloseCode, GatewayFrame, Hello, PROTOCOL_MAX, PROTOCOL_MIN, Welcome,
    settle_protocol,
};
use omni_transport::{Connection, FrameReader, FrameWriter};
use std::time::Duration;

/// A gateway that accepted the connection has this long to say welcome.
const WELCOME: Duration = Duration::from_secs(3);
/// A refused connection is told why by its close, which may arrive a moment after the stream has broken.
const CLOSE_REASON: Duration = Duration::from_millis(250);

/// A session that has begun.
pub(super) struct Established {
    pub(super) connection: Connection,
    pub(super) writer: FrameWriter<AgentFrame>,
    pub(super) reader: FrameReader<GatewayFrame>,
    pub(super) welcome: Welcome,
}

impl Established {
    /// Whether the gateway deals in allocations.
    pub(super) fn runs(&self) -> bool {
        self.gateway_knows(CAPABILITY_RUN)
    }

    /// Whether the gateway deals in images.
    pub(super) fn carries_images(&self) -> bool {
        self.gateway_knows(CAPABILITY_IMAGES)
    }

    /// What the gateway has for images.
    pub(super) fn carries(&self) -> Carries {
        Carries { images: self.carries_images(), logins: self.gateway_knows(CAPABILITY_LOGINS) }
    }

    /// Whether the gateway deals in runs of backups.
    pub(super) fn has_runs(&self) -> bool {
        self.gateway_knows(CAPABILITY_RUNS)
    }

    /// Whether the gateway deals in standing orders.
    pub(super) fn has_standing(&self) -> bool {
        self.gateway_knows(CAPABILITY_STANDING)
    }

    fn gateway_knows(&self, ability: &str) -> bool {
        self.welcome.capabilities.iter().any(|name| name == ability)
    }
}

/// Says hello on a fresh connection.
pub(super) async fn greet(agent: &Agent, connection: Connection) -> Result<Established, End> {
    let greeted = tokio::time::timeout(WELCOME, exchange(agent, &connection)).await;
    match greeted {
        Ok(Ok((writer, reader, welcome))) => Ok(Established { connection, writer, reader, welcome }),
        Ok(Err(end)) => {
            connection.close(CloseCode::OutOfOrder, "no welcome");
            Err(end)
        }
        Err(_) => {
            connection.close(CloseCode::HelloTimeout, "no welcome in time");
            Err(End::Silent)
        }
    }
}

type Exchanged = (FrameWriter<AgentFrame>, FrameReader<GatewayFrame>, Welcome);

async fn exchange(agent: &Agent, connection: &Connection) -> Result<Exchanged, End> {
    let (send, recv) = match connection.open_bi().await {
        Ok(streams) => streams,
        Err(error) => return Err(explain(connection, &error).await),
    };
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(recv));
    if let Err(error) = writer.send(&AgentFrame::Hello(hello(agent))).await {
        return Err(explain(connection, &error).await);
    }
    match reader.next().await {
        Ok(Some(GatewayFrame::Welcome(welcome))) => {
            check(connection, &welcome)?;
            Ok((writer, reader, welcome))
        }
        Ok(Some(GatewayFrame::Goodbye { reason })) => Err(End::Goodbye(reason)),
        Ok(_) => Err(explain(connection, &"the gateway did not say welcome").await),
        Err(error) => Err(explain(connection, &error).await),
    }
}

fn hello(agent: &Agent) -> Hello {
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: capabilities(agent),
        boot: agent.boot,
        controllers_version: agent.book.version(),
    }
}

fn capabilities(agent: &Agent) -> Vec<String> {
    let restic = [CAPABILITY_RUNS, CAPABILITY_FILES].into_iter().filter(|_| agent.runs.able());
    [CAPABILITY_RUN, CAPABILITY_IMAGES].into_iter().chain(restic).map(str::to_owned).collect()
}

/// The gateway must speak a protocol of ours and be who its certificate says.
fn check(connection: &Connection, welcome: &Welcome) -> Result<(), End> {
    let ours = (PROTOCOL_MIN, PROTOCOL_MAX);
    if settle_protocol(ours, (welcome.protocol, welcome.protocol)).is_none() {
        return Err(End::Broken(format!("the gateway wants protocol {}", welcome.protocol)));
    }
    match connection.peer().map(|peer| peer.role) {
        Some(Role::Controller(id)) if id == welcome.controller => Ok(()),
        _ => Err(End::Broken("the gateway is not who it says it is".to_owned())),
    }
}

/// Why a connection does not work: its close knows best.
pub(super) async fn explain(connection: &Connection, error: &(dyn std::fmt::Display + Sync)) -> End {
    match tokio::time::timeout(CLOSE_REASON, connection.closed()).await {
        Ok(closed) => End::from(closed),
        Err(_) => End::Broken(error.to_string()),
    }
}
