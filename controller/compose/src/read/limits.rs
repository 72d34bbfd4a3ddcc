//! What a service may use, and what is kept for it.

use super::field::Field;
use crate::fault::quoted;
use crate::report::Report;
use crate::units;
use omni_common::domain::app::{BlockIo, GpuCount, GpuNeed, Limits, Reservations, Service, Ulimit};
use std::collections::BTreeMap;

/// Most GPUs of one request.
const MAX_GPUS: i64 = 1024;
/// Option of a device request that names the model.
const OPTION_MODEL: &str = "omni.model";
/// Option of a device request that asks for free memory.
const OPTION_MEMORY: &str = "omni.memory";

/// Reads limits and reservations; those of `deploy` go before the older ones of the service itself.
pub(super) fn read(service: &mut Service, field: &Field<'_>, report: &mut Report) {
    let resources = field.get("deploy").and_then(|deploy| deploy.get("resources"));
    let limits = resources.as_ref().and_then(|resources| resources.get("limits"));
    let reserved = resources.as_ref().and_then(|resources| resources.get("reservations"));
    service.limits = own_limits(field, report);
    if let Some(limits) = limits {
        let Limits { nano_cpus, memory_bytes, pids, .. } = &mut service.limits;
        *nano_cpus = limits.get("cpus").and_then(|field| field.nano_cpus(report)).or(*nano_cpus);
        *memory_bytes = limits.get("memory").and_then(|field| field.bytes(report)).or(*memory_bytes);
        *pids = limits.get("pids").and_then(|field| field.integer(report, -1, i64::from(u32::MAX))).or(*pids);
    }
    service.reservations = reservations(field, reserved, report);
    check_against(service, field, report);
}

fn check_against(service: &Service, field: &Field<'_>, report: &mut Report) {
    let (limits, kept) = (&service.limits, &service.reservations);
    let place = field.get("deploy").unwrap_or_else(|| field.clone());
    let above = |kept: u64, limit: Option<u64>| limit.is_some_and(|limit| limit > 0 && kept > limit);
    let hint = "lower the reservation or raise the limit";
    if above(kept.memory_bytes, limits.memory_bytes) {
        place.wrong(report, "more memory is reserved than the limit allows", hint);
    }
    if above(kept.nano_cpus, limits.nano_cpus) {
        place.wrong(report, "more CPUs are reserved than the limit allows", hint);
    }
}

fn own_limits(field: &Field<'_>, report: &mut Report) -> Limits {
    let bytes = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.bytes(report));
    Limits {
        nano_cpus: field.get("cpus").and_then(|field| field.nano_cpus(report)),
        memory_bytes: bytes("mem_limit", report),
        memory_reservation_bytes: bytes("mem_reservation", report),
        memory_swap_bytes: field.get("memswap_limit").and_then(|field| swap(&field, report)),
        memory_swappiness: field.get("mem_swappiness").and_then(|field| field.integer(report, 0, 100)),
        pids: field.get("pids_limit").and_then(|field| field.integer(report, -1, i64::from(u32::MAX))),
        cpu_shares: field.get("cpu_shares").and_then(|field| field.integer(report, 0, 262_144)),
        cpu_quota_us: field
            .get("cpu_quota")
            .and_then(|field| micros(&field, report))
            .and_then(|us| us.try_into().ok()),
        cpu_period_us: field.get("cpu_period").and_then(|field| micros(&field, report)),
        cpu_rt_runtime_us: field.get("cpu_rt_runtime").and_then(|field| micros(&field, report)),
        cpu_rt_period_us: field.get("cpu_rt_period").and_then(|field| micros(&field, report)),
        cpuset: field.get("cpuset").and_then(|field| field.text(report)),
        block_io: field.get("blkio_config").map(|field| block_io(&field, report)),
        oom_kill_disable: field
            .get("oom_kill_disable")
            .and_then(|field| field.boolean(report))
            .unwrap_or_default(),
        oom_score_adj: field.get("oom_score_adj").and_then(|field| field.integer(report, -1000, 1000)),
    }
}

fn swap(field: &Field<'_>, report: &mut Report) -> Option<i64> {
    if field.node.text().map(str::trim) == Some("-1") {
        return Some(-1);
    }
    field.bytes(report).and_then(|bytes| i64::try_from(bytes).ok())
}

/// Microseconds: a number of them, or a duration.
fn micros(field: &Field<'_>, report: &mut Report) -> Option<u64> {
    let text = field.text(report)?;
    let number = units::whole(&text).and_then(|number| u64::try_from(number).ok());
    let number = number.or_else(|| units::duration_ms(&text).map(|ms| ms * 1000));
    if number.is_none() {
        let message = format!("`{}` is no number of microseconds", quoted(&text));
        field.wrong(report, message, "write e.g. `50000` or `50ms`");
    }
    number
}

fn block_io(field: &Field<'_>, report: &mut Report) -> BlockIo {
    let rates = |key: &str, report: &mut Report| {
        by_device(field, key, "rate", report, |field, report| field.bytes(report))
    };
    BlockIo {
        weight: field.get("weight").and_then(|field| field.integer(report, 10, 1000)),
        device_weight: by_device(field, "weight_device", "weight", report, |field, report| {
            field.integer(report, 10, 1000)
        }),
        read_bytes_per_second: rates("device_read_bps", report),
        write_bytes_per_second: rates("device_write_bps", report),
        read_ops_per_second: rates("device_read_iops", report),
        write_ops_per_second: rates("device_write_iops", report),
    }
}

