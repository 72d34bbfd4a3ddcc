//! Repositories of backups.

use super::hosts::find_host;
use super::{App, AppError, Call, View};
use crate::backup::opening::fits;
use crate::state::{BackupRepository, Command, CredentialNames, Medium, State, Upkeep as StateUpkeep};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use omni_catalogue::policies::{Policies, Via};
use omni_common::api::v1::{
    CreateRepository, Page, RepositoryCheck, RepositoryCredentials, RepositoryMedium, RepositoryView, Upkeep,
};
use omni_common::clock::Time;
use omni_common::domain::SecretName;
use omni_common::domain::backup::{Hidden, Location, LocationKind, Schedule};

/// Longest region, user, key id or bound of space, bytes.
const MAX_WORD: usize = 256;
/// In place of a host: each has the same folder there.
const EVERY_HOST: &str = "*";
/// Longest text of certificates or known hosts, bytes.
const MAX_TEXT: usize = 64 << 10;
/// Most variables of rclone.
const MAX_VARIABLES: usize = 32;

impl App {
    /// All repositories by name. There are at most [`crate::state::MAX_REPOSITORIES`].
    pub fn list_repositories(&self, state: &State) -> Page<RepositoryView> {
        Page::whole(state.repositories.values().map(|repository| view(state, repository)).collect())
    }

    /// One repository.
    pub fn get_repository(&self, state: &State, name: &str) -> Result<RepositoryView, AppError> {
        let found = state.repositories.get(name).map(|repository| view(state, repository));
        found.ok_or_else(|| AppError::not_found("repository", name))
    }

    /// Adds a repository. Its password is made when none is named.
    pub async fn create_repository(
        &self,
        call: &Call,
        body: &CreateRepository,
    ) -> Result<View<RepositoryView>, AppError> {
        check(body)?;
        let named = body.password.clone();
        let password = named.clone().map_or_else(|| own_password(&body.name), Ok)?;
        let made = match named {
            Some(_) => None,
            None => {
                let secret = omni_certs::Secret::generate().map_err(AppError::Secret)?;
                let text = Hidden::new(URL_SAFE_NO_PAD.encode(secret.as_bytes()));
                Some(self.sealed_secret(&password, &text)?)
            }
        };
        let build = |state: &State| {
            let named = body.host.as_deref().filter(|name| *name != EVERY_HOST);
            let host = named.map(|name| find_host(state, name)).transpose()?;
            let host = host.map(|host| host.id);
            let repository = repository(body, password.clone(), host, self.releases.policies())?;
            Ok(Command::CreateRepository { repository: Box::new(repository), password: made.clone() })
        };
        let written = self.write(call, build).await?;
        let body = self.get_repository(&written.state, &body.name)?;
        Ok(View { index: written.state.index, body })
    }

    /// Forgets a repository. What lies in it stays there.
    pub async fn delete_repository(&self, call: &Call, name: &str) -> Result<View<()>, AppError> {
        let written = self.write(call, |_| Ok(Command::DeleteRepository(name.to_owned()))).await?;
        Ok(View { index: written.state.index, body: () })
    }
}

/// Name of the secret that is made for a repository.
fn own_password(name: &str) -> Result<SecretName, AppError> {
    SecretName::new(format!("backup/{name}/password"))
        .map_err(|error| AppError::invalid("/name", error.to_string()))
}

