//! What is mounted into a service's container, and what has to lie on the host for it. Pure.
//!
//! Content of a release lies under the digest of what it is, so a file never changes under a running container, two
//! releases can be there at once, and a container whose files are the same needs not be made anew. What lives on the host
//! (`project/`) stays where it is over all releases of the slot.

use super::definition::Scene;
use super::hosting::{needs, signed};
use super::names::{self, SlotKey};
use super::steps::Thing;
use bollard::models::{
    Mount as EngineMount, MountBindOptions, MountBindOptionsPropagationEnum as Propagation,
    MountTmpfsOptions, MountType, MountVolumeOptions,
};
use omni_common::domain::app::{
    AppSpec, ConfigSource, ContentDigest, FileMount, FileRef, Group, HostMount, Mount, MountSource,
    ProjectContent, ProjectMount, SecretSource, Service, ServiceName, TmpfsMount, VolumeMount, VolumeSpec,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Permission bits of a config or secret that names none.
const FILE_MODE: u32 = 0o444;

/// Something that has to lie on the host before a container starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnHost {
    /// A file of a release.
    File(HostFile),
    /// A folder of a release: exactly these files.
    Tree(PathBuf, BTreeMap<String, FileRef>),
    /// A folder that lives on the host; these files are put there when it is made.
    Folder(PathBuf, BTreeMap<String, FileRef>),
}

impl OnHost {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(file) => &file.path,
            Self::Tree(path, _) | Self::Folder(path, _) => path,
        }
    }
}

/// A file of a release on the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostFile {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub content: ContentDigest,
    /// Permission bits.
    pub mode: u32,
    /// Owner; absent for root.
    pub uid: Option<u32>,
    /// Group; absent for root.
    pub gid: Option<u32>,
    /// It must never be on a disk.
    pub secret: bool,
}

/// A service's mounts in the engine's words.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounted {
    pub(super) mounts: Vec<EngineMount>,
    /// Mounts that need what only the older form can say: SELinux relabelling.
    pub(super) binds: Vec<String>,
    pub(super) on_host: Vec<OnHost>,
}

pub(super) fn mounts(scene: &Scene<'_>, name: &ServiceName, service: &Service) -> Result<Mounted, String> {
    let mut all = Mounted::default();
    for mount in &service.mounts {
        match &mount.source {
            MountSource::Volume(volume) => all.mounts.push(volume_mount(scene, mount, volume)?),
            MountSource::Tmpfs(tmpfs) => all.mounts.push(tmpfs_mount(mount, tmpfs)),
            MountSource::Host(host) => all.host(mount, host)?,
            MountSource::Project(project) => all.project(scene, mount, project)?,
        }
    }
    for config in &service.configs {
        let content = match scene.spec.configs.get(&config.source) {
            Some(ConfigSource::Packed(packed)) => &packed.content,
            Some(ConfigSource::External(known_as)) => return Err(external("config", known_as)),
            None => return Err(format!("the release has no config {}", config.source)),
        };
        all.file(&scene.files, config, content, false)?;
    }
    for secret in &service.secrets {
        let content = match scene.spec.secrets.get(&secret.source) {
            Some(SecretSource::Packed(packed)) => &packed.content,
            Some(SecretSource::External(known_as)) => return Err(external("secret", known_as)),
            None => return Err(format!("the release has no secret {}", secret.source)),
        };
        all.file(&scene.secrets, secret, content, true)?;
    }
    check(name, &all)?;
    Ok(all)
}

fn external(what: &str, name: &str) -> String {
    format!("{what} {name} is one of the platform's own, and this version cannot hand those to a host yet")
}

/// Two mounts at one place would hide each other.
fn check(name: &ServiceName, all: &Mounted) -> Result<(), String> {
    let mut targets = std::collections::BTreeSet::new();
    let twice =
        all.mounts.iter().filter_map(|mount| mount.target.as_ref()).find(|target| !targets.insert(*target));
    twice.map_or(Ok(()), |target| Err(format!("two things are mounted at {target} in {name}")))
}

fn volume_mount(scene: &Scene<'_>, mount: &Mount, volume: &VolumeMount) -> Result<EngineMount, String> {
    if volume.selinux.is_some() {
        return Err(format!(
            "the mount of {} asks for an SELinux label, which volumes do not get yet",
            mount.target
        ));
    }
    needs(scene, volume.subpath.is_some(), (1, 45), "a volume's subpath")?;
    let options = MountVolumeOptions {
        no_copy: volume.no_copy.then_some(true),
        subpath: volume.subpath.clone(),
        ..MountVolumeOptions::default()
    };
    Ok(EngineMount {
        typ: Some(MountType::VOLUME),
        source: volume.volume.as_ref().map(|name| volume_name(scene, name)),
        volume_options: (options != MountVolumeOptions::default()).then_some(options),
        ..base(mount)
    })
}

/// A named volume's name on the host.
pub fn volume_name(scene: &Scene<'_>, name: &str) -> String {
    name_of_volume(scene.spec, scene.group, &SlotKey::from(scene.allocation), name)
}

/// A named volume's name on the host, for an instance of an app.
pub fn name_of_volume(spec: &AppSpec, group: &Group, key: &SlotKey, name: &str) -> String {
    let given = spec.volumes.get(name).and_then(|volume| volume.name.clone());
    given.unwrap_or_else(|| format!("{}_{name}", key.prefix(group)))
}

/// A named volume as it is to be made for an instance of an app.
pub fn volume_thing(spec: &AppSpec, key: &SlotKey, name: &str) -> Thing<VolumeSpec> {
    let spec = spec.volumes.get(name).cloned().unwrap_or_default();
    let mut labels = spec.labels.clone();
    labels.extend(key.labels());
    labels.insert(names::VOLUME.to_owned(), name.to_owned());
    let named = spec.name.is_some();
    Thing { spec, labels, named }
}

