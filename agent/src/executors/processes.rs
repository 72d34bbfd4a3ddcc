//! The process table of this host.

use super::{Ended, Failure, RequestStream};
use crate::host::Host;
use omni_common::wire::ReplyFrame;

pub(super) async fn run(host: &Host, stream: &mut RequestStream) -> Result<(), Ended> {
    let processes = host.processes().await.map_err(Failure::failed)?;
    stream.reply.send(&ReplyFrame::Started).await?;
    stream.reply.send(&ReplyFrame::Processes(processes)).await
}