fn check(body: &CreateRepository) -> Result<(), AppError> {
    let location = location(body)?;
    let kind = location.kind();
    let credentials = names(&body.credentials);
    if !fits(kind, &credentials) {
        let detail = format!("these credentials are not for a {kind}");
        return Err(AppError::invalid("/credentials", detail));
    }
    if location.local_path().is_some() && body.host.is_none() {
        let detail = "a folder is on one host: name it, or say `*` when every host has the same folder there";
        return Err(AppError::invalid("/host", detail));
    }
    let words = match &body.credentials {
        RepositoryCredentials::Rest { user, .. } => vec![user],
        RepositoryCredentials::S3 { access_key_id, region, .. } => {
            region.iter().chain([access_key_id]).collect()
        }
        _ => Vec::new(),
    };
    if words.into_iter().chain(&body.region).any(|word| word.is_empty() || word.len() > MAX_WORD) {
        return Err(AppError::invalid("", format!("names and regions have 1 to {MAX_WORD} bytes")));
    }
    if let RepositoryCredentials::Rclone { variables } = &body.credentials
        && (variables.len() > MAX_VARIABLES
            || variables.keys().any(|name| !name.starts_with("RCLONE_") || name.len() > MAX_WORD))
    {
        let detail = format!("at most {MAX_VARIABLES} variables, each beginning with `RCLONE_`");
        return Err(AppError::invalid("/credentials", detail));
    }
    let known_hosts = match &body.credentials {
        RepositoryCredentials::Sftp { known_hosts, .. } => known_hosts.as_ref(),
        _ => None,
    };
    if known_hosts.into_iter().chain(&body.ca).any(|text| text.len() > MAX_TEXT) {
        return Err(AppError::invalid("/ca", format!("at most {MAX_TEXT} bytes")));
    }
    if body.ca.as_ref().is_some_and(|ca| !ca.contains("-----BEGIN CERTIFICATE-----")) {
        return Err(AppError::invalid("/ca", "certificates in PEM, `-----BEGIN CERTIFICATE-----` …"));
    }
    if [body.upload_kib, body.download_kib].contains(&Some(0)) {
        return Err(AppError::invalid(
            "/upload_kib",
            "zero would let nothing through; leave it out for no limit",
        ));
    }
    for (pointer, upkeep) in [("/prune", &body.prune), ("/check", &body.check)] {
        if let Some(upkeep) = upkeep {
            check_upkeep(pointer, upkeep)?;
        }
    }
    Ok(())
}

fn check_upkeep(pointer: &str, upkeep: &Upkeep) -> Result<(), AppError> {
    Schedule::new(&upkeep.schedule, &upkeep.time_zone)
        .map_err(|error| AppError::invalid(pointer, error.to_string()))?;
    let good = |text: &String| {
        text.len() <= 16 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '%' | '.'))
    };
    if upkeep.parts > 1_000 {
        return Err(AppError::invalid(pointer, "at most 1000 parts"));
    }
    match upkeep.max_unused.as_ref().is_none_or(good) {
        true => Ok(()),
        false => Err(AppError::invalid(pointer, "`max_unused` is written as `10%` or `5G`")),
    }
}

fn location(body: &CreateRepository) -> Result<Location, AppError> {
    body.location.parse().map_err(|error: omni_common::domain::backup::BadLocation| {
        AppError::invalid("/location", error.to_string())
    })
}

fn repository(
    body: &CreateRepository,
    password: SecretName,
    host: Option<omni_common::ids::HostId>,
    policies: &Policies,
) -> Result<BackupRepository, AppError> {
    let location = location(body)?;
    let rules = policies.repository(&body.name).map(|rules| &rules.maintenance);
    let on_its_server = rules.is_some_and(|rules| rules.via == Via::ServerDisk);
    let usual = policies.usual_maintenance();
    let (prune, care) = rules.map_or((&usual.prune, &usual.check), |rules| (&rules.prune, &rules.check));
    let zone = policies.time_zone();
    let medium = body.medium.unwrap_or(match location.kind() {
        LocationKind::S3 => RepositoryMedium::Object,
        _ => RepositoryMedium::Disk,
    });
    Ok(BackupRepository {
        name: body.name.clone(),
        location: location.to_string(),
        region: body.region.clone(),
        medium: match medium {
            RepositoryMedium::Disk => Medium::Disk,
            RepositoryMedium::Object => Medium::Object,
            RepositoryMedium::Other => Medium::Other,
        },
        offsite: body.offsite,
        append_only: body.append_only,
        host,
        upload_kib: body.upload_kib,
        download_kib: body.download_kib,
        password,
        credentials: names(&body.credentials),
        ca: body.ca.clone(),
        prune: match &body.prune {
            Some(said) => Some(upkeep(said)),
            // Who writes to it cannot delete from it; its server's own disk is where that is done.
            None if body.append_only || on_its_server => None,
            None => Some(StateUpkeep {
                schedule: prune.schedule.clone(),
                time_zone: zone.to_owned(),
                max_duration: prune.max_duration,
                parts: 0,
                max_unused: Some(prune.max_unused.clone()),
            }),
        },
        check: Some(body.check.as_ref().map_or_else(
            || StateUpkeep {
                schedule: care.schedule.clone(),
                time_zone: zone.to_owned(),
                max_duration: care.max_duration,
                parts: care.read_data_parts,
                max_unused: None,
            },
            upkeep,
        )),
        created: Time::EPOCH,
        checks: 0,
        checked: None,
        pruned: None,
        revision: 0,
    })
}

