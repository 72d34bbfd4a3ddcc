//! GPUs: by count, model and free memory, whole or shared by quota.

use super::{Filter, Scope, Shortfall, View};
use crate::index::{Ask, GpuUse, Room};
use crate::plan::GpuGrant;
use crate::problem::{Gpu, GpuCount, GpuDemand, Host};
use crate::units;

/// A whole card in percent.
const WHOLE: u32 = 100;

pub(super) struct GpusFilter;

/// Memory on the card that nothing uses or reserves; absent when the driver does not say how much it has.
fn free_memory(gpu: &Gpu, used: GpuUse) -> Option<u64> {
    gpu.memory.map(|memory| memory.saturating_sub(gpu.foreign_memory).saturating_sub(used.memory))
}

/// Whether the card can take one more under this demand. A demand for memory needs a card that says what it has.
fn fits(demand: &GpuDemand, gpu: &Gpu, used: GpuUse) -> bool {
    let room = match demand.share {
        None => used.share == 0 && gpu.foreign_users == 0,
        Some(share) => used.share.saturating_add(share.max(1)) <= WHOLE,
    };
    let memory = demand.memory.is_none_or(|need| free_memory(gpu, used).is_some_and(|free| need <= free));
    room && memory
}

/// The cards to grant; none when they do not suffice. Shares go to the fullest card that has room, so that whole
/// cards stay whole; a whole card is the smallest that will do.
pub(crate) fn pick(demand: &GpuDemand, host: &Host, room: &Room) -> Option<Vec<GpuGrant>> {
    let of_model = || host.gpus.iter().filter(|gpu| gpu.suits(demand));
    let mut free: Vec<(&Gpu, GpuUse)> = of_model()
        .map(|gpu| (gpu, room.gpu(&gpu.uuid)))
        .filter(|(gpu, used)| fits(demand, gpu, *used))
        .collect();
    let count = match demand.count {
        GpuCount::Count(count) => count as usize,
        GpuCount::All => of_model().count().max(1),
    };
    if free.len() < count {
        return None;
    }
    free.sort_by_key(|(gpu, used)| (std::cmp::Reverse(used.share), gpu.memory, gpu.index));
    let grant = |(gpu, _): (&Gpu, GpuUse)| GpuGrant {
        uuid: gpu.uuid.clone(),
        memory: demand.memory.unwrap_or_default(),
        share: demand.share.map(|share| share.max(1)),
    };
    Some(free.into_iter().take(count).map(grant).collect())
}

impl Filter for GpusFilter {
    fn name(&self) -> &'static str {
        "gpus"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        let Some(demand) = &ask.group.gpus else { return Ok(()) };
        let of_model = view.host.gpus.iter().filter(|gpu| gpu.suits(demand));
        let (mut models, mut free) = (0_u64, 0_u64);
        for gpu in of_model {
            models += 1;
            free += u64::from(fits(demand, gpu, view.room.gpu(&gpu.uuid)));
        }
        let need = match demand.count {
            GpuCount::Count(count) => u64::from(count),
            GpuCount::All => models.max(1),
        };
        // A host with the right cards, all taken, is nearer than one without.
        match need.saturating_sub(free) {
            0 => Ok(()),
            missing => Err(Shortfall(missing * 2 + u64::from(models < need))),
        }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let Some(demand) = &ask.group.gpus else { return String::new() };
        let model = demand.model.as_deref().unwrap_or("GPU");
        let count = match demand.count {
            GpuCount::Count(count) => count.to_string(),
            GpuCount::All => "every".to_owned(),
        };
        let memory = demand.memory.map(|bytes| format!(" with {} free", units::bytes(bytes)));
        let share = demand.share.map(|share| format!(" shared at {share}%"));
        let cards = || view.host.gpus.iter().filter(|gpu| gpu.suits(demand));
        let free = cards().filter(|gpu| fits(demand, gpu, view.room.gpu(&gpu.uuid))).count();
        let (memory, share) = (memory.unwrap_or_default(), share.unwrap_or_default());
        format!("needs {count} {model}{memory}{share}, {free} of {} free", cards().count())
    }
}
