//! Lists that come in pages.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use omni_common::api::v1::{
    AppsQuery, AuditQuery, ContainersQuery, EventsQuery, FilesQuery, HostsQuery, ImagesQuery, MAX_PAGE, Page,
    RunsQuery, SnapshotsQuery, TokensQuery, UsersQuery,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A query whose answer comes in pages.
pub(crate) trait PagedQuery: Serialize + Send + Sync {
    /// Asks for at most `limit` items after `cursor`.
    fn page(&mut self, limit: u32, cursor: Option<String>);
    /// The number of items the caller asked for.
    fn wanted(&self) -> Option<u32>;
}

macro_rules! paged {
    ($($query:ty),*) => {
        $(impl PagedQuery for $query {
            fn page(&mut self, limit: u32, cursor: Option<String>) {
                self.limit = Some(limit);
                self.cursor = cursor;
            }

            fn wanted(&self) -> Option<u32> {
                self.limit
            }
        })*
    };
}

paged!(
    AppsQuery,
    HostsQuery,
    ContainersQuery,
    ImagesQuery,
    EventsQuery,
    AuditQuery,
    TokensQuery,
    RunsQuery,
    SnapshotsQuery,
    FilesQuery,
    UsersQuery
);

impl Client {
    /// One page, as `query` names it.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl PagedQuery,
    ) -> Result<Page<T>> {
        self.read(Call::get(path).with(query)).await
    }

    /// Follows the pages until `query.limit` items have come, or all when it names no limit.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: impl PagedQuery,
    ) -> Result<Vec<T>> {
        self.list_by(Call::get(path), query).await
    }

    /// The same, of pages that are each asked for like this.
    pub(crate) async fn list_by<T: DeserializeOwned>(
        &self,
        call: Call,
        mut query: impl PagedQuery,
    ) -> Result<Vec<T>> {
        let most = query.wanted().map_or(usize::MAX, |limit| limit as usize);
        let mut items: Vec<T> = Vec::new();
        let mut cursor = None;
        loop {
            let left = most - items.len();
            let limit = u32::try_from(left).unwrap_or(u32::MAX).min(MAX_PAGE);
            query.page(limit, cursor);
            let page: Page<T> = self.read(call.clone().with(&query)).await?;
            // A page without items cannot lead anywhere, whatever cursor it names.
            let more = !page.items.is_empty();
            items.extend(page.items);
            items.truncate(most);
            cursor = page.next_cursor;
            if cursor.is_none() || items.len() == most || !more {
                return Ok(items);
            }
        }
    }
}
