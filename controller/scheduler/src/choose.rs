//! Choosing a host.
//!
//! Filters are exact: a host that is chosen passes all of them, and when one exists, one is found. Scores are exact
//! too, but for images: in a class that can still win, the first host along (load, ring) that runs none of the group
//! yet beats all after it in everything except what it has already pulled. So hosts that have an image are looked at
//! besides, [`LOOK`] of them; when more have it, a better one among the rest may be missed.

use crate::filters::{FILTERS, View, first_class_miss, first_host_miss, first_miss, may_stay, pick_gpus};
use crate::index::{Ask, ClassIx, HostIx, Index, Rooms, Seat};
use crate::plan::GpuGrant;
use crate::problem::{Attribute, Operator};
use crate::scores::{class_points, host_points, most_at, points};
use crate::why::{Miss, NoHost};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Bound;

/// How many hosts that have an image are looked at, from the slot's place on the ring. Of that many, some are likely
/// to be in the right zone and not full.
const LOOK: usize = 16;

/// A chosen host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) host: HostIx,
    pub(crate) points: i64,
    pub(crate) gpus: Vec<GpuGrant>,
}

/// The better of two hosts is the greater: points, then nearness on the ring, then the smaller id (hosts lie in the
/// index in the order of their ids).
type Rank = (i64, Reverse<u64>, Reverse<HostIx>);

/// The best host for the question; none when no host passes all filters.
pub(crate) fn choose(index: &Index, rooms: &Rooms, ask: &Ask<'_>) -> Option<Choice> {
    let mut search = Search { index, rooms, ask, best: None };
    match named(index, ask) {
        Some(hosts) => hosts.into_iter().for_each(|ix| search.look(ix)),
        None => search.everywhere(),
    }
    let (points, _, Reverse(host)) = search.best?;
    Some(Choice { host, points, gpus: cards(index, rooms, ask, host)? })
}

/// The host where something is already, when it may stay there in the form that is asked about.
pub(crate) fn stay(index: &Index, rooms: &Rooms, ask: &Ask<'_>, host: HostIx) -> Option<Choice> {
    let view = index.view(rooms, host);
    let stays = may_stay(ask, view);
    stays.then(|| Some(Choice { host, points: points(ask, view), gpus: cards(index, rooms, ask, host)? }))?
}

fn cards(index: &Index, rooms: &Rooms, ask: &Ask<'_>, host: HostIx) -> Option<Vec<GpuGrant>> {
    match &ask.group.gpus {
        Some(demand) => pick_gpus(demand, index.host(host), rooms.room(host)),
        None => Some(Vec::new()),
    }
}

/// The only hosts that can do, when data or a constraint names them; none when all can.
fn named(index: &Index, ask: &Ask<'_>) -> Option<Vec<HostIx>> {
    if ask.bound_by_data() {
        let holders: BTreeSet<_> = ask.group.data(ask.slot).map(|(_, host)| host).collect();
        return Some(holders.into_iter().filter_map(|id| index.host_ix(id)).collect());
    }
    let by_name = ask.group.constraints.iter().filter(|constraint| constraint.attribute.names_one_host());
    let mut hosts = None;
    for constraint in by_name {
        hosts = Some(match (constraint.operator, &constraint.attribute) {
            (Operator::NotEqual, _) => match hosts {
                Some(hosts) => hosts,
                None => index.host_ixs().collect(),
            },
            (Operator::Equal, Attribute::Id) => {
                constraint.value.parse().ok().and_then(|id| index.host_ix(id)).into_iter().collect()
            }
            (Operator::Equal, _) => index.host_named(&constraint.value).into_iter().collect(),
        });
    }
    hosts
}

struct Search<'a> {
    index: &'a Index,
    rooms: &'a Rooms,
    ask: &'a Ask<'a>,
    best: Option<Rank>,
}

