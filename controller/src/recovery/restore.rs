//! `omni-controller restore`: the first controller of a cluster that begins again from a copy of its state.

use super::file;
use crate::config::{Output, RestoreArgs};
use crate::data_dir::{Addresses, DataDir, HexBytes, Member};
use crate::ingest::{ca_key_context, controller_names};
use crate::raft;
use crate::setup::{first_join, founder, token_text};
use crate::state::{JoinRole, Restoration, State, first_controller, restored};
use anyhow::{Context, bail, ensure};
use omni_certs::{Authority, ClusterKey, Identity, KeyPair, KeyText, Role, TokenKind, lifetimes};
use omni_common::clock::{Clock, SystemClock, Time};
use omni_common::domain::check_name;
use omni_common::ids::{ClusterId, ControllerId};
use serde::Serialize;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Longest text of a key or of a controller's own file, bytes.
const MAX_KEY_FILE: u64 = 1 << 20;
/// Largest file of a state: what a snapshot holds at most.
const MAX_STATE: u64 = omni_common::codec::MAX_SNAPSHOT as u64;

/// What `restore` hands out, once.
#[derive(Serialize)]
struct Made {
    cluster_id: ClusterId,
    controller: ControllerId,
    as_of: Time,
    hosts: usize,
    apps: usize,
    /// Those of the copy, which are no members any more.
    replaced: Vec<String>,
    setup_link: String,
    controller_join_token: String,
    api: String,
    quic: String,
}

/// A copy of a cluster's state, opened.
struct Opened {
    key: ClusterKey,
    taken: Time,
    state: State,
}

/// Makes the data folder of the first controller of a cluster that goes on from a copy of its state. Nothing is on the
/// network yet.
///
/// # Errors
/// When the copy cannot be opened, or the folder is not empty. Nothing that lay there is changed then.
pub fn restore(args: RestoreArgs) -> anyhow::Result<String> {
    let settings = args.common.settings.clone().with_file(&args.common.data_dir)?;
    check_name(&args.name)?;
    let addresses = settings.addresses(None)?;
    let copy = open_copy(&args)?;
    let cluster = copy.state.cluster.as_ref().context("the copy is of before its cluster was made")?;
    let id = first_controller(&copy.state);
    let (now, member_key) = (SystemClock.now(), KeyPair::generate()?);
    let chain = certify(&copy, &member_key, id, &addresses, now)?;
    // Only now is anything written.
    let dir = DataDir::create(&args.common.data_dir)?;
    let (join, person) = (first_join(JoinRole::Controller, now)?, first_join(JoinRole::Admin, now)?);
    let controller = founder(id, &args.name, &addresses, &settings, now);
    let join_tokens = vec![join.0.clone(), person.0.clone()];
    let state = restored(&copy.state, Restoration { controller, join_tokens, taken: copy.taken, at: now });
    raft::seed(dir.path(), id, addresses.advertise_quic.clone(), &state)
        .with_context(|| format!("the state cannot be written into {}", dir.path().display()))?;
    let ca = omni_certs::CaFingerprint::of(&cluster.ca_cert);
    let text = |token: &(crate::state::JoinToken, omni_certs::Secret)| {
        token_text(TokenKind::Join, token.0.id, &token.1, ca)
    };
    let made = Made {
        cluster_id: cluster.id,
        controller: id,
        as_of: copy.taken,
        hosts: state.hosts.len(),
        apps: state.apps.len(),
        replaced: copy.state.controllers.values().map(|one| one.name.clone()).collect(),
        setup_link: format!("https://{}/#/setup/{}", addresses.advertise_api, text(&person)),
        controller_join_token: text(&join),
        api: format!("https://{}", addresses.advertise_api),
        quic: addresses.advertise_quic.clone(),
    };
    // The last thing: without it the folder is not a controller's, and the same command can be given again.
    dir.save_member(&Member {
        cluster: cluster.id,
        id,
        name: args.name,
        key: member_key.pkcs8().to_vec(),
        chain: chain.into_iter().map(HexBytes).collect(),
        cluster_key: copy.key.as_bytes().to_vec(),
        addresses,
        region: settings.region,
        zone: settings.zone,
    })?;
    Ok(match args.output {
        Output::Json => serde_json::to_string_pretty(&made)?,
        Output::Text => made.text(&args.common.data_dir),
    })
}

