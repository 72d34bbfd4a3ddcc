//! What one stack on many hosts may say differently on each: values taken from the host.

use crate::problem::{Attribute, Host};
use std::collections::BTreeMap;

/// A host's values by the names that constraints use: `node.hostname`, `node.labels.<key>` and so on. What a host
/// does not have is absent, so that whoever fills in a text can tell a missing label from an empty one.
pub fn host_values(host: &Host) -> BTreeMap<String, String> {
    let fixed = [Attribute::Id, Attribute::Hostname, Attribute::Role, Attribute::Os, Attribute::Arch];
    let places = [("region", &host.region), ("zone", &host.zone)];
    let places = places.into_iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.to_owned());
    let labels = places.chain(host.labels.keys().cloned()).map(Attribute::Label);
    let engine = host.engine_labels.keys().cloned().map(Attribute::EngineLabel);
    fixed
        .into_iter()
        .chain(labels)
        .chain(engine)
        .map(|attribute| (attribute.to_string(), attribute.value(host).into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::ids::HostId;

    #[test]
    fn a_host_has_what_constraints_can_name() {
        let mut host = Host::new(HostId::from_u128(7), "edge-1");
        host.zone = Some("z1".into());
        host.labels.insert("shop".into(), "berlin".into());
        let values = host_values(&host);
        assert_eq!(values["node.hostname"], "edge-1");
        assert_eq!(values["node.labels.shop"], "berlin");
        assert_eq!(values["node.labels.zone"], "z1");
        assert_eq!(values.get("node.labels.region"), None);
        assert_eq!(values["node.id"], HostId::from_u128(7).to_string());
    }
}
