//! Containers on machines with control groups v1 and v2, as folders of fixtures.

use super::*;
use crate::collectors::tests::Tree;
use proptest::prelude::*;

const ID: &str = "4f5c0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";
const NET: &str = "Inter-| Receive | Transmit\n face |bytes\n  lo: 99 1 0 0 0 0 0 0 99 1 0 0 0 0 0 0\n";

fn container() -> ContainerRef {
    ContainerRef { id: ID.to_owned(), pid: 4321 }
}

fn traffic_is(tree: &Tree, rx: u64, tx: u64) {
    tree.file("proc/4321/net/dev", &format!("{NET}eth0: {rx} 1 0 0 0 0 0 0 {tx} 1 0 0 0 0 0 0\n"));
}

fn v1() -> Tree {
    let tree = Tree::new();
    let table: String = ["cpu,cpuacct", "memory", "blkio", "pids"]
        .iter()
        .enumerate()
        .map(|(number, controllers)| format!("{}:{controllers}:/docker/{ID}\n", number + 2))
        .collect();
    tree.file("proc/4321/cgroup", &table);
    tree.link("proc/self/ns/net", "net:[1]");
    tree.link("proc/4321/ns/net", "net:[2]");
    traffic_is(&tree, 1000, 2000);
    v1_file(&tree, "cpu,cpuacct", "cpuacct.usage", "1000000000\n");
    v1_file(&tree, "memory", "memory.usage_in_bytes", "5000\n");
    v1_file(&tree, "memory", "memory.stat", "cache 9\ninactive_file 1\ntotal_inactive_file 2000\n");
    v1_file(&tree, "memory", "memory.limit_in_bytes", "9223372036854771712\n");
    v1_file(&tree, "pids", "pids.current", "7\n");
    let io = "8:0 Read 100\n8:0 Write 10\n8:0 Sync 9\n8:16 Read 1\n8:16 Write 2\nTotal 113\n";
    v1_file(&tree, "blkio", "blkio.throttle.io_service_bytes_recursive", io);
    v1_file(&tree, "blkio", "blkio.throttle.io_service_bytes", "8:0 Read 1\n");
    tree
}

fn v1_file(tree: &Tree, controller: &str, name: &str, text: &str) {
    tree.file(&format!("sys/fs/cgroup/{controller}/docker/{ID}/{name}"), text);
}

fn v2() -> Tree {
    let tree = Tree::new();
    tree.file("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n");
    tree.file("proc/4321/cgroup", &format!("0::/system.slice/docker-{ID}.scope/init.scope\n"));
    traffic_is(&tree, 1000, 2000);
    v2_file(&tree, "cpu.stat", "usage_usec 1000000\nuser_usec 1\nsystem_usec 1\n");
    v2_file(&tree, "memory.current", "5000\n");
    v2_file(&tree, "memory.stat", "anon 1\nactive_file 7\ninactive_file 2000\n");
    v2_file(&tree, "memory.max", "1073741824\n");
    v2_file(&tree, "pids.current", "7\n");
    v2_file(
        &tree,
        "io.stat",
        "8:0 rbytes=100 wbytes=10 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n",
    );
    tree
}

fn v2_file(tree: &Tree, name: &str, text: &str) {
    tree.file(&format!("sys/fs/cgroup/system.slice/docker-{ID}.scope/{name}"), text);
}

struct Bench {
    tree: Tree,
    source: Containers,
    reader: Reader,
    at: Instant,
}

impl Bench {
    fn new(tree: Tree) -> Self {
        Self { source: Containers::new(&tree.roots()), tree, reader: Reader::default(), at: Instant::now() }
    }

    /// A sample two seconds after the one before.
    fn sample(&mut self, container: &ContainerRef) -> Option<ContainerSample> {
        self.at += Duration::from_secs(2);
        self.source.sample(&mut self.reader, self.at, std::slice::from_ref(container)).pop()
    }
}

#[test]
fn v1_first_levels_then_rates() {
    let mut bench = Bench::new(v1());
    let first = bench.sample(&container()).expect("it runs");
    assert_eq!((first.memory_used, first.memory_limit, first.pids), (Some(3000), None, Some(7)));
    assert_eq!((first.cpu_percent, first.rx_bytes, first.read_bytes), (None, None, None));

    v1_file(&bench.tree, "cpu,cpuacct", "cpuacct.usage", "4000000000\n");
    v1_file(&bench.tree, "memory", "memory.limit_in_bytes", "1048576\n");
    let io = "8:0 Read 301\n8:0 Write 12\nTotal 313\n";
    v1_file(&bench.tree, "blkio", "blkio.throttle.io_service_bytes_recursive", io);
    traffic_is(&bench.tree, 1500, 2000);
    let second = bench.sample(&container()).expect("it runs");
    assert_eq!((second.cpu_percent, second.memory_limit), (Some(150.0), Some(1 << 20)));
    assert_eq!((second.rx_bytes, second.tx_bytes), (Some(250.0), Some(0.0)));
    assert_eq!((second.read_bytes, second.write_bytes), (Some(100.0), Some(0.0)));
}

