//! A daemon's API over a member of its own, alone in its group, on a temporary directory.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use portolan_consensus::{Limits, Member, Options, RaftOptions, StartMode};
use portolan_sandbox::{Plugins, Sandbox, SandboxOptions};
use portolan_shards::engine::Engines;
use portolan_shards::{Shards, ShardsOptions};
use portolan_steering::{
    DetectOptions, Detector, NoClusters, Ports, ProbeOptions, Prober, SendOptions, Sender,
    Steering, SteeringOptions,
};
use prometheus::Registry;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::{ApiState, ContractSecret, HttpMetrics, router};

mod contract;
mod dns;
mod nodes;
mod server;

pub(super) struct Daemon {
    pub(super) router: Router,
    pub(super) member: Member,
    pub(super) steering: Arc<Steering>,
    _data: TempDir,
}

impl Daemon {
    /// One that leads alone.
    pub(super) async fn start() -> Self {
        Self::start_with(StartMode::Bootstrap, None).await
    }

    /// One to which other DNS nodes show `contract`.
    pub(super) async fn start_with(start: StartMode, contract: Option<&str>) -> Self {
        let leads = matches!(start, StartMode::Bootstrap);
        let data = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let limits = Limits {
            max_key_bytes: 64,
            max_value_bytes: 1024,
            ..Limits::default()
        };
        let member = Member::start(Options {
            id: Some(1),
            advertise: "127.0.0.1:21001".to_owned(),
            data: data.path().join("data"),
            start,
            raft: RaftOptions::default(),
            limits: limits.clone(),
            registry: registry.clone(),
        })
        .await
        .unwrap();
        let ready = async {
            while leads && member.ready().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ready)
            .await
            .expect("the member leads alone");
        let sandbox = Sandbox::new(SandboxOptions::default(), &registry).unwrap();
        let plugins = Plugins::open(sandbox, None).await.unwrap();
        let http = HttpMetrics::register(&registry).unwrap();
        let ports = Ports {
            providers: Arc::new(plugins.clone()),
            clusters: Arc::new(NoClusters),
            prober: Prober::new(ProbeOptions::default()).unwrap(),
            detector: Detector::new(DetectOptions::default()).unwrap(),
            sender: Sender::new(SendOptions::default()).unwrap(),
            data: data.path().to_owned(),
        };
        let options = SteeringOptions::default();
        let steering = Steering::new(member.clone(), ports, options, &registry).unwrap();
        let state = ApiState {
            shards: Shards::new(
                member.clone(),
                Engines::new("portolan"),
                Arc::new(plugins.clone()),
                ShardsOptions::default(),
                &registry,
            )
            .unwrap(),
            member: member.clone(),
            steering: Arc::clone(&steering),
            plugins,
            contract: ContractSecret::new(contract),
            limits,
            registry,
            http,
        };
        Self {
            router: router(Arc::new(state)),
            steering,
            member,
            _data: data,
        }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Status and body of a request, which `curl -d` would have sent.
    pub(super) async fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .unwrap();
        text(self.send(request).await).await
    }
}

pub(super) async fn text(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 24)
        .await
        .unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
