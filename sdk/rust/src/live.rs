//! Live metrics.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::reconnect::Reopener;
use crate::routes;
use crate::socket::{Ended, Socket};
use omni_common::api::v1::{LiveMetricsMessage, LiveMetricsQuery, LiveSample};

/// Samples as they arrive, without end.
pub struct LiveStream {
    reopener: Reopener,
    call: Call,
    socket: Option<Socket>,
}

impl Client {
    /// Watches the named hosts each second, or all hosts at their own pace when none is named.
    pub fn live_metrics(&self, hosts: &[String]) -> LiveStream {
        let query = LiveMetricsQuery { host: (!hosts.is_empty()).then(|| hosts.iter().collect()) };
        LiveStream {
            reopener: Reopener::new(self.clone()),
            call: Call::get(routes::LIVE_METRICS).with(&query).with(&self.freshness()),
            socket: None,
        }
    }
}

impl LiveStream {
    /// The next samples, at most one a host. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<Vec<LiveSample>> {
        loop {
            let socket = match &mut self.socket {
                Some(socket) => socket,
                None => self.socket.insert(self.reopener.open(&self.call).await?),
            };
            let why = match socket.next_json().await {
                Ok(LiveMetricsMessage::Samples { samples }) => {
                    self.reopener.mended();
                    return Ok(samples);
                }
                Ok(LiveMetricsMessage::Error { problem }) if problem.status < 500 => {
                    return Err(problem.into());
                }
                Ok(LiveMetricsMessage::Error { problem }) => problem.detail.unwrap_or(problem.title),
                Err(Ended::Refused(error)) => return Err(error),
                Err(Ended::Done) => "the server ended the stream".to_owned(),
                Err(Ended::Interrupted(why)) => why,
            };
            self.socket = None;
            self.reopener.broke(why);
        }
    }
}
