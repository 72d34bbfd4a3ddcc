//! Images of all hosts in one list.

use super::containers::named_hosts;
use super::cursor::Paging;
use super::selectors::{allows, texts};
use super::{App, AppError};
use crate::state::State;
use omni_common::api::v1::{ImageHost, ImageView, ImagesQuery, Page};
use omni_common::domain::HostImage;
use omni_common::domain::app::ContentDigest;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What tells images apart: different ones can go by one name.
type Key = (String, ContentDigest);

impl App {
    /// A page of the images of all hosts, by name and id.
    pub fn list_images(&self, state: &State, query: &ImagesQuery) -> Result<Page<ImageView>, AppError> {
        let hosts = named_hosts(state, texts(query.host.as_ref()))?;
        let filters = ImagesQuery { limit: None, cursor: None, ..query.clone() };
        let paging: Paging<Key> = Paging::new("images", &filters, query.limit, query.cursor.as_deref())?;
        let mut found: BTreeMap<Key, ImageView> = BTreeMap::new();
        for host in state.hosts.values().filter(|host| allows(hosts.as_deref(), &host.id)) {
            let Some(observed) = self.observed.host(host.id) else { continue };
            let on =
                ImageHost { name: host.name.clone(), id: host.id, connected: observed.gateway.is_some() };
            for image in observed.images.iter().flat_map(|images| images.iter()) {
                for name in image.tags.iter().filter(|name| speaks_of(image, name, query.q.as_deref())) {
                    let view = found.entry((name.clone(), image.id.clone()));
                    view.or_insert_with(|| view_of(name, image)).hosts.push(on.clone());
                }
            }
        }
        let from = paging.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let page = found.range((from, Bound::Unbounded)).map(|(key, view)| {
            let mut view = view.clone();
            view.hosts.sort();
            (key.clone(), view)
        });
        Ok(paging.take(page))
    }
}

fn speaks_of(image: &HostImage, name: &str, text: Option<&str>) -> bool {
    text.is_none_or(|text| {
        name.contains(text) || image.id.as_str().starts_with(text.trim_start_matches("sha256:"))
    })
}

fn view_of(name: &str, image: &HostImage) -> ImageView {
    ImageView {
        name: name.to_owned(),
        id: image.id.clone(),
        size_bytes: image.size_bytes,
        created: image.created,
        hosts: Vec::new(),
    }
}
