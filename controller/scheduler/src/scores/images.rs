//! To hosts that have the images: nothing has to be pulled, and a registry that is away does not matter.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

/// For all images; less than the largest difference in load, and less than a zone.
const MOST: i64 = 800;

pub(super) struct ImagesScore;

impl Score for ImagesScore {
    fn name(&self) -> &'static str {
        "images"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64 {
        let images = &ask.group.images;
        let here = images.iter().filter(|image| view.host.images.contains(&image.reference)).count();
        let part = |count: usize| i64::try_from(count).unwrap_or(i64::MAX / MOST);
        if images.is_empty() { 0 } else { MOST * part(here) / part(images.len()) }
    }
}