/// The copy that was named: a file out of a repository, or the data folder of a controller that is left.
fn open_copy(args: &RestoreArgs) -> anyhow::Result<Opened> {
    let from = &args.from;
    if from.is_dir() {
        ensure!(args.key_file.is_none(), "a data folder has its key in it: leave out --key-file");
        ensure!(*from != args.common.data_dir, "--from and --data-dir are the same folder");
        let (dir, member) = DataDir::open(from)?;
        let state = raft::newest(dir.path())
            .with_context(|| format!("the state in {} cannot be read", from.display()))?;
        let key = ClusterKey::from_bytes(&member.cluster_key)?;
        return Ok(Opened { key, taken: state.now, state });
    }
    let bytes = read_bounded(from, MAX_STATE)?;
    let header = file::header(&bytes).with_context(|| from.display().to_string())?;
    let Some(key_file) = &args.key_file else {
        bail!(
            "{} is sealed: give the key of cluster {} with --key-file, out of escrow (`omni controllers key` puts it there)",
            from.display(),
            header.cluster
        );
    };
    let key = read_key(key_file)?;
    let (header, state) = file::read(&bytes, &key).with_context(|| from.display().to_string())?;
    Ok(Opened { key: key.key, taken: header.taken, state })
}

/// The key: as text, or in a controller's `member.json`.
fn read_key(path: &Path) -> anyhow::Result<KeyText> {
    let bytes = Zeroizing::new(match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .take(MAX_KEY_FILE)
                .read_to_end(&mut bytes)
                .context("cannot read the key")?;
            bytes
        }
        false => read_bounded(path, MAX_KEY_FILE)?,
    });
    // What is wrong with it must not be told by quoting it.
    let text = std::str::from_utf8(&bytes).map_err(|_| anyhow::anyhow!("{} holds no key", path.display()))?;
    if text.trim_start().starts_with('{') {
        let member: Member = serde_json::from_str(text)
            .map_err(|_| anyhow::anyhow!("{} is no member.json of a controller", path.display()))?;
        return Ok(KeyText { cluster: member.cluster, key: ClusterKey::from_bytes(&member.cluster_key)? });
    }
    text.parse().with_context(|| format!("{} holds no key", path.display()))
}

fn read_bounded(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(bytes.len() as u64 <= most, "{} is larger than {most} bytes", path.display());
    Ok(bytes)
}

/// A certificate from the cluster's own root: hosts trust nothing else.
fn certify(
    copy: &Opened,
    key: &KeyPair,
    id: ControllerId,
    addresses: &Addresses,
    now: Time,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let cluster = copy.state.cluster.as_ref().context("the copy is of before its cluster was made")?;
    let root = copy
        .key
        .open(&ca_key_context(cluster.id), &cluster.ca_key_sealed)
        .context("the key does not open the root of this cluster")?;
    let authority = Authority::from_parts(&cluster.ca_cert, &root)?;
    let identity = Identity { cluster: cluster.id, role: Role::Controller(id) };
    let names = controller_names(&[&addresses.advertise_quic, &addresses.advertise_api]);
    Ok(authority.issue(&key.csr()?, identity, &names, now, lifetimes::CONTROLLER)?.chain)
}

impl Made {
    fn text(&self, data_dir: &Path) -> String {
        format!(
            "Restored cluster {cluster} as of {as_of}: {hosts} hosts, {apps} apps.\n\
             \n\
             Controller {id} is its only one now. No longer members: {replaced}.\n\
             Make sure that none of them runs: two clusters would lead the same hosts.\n\
             \n\
             These are shown once:\n\
             \n\
             join token, controllers {join}\n\
             for a new admin         {setup}\n\
             \x20                       (once, within 24 hours; passwords and API tokens of before work as well)\n\
             \n\
             Next:\n\
             \x20 omni-controller run --data-dir {data_dir}\n\
             \x20 omni-controller join --controller {quic} --token <join token, controllers> --name NAME   (on two more)\n",
            cluster = self.cluster_id,
            as_of = self.as_of,
            hosts = self.hosts,
            apps = self.apps,
            id = self.controller,
            replaced = self.replaced.join(", "),
            join = self.controller_join_token,
            setup = self.setup_link,
            data_dir = data_dir.display(),
            quic = self.quic,
        )
    }
}
