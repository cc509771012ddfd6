//! DNS steering at scale: how long a plan over all zones takes, whether anything is written where nothing
//! differs, and what it costs in memory.
//!
//! A daemon of its own serves all zones, once with its provider `local` and once with a real PowerDNS. There
//! is no rival that plans; what a plan is compared with is a bare read of the same zones from the same
//! PowerDNS, as many at a time.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use portolan_tests::{Client, Daemon, PowerDns, built_plugins, eventually};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::median;

const ZONES: usize = 100;
const SETS_PER_ZONE: usize = 100;
/// Plans that are measured.
const PLANS: usize = 20;
/// Rounds over all zones in which nothing may be written.
const ROUNDS: usize = 5;
/// Zones that are read at the same time, by the daemon and by the bare reader.
const AT_ONCE: usize = 4;
/// A PowerDNS of one's own has no limit that somebody else set.
const CALLS_PER_SECOND: u32 = 10_000;

/// Rounds often enough to be waited for.
const CONFIG: &str = "[steering]\ninterval_ms = 2000\n";

/// Steering with one provider.
#[derive(Debug, Serialize)]
pub(crate) struct Steer {
    pub(crate) provider: &'static str,
    pub(crate) record_sets: usize,
    /// From the first request until all record sets stand.
    pub(crate) first_apply_ms: f64,
    pub(crate) plan_p50_ms: f64,
    pub(crate) plan_max_ms: f64,
    /// Reading the same zones without planning; only where somebody else can be asked.
    pub(crate) bare_read_p50_ms: Option<f64>,
    /// Rounds over all zones in which nothing was written, neither to the provider nor to the store.
    pub(crate) quiet_rounds: usize,
    /// The daemon's resident memory without zones, with them, and after plans and rounds.
    pub(crate) resident_bytes: [u64; 3],
}

/// Both providers.
pub(crate) async fn measure(directory: &Path) -> Vec<Steer> {
    let local = json!({
        "plugin": "local",
        "settings": {"ns": ["ns1.example"], "contact": "dns@example.com"},
    });
    let mut measured = vec![steer("local", local, None, directory).await];

    let server = PowerDns::start(&zone(0)).await;
    for number in 1..ZONES {
        server.create_zone(&zone(number)).await;
    }
    let url = format!("http://{}", server.api_address());
    let powerdns = json!({
        "plugin": "powerdns",
        "settings": {"url": url},
        "credentials": {"api-key": server.key()},
        "hosts": [url],
        "calls_per_second": CALLS_PER_SECOND,
    });
    measured.push(steer("powerdns", powerdns, Some(server), directory).await);
    measured
}

async fn steer(
    provider: &'static str,
    binding: Value,
    server: Option<PowerDns>,
    directory: &Path,
) -> Steer {
    let home = directory.join("steer");
    let _ = fs::remove_dir_all(&home);
    let mut daemon = Daemon::new(&home, 1).config(CONFIG);
    if server.is_some() {
        daemon = daemon.plugins(&built_plugins());
    }
    daemon.start_ready().await;
    let stage = Stage {
        client: daemon.client(),
        daemon,
    };
    let empty = stage.resident_bytes();

    stage.bind(binding).await;
    let began = Instant::now();
    stage.want_all().await;
    stage.in_sync().await;
    let first_apply_ms = ms_since(began);
    let loaded = stage.resident_bytes();

    let mut plans = vec![];
    for _ in 0..PLANS {
        plans.push(stage.plan().await);
    }
    stage.stays_quiet().await;
    let mut reads = vec![];
    if let Some(server) = server.map(Arc::new) {
        for _ in 0..PLANS {
            reads.push(read_all(&server).await);
        }
    }
    let after = stage.resident_bytes();
    drop(stage);
    let _ = fs::remove_dir_all(&home);
    Steer {
        provider,
        record_sets: ZONES * SETS_PER_ZONE,
        first_apply_ms,
        plan_max_ms: plans.iter().copied().fold(0.0, f64::max),
        plan_p50_ms: median(plans),
        bare_read_p50_ms: Some(median(reads)).filter(|ms| !ms.is_nan()),
        quiet_rounds: ROUNDS,
        resident_bytes: [empty, loaded, after],
    }
}

/// A daemon that serves all zones.
struct Stage {
    client: Client,
    daemon: Daemon,
}

