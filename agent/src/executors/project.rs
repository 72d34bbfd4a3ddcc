//! A compose project of this host: its files, as the labels of its containers name them, and what the engine says of the
//! containers.
//!
//! Only regular files are read: the compose files and environment files that the labels name, the `.env` beside them, and
//! what is asked for within the project's folder.

use super::{Ended, Failure, RequestStream};
use crate::docker::{DockerError, Engine, Handle};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use omni_common::domain::{
    Container, FoundContainer, FoundFile, FoundProject, LABEL_COMPOSE_ENV_FILES, LABEL_COMPOSE_FILES,
    LABEL_COMPOSE_FOLDER, LABEL_COMPOSE_NUMBER, LABEL_COMPOSE_ONEOFF, LABEL_COMPOSE_PROJECT,
    LABEL_COMPOSE_SERVICE, MAX_PROJECT_BYTES, MAX_PROJECT_CONTAINERS, MAX_PROJECT_READS,
};
use omni_common::wire::ReplyFrame;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of the answer in one frame.
const CHUNK: usize = 256 << 10;

pub(super) async fn run(
    docker: &Handle,
    name: &str,
    files: Vec<String>,
    stream: &mut RequestStream,
) -> Result<(), Ended> {
    let engine = docker.engine()?;
    let all = docker.containers().current();
    let all = all.ok_or_else(|| Failure::busy("the host's containers are still being listed; try again"))?;
    let containers: Vec<Container> = all.into_iter().filter(|one| is_of(one, name)).collect();
    if containers.is_empty() {
        let message = format!("no container on this host belongs to a compose project `{name}`");
        return Err(Failure::not_found(message).into());
    }
    if containers.len() > MAX_PROJECT_CONTAINERS {
        let message = format!("the project has more than {MAX_PROJECT_CONTAINERS} containers");
        return Err(Failure::unsupported(message).into());
    }
    stream.reply.send(&ReplyFrame::Started).await?;
    let mut found = named(name, &containers);
    for container in &containers {
        found.containers.push(look(&engine, container).await?);
    }
    let wanted: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
    let found = tokio::task::spawn_blocking(move || with_files(found, wanted));
    let found = found.await.map_err(Failure::failed)?;
    let json = serde_json::to_vec(&found).map_err(Failure::failed)?;
    for chunk in json.chunks(CHUNK) {
        stream.reply.send(&ReplyFrame::Project(chunk.to_vec())).await?;
    }
    Ok(())
}