#[test]
fn v2_first_levels_then_rates() {
    let mut bench = Bench::new(v2());
    let first = bench.sample(&container()).expect("it runs");
    assert_eq!((first.memory_used, first.memory_limit, first.pids), (Some(3000), Some(1 << 30), Some(7)));
    assert_eq!((first.cpu_percent, first.rx_bytes, first.read_bytes), (None, None, None));

    v2_file(&bench.tree, "cpu.stat", "usage_usec 1500000\n");
    v2_file(&bench.tree, "memory.max", "max\n");
    v2_file(&bench.tree, "io.stat", "8:0 rbytes=301 wbytes=12\n");
    traffic_is(&bench.tree, 1000, 2500);
    let second = bench.sample(&container()).expect("it runs");
    assert_eq!((second.cpu_percent, second.memory_limit), (Some(25.0), None));
    assert_eq!((second.rx_bytes, second.tx_bytes), (Some(0.0), Some(250.0)));
    assert_eq!((second.read_bytes, second.write_bytes), (Some(100.0), Some(0.0)));
}

#[test]
fn what_a_group_lacks_is_absent_not_zero() {
    let tree = v2();
    for name in ["io.stat", "memory.stat", "pids.current"] {
        tree.remove(&format!("sys/fs/cgroup/system.slice/docker-{ID}.scope/{name}"));
    }
    let mut bench = Bench::new(tree);
    bench.sample(&container()).expect("it runs");
    let sample = bench.sample(&container()).expect("it runs");
    assert_eq!((sample.memory_used, sample.pids, sample.read_bytes), (None, None, None));
    assert_eq!((sample.cpu_percent, sample.rx_bytes), (Some(0.0), Some(0.0)));
}

#[test]
fn a_group_without_io_has_done_none() {
    let tree = v2();
    v2_file(&tree, "io.stat", "");
    let mut bench = Bench::new(tree);
    bench.sample(&container()).expect("it runs");
    assert_eq!(bench.sample(&container()).expect("it runs").read_bytes, Some(0.0));
}

#[test]
fn a_restart_yields_no_rates_at_first() {
    let mut bench = Bench::new(v2());
    bench.sample(&container()).expect("it runs");
    let table = format!("0::/system.slice/docker-{ID}.scope\n");
    bench.tree.file("proc/5000/cgroup", &table);
    v2_file(&bench.tree, "cpu.stat", "usage_usec 9000000\n");
    let restarted = ContainerRef { pid: 5000, ..container() };
    assert_eq!(bench.sample(&restarted).expect("it runs").cpu_percent, None);
    v2_file(&bench.tree, "cpu.stat", "usage_usec 5\n");
    assert_eq!(bench.sample(&restarted).expect("it runs").cpu_percent, None, "the counter went backwards");
    assert_eq!(bench.sample(&restarted).expect("it runs").cpu_percent, Some(0.0));
}

#[test]
fn a_pid_that_another_process_got_reports_nothing_of_it() {
    let mut bench = Bench::new(v2());
    bench.sample(&container()).expect("it runs");
    bench.tree.file("proc/4321/cgroup", "0::/user.slice\n");
    let sample = bench.sample(&container()).expect("the pid exists");
    assert_eq!((sample.memory_used, sample.rx_bytes, sample.pids), (None, None, None));
}

#[test]
fn the_host_network_is_not_the_container_s() {
    let tree = v1();
    tree.remove("proc/4321/ns/net");
    tree.link("proc/4321/ns/net", "net:[1]");
    let mut bench = Bench::new(tree);
    bench.sample(&container()).expect("it runs");
    let sample = bench.sample(&container()).expect("it runs");
    assert_eq!((sample.rx_bytes, sample.tx_bytes, sample.cpu_percent), (None, None, Some(0.0)));
}

#[test]
fn a_container_that_is_gone_is_left_out_and_forgotten() {
    let mut bench = Bench::new(v1());
    bench.sample(&container()).expect("it runs");
    bench.tree.remove("proc/4321");
    assert_eq!(bench.sample(&container()), None);
    assert!(bench.source.runs.is_empty());
    assert_eq!(bench.sample(&ContainerRef { pid: 0, ..container() }), None);
}

proptest! {
    #[test]
    fn rates_are_plain_numbers_whatever_the_counters_do(a: [Option<u64>; 5], b: [Option<u64>; 5], nanos: u64) {
        let counters = |[cpu_nanos, rx_bytes, tx_bytes, read_bytes, write_bytes]: [Option<u64>; 5]| Counters {
            cpu_nanos, rx_bytes, tx_bytes, read_bytes, write_bytes,
        };
        let r = rates(&counters(a), &counters(b), Duration::from_nanos(nanos));
        for rate in [r.cpu_percent, r.rx_bytes, r.tx_bytes, r.read_bytes, r.write_bytes].into_iter().flatten() {
            prop_assert!(rate.is_finite() && rate >= 0.0);
        }
    }
}