impl Stage {
    async fn bind(&self, mut binding: Value) {
        binding["zones"] = (0..ZONES).map(zone).collect();
        let reply = self.client.put("/api/v1/dns/providers/main", &binding);
        let reply = reply.await;
        assert_eq!(reply.status / 100, 2, "{} {}", reply.status, reply.body);
    }

    async fn want_all(&self) {
        let record = |number: usize| {
            let address = format!("192.0.2.{number}");
            json!({"name": format!("host-{number}"), "type": "A", "ttl": 300, "values": [address]})
        };
        let records: Vec<Value> = (0..SETS_PER_ZONE).map(record).collect();
        let body = json!({ "records": records });
        for number in 0..ZONES {
            let path = format!("/api/v1/dns/zones/{}/records", zone(number));
            let reply = self.client.put(&path, &body).await;
            assert_eq!(reply.status / 100, 2, "{} {}", reply.status, reply.body);
        }
    }

    async fn in_sync(&self) {
        eventually("all zones are in sync", async || {
            let status = self.client.get("/api/v1/dns/status").await.json();
            let zones = status["zones"].as_array().cloned().unwrap_or_default();
            let left = zones.iter().filter(|zone| zone["state"] != "in-sync");
            match (zones.len(), left.count()) {
                (ZONES, 0) => Ok(()),
                (_, left) => Err(format!("{left} are left")),
            }
        })
        .await;
    }

    /// Milliseconds of one plan over all zones, which must find all as it shall be.
    async fn plan(&self) -> f64 {
        let began = Instant::now();
        let reply = self.client.get("/api/v1/dns/plan").await;
        let took = ms_since(began);
        let plan = reply.json();
        let zones = plan["zones"].as_array().expect("zones");
        let actions = zones.iter().flat_map(|zone| {
            assert!(zone["error"].is_null(), "{zone}");
            zone["actions"].as_array().expect("actions")
        });
        let idle = actions.filter(|action| action["action"] == "none").count();
        assert_eq!((zones.len(), idle), (ZONES, ZONES * SETS_PER_ZONE));
        took
    }

    /// Lets rounds pass; panics if one of them writes anything.
    async fn stays_quiet(&self) {
        let reads = self.provider_calls("read").await;
        let before = self.writes().await;
        eventually("rounds pass", async || {
            match self.provider_calls("read").await - reads {
                read if read >= (ROUNDS * ZONES) as f64 => Ok(()),
                read => Err(format!("{read} zones were read")),
            }
        })
        .await;
        assert_eq!(
            self.writes().await,
            before,
            "a round with nothing to do wrote something: calls of apply, changes, store's log"
        );
    }

    /// Calls of `apply`, changes handed to the provider, and entries of the store's log.
    async fn writes(&self) -> (f64, f64, u64) {
        let raft = self.daemon.metrics().await.expect("metrics");
        let index = raft["last_log_index"].as_u64().expect("a log index");
        let applies = self.provider_calls("apply").await;
        (
            applies,
            self.sum("portolan_dns_changes_total", "").await,
            index,
        )
    }

    async fn provider_calls(&self, call: &str) -> f64 {
        let label = format!("call=\"{call}\"");
        self.sum("portolan_dns_provider_calls_total", &label).await
    }

    /// A counter, summed over the series that have the label.
    async fn sum(&self, name: &str, label: &str) -> f64 {
        let accept = [("accept", "text/plain")];
        let reply = self.client.send("GET", "/metrics", &accept, "").await;
        let text = reply.expect("metrics").body;
        let series = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        series.filter_map(value).sum()
    }

    fn resident_bytes(&self) -> u64 {
        self.daemon.running().resident_bytes()
    }
}

/// Milliseconds of one read of all zones.
async fn read_all(server: &Arc<PowerDns>) -> f64 {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let began = Instant::now();
    let mut reading = JoinSet::new();
    for number in 0..ZONES {
        let (server, slots) = (Arc::clone(server), Arc::clone(&slots));
        reading.spawn(async move {
            let _slot = slots.acquire_owned().await.expect("it stays open");
            server.read_zone(&zone(number)).await.body.len()
        });
    }
    while let Some(read) = reading.join_next().await {
        assert!(read.expect("a read") > 0);
    }
    ms_since(began)
}

fn zone(number: usize) -> String {
    format!("zone-{number}.example")
}

fn ms_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
