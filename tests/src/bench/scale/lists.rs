//! How long a page of a list takes while the fleet lives.

use crate::bench::stats::Percentiles;
use anyhow::{Result, ensure};
use omni_common::api::v1::{ContainersQuery, HostsQuery};
use omni_sdk::Client;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// Hosts.
    Hosts,
    /// Containers of all hosts.
    Containers,
}

impl What {
    /// For tables.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Containers => "containers",
        }
    }
}

/// Pages of one list, one size.
#[derive(Debug, Serialize)]
pub(super) struct Pages {
    /// Of what.
    pub(super) what: What,
    /// Items on a page.
    pub(super) size: u32,
    /// Pages taken.
    pub(super) calls: usize,
    /// Milliseconds of each.
    pub(super) latency_ms: Percentiles,
}

/// Walks a list from its beginning to its end again and again, at each of `doors` in turn, one call at a time.
///
/// # Errors
/// When a call fails, or a walk that came to its end did not see `items` of them.
pub(super) async fn walk(
    doors: &[Client],
    what: What,
    size: u32,
    items: u64,
    time: Duration,
) -> Result<Pages> {
    // The first call through each door opens its connection.
    for door in doors {
        page(door, what, size, None).await?;
    }
    let until = Instant::now() + time;
    let (mut taken, mut turn) = (Vec::new(), 0);
    while Instant::now() < until {
        let (mut seen, mut cursor) = (0, None);
        loop {
            let began = Instant::now();
            let (count, next) = page(&doors[turn % doors.len()], what, size, cursor).await?;
            taken.push(began.elapsed());
            seen += count as u64;
            cursor = next;
            if cursor.is_none() {
                ensure!(seen == items, "a list of {items} {} shows {seen}", what.label());
                break;
            }
            if Instant::now() >= until {
                break;
            }
        }
        turn += 1;
    }
    Ok(Pages { what, size, calls: taken.len(), latency_ms: Percentiles::of_durations(&taken) })
}

/// One page; returns its items and what leads on.
async fn page(
    door: &Client,
    what: What,
    size: u32,
    cursor: Option<String>,
) -> Result<(usize, Option<String>)> {
    let limit = Some(size);
    Ok(match what {
        What::Hosts => {
            let page = door.hosts_page(&HostsQuery { limit, cursor, ..HostsQuery::default() }).await?;
            (page.items.len(), page.next_cursor)
        }
        What::Containers => {
            let query = ContainersQuery { limit, cursor, ..ContainersQuery::default() };
            let page = door.containers_page(&query).await?;
            (page.items.len(), page.next_cursor)
        }
    })
}
