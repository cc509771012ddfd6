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
/// How long a site that flaps stays as it is; and how often it goes.
const FLAPS_EVERY: Duration = Duration::from_secs(5);
const FLAPS: usize = 3;

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
        self.damp(STABLE_MS).await;
    }

    /// Sets sites and service, whose lines return when they have been up for so long.
    async fn damp(&self, stable_ms: u64) {
        let client = self.client();
        // Two checks of a second each: who flaps every five seconds is down, and up again.
        let check = json!({
            "type": "http", "port": self.port, "path": "/", "stable_ms": stable_ms,
            "down_after": 2, "up_after": 2,
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

    /// What the record holds, as everybody sees it.
    fn answer(&self) -> Vec<String> {
        dig(self.dns.dns_address(), NAME, "A")
    }

    async fn record_is_at(&self, host: usize) {
        let wanted = [self.sites[host].record.clone()];
        eventually_within(
            MOVES_WITHIN,
            &format!("{NAME} is at s{host}"),
            async || match self.answer() {
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

    /// How often a site's service was called up (`up again`) or down so far.
    async fn verdicts(&self, host: usize, verdict: &str) -> usize {
        let told = format!("web at s{host}: {verdict} (");
        let events = self.events().await;
        events.iter().filter(|event| event.contains(&told)).count()
    }

    /// Waits for one verdict more than there were `before`, and until the site has been so for long enough.
    async fn stays(&self, host: usize, verdict: &str, before: usize) {
        let began = Instant::now();
        eventually(&format!("s{host} is called {verdict}"), async || match self
            .verdicts(host, verdict)
            .await
        {
            count if count > before => Ok(()),
            _ => Err(self.events().await.join("; ")),
        })
        .await;
        tokio::time::sleep(FLAPS_EVERY.saturating_sub(began.elapsed())).await;
    }

    /// A site's server goes and comes back, again and again, and is called down and up each time. Says how
    /// often the record changed meanwhile.
    async fn flap(&mut self, host: usize) -> usize {
        let before = self.changes().await;
        let (down, up) = ("down", "up again");
        let downs = self.verdicts(host, down).await;
        let ups = self.verdicts(host, up).await;
        for flap in 0..FLAPS {
            self.kill_server(host);
            self.stays(host, down, downs + flap).await;
            self.serve(host);
            self.stays(host, up, ups + flap).await;
        }
        let verdicts = (
            self.verdicts(host, down).await - downs,
            self.verdicts(host, up).await - ups,
        );
        assert_eq!(verdicts, (FLAPS, FLAPS), "down and up again, each time");
        self.changes().await - before
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

    // A server that flaps: the record goes once, and stays away.
    let damped = stage.flap(0).await;
    println!("{FLAPS} flaps with damping: {damped} changes");
    assert!(
        (1..=2).contains(&damped),
        "{damped} changes: {:?}",
        stage.events().await
    );
    // That is the damping: without it, the same makes the record go to and fro.
    stage.damp(0).await;
    stage.record_is_at(0).await;
    let undamped = stage.flap(0).await;
    println!("{FLAPS} flaps without: {undamped} changes");
    assert!(
        undamped > 2,
        "{undamped} changes: {:?}",
        stage.events().await
    );

    // The last one that is left goes, too: the record stays.
    stage.kill_server(0);
    stage.kill_server(1);
    stage.record_is_at(2).await;
    let before = (stage.answer(), stage.changes().await);
    stage.kill_server(2);
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
    tokio::time::sleep(FLAPS_EVERY).await;
    assert_eq!((stage.answer(), stage.changes().await), before);
}
