//! The daemon: what is started in which order, and how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use portolan_api::{ApiState, Door, HttpMetrics, register_process, router, serve};
use portolan_consensus::{Member, Options, StartError, StartMode};
use portolan_nameserver::{LocalProviders, Nameserver};
use portolan_sandbox::{Plugins, Sandbox, SandboxOptions, SetupError};
use portolan_shards::Shards;
use portolan_shards::engine::Engines;
use portolan_steering::{
    Detector, Ports, ProbeSetupError, Prober, Sender, Steering, SteeringError,
};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cluster_nodes::ClusterNodes;
use crate::config::Config;
use crate::contract_options::SecretError;

/// Where compiled plugins are kept, in the data directory, unless the configuration says otherwise.
const PLUGIN_CACHE: &str = "plugin-cache";

/// How often a daemon that is not ready yet looks again, and how often it says so.
const READY_POLL: Duration = Duration::from_millis(20);
const READY_REMINDER: Duration = Duration::from_secs(10);

/// A daemon that has its listener and nothing else yet.
pub struct Daemon {
    config: Config,
    registry: Registry,
    listener: TcpListener,
    address: SocketAddr,
}

impl Daemon {
    /// Binds the listener. Measurements of all parts go into `registry`.
    pub async fn from_config(config: Config, registry: Registry) -> Result<Self, DaemonError> {
        let listen = |source| DaemonError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self {
            config,
            registry,
            listener,
            address,
        })
    }

    /// Where it listens; the real port, where the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until `shutdown` ends, and then until all is finished, handed over and flushed.
    ///
    /// The server runs from the first moment on, so that a member that loads much data is seen to be
    /// alive; other requests find the door open once all parts are there.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), DaemonError> {
        let Self {
            config,
            registry,
            listener,
            address,
        } = self;
        let mut shutdown = pin!(shutdown);
        let door = Door::new();
        let stop = CancellationToken::new();
        let server = serve(listener, door.clone(), stop.clone().cancelled_owned());
        let server = AbortOnDropHandle::new(tokio::spawn(server));

        let (state, nameserver) = tokio::select! {
            started = start(config, registry, address) => started?,
            () = &mut shutdown => return Ok(()),
        };
        let state = Arc::new(state);
        let member = state.member.clone();
        let steering = tokio::spawn(Arc::clone(&state.steering).run(stop.clone()));
        let shards = tokio::spawn(Arc::clone(&state.shards).run(stop.clone()));
        let nameserver = tokio::spawn(answer_queries(nameserver, stop.clone()));
        door.open(router(state));
        let announcement = AbortOnDropHandle::new(tokio::spawn(announce(member.clone(), address)));

        tokio::select! {
            () = shutdown => {}
            reason = member.failed() => return Err(DaemonError::Failed { reason }),
        }
        tracing::info!("shutting down: finishing what runs");
        drop(announcement);
        stop.cancel();
        for (part, ended) in [
            ("server", server.await),
            ("steering", steering.await),
            ("sharded clusters", shards.await),
            ("nameserver", nameserver.await),
        ] {
            if let Err(error) = ended {
                tracing::error!(part, %error, "a part of the daemon had failed");
            }
        }
        tracing::info!("shutting down: handing leadership over and flushing");
        member.shutdown().await.map_err(DaemonError::Stop)?;
        tracing::info!("portolan has stopped");
        Ok(())
    }
}

/// Answers DNS queries until `stop`, where this member is to.
async fn answer_queries(nameserver: Option<Nameserver>, stop: CancellationToken) {
    if let Some(nameserver) = nameserver {
        tracing::info!(listen = %nameserver.address(), "answering DNS queries");
        nameserver.run(stop).await;
    }
}

