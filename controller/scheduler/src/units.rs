//! Quantities as people read them.

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Bytes, with one digit after the point: `5.2 GiB`. Rounded down, so that what is free is never overstated.
pub(crate) fn bytes(value: u64) -> String {
    let (unit, name) = match value {
        GIB.. => (GIB, "GiB"),
        MIB.. => (MIB, "MiB"),
        KIB.. => (KIB, "KiB"),
        _ => return format!("{value} B"),
    };
    let tenths = u128::from(value) * 10 / u128::from(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Thousandths of a CPU: `1.5 CPUs`.
pub(crate) fn cpus(millicores: u64) -> String {
    let (whole, rest) = (millicores / 1000, millicores % 1000);
    let fraction = format!("{rest:03}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let name = if millicores == 1000 { "CPU" } else { "CPUs" };
    format!("{whole}{point}{fraction} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(8 * GIB), "8.0 GiB");
        assert_eq!(bytes(8 * GIB - 1), "7.9 GiB");
        assert_eq!(bytes(u64::MAX), "17179869183.9 GiB");
        assert_eq!(cpus(1000), "1 CPU");
        assert_eq!(cpus(1500), "1.5 CPUs");
        assert_eq!(cpus(50), "0.05 CPUs");
    }
}