impl<'a> Search<'a> {
    fn view(&self, ix: HostIx) -> View<'a> {
        self.index.view(self.rooms, ix)
    }

    fn weigh(&mut self, ix: HostIx, points: i64) {
        let rank = (points, Reverse(self.ask.distance(self.rooms.ring(ix))), Reverse(ix));
        self.best = self.best.max(Some(rank));
    }

    /// Weighs a host if it passes all filters.
    fn look(&mut self, ix: HostIx) {
        let view = self.view(ix);
        if first_miss(self.ask, view).is_ok() {
            self.weigh(ix, points(self.ask, view));
        }
    }

    fn everywhere(&mut self) {
        let group = self.ask.group;
        let with_data = group.data(self.ask.slot).map(|(_, holder)| holder);
        for id in with_data.chain(self.ask.previous) {
            if let Some(ix) = self.index.host_ix(id) {
                self.look(ix);
            }
        }
        self.classes();
        self.with_images();
    }

    /// The classes that pass all filters of their scope, each by one of its hosts. They do not depend on the slot, so
    /// that a group finds them once.
    fn open(&self) -> &'a [(ClassIx, HostIx)] {
        self.ask.placed.open(|| {
            let classes = self.rooms.classes();
            let first = classes.filter_map(|(class, seats)| Some((class, seats.first()?.host)));
            first.filter(|(_, ix)| first_class_miss(self.ask, self.view(*ix)).is_ok()).collect()
        })
    }

    /// Looks at the classes, the most promising first, until no further one can win.
    fn classes(&mut self) {
        let mut promising: Vec<(i64, i64, &BTreeSet<Seat>)> = Vec::new();
        for (class, ix) in self.open() {
            let seats = self.rooms.seats(*class);
            let Some(seat) = seats.first() else { continue };
            let of_class = class_points(self.ask, self.view(*ix));
            promising.push((of_class + most_at(seat.load), of_class, seats));
        }
        promising.sort_by_key(|(most, ..)| Reverse(*most));
        for (most, of_class, seats) in promising {
            if self.best.is_some_and(|(best, ..)| most < best) {
                break;
            }
            self.class(of_class, seats);
        }
    }

    /// Looks along the ring, one step of load after the other, for the first host that runs none of the group.
    fn class(&mut self, of_class: i64, seats: &BTreeSet<Seat>) {
        let mut next = seats.first().copied();
        while let Some(Seat { load, .. }) = next {
            let at = |ring, host| Seat { load, ring, host: HostIx(host) };
            let (first, begin, last) = (at(0, 0), at(self.ask.ring, 0), at(u64::MAX, u32::MAX));
            for seat in seats.range(begin..=last).chain(seats.range(first..begin)) {
                let view = self.view(seat.host);
                if first_host_miss(self.ask, view).is_err() {
                    continue;
                }
                self.weigh(seat.host, of_class + host_points(self.ask, view));
                let used = self.ask.placed.on_host(view.host.id) > 0
                    || self.ask.group.failures(self.ask.slot).contains(&view.host.id);
                if !used {
                    return;
                }
            }
            next = seats.range((Bound::Excluded(last), Bound::Unbounded)).next().copied();
        }
    }

    /// Looks at hosts that have an image, from the slot's place on the ring.
    fn with_images(&mut self) {
        for image in &self.ask.group.images {
            let Some(holders) = self.index.holders(&image.reference) else { continue };
            let begin = (self.ask.ring, HostIx(0));
            let around: Vec<HostIx> =
                holders.range(begin..).chain(holders.range(..begin)).take(LOOK).map(|(_, ix)| *ix).collect();
            around.into_iter().for_each(|ix| self.look(ix));
        }
    }
}

/// Why no host fits: what each filter ruled out, and the nearest miss.
pub(crate) fn why_none(index: &Index, rooms: &Rooms, ask: &Ask<'_>) -> NoHost {
    let mut out = [0_usize; FILTERS.len()];
    let mut nearest = None;
    for ix in index.host_ixs() {
        let Err((filter, shortfall)) = first_miss(ask, index.view(rooms, ix)) else { continue };
        out[filter] += 1;
        // Further through the filters is nearer, then by how much it misses, then the host first in order.
        let miss = (Reverse(filter), shortfall, ix);
        nearest = Some(nearest.map_or(miss, |other: (Reverse<usize>, _, _)| other.min(miss)));
    }
    let miss = nearest.map(|(Reverse(filter), _, ix)| Miss {
        host: index.host_ref(index.host(ix).id),
        filter: FILTERS[filter].name(),
        text: FILTERS[filter].describe(ask, index.view(rooms, ix)),
    });
    let counted = FILTERS.iter().zip(out).filter(|(_, count)| *count > 0);
    NoHost { nearest: miss, out: counted.map(|(filter, count)| (filter.name(), count)).collect() }
}
