//! How location, credentials and passwords reach the child: by its environment, and by a file of mode 0600
//! where `ssh` insists on one. Never by its arguments, which everybody on the host can read.

use super::Repository;
use super::credentials::Credentials;
use crate::secret::Secret;
use omni_common::domain::backup::Place;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use tempfile::TempDir;
use url::Url;

/// How `ssh` is called: it never asks, and notices a server that has gone.
const SSH: &str =
    "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=20 -o ServerAliveCountMax=3";

/// Which of the two repositories of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// The one that is read and written.
    Main,
    /// The one that is copied from.
    From,
}

/// What a child is given so that it can open a repository. The files go when this is dropped.
#[derive(Default)]
pub(crate) struct Access {
    /// For `-o`, by key.
    pub(crate) options: BTreeMap<String, String>,
    /// For `--cacert`.
    pub(crate) ca_files: Vec<OsString>,
    /// The variables.
    pub(crate) environment: BTreeMap<String, OsString>,
    /// What must not be seen in anything the child says.
    pub(crate) secrets: Vec<Secret>,
    /// Private files.
    pub(crate) files: Vec<TempDir>,
}

impl Repository {
    /// What it takes to open this repository. Files are made in `work_folder`.
    pub(crate) fn access(&self, role: Role, work_folder: &Path) -> io::Result<Access> {
        let mut access = Access::default();
        let (repository, password) = match role {
            Role::Main => ("RESTIC_REPOSITORY", "RESTIC_PASSWORD"),
            Role::From => ("RESTIC_FROM_REPOSITORY", "RESTIC_FROM_PASSWORD"),
        };
        access.set(repository, self.address());
        access.set(password, self.password.reveal());
        access.secrets.push(self.password.clone());
        access.ca_files.extend(self.ca_file.iter().map(|path| path.clone().into_os_string()));
        access.add_credentials(&self.credentials);
        if let Place::Sftp { user, host, port, .. } = self.location.place() {
            let command = access.ssh_command(user.as_deref(), host, *port, &self.credentials, work_folder)?;
            access.options.insert("sftp.command".into(), command);
        }
        Ok(access)
    }

    /// The location as the child reads it. Before 0.16.2 restic takes a REST server's user and password from
    /// nowhere else.
    fn address(&self) -> OsString {
        match (self.location.place(), &self.credentials) {
            (Place::Local(path), _) => path.clone().into_os_string(),
            (Place::Rest(url), Credentials::Rest { user, password }) => {
                format!("rest:{}", signed(url, user, password)).into()
            }
            _ => self.location.to_string().into(),
        }
    }
}

fn signed(url: &Url, user: &str, password: &Secret) -> Url {
    let mut url = url.clone();
    // Both fail only on addresses without a host, which no location has.
    url.set_username(user).ok();
    url.set_password(Some(password.reveal())).ok();
    url
}

impl Access {
    fn set(&mut self, name: impl Into<String>, value: impl Into<OsString>) {
        self.environment.insert(name.into(), value.into());
    }

    fn add_credentials(&mut self, credentials: &Credentials) {
        match credentials {
            Credentials::None | Credentials::Sftp(_) => {}
            Credentials::Rest { password, .. } => {
                self.secrets.push(password.clone());
                // As it stands in the address.
                let quoted = Url::parse("http://host/").map(|url| signed(&url, "", password));
                self.secrets.extend(quoted.ok().and_then(|url| Some(Secret::new(url.password()?))));
            }
            Credentials::S3(keys) => {
                self.set("AWS_ACCESS_KEY_ID", &keys.access_key_id);
                self.set("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.reveal());
                self.secrets.push(keys.secret_access_key.clone());
                if let Some(token) = &keys.session_token {
                    self.set("AWS_SESSION_TOKEN", token.reveal());
                    self.secrets.push(token.clone());
                }
                if let Some(region) = &keys.region {
                    self.options.insert("s3.region".into(), region.clone());
                }
            }
            Credentials::Rclone { config_file, variables } => {
                if let Some(path) = config_file {
                    self.set("RCLONE_CONFIG", path);
                }
                for (name, value) in variables {
                    self.set(name, value.reveal());
                    self.secrets.push(value.clone());
                }
            }
        }
    }

    fn ssh_command(
        &mut self,
        user: Option<&str>,
        host: &str,
        port: Option<u16>,
        credentials: &Credentials,
        work_folder: &Path,
    ) -> io::Result<String> {
        let mut command = SSH.to_owned();
        if let Credentials::Sftp(key) = credentials {
            self.secrets.push(key.private_key.clone());
            let folder = private_folder(work_folder)?;
            // `ssh` refuses a key without a line break at its end.
            let text = Secret::new(format!("{}\n", key.private_key.reveal().trim_end()));
            let path = private_file(folder.path(), "key", text.reveal())?;
            command += &format!(" -o IdentitiesOnly=yes -i '{path}'");
            if let Some(known) = &key.known_hosts {
                let path = private_file(folder.path(), "known_hosts", known)?;
                command += &format!(" -o StrictHostKeyChecking=yes -o 'UserKnownHostsFile={path}'");
            }
            self.files.push(folder);
        }
        if let Some(port) = port {
            command += &format!(" -p {port}");
        }
        if let Some(user) = user {
            command += &format!(" -l {user}");
        }
        Ok(format!("{command} {host} -s sftp"))
    }
}

fn private_folder(parent: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("restic-").permissions(Permissions::from_mode(0o700)).tempdir_in(parent)
}

/// Makes the file and says its path, which can stand between quotes: restic splits the command at blanks, and
/// knows quotes around whole words.
fn private_file(folder: &Path, name: &str, content: &str) -> io::Result<String> {
    let path = folder.join(name);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(content.as_bytes())?;
    match path.to_str().filter(|path| !path.contains(['\'', '"', '\\'])) {
        Some(path) => Ok(path.to_owned()),
        None => Err(io::Error::other("the work folder's path has quotes or is no UTF-8; choose another")),
    }
}

/// Two repositories for one child. restic knows one set of keys and options for both of them.
pub(crate) fn merge(main: Access, from: Access) -> Result<Access, String> {
    let Access { mut options, mut ca_files, mut environment, mut secrets, mut files } = main;
    for (name, value) in from.environment {
        if environment.get(&name).is_some_and(|present| *present != value) {
            return Err(name);
        }
        environment.insert(name, value);
    }
    for (key, value) in from.options {
        if options.get(&key).is_some_and(|present| *present != value) {
            return Err(format!("-o {key}"));
        }
        options.insert(key, value);
    }
    ca_files.extend(from.ca_files);
    secrets.extend(from.secrets);
    files.extend(from.files);
    Ok(Access { options, ca_files, environment, secrets, files })
}

#[cfg(test)]
mod tests;
