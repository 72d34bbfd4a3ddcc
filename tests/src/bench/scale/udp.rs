//! Datagrams that the kernel threw away because a socket's buffer was full, on the whole machine.

use std::fs;

/// Since boot; zero where the kernel does not say.
pub(super) fn dropped() -> u64 {
    fs::read_to_string("/proc/net/snmp").ok().and_then(|text| parse(&text)).unwrap_or_default()
}

/// The file holds pairs of lines: names, then values.
fn parse(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let all = names.split(' ').zip(values.split(' '));
    let wanted = all.filter(|(name, _)| matches!(*name, "RcvbufErrors" | "SndbufErrors"));
    wanted.map(|(_, value)| value.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_buffers_are_found_by_name() {
        let text = "Icmp: InMsgs\nIcmp: 4\nUdp: InDatagrams NoPorts InErrors RcvbufErrors SndbufErrors\nUdp: 90 1 9 7 2\n\
                    UdpLite: RcvbufErrors\nUdpLite: 5\n";
        assert_eq!(parse(text), Some(9));
        assert_eq!(parse("Udp: A\n"), None);
    }
}
