//! The whole app.

use super::{
    Adopted, ConfigSource, ContentDigest, Group, GroupName, NetworkSpec, SecretSource, Service, ServiceName,
    VolumeSpec, unset,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Most services in one app; the largest public compose files have about 70.
pub const MAX_SERVICES: usize = 200;

/// Bytes that are no app specification.
#[derive(Debug, thiserror::Error)]
#[error("the app's specification cannot be read")]
pub struct InvalidSpec(#[from] serde_json::Error);

/// One app, fully resolved: no variables, no overrides, no profiles left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AppSpec {
    /// Name of the app: the compose project's name.
    pub name: String,
    /// What is placed as one, by name. Every service is in exactly one of them.
    #[serde(skip_serializing_if = "unset")]
    pub groups: BTreeMap<GroupName, Group>,
    /// The services, by name.
    #[serde(skip_serializing_if = "unset")]
    pub services: BTreeMap<ServiceName, Service>,
    /// Networks that services join, by the name they use in the file.
    #[serde(skip_serializing_if = "unset")]
    pub networks: BTreeMap<String, NetworkSpec>,
    /// Named volumes, by the name they use in the file.
    #[serde(skip_serializing_if = "unset")]
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Configs, by the name they use in the file.
    #[serde(skip_serializing_if = "unset")]
    pub configs: BTreeMap<String, ConfigSource>,
    /// Secrets, by the name they use in the file.
    #[serde(skip_serializing_if = "unset")]
    pub secrets: BTreeMap<String, SecretSource>,
    /// What `x-omni` says about the app as a whole.
    #[serde(skip_serializing_if = "unset")]
    pub omni: OmniOptions,
    /// The compose project that it was taken over from.
    #[serde(skip_serializing_if = "unset")]
    pub adopted: Option<Adopted>,
}

/// The parts of `x-omni` that other capabilities read: kept as written, known only to be objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OmniOptions {
    /// How to back it up.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "unset")]
    pub backup: Option<serde_json::Value>,
    /// How to probe it from outside.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "unset")]
    pub check: Option<serde_json::Value>,
    /// How it is reached from outside.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "unset")]
    pub route: Option<serde_json::Value>,
}

impl AppSpec {
    /// The one JSON form of this app: keys in order, nothing optional, no spaces.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("maps have text keys and numbers are whole")
    }

    /// Reads what [`AppSpec::to_canonical_json`] wrote, of this or an earlier version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, InvalidSpec> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// SHA-256 over the canonical JSON: equal exactly when the apps are.
    pub fn digest(&self) -> ContentDigest {
        ContentDigest::of(&self.to_canonical_json())
    }

    /// The group that a service is in.
    pub fn group_of(&self, service: &ServiceName) -> Option<(&GroupName, &Group)> {
        self.groups.iter().find(|(_, group)| group.services.contains(service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app::{GroupMode, Mount, MountSource, VolumeMount};

    fn app() -> AppSpec {
        let web = ServiceName::new("web").unwrap();
        let mount = Mount {
            target: "/data".to_owned(),
            source: MountSource::Volume(VolumeMount {
                volume: Some("data".to_owned()),
                ..VolumeMount::default()
            }),
            read_only: false,
        };
        let service = Service {
            image: Some("web:1".to_owned()),
            entrypoint: Some(Vec::new()),
            environment: [("A".to_owned(), None), ("B".to_owned(), Some(String::new()))].into(),
            mounts: vec![mount],
            ..Service::default()
        };
        let group = Group { services: [web.clone()].into(), mode: GroupMode::Global, ..Group::default() };
        AppSpec {
            name: "shop".to_owned(),
            groups: [(GroupName::main(), group)].into(),
            services: [(web, service)].into(),
            ..AppSpec::default()
        }
    }

    /// These bytes are what digests of kept releases were made from: a change here changes them all.
    #[test]
    fn the_canonical_form_stays_as_it_is() {
        let text = String::from_utf8(app().to_canonical_json()).unwrap();
        let expected = concat!(
            r#"{"name":"shop","groups":{"main":{"services":["web"],"mode":"global"}},"services":{"web":{"image":"web:1","#,
            r#""entrypoint":[],"environment":{"A":null,"B":""},"mounts":[{"target":"/data","source":{"volume":"#,
            r#"{"volume":"data"}},"read_only":false}]}}}"#
        );
        assert_eq!(text, expected);
        assert_eq!(AppSpec::from_json(text.as_bytes()).unwrap(), app());
    }

    #[test]
    fn what_a_newer_version_adds_does_not_keep_an_older_one_from_reading() {
        let spec =
            AppSpec::from_json(br#"{"name":"a","later":1,"services":{"w":{"image":"x","newer":true}}}"#)
                .unwrap();
        assert_eq!(spec.services["w"].image.as_deref(), Some("x"));
        assert!(AppSpec::from_json(br#"{"services":{"a b":{}}}"#).is_err());
        assert!(AppSpec::from_json(b"{").is_err());
    }

    #[test]
    fn the_digest_is_that_of_the_form() {
        let (app, mut other) = (app(), app());
        assert_eq!(app.digest(), ContentDigest::of(&app.to_canonical_json()));
        other.services.get_mut("web").unwrap().tty = true;
        assert_ne!(app.digest(), other.digest());
        assert_eq!(app.group_of(&ServiceName::new("web").unwrap()).unwrap().0.as_str(), GroupName::MAIN);
    }
}
