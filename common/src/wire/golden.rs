//! Pins the bytes of every frame.
//!
//! `corpus/wire.txt` holds one line per sample: stream type, sample name, bytes. A frame that no longer
//! encodes to its line cannot be read by the version before, so a failing line is never edited: give the
//! change a new variant at the end of its enum, a sample in `samples.rs`, and append the line that the test
//! prints. The same file seeds the decoder's fuzz test.

mod samples;

use crate::codec::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;

const CORPUS: &str = include_str!("../../corpus/wire.txt");

/// Lines by type and sample name.
fn pinned() -> BTreeMap<(&'static str, &'static str), Vec<u8>> {
    let mut lines = BTreeMap::new();
    for line in CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(' ').collect();
        let [kind, name, bytes] = parts[..] else {
            panic!("not `type name bytes`: {line}");
        };
        let bytes = hex::decode(bytes).expect("bytes are hex");
        assert!(lines.insert((kind, name), bytes).is_none(), "{kind} {name} is there twice");
    }
    lines
}

/// Compares samples with the file, both ways, and collects what does not fit.
struct Comparison {
    pinned: BTreeMap<(&'static str, &'static str), Vec<u8>>,
    complaints: Vec<String>,
}

impl Comparison {
    fn compare<T>(&mut self, kind: &'static str, samples: &[(&'static str, T)])
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        for (name, sample) in samples {
            let bytes = encode(sample).expect("samples are small");
            match self.pinned.remove(&(kind, *name)) {
                None => self.complaints.push(format!("append: {kind} {name} {}", hex::encode(bytes))),
                Some(pinned) if pinned != bytes => self.complaints.push(format!(
                    "{kind} {name} is now {}, which the version before cannot read",
                    hex::encode(bytes)
                )),
                Some(pinned) => assert_eq!(&decode::<T>(&pinned).expect("pinned bytes"), sample),
            }
        }
    }

    /// The same, and every variant of the enum must be among the samples.
    fn compare_enum<T>(&mut self, kind: &'static str, samples: &[(&'static str, T)])
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        self.compare(kind, samples);
        let mut variants: Vec<u8> =
            samples.iter().map(|(_, sample)| encode(sample).expect("small")[0]).collect();
        variants.sort_unstable();
        variants.dedup();
        // The decoder itself knows how many variants there are.
        let error = decode::<T>(&[250]).expect_err("no enum has that many variants").to_string();
        let all = format!("0 <= i < {}", variants.len());
        if !error.contains(&all) {
            self.complaints.push(format!("{kind}: samples cover {variants:?}, but {error}"));
        }
    }
}

#[test]
fn every_frame_has_its_pinned_bytes() {
    let mut comparison = Comparison { pinned: pinned(), complaints: Vec::new() };
    comparison.compare("EnrollRequest", &samples::enroll_requests());
    comparison.compare_enum("EnrollReply", &samples::enroll_replies());
    comparison.compare_enum("AgentFrame", &samples::agent_frames());
    comparison.compare_enum("GatewayFrame", &samples::gateway_frames());
    comparison.compare_enum("TelemetryFrame", &samples::telemetry_frames());
    comparison.compare_enum("AgentRequest", &samples::agent_requests());
    comparison.compare_enum("RequestInput", &samples::request_inputs());
    comparison.compare_enum("ReplyFrame", &samples::reply_frames());
    comparison.compare_enum("Applicant", &samples::applicants());
    comparison.compare_enum("Enrolled", &samples::enrolled());
    comparison.compare_enum("ContainerState", &samples::container_states());
    comparison.compare_enum("Health", &samples::healths());
    comparison.compare_enum("GpuVendor", &samples::gpu_vendors());
    comparison.compare_enum("OutputStream", &samples::output_streams());
    comparison.compare_enum("AllocationState", &samples::allocation_states());
    comparison.compare_enum("HostRequest", &samples::host_requests());
    comparison.compare_enum("HostReply", &samples::host_replies());
    comparison.compare_enum("ImageInput", &samples::image_inputs());
    comparison.compare_enum("ImageReply", &samples::image_replies());
    let Comparison { pinned, mut complaints } = comparison;
    complaints.extend(pinned.keys().map(|(kind, name)| format!("{kind} {name} has lost its sample")));
    assert!(complaints.is_empty(), "corpus/wire.txt:\n{}", complaints.join("\n"));
}

#[test]
fn the_names_of_the_protocols_stay() {
    assert_eq!(super::ALPN_ENROLL, b"omni-enroll/1");
    assert_eq!(super::ALPN_AGENT, b"omni-agent/1");
    assert_eq!(super::ALPN_RAFT, b"omni-raft/1");
    assert_eq!(super::ALPN_PEER, b"omni-peer/1");
}
