//! Lists in pieces.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Items on a page when the caller names no number.
pub const DEFAULT_PAGE: u32 = 100;
/// Most items on a page.
pub const MAX_PAGE: u32 = 500;

/// One piece of a list. Items keep one order over all pages; an item made while the caller pages appears
/// or not, but none is shown twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Hand it back as `cursor`, with the same filters, for the next piece; absent on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A whole list in one piece.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}