fn label<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.labels.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn is_of(container: &Container, project: &str) -> bool {
    label(container, LABEL_COMPOSE_PROJECT) == Some(project)
        && !label(container, LABEL_COMPOSE_ONEOFF).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// What the labels of the newest container say, which was made from the newest files.
fn named(name: &str, containers: &[Container]) -> FoundProject {
    let newest = containers
        .iter()
        .filter(|one| label(one, LABEL_COMPOSE_FILES).is_some())
        .max_by_key(|one| one.created);
    let folder = newest.and_then(|one| label(one, LABEL_COMPOSE_FOLDER));
    let files = newest.and_then(|one| label(one, LABEL_COMPOSE_FILES)).unwrap_or_default();
    FoundProject {
        name: name.to_owned(),
        folder: folder.map(str::to_owned),
        compose: paths(files, folder).iter().map(|path| path.display().to_string()).collect(),
        // Told until the files are read.
        unread: newest
            .and_then(|one| label(one, LABEL_COMPOSE_ENV_FILES))
            .map(|files| paths(files, folder))
            .unwrap_or_else(|| folder.map(|folder| Path::new(folder).join(".env")).into_iter().collect())
            .into_iter()
            .map(|path| (path.display().to_string(), String::new()))
            .collect(),
        ..FoundProject::default()
    }
}

/// Older versions of compose name the files as they were typed, relative to the project's folder.
fn paths(list: &str, folder: Option<&str>) -> Vec<PathBuf> {
    let base = Path::new(folder.unwrap_or("/"));
    list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(|one| base.join(one)).collect()
}

async fn look(engine: &Engine, container: &Container) -> Result<FoundContainer, Failure> {
    let inspect = engine.inspect_whole(&container.id).await?;
    let image = match engine.image_config(&container.image_id).await {
        Err(DockerError::NotFound(_)) => None,
        config => Some(config?),
    };
    let number = label(container, LABEL_COMPOSE_NUMBER).and_then(|text| text.parse().ok());
    Ok(FoundContainer {
        id: container.id.clone(),
        service: label(container, LABEL_COMPOSE_SERVICE).unwrap_or_default().to_owned(),
        number: number.unwrap_or(1),
        inspect,
        image,
    })
}

/// Reads the files.
fn with_files(mut found: FoundProject, wanted: Vec<PathBuf>) -> FoundProject {
    let environment: BTreeSet<String> = std::mem::take(&mut found.unread).into_keys().collect();
    let named: Vec<PathBuf> = found.compose.iter().chain(&environment).map(PathBuf::from).collect();
    let folder = found.folder.as_deref().and_then(|folder| fs::canonicalize(folder).ok());
    let mut left = MAX_PROJECT_BYTES;
    let asked = wanted.into_iter().map(|path| {
        let inside = within(&path, folder.as_deref());
        (path, inside)
    });
    let all = named.into_iter().map(|path| (path, Ok(()))).chain(asked);
    for (path, allowed) in all.take(MAX_PROJECT_READS) {
        let text = path.display().to_string();
        let read = allowed.and_then(|()| read(&path, left));
        match read {
            Ok(file) => {
                left = left.saturating_sub(file.content.len());
                found.files.insert(text, file);
            }
            // Nobody has to have this one.
            Err(_) if environment.contains(&text) && !path.exists() => {}
            Err(reason) => drop(found.unread.insert(text, reason)),
        }
    }
    found
}

/// What somebody asks for has to lie in the project's folder, also when links were followed.
fn within(path: &Path, folder: Option<&Path>) -> Result<(), String> {
    let folder = folder.ok_or("nobody knows the project's folder")?;
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    match real.starts_with(folder) {
        true => Ok(()),
        false => Err(format!("it is not in the project's folder {}", folder.display())),
    }
}

fn read(path: &Path, left: usize) -> Result<FoundFile, String> {
    let told = |error: std::io::Error| error.to_string();
    // A pipe would be waited for without end.
    let mut options = fs::OpenOptions::new();
    let file: File = options.read(true).custom_flags(NONBLOCK).open(path).map_err(told)?;
    let about = file.metadata().map_err(told)?;
    if !about.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let limit = u64::try_from(left).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() > left {
        return Err(format!("the project's files have more than {MAX_PROJECT_BYTES} bytes"));
    }
    Ok(FoundFile { content: STANDARD.encode(&bytes), mode: about.permissions().mode() & 0o7777 })
}

/// `O_NONBLOCK`.
const NONBLOCK: i32 = 0o4000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn composed(labels: &[(&str, &str)]) -> Container {
        let mut container = crate::sim::container("web");
        container.labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        container
    }

    #[test]
    fn files_are_those_that_the_labels_name_and_nothing_else_is_read() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("shop");
        fs::create_dir(&folder).expect("the disk works");
        for (name, text) in [
            ("shop/compose.yml", "services: {}"),
            ("shop/.env", "A=1"),
            ("shop/web.env", "B=2"),
            ("key", "x"),
        ] {
            fs::write(root.path().join(name), text).expect("the disk works");
        }
        symlink(root.path().join("key"), folder.join("link")).expect("the disk works");
        fs::create_dir(folder.join("data")).expect("the disk works");
        let at = folder.display().to_string();
        let container = composed(&[
            (LABEL_COMPOSE_PROJECT, "shop"),
            (LABEL_COMPOSE_FOLDER, &at),
            (LABEL_COMPOSE_FILES, "compose.yml,gone.yml"),
        ]);
        assert!(is_of(&container, "shop") && !is_of(&container, "other"));
        let wanted = ["web.env", "link", "../key", "data", "none"].map(|name| folder.join(name)).to_vec();
        let found = with_files(named("shop", &[container]), wanted);
        let path = |name: &str| folder.join(name).display().to_string();
        assert_eq!(found.compose, [path("compose.yml"), path("gone.yml")]);
        let read: Vec<&String> = found.files.keys().collect();
        assert_eq!(read, [&path(".env"), &path("compose.yml"), &path("web.env")]);
        let unread: Vec<&String> = found.unread.keys().collect();
        assert_eq!(unread, [&path("../key"), &path("data"), &path("gone.yml"), &path("link"), &path("none")]);
        assert!(found.unread[&path("link")].contains("not in the project's folder"), "{:?}", found.unread);
        assert!(found.unread[&path("data")].contains("no regular file"), "{:?}", found.unread);
    }

    #[test]
    fn containers_that_were_run_once_by_hand_are_left_out() {
        let once = composed(&[(LABEL_COMPOSE_PROJECT, "shop"), (LABEL_COMPOSE_ONEOFF, "True")]);
        assert!(!is_of(&once, "shop"));
        let kept = composed(&[(LABEL_COMPOSE_PROJECT, "shop"), (LABEL_COMPOSE_ONEOFF, "False")]);
        assert!(is_of(&kept, "shop"));
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("big");
        fs::write(&path, vec![b'a'; 64]).expect("the disk works");
        assert!(read(&path, 64).is_ok());
        assert!(read(&path, 63).expect_err("too large").contains("more than"), "");
    }
}
