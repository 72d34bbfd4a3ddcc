//! What is in a folder of a snapshot.

use super::{Ended, Failure, RequestStream};
use crate::backup::Browser;
use omni_common::domain::backup::{FilesOrder, Hidden};
use omni_common::wire::{MAX_FILES_PER_FRAME, ReplyFrame};

pub(super) async fn run(browser: &Browser, order: &Hidden, stream: &mut RequestStream) -> Result<(), Ended> {
    let order: FilesOrder = serde_json::from_str(order.reveal())
        .map_err(|error| Failure::invalid(format!("this agent cannot read what it is asked: {error}")))?;
    stream.reply.send(&ReplyFrame::Started).await?;
    let listed = tokio::select! {
        listed = browser.list(&order) => listed,
        () = stream.reply.gone() => return Err(Ended::Gone),
        () = stream.over.cancelled() => return Err(Ended::Gone),
    };
    let entries = listed.map_err(|failure| Failure { code: failure.code, message: failure.message })?;
    for part in entries.chunks(MAX_FILES_PER_FRAME) {
        stream.reply.send(&ReplyFrame::Files(part.to_vec())).await?;
    }
    Ok(())
}
