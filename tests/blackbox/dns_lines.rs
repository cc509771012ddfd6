//! Three sites in three networks of their own, a member at each, and a real PowerDNS: sites die, flap and
//! return, and the record follows.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portolan_tests::{
    Client, Cluster, Network, Port, PowerDns, PowerDnsOptions, Process, Setup, built_plugins, dig,
    eventually, eventually_within,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dns::bind;

const ZONE: &str = "example.test";
const NAME: &str = "www.example.test";
/// Longer than an election, a verdict and a move take together.
const MOVES_WITHIN: Duration = Duration::from_secs(40);
/// How long a site must have been up again.
const STABLE_MS: u64 = 12_000;

/// A site: a web server on a host, and the address that its records hold.
struct Site {
    host: u8,
    record: String,
    server: Option<Process>,
}

struct Stage {
    sites: Vec<Site>,
    cluster: Cluster,
    dns: PowerDns,
    // After everything that runs in it.
    network: Arc<Network>,
    port: u16,
    home: TempDir,
    _ports: Vec<Port>,
}

impl Stage {
    async fn new() -> Self {
        let network = Arc::new(Network::new(3));
        let ports: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
        let dns = PowerDns::start_with(PowerDnsOptions {
            api: network.caller_at(ports[0].number()),
            dns: network.caller_at(ports[1].number()),
            key: "lines-key".to_owned(),
            zone: ZONE.to_owned(),
        })
        .await;
        let setup = Setup {
            config: "[steering]\ninterval_ms = 1000\nbackoff_min_ms = 200\nbackoff_max_ms = 1000\n"
                .into(),
            plugins: Some(built_plugins()),
            network: Some(Arc::clone(&network)),
            ..Setup::default()
        };
        let cluster = Cluster::start_with(setup).await;
        let site = |host: u8| Site {
            host,
            record: format!("203.0.113.{}", host + 1),
            server: None,
        };
        let mut stage = Self {
            sites: (0..3).map(site).collect(),
            cluster,
            dns,
            network,
            port: ports[2].number(),
            home: TempDir::new().expect("create a temporary directory"),
            _ports: ports,
        };
        for host in 0..3 {
            stage.serve(host);
        }
        stage.steer().await;
        stage
    }

    /// Starts a site's web server.
    fn serve(&mut self, host: usize) {
        let address = self.network.address(host as u8).to_string();
        let mut server = Command::new("python3");
        server.args(["-m", "http.server", "--bind", &address]);
        server.arg(self.port.to_string());
        server.args([
            "--directory",
            self.home.path().to_str().expect("a UTF-8 path"),
        ]);
        let server = self.network.on(self.sites[host].host, &server);
        let log = self.home.path().join(format!("server-{host}.log"));
        let name = format!("the web server of site {host}");
        self.sites[host].server = Some(Process::start(&name, server, &log));
    }

    fn kill_server(&mut self, host: usize) {
        let server = self.sites[host].server.take();
        server.expect("it runs").kill9();
    }

    /// A client of a member that is plugged in.
    fn client(&self) -> Client {
        self.cluster.client(1)
    }

    async fn steer(&self) {
        let client = self.client();
        let api = self.dns.api_address();
        let binding = json!({
            "plugin": "powerdns",
            "settings": {"url": format!("http://{api}")},
            "credentials": {"api-key": self.dns.key()},
            "hosts": [format!("http://{api}")],
            "zones": [ZONE],
        });
        bind(&client, "home", &binding).await;
        let check = json!({
            "type": "http", "port": self.port, "path": "/", "stable_ms": STABLE_MS,
        });
        for site in &self.sites {
            let body = json!({
                "check": check,
                "member": u64::from(site.host) + 1,
                "lines": [{"line": "default", "priority": site.host}],
                "addresses": {"ipv4": [site.record]},
                "check_address": self.network.address(site.host).to_string(),
            });
            let path = format!("/api/v1/dns/sites/s{}", site.host);
            put(&client, &path, &body).await;
        }
        let service = json!({
            "zone": ZONE, "record": "www", "types": ["A"], "ttl": 60,
            "check": check,
        });
        put(&client, "/api/v1/dns/services/web", &service).await;
    }

    async fn record_is_at(&self, host: usize) {
        let wanted = [self.sites[host].record.clone()];
        let server = self.dns.dns_address();
        eventually_within(
            MOVES_WITHIN,
            &format!("{NAME} is at s{host}"),
            async || match dig(server, NAME, "A") {
                found if found == wanted => Ok(()),
                found => Err(format!("{found:?}: {}", self.events().await.join("; "))),
            },
        )
        .await;
    }

    async fn events(&self) -> Vec<String> {
        let Ok(reply) = self
            .client()
            .send("GET", "/api/v1/dns/events", &[], "")
            .await
        else {
            return vec!["no events".to_owned()];
        };
        let events = reply.json()["events"].clone();
        let events = events.as_array().cloned().unwrap_or_default();
        events
            .iter()
            .map(|event| event["text"].to_string())
            .collect()
    }

    /// How often the record was written so far.
    async fn changes(&self) -> usize {
        let path = format!("/api/v1/dns/zones/{ZONE}/history");
        let history = self.client().get(&path).await.json();
        history["changes"].as_array().expect("changes").len()
    }
}

async fn put(client: &Client, path: &str, body: &Value) {
    let reply = client.put(path, body).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
}

#[tokio::test]
async fn a_record_follows_sites_that_die_flap_and_return() {
    let mut stage = Stage::new().await;
    stage.record_is_at(0).await;

    // A whole site goes, its member with it.
    let began = Instant::now();
    stage.network.unplug(0);
    stage.record_is_at(1).await;
    println!("a dead site's record moved after {:.1?}", began.elapsed());

    let began = Instant::now();
    stage.network.plug_in(0);
    stage.record_is_at(0).await;
    println!("it was back after {:.1?}", began.elapsed());
    assert!(
        began.elapsed() >= Duration::from_millis(STABLE_MS),
        "not before it is stable"
    );

    // A server that flaps: it goes once, and comes back once.
    let before = stage.changes().await;
    for _ in 0..4 {
        stage.kill_server(0);
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.serve(0);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let flapped = stage.changes().await - before;
    assert!(
        flapped <= 2,
        "{flapped} changes: {:?}",
        stage.events().await
    );

    // Nobody is left: the record stays.
    for host in 0..3 {
        stage.kill_server(host);
    }
    eventually("all are down", async || {
        let events = stage.events().await;
        let last = |host: usize| {
            let of_host = format!("web at s{host}: ");
            let mut told = events.iter().rev();
            told.find(|event| event.contains(&of_host)).cloned()
        };
        let down = |host| last(host).is_some_and(|text| text.contains(": down ("));
        match (0..3).all(down) {
            true => Ok(()),
            false => Err(events.join("; ")),
        }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(dig(stage.dns.dns_address(), NAME, "A").len(), 1);
}
