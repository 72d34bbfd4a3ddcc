//! What is taken on each host, and the hosts of each class by how full they are.

use super::class::{ClassIx, Classes};
use super::{Ask, HostIx};
use crate::hash;
use crate::plan::GpuGrant;
use crate::problem::{Allocation, Host, Port, Reservations};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The fullest a host can be, in the steps that balancing distinguishes.
pub(crate) const FULL: u8 = u8::MAX;

/// What an allocation that reserves nothing counts for when hosts are balanced (and only then): without it, all
/// such allocations would look free and could gather on one host. About what a small web service uses.
const NOMINAL: Reservations = Reservations { millicores: 100, memory: 128 << 20 };

/// What is granted of one card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GpuUse {
    /// Percent; 100 when the whole card is.
    pub(crate) share: u32,
    /// Bytes.
    pub(crate) memory: u64,
}

/// What omni's allocations take on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    reserved: Reservations,
    counted: Reservations,
    ports: Vec<Port>,
    gpus: Vec<(Arc<str>, GpuUse)>,
    load: u8,
}

impl Room {
    /// What is free for reservations.
    pub(crate) fn free(&self, host: &Host) -> Reservations {
        let free = |all: u64, foreign: u64, taken: u64| all.saturating_sub(foreign).saturating_sub(taken);
        Reservations {
            millicores: free(host.millicores, host.foreign_millicores, self.reserved.millicores),
            memory: free(host.memory, host.foreign_memory, self.reserved.memory),
        }
    }

    /// Ports that allocations hold.
    pub(crate) fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// What is granted of a card.
    pub(crate) fn gpu(&self, uuid: &str) -> GpuUse {
        self.gpus.iter().find(|(one, _)| &**one == uuid).map(|(_, used)| *used).unwrap_or_default()
    }

    /// How full the host is, 0 to [`FULL`].
    pub(crate) fn load(&self) -> u8 {
        self.load
    }

    fn weigh(&self, host: &Host) -> u8 {
        let step = |taken: u64, foreign: u64, all: u64| match u128::from(all) {
            0 => FULL,
            all => {
                let taken = u128::from(taken) + u128::from(foreign);
                u8::try_from(taken * u128::from(FULL) / all).unwrap_or(FULL)
            }
        };
        let cpu = step(self.counted.millicores, host.foreign_millicores, host.millicores);
        cpu.max(step(self.counted.memory, host.foreign_memory, host.memory))
    }

    fn add(&mut self, taken: &Taken<'_>) {
        self.reserved = plus(self.reserved, taken.reservations);
        self.counted = plus(self.counted, counted(taken.reservations));
        self.ports.extend_from_slice(taken.ports);
        for grant in taken.gpus {
            let (share, memory) = (grant.share.unwrap_or(100), grant.memory);
            match self.gpus.iter_mut().find(|(uuid, _)| *uuid == grant.uuid) {
                Some((_, used)) => {
                    used.share = used.share.saturating_add(share);
                    used.memory = used.memory.saturating_add(memory);
                }
                None => self.gpus.push((grant.uuid.clone(), GpuUse { share, memory })),
            }
        }
    }

    fn remove(&mut self, taken: &Taken<'_>) {
        self.reserved = minus(self.reserved, taken.reservations);
        self.counted = minus(self.counted, counted(taken.reservations));
        for port in taken.ports {
            if let Some(at) = self.ports.iter().position(|held| held == port) {
                self.ports.swap_remove(at);
            }
        }
        for grant in taken.gpus {
            let (share, memory) = (grant.share.unwrap_or(100), grant.memory);
            if let Some((_, used)) = self.gpus.iter_mut().find(|(uuid, _)| *uuid == grant.uuid) {
                used.share = used.share.saturating_sub(share);
                used.memory = used.memory.saturating_sub(memory);
            }
        }
    }
}

fn plus(one: Reservations, other: Reservations) -> Reservations {
    Reservations {
        millicores: one.millicores.saturating_add(other.millicores),
        memory: one.memory.saturating_add(other.memory),
    }
}

fn minus(one: Reservations, other: Reservations) -> Reservations {
    Reservations {
        millicores: one.millicores.saturating_sub(other.millicores),
        memory: one.memory.saturating_sub(other.memory),
    }
}

fn counted(reserved: Reservations) -> Reservations {
    let or_nominal = |value: u64, nominal: u64| if value == 0 { nominal } else { value };
    Reservations {
        millicores: or_nominal(reserved.millicores, NOMINAL.millicores),
        memory: or_nominal(reserved.memory, NOMINAL.memory),
    }
}

/// What something takes on its host.
pub(crate) struct Taken<'a> {
    reservations: Reservations,
    ports: &'a [Port],
    gpus: &'a [GpuGrant],
}