fn by_device<T>(
    field: &Field<'_>,
    key: &str,
    value: &str,
    report: &mut Report,
    read: impl Fn(&Field<'_>, &mut Report) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    let Some(list) = field.get(key) else { return all };
    for item in list.items(report) {
        let path = item.get("path").and_then(|field| field.text(report));
        let number = item.get(value).and_then(|field| read(&field, report));
        match (path, number) {
            (Some(path), Some(number)) => {
                all.insert(path, number);
            }
            _ => item.wrong(report, format!("it needs `path` and `{value}`"), ""),
        }
    }
    all
}

/// Resource limits of processes.
pub(super) fn ulimits(field: &Field<'_>, report: &mut Report) -> BTreeMap<String, Ulimit> {
    let mut all = BTreeMap::new();
    for (name, part) in field.entries(report) {
        let number = |field: &Field<'_>, report: &mut Report| field.integer::<i64>(report, -1, i64::MAX);
        let limit = if part.is_mapping() {
            let side =
                |key: &str, report: &mut Report| part.get(key).and_then(|field| number(&field, report));
            match (side("soft", report), side("hard", report)) {
                (Some(soft), Some(hard)) => Some(Ulimit { soft, hard }),
                _ => {
                    part.wrong(report, "a limit needs `soft` and `hard`", "or write one number for both");
                    None
                }
            }
        } else {
            number(&part, report).map(|both| Ulimit { soft: both, hard: both })
        };
        if let Some(limit) = limit {
            all.insert(name.to_owned(), limit);
        }
    }
    all
}

fn reservations(field: &Field<'_>, reserved: Option<Field<'_>>, report: &mut Report) -> Reservations {
    let mut kept = Reservations::default();
    if let Some(reserved) = reserved {
        kept.nano_cpus = reserved.get("cpus").and_then(|field| field.nano_cpus(report)).unwrap_or_default();
        kept.memory_bytes = reserved.get("memory").and_then(|field| field.bytes(report)).unwrap_or_default();
        if let Some(devices) = reserved.get("devices") {
            for item in devices.items(report) {
                kept.gpus.extend(gpu(&item, false, report));
            }
        }
    }
    if kept.memory_bytes == 0
        && let Some(soft) = field.get("mem_reservation")
    {
        // Compose's older word for the same wish. What is wrong with it is told with the limits.
        kept.memory_bytes = soft.node.text().and_then(units::bytes).unwrap_or_default();
    }
    if let Some(gpus) = field.get("gpus") {
        match gpus.node.text() {
            Some("all") => kept.gpus.push(GpuNeed {
                count: GpuCount::All,
                capabilities: ["gpu".to_owned()].into(),
                ..GpuNeed::default()
            }),
            Some(other) => {
                gpus.wrong(
                    report,
                    format!("`{}` are no GPUs", quoted(other)),
                    "write `gpus: all` or a list with `count`",
                );
            }
            None => {
                for item in gpus.items(report) {
                    kept.gpus.extend(gpu(&item, true, report));
                }
            }
        }
    }
    kept
}

fn gpu(item: &Field<'_>, is_gpu: bool, report: &mut Report) -> Option<GpuNeed> {
    if !item.is_mapping() {
        item.wrong(
            report,
            "a device request is a mapping",
            "write `- capabilities: [gpu]` with `count` or `device_ids`",
        );
        return None;
    }
    let texts =
        |key: &str, report: &mut Report| item.get(key).map(|field| field.texts(report)).unwrap_or_default();
    let mut options = item.get("options").map(|field| field.map(report)).unwrap_or_default();
    let mut capabilities: std::collections::BTreeSet<String> =
        texts("capabilities", report).into_iter().collect();
    if is_gpu {
        capabilities.insert("gpu".to_owned());
    }
    if capabilities.is_empty() && item.get("driver").is_none() {
        item.wrong(report, "a device request needs `capabilities`", "write `capabilities: [gpu]`");
        return None;
    }
    let device_ids: std::collections::BTreeSet<String> = texts("device_ids", report).into_iter().collect();
    let count = item.get("count");
    if let Some(count) = count.as_ref().filter(|_| !device_ids.is_empty()) {
        count.wrong(report, "`count` and `device_ids` exclude each other", "keep one of them");
    }
    let memory = options.remove(OPTION_MEMORY);
    let memory_bytes = memory.as_deref().and_then(units::bytes);
    if let (Some(text), None) = (&memory, memory_bytes) {
        let message = format!("`{}` in `{OPTION_MEMORY}` is no size", quoted(text));
        item.wrong(report, message, "write e.g. `20g`");
    }
    Some(GpuNeed {
        count: match &count {
            Some(count) if count.node.text() == Some("all") => GpuCount::All,
            Some(count) => GpuCount::Count(count.integer(report, 0, MAX_GPUS)?),
            // As in Compose: without a number, all of them.
            None if device_ids.is_empty() => GpuCount::All,
            None => GpuCount::default(),
        },
        device_ids,
        driver: item.get("driver").and_then(|field| field.text(report)),
        capabilities,
        model: options.remove(OPTION_MODEL).filter(|model| !model.is_empty()),
        options,
        memory_bytes,
    })
}