/// Starts the parts, from the bottom up.
async fn start(
    config: Config,
    registry: Registry,
    address: SocketAddr,
) -> Result<(ApiState, Option<Nameserver>), DaemonError> {
    register_process(&registry)?;
    let contract = config.contract.read()?;
    let http = HttpMetrics::register(&registry)?;
    let advertise = config.advertise.unwrap_or_else(|| address.to_string());
    let own_data = config.data.clone();
    let sandbox = sandbox_options(config.sandbox, &config.data, &advertise);
    let member = Member::start(Options {
        id: config.id,
        advertise,
        data: config.data,
        start: match (config.standby, config.join) {
            (true, _) => StartMode::Standby,
            (false, join) if join.is_empty() => StartMode::Bootstrap,
            (false, join) => StartMode::Join(join),
        },
        raft: config.raft,
        limits: config.limits.clone(),
        registry: registry.clone(),
    })
    .await?;
    let sandbox = Sandbox::new(sandbox, &registry)?;
    let plugins = Plugins::open(sandbox, config.plugins).await?;
    let engines = Engines::new(&format!("portolan-{}", member.id()));
    let policies = Arc::new(plugins.clone());
    let shards = Shards::new(member.clone(), engines, policies, config.shards, &registry)?;
    let providers = LocalProviders::new(member.clone(), Arc::new(plugins.clone()));
    let ports = Ports {
        providers: Arc::new(providers),
        clusters: Arc::new(ClusterNodes(Arc::clone(&shards))),
        prober: Prober::new(config.checks)?,
        detector: Detector::new(config.addresses).map_err(DaemonError::Steering)?,
        sender: Sender::new(config.notify).map_err(DaemonError::Steering)?,
        data: own_data,
    };
    let steering = Steering::new(member.clone(), ports, config.steering, &registry)?;
    let nameserver = Nameserver::start(member.clone(), config.dns, &registry).await?;
    let state = ApiState {
        member,
        shards,
        steering,
        plugins,
        contract,
        limits: config.limits,
        registry,
        http,
    };
    Ok((state, nameserver))
}

/// The sandbox's options, with what only the daemon knows filled in.
fn sandbox_options(
    options: SandboxOptions,
    data: &std::path::Path,
    advertise: &str,
) -> SandboxOptions {
    let standard = SandboxOptions::default();
    let cache_dir: PathBuf = options.cache_dir.unwrap_or_else(|| data.join(PLUGIN_CACHE));
    let grant_url = if options.grant_url == standard.grant_url {
        format!("http://{advertise}/api/v1/dns/providers/")
    } else {
        options.grant_url
    };
    SandboxOptions {
        cache_dir: Some(cache_dir),
        grant_url,
        ..options
    }
}

/// Says when the daemon is ready, and why it is not as long as it is not.
async fn announce(member: Member, listen: SocketAddr) {
    let mut reminder = Instant::now() + READY_REMINDER;
    while let Err(reason) = member.ready().await {
        if Instant::now() >= reminder {
            tracing::warn!(%reason, "portolan is not ready yet");
            reminder += READY_REMINDER;
        }
        tokio::time::sleep(READY_POLL).await;
    }
    tracing::info!(
        id = member.id(),
        %listen,
        advertise = member.advertise(),
        "portolan is ready"
    );
}

/// Why the daemon did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The address cannot be used.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The member did not start.
    #[error(transparent)]
    Member(#[from] StartError),
    /// The plugin host did not start.
    #[error(transparent)]
    Sandbox(#[from] SetupError),
    /// The checks cannot be made.
    #[error(transparent)]
    Checks(#[from] ProbeSetupError),
    /// Addresses cannot be looked for, or webhooks not be told.
    #[error(transparent)]
    Steering(SteeringError),
    /// The secret of the contract `/v1` cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// DNS queries cannot be answered.
    #[error(transparent)]
    Nameserver(#[from] portolan_nameserver::StartError),
    /// Two parts measure under one name.
    #[error("the measurements cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The member's disk or Raft core failed for good.
    #[error("the member has failed and ends, so that it can be started again: {reason}")]
    Failed {
        /// What the member reported.
        reason: String,
    },
    /// The member did not stop cleanly.
    #[error("the member did not stop cleanly: {0}")]
    Stop(portolan_consensus::Error),
}

impl DaemonError {
    /// Whether the operator's options are at fault, and not the world.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Member(StartError::Options(_) | StartError::StandbyWithoutId)
                | Self::Sandbox(SetupError::Option { .. })
                | Self::Secret(_)
                | Self::Checks(_)
                | Self::Steering(_)
        )
    }
}