fn upkeep(said: &Upkeep) -> StateUpkeep {
    StateUpkeep {
        schedule: said.schedule.clone(),
        time_zone: said.time_zone.clone(),
        max_duration: said.max_duration,
        parts: said.parts,
        max_unused: said.max_unused.clone(),
    }
}

fn shown(kept: &StateUpkeep) -> Upkeep {
    Upkeep {
        schedule: kept.schedule.clone(),
        time_zone: kept.time_zone.clone(),
        max_duration: kept.max_duration,
        parts: kept.parts,
        max_unused: kept.max_unused.clone(),
    }
}

fn names(said: &RepositoryCredentials) -> CredentialNames {
    match said.clone() {
        RepositoryCredentials::None => CredentialNames::None,
        RepositoryCredentials::Rest { user, password } => CredentialNames::Rest { user, password },
        RepositoryCredentials::S3 { access_key_id, secret_access_key, region } => {
            CredentialNames::S3 { access_key_id, secret_access_key, region }
        }
        RepositoryCredentials::Sftp { private_key, known_hosts } => {
            CredentialNames::Sftp { private_key, known_hosts }
        }
        RepositoryCredentials::Rclone { variables } => CredentialNames::Rclone { variables },
    }
}

fn shown_names(kept: &CredentialNames) -> RepositoryCredentials {
    match kept.clone() {
        CredentialNames::None => RepositoryCredentials::None,
        CredentialNames::Rest { user, password } => RepositoryCredentials::Rest { user, password },
        CredentialNames::S3 { access_key_id, secret_access_key, region } => {
            RepositoryCredentials::S3 { access_key_id, secret_access_key, region }
        }
        CredentialNames::Sftp { private_key, known_hosts } => {
            RepositoryCredentials::Sftp { private_key, known_hosts }
        }
        CredentialNames::Rclone { variables } => RepositoryCredentials::Rclone { variables },
    }
}

fn view(state: &State, repository: &BackupRepository) -> RepositoryView {
    let here = state.snapshots.keys().filter(|key| key.repository == repository.name).count();
    RepositoryView {
        name: repository.name.clone(),
        location: repository.location.clone(),
        region: repository.region.clone(),
        medium: match repository.medium {
            Medium::Disk => RepositoryMedium::Disk,
            Medium::Object => RepositoryMedium::Object,
            Medium::Other => RepositoryMedium::Other,
        },
        offsite: repository.offsite,
        append_only: repository.append_only,
        host: repository.host,
        host_name: repository.host.map(|host| super::backups::host_name(state, host)),
        upload_kib: repository.upload_kib,
        download_kib: repository.download_kib,
        password: repository.password.clone(),
        credentials: shown_names(&repository.credentials),
        own_ca: repository.ca.is_some(),
        prune: repository.prune.as_ref().map(shown),
        check: repository.check.as_ref().map(shown),
        created: repository.created,
        checked: repository.checked.map(|checked| RepositoryCheck {
            at: checked.at,
            passed: checked.passed,
            run: checked.run,
        }),
        pruned: repository.pruned,
        snapshots: here as u64,
        revision: repository.revision,
    }
}
