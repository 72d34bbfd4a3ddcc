//! An image that cannot be pulled has to be there.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;
use crate::problem::Image;

pub(super) struct ImagesFilter;

fn missing<'a>(ask: &'a Ask<'_>, view: View<'a>) -> impl Iterator<Item = &'a Image> {
    let needed = ask.group.images.iter().filter(|image| image.must_be_present);
    needed.filter(move |image| !view.host.images.contains(&image.reference))
}

impl Filter for ImagesFilter {
    fn name(&self) -> &'static str {
        "images"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        match missing(ask, view).count() {
            0 => Ok(()),
            count => Err(Shortfall(count as u64)),
        }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let names: Vec<&str> = missing(ask, view).map(|image| &*image.reference).collect();
        format!("cannot be pulled and is not on the host: {}", names.join(", "))
    }
}