fn tmpfs_mount(mount: &Mount, tmpfs: &TmpfsMount) -> EngineMount {
    let options = MountTmpfsOptions {
        size_bytes: tmpfs.size_bytes.map(signed),
        mode: tmpfs.mode.map(i64::from),
        ..MountTmpfsOptions::default()
    };
    EngineMount {
        typ: Some(MountType::TMPFS),
        tmpfs_options: (options != MountTmpfsOptions::default()).then_some(options),
        ..base(mount)
    }
}

fn base(mount: &Mount) -> EngineMount {
    EngineMount {
        target: Some(mount.target.clone()),
        read_only: mount.read_only.then_some(true),
        ..EngineMount::default()
    }
}

impl Mounted {
    fn host(&mut self, mount: &Mount, host: &HostMount) -> Result<(), String> {
        if host.create {
            self.on_host.push(OnHost::Folder(PathBuf::from(&host.path), BTreeMap::new()));
        }
        self.bind(mount, &host.path, host.propagation.as_deref(), host.selinux.as_deref())
    }

    fn project(&mut self, scene: &Scene<'_>, mount: &Mount, project: &ProjectMount) -> Result<(), String> {
        let lasting = || Ok::<_, String>(scene.files.join("project").join(safe(&project.path)?));
        let (path, on_host) = match &project.content {
            ProjectContent::OnHost => (lasting()?, OnHost::Folder(lasting()?, BTreeMap::new())),
            ProjectContent::Seed(files) => (lasting()?, OnHost::Folder(lasting()?, files.clone())),
            ProjectContent::File(file) => {
                let on_host = HostFile {
                    path: scene.files.join("files").join(format!("{}-{:o}", file.digest, file.mode)),
                    content: file.digest.clone(),
                    mode: file.mode,
                    uid: None,
                    gid: None,
                    secret: false,
                };
                (on_host.path.clone(), OnHost::File(on_host))
            }
            ProjectContent::Folder(files) => {
                let path = scene.files.join("trees").join(tree_name(files)?);
                (path.clone(), OnHost::Tree(path, files.clone()))
            }
        };
        if let OnHost::Tree(_, files) | OnHost::Folder(_, files) = &on_host {
            files.keys().try_for_each(|path| safe(path).map(drop))?;
        }
        self.on_host.push(on_host);
        self.bind(mount, &path.to_string_lossy(), project.propagation.as_deref(), project.selinux.as_deref())
    }

    fn file(&mut self, root: &Path, file: &FileMount, content: &FileRef, secret: bool) -> Result<(), String> {
        let number = |text: &Option<String>, what: &str| {
            let parse = |text: &String| {
                let number = text.parse::<u32>();
                number.map_err(|_| {
                    format!("{what} `{text}` of {} has to be a number on this host", file.source)
                })
            };
            text.as_ref().map(parse).transpose()
        };
        let (uid, gid) = (number(&file.uid, "uid")?, number(&file.gid, "gid")?);
        let mode = file.mode.unwrap_or(FILE_MODE);
        let name = format!("{}-{mode:o}-{}-{}", content.digest, uid.unwrap_or(0), gid.unwrap_or(0));
        let path = root.join("files").join(name);
        let mount = Mount {
            target: file.target.clone(),
            source: MountSource::Tmpfs(TmpfsMount::default()),
            read_only: true,
        };
        self.bind(&mount, &path.to_string_lossy(), None, None)?;
        self.on_host.push(OnHost::File(HostFile {
            path,
            content: content.digest.clone(),
            mode,
            uid,
            gid,
            secret,
        }));
        Ok(())
    }

    fn bind(
        &mut self,
        mount: &Mount,
        source: &str,
        propagation: Option<&str>,
        selinux: Option<&str>,
    ) -> Result<(), String> {
        if let Some(label) = selinux {
            let access = if mount.read_only { "ro" } else { "rw" };
            let options: Vec<&str> = [access, label].into_iter().chain(propagation).collect();
            self.binds.push(format!("{source}:{}:{}", mount.target, options.join(",")));
            return Ok(());
        }
        let propagation = propagation.map(propagation_of).transpose()?;
        self.mounts.push(EngineMount {
            typ: Some(MountType::BIND),
            source: Some(source.to_owned()),
            bind_options: propagation.map(|propagation| MountBindOptions {
                propagation: Some(propagation),
                ..MountBindOptions::default()
            }),
            ..base(mount)
        });
        Ok(())
    }
}

fn propagation_of(word: &str) -> Result<Propagation, String> {
    match word {
        "private" => Ok(Propagation::PRIVATE),
        "rprivate" => Ok(Propagation::RPRIVATE),
        "shared" => Ok(Propagation::SHARED),
        "rshared" => Ok(Propagation::RSHARED),
        "slave" => Ok(Propagation::SLAVE),
        "rslave" => Ok(Propagation::RSLAVE),
        other => Err(format!("`{other}` is no mount propagation")),
    }
}

/// A path of a release as one below a folder; refuses one that leads out of it.
fn safe(path: &str) -> Result<&Path, String> {
    let inside = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.is_empty() || path.split('/').all(inside) {
        return Ok(Path::new(path));
    }
    Err(format!("the path `{path}` leads out of the app's folder"))
}

fn tree_name(files: &BTreeMap<String, FileRef>) -> Result<String, String> {
    let text = serde_json::to_vec(files).map_err(|error| error.to_string())?;
    Ok(ContentDigest::of(&text).as_str()[..32].to_owned())
}