impl<'a> From<&'a Allocation> for Taken<'a> {
    fn from(allocation: &'a Allocation) -> Self {
        Self { reservations: allocation.reservations, ports: &allocation.ports, gpus: &allocation.gpus }
    }
}

impl<'a> Taken<'a> {
    /// What a placement of the group takes with these cards.
    pub(crate) fn of(ask: &Ask<'a>, gpus: &'a [GpuGrant]) -> Self {
        Self { reservations: ask.group.reservations, ports: &ask.group.ports, gpus }
    }
}

/// A host in its class: by load, then by its place on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) load: u8,
    pub(crate) ring: u64,
    pub(crate) host: HostIx,
}

/// The rooms of all hosts. A plan works on a copy, and takes in it what it places.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    rooms: Vec<Room>,
    class_of: Vec<ClassIx>,
    ring_of: Vec<u64>,
    seats: Vec<BTreeSet<Seat>>,
}

impl Rooms {
    pub(crate) fn new(hosts: &[Host], classes: &Classes) -> Self {
        let mut rooms = Self {
            rooms: vec![Room::default(); hosts.len()],
            class_of: Vec::new(),
            ring_of: hosts.iter().map(|host| hash::of_host(host.id)).collect(),
            seats: Vec::new(),
        };
        rooms.seat_all(hosts, classes);
        rooms
    }

    /// Seats every host anew, for classes that have changed.
    pub(crate) fn seat_all(&mut self, hosts: &[Host], classes: &Classes) {
        self.seats = vec![BTreeSet::new(); classes.count()];
        self.class_of = (0_u32..).map(HostIx).take(hosts.len()).map(|ix| classes.of(ix)).collect();
        for (ix, host) in (0_u32..).map(HostIx).zip(hosts) {
            self.rooms[ix.at()].load = self.rooms[ix.at()].weigh(host);
            let seat = self.seat(ix);
            self.seats[self.class_of[ix.at()].at()].insert(seat);
        }
    }

    pub(crate) fn room(&self, ix: HostIx) -> &Room {
        &self.rooms[ix.at()]
    }

    pub(crate) fn ring(&self, ix: HostIx) -> u64 {
        self.ring_of[ix.at()]
    }

    /// The hosts of each class.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (ClassIx, &BTreeSet<Seat>)> {
        (0_u32..).map(ClassIx).zip(&self.seats)
    }

    /// The hosts of one class.
    pub(crate) fn seats(&self, class: ClassIx) -> &BTreeSet<Seat> {
        &self.seats[class.at()]
    }

    fn seat(&self, ix: HostIx) -> Seat {
        Seat { load: self.rooms[ix.at()].load, ring: self.ring_of[ix.at()], host: ix }
    }

    /// A host has changed, and is in this class now.
    pub(crate) fn reseat(&mut self, ix: HostIx, host: &Host, class: ClassIx) {
        let seat = self.seat(ix);
        self.seats[self.class_of[ix.at()].at()].remove(&seat);
        if self.seats.len() <= class.at() {
            self.seats.resize(class.at() + 1, BTreeSet::new());
        }
        self.class_of[ix.at()] = class;
        self.rooms[ix.at()].load = self.rooms[ix.at()].weigh(host);
        let seat = self.seat(ix);
        self.seats[class.at()].insert(seat);
    }

    /// Takes what something needs on a host.
    pub(crate) fn take<'a>(&mut self, ix: HostIx, host: &Host, taken: impl Into<Taken<'a>>) {
        self.rooms[ix.at()].add(&taken.into());
        self.settle(ix, host);
    }

    /// Gives it back.
    pub(crate) fn give<'a>(&mut self, ix: HostIx, host: &Host, taken: impl Into<Taken<'a>>) {
        self.rooms[ix.at()].remove(&taken.into());
        self.settle(ix, host);
    }

    /// Balances as if an allocation that is about to go were gone; what it holds stays taken.
    pub(crate) fn discount(&mut self, ix: HostIx, host: &Host, allocation: &Allocation) {
        let room = &mut self.rooms[ix.at()];
        room.counted = minus(room.counted, counted(allocation.reservations));
        self.settle(ix, host);
    }

    fn settle(&mut self, ix: HostIx, host: &Host) {
        let load = self.rooms[ix.at()].weigh(host);
        if load != self.rooms[ix.at()].load {
            let before = self.seat(ix);
            self.rooms[ix.at()].load = load;
            let seat = self.seat(ix);
            let seats = &mut self.seats[self.class_of[ix.at()].at()];
            seats.remove(&before);
            seats.insert(seat);
        }
    }
}
