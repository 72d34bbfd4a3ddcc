//! `omni-controller run`: the real network, disk, clock and API around a [`Controller`].

use crate::api::{ApiOptions, router};
use crate::config::{LogFormat, RunArgs, Settings};
use crate::data_dir::{DataDir, HexBytes, Member};
use crate::service::{Controller, Parts, Storage};
use crate::state::Proposal;
use anyhow::Context;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use metrics_exporter_prometheus::PrometheusBuilder;
use omni_certs::{ClusterKey, KeyPair, MeshTls, Role, lifetimes};
use omni_common::clock::{Clock, SystemClock};
use omni_transport::{QuicNetwork, QuicOptions};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often a certificate's age is looked at.
const RENEWAL_CHECK: Duration = Duration::from_secs(60);
/// Histograms are folded this often, scraped or not.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Open HTTP requests get this long to end at a stop.
const API_GRACE: Duration = Duration::from_secs(3);

/// Runs the controller of a data folder until SIGTERM or SIGINT.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let settings = args.common.settings.with_file(&args.common.data_dir)?;
    let (dir, mut member) = DataDir::open(&args.common.data_dir)?;
    let addresses = settings.addresses(Some(&member.addresses))?;
    let host_certificate = settings.host_certificate()?;
    let earlier = std::mem::replace(&mut member.addresses, addresses);
    init_logging(&settings)?;
    let recorder = PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
    let tls = MeshTls::new(&member.key, &member.chain())?;
    let api_listener = listen(member.addresses.api)?;
    let network = QuicNetwork::bind(member.addresses.quic, tls.clone(), QuicOptions::default())
        .with_context(|| format!("cannot listen for QUIC on {}", member.addresses.quic))?;
    // Only now is it known that they can be listened on.
    if earlier != member.addresses {
        dir.save_member(&member)?;
    }
    let upkeep = recorder.clone();
    let bootstrap =
        dir.bootstrap()?.map(|bytes| omni_common::codec::decode::<Proposal>(&bytes)).transpose()?;
    let (catalogue, policies) = (Arc::new(settings.catalogue()?), settings.backup_policies()?);
    for difference in settings.stale_policies(&policies, &catalogue) {
        tracing::warn!(difference, "the backup policies were made from another catalogue; make them anew");
    }
    let controller = Arc::new(
        Controller::start(Parts {
            id: member.id,
            addresses: member.addresses.clone(),
            cluster_key: Arc::new(ClusterKey::from_bytes(&member.cluster_key)?),
            catalogue,
            policies,
            ca: tls.fingerprint(),
            network,
            storage: Storage::Folder(dir.path().to_owned()),
            clock: Arc::new(SystemClock),
            pace: settings.raft.unwrap_or_default(),
            host_certificate,
            metrics: Arc::new(move || recorder.render()),
            bootstrap,
        })
        .await
        .with_context(|| format!("controller {} cannot start from {}", member.name, dir.path().display()))?,
    );
    trust_members_only(&tls, &controller);
    tracing::info!(
        node = %member.id,
        name = member.name,
        cluster = %member.cluster,
        quic = member.addresses.advertise_quic,
        api = member.addresses.advertise_api,
        version = env!("CARGO_PKG_VERSION"),
        "controller runs"
    );
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(METRICS_UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let api = serve_api(&controller, &tls, api_listener, &settings);
    let renewal = renew(&controller, &tls, &dir, &mut member);
    let bootstrap = commit_bootstrap(&controller, &dir);
    let serving = controller.run(stop.cancelled());
    let mut serving = std::pin::pin!(serving);
    let beside = async { tokio::join!(api, renewal, bootstrap).0 };
    tokio::select! {
        result = &mut serving => {
            result.context("raft stopped by itself; this controller cannot go on. See the reason above")
        }
        failed = beside => {
            stop.cancel();
            serving.await.ok();
            failed.context("the API stopped")
        }
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address).with_context(|| {
        format!(
            "cannot listen for the API on {address}; is another program there? Choose another with --api-addr"
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Handshakes of hosts and controllers that were removed fail from now on.
fn trust_members_only(tls: &MeshTls, controller: &Controller) {
    let store = controller.store().clone();
    tls.set_policy(Arc::new(move |leaf| {
        let state = store.current();
        // A controller that is just joining knows nobody yet, and only calls others.
        state.cluster.is_none()
            || matches!(leaf.identity.role, Role::Controller(id) if !state.controllers.contains_key(&id) && id.0 >= state.next_controller)
            || state.accepts_certificate(leaf.identity.role)
    }));
}

async fn serve_api(
    controller: &Controller,
    tls: &MeshTls,
    listener: std::net::TcpListener,
    settings: &Settings,
) -> anyhow::Result<()> {
    let stopping = controller.stopping();
    let options =
        ApiOptions { metrics_public: settings.metrics_public.unwrap_or(false), ..ApiOptions::default() };
    let router = router(Arc::clone(controller.app()), options, stopping.clone());
    let handle = axum_server::Handle::new();
    let closing = handle.clone();
    tokio::spawn(async move {
        stopping.cancelled().await;
        closing.graceful_shutdown(Some(API_GRACE));
    });
    let rustls = RustlsConfig::from_config(Arc::new(tls.api_server_config()));
    // Without it the last piece of a larger answer waits for the caller's delayed acknowledgement: 40 ms.
    let acceptor = RustlsAcceptor::new(rustls).acceptor(NoDelayAcceptor::new());
    axum_server::from_tcp(listener)?
        .acceptor(acceptor)
        .handle(handle)
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await?;
    std::future::pending().await
}

/// Commits the first entry of a new cluster, then forgets it.
async fn commit_bootstrap(controller: &Controller, dir: &DataDir) {
    loop {
        match controller.bootstrap().await {
            Ok(()) => break,
            Err(error) => tracing::warn!(error = %error, "the cluster's first entry is not committed yet"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if let Err(error) = dir.forget_bootstrap() {
        tracing::warn!(error = %error, "a committed first entry was left in the data folder");
    }
}

/// Renews this controller's own certificate at two thirds of its life.
async fn renew(controller: &Controller, tls: &MeshTls, dir: &DataDir, member: &mut Member) {
    loop {
        let leaf = tls.leaf();
        if SystemClock.now() >= lifetimes::renew_at(leaf.not_before, leaf.not_after) {
            match renew_once(controller, tls, dir, member).await {
                Ok(()) => tracing::info!("renewed this controller's certificate"),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the certificate is not renewed yet")
                }
            }
        }
        tokio::time::sleep(RENEWAL_CHECK).await;
    }
}

async fn renew_once(
    controller: &Controller,
    tls: &MeshTls,
    dir: &DataDir,
    member: &mut Member,
) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let csr = key.csr()?;
    // When all certificates have ended nobody can reach anybody to commit anything, so each controller helps
    // itself; it holds the cluster key, which is what makes it one.
    let issued = if SystemClock.now() >= tls.leaf().not_after {
        controller.certify_alone(&csr)?
    } else {
        controller.certify(&csr).await?
    };
    tls.replace(key.pkcs8(), &issued.chain)?;
    member.key = key.pkcs8().to_vec();
    member.chain = issued.chain.into_iter().map(HexBytes).collect();
    Ok(dir.save_member(member)?)
}

fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    });
    Ok(())
}

fn init_logging(settings: &Settings) -> anyhow::Result<()> {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = settings.log.as_deref().unwrap_or("info,openraft=error");
    let filter = EnvFilter::try_new(filter).with_context(|| format!("`{filter}` is not a log filter"))?;
    let colour = std::io::stderr().is_terminal();
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    match settings.log_format.unwrap_or_default() {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
