//! How fast DNS follows what happens: a site whose server dies, and a shard whose master does.
//!
//! Three members with the provider `local` answer the queries. A move is over when `dig` finds the new
//! address at *all* of them. There is no rival in the same run: a deployment of the reference takes ten
//! minutes for a site, and does not follow databases.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portolan_tests::{
    Client, Cluster, Daemon, Flavour, Port, Process, RedisOptions, RedisServer, Setup, eventually,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::median;
use crate::targets::{MASTER_MOVES_MS, SITE_MOVES_MS};

/// How often a site is killed; and how often each of its shards fails over.
const SITE_ROUNDS: usize = 7;
const SHARD_ROUNDS: usize = 3;
const SHARDS: usize = 3;
const ZONE: &str = "move.test";
/// The line that moves, and a network that is on it.
const LINE: &str = "CT";
const SUBNET: &str = "+subnet=203.0.113.0/24";
/// The two sites: the one whose line it is, and the other.
const SITES: [&str; 2] = ["127.70.0.1", "127.70.0.2"];
/// A move that takes longer has failed.
const GIVES_UP: Duration = Duration::from_secs(60);
/// Between two looks at a member's answer.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long moves of one kind took.
#[derive(Debug, Serialize)]
pub(crate) struct Move {
    pub(crate) what: &'static str,
    pub(crate) goal_ms: f64,
    pub(crate) median_ms: f64,
    pub(crate) all_ms: Vec<f64>,
}

impl Move {
    fn new(what: &'static str, goal_ms: f64, all_ms: Vec<f64>) -> Self {
        Self {
            what,
            goal_ms,
            median_ms: median(all_ms.clone()),
            all_ms,
        }
    }

    pub(crate) fn min_ms(&self) -> f64 {
        self.all_ms.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max_ms(&self) -> f64 {
        self.all_ms.iter().copied().fold(0.0, f64::max)
    }
}

/// Both kinds.
pub(crate) async fn measure(directory: &Path) -> Vec<Move> {
    let home = directory.join("moves");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).expect("create the members' home");
    let lines = home.join("lines.txt");
    fs::write(&lines, format!("{LINE} 203.0.113.0/24\n")).expect("write the lines");
    let setup = Setup {
        config: format!("[dns]\nlines = {lines:?}\n"),
        dns: true,
        below: Some(home.clone()),
        ..Setup::default()
    };
    let stage = Stage {
        group: Cluster::start_with(setup).await,
    };
    let local = json!({"plugin": "local", "zones": [ZONE]});
    stage.put("/api/v1/dns/providers/here", &local).await;
    let measured = vec![
        Move::new(
            "a killed site's line",
            SITE_MOVES_MS,
            stage.kill_sites(&home).await,
        ),
        Move::new(
            "a shard's new master",
            MASTER_MOVES_MS,
            stage.kill_masters().await,
        ),
    ];
    drop(stage);
    let _ = fs::remove_dir_all(&home);
    measured
}

/// Three members that answer DNS queries.
struct Stage {
    group: Cluster,
}

impl Stage {
    fn client(&self) -> Client {
        self.group.client(0)
    }

    async fn put(&self, path: &str, body: &Value) {
        let reply = self.client().put(path, body).await;
        assert_eq!(reply.status / 100, 2, "{path}: {}", reply.body);
    }

    /// From the end of the server that is checked once a second until all members answer with the other
    /// site, in milliseconds, for each round.
    async fn kill_sites(&self, home: &Path) -> Vec<f64> {
        let port = Port::reserve();
        let mut servers = SITES.map(|address| serve(address, port.number(), home));
        for (code, (lines, address)) in ["sh", "bj"].iter().zip([LINE, "default"].iter().zip(SITES))
        {
            let site = json!({"lines": [lines], "addresses": {"ipv4": [address]}});
            self.put(&format!("/api/v1/dns/sites/{code}"), &site).await;
        }
        // What counts is how a line goes; it comes back at once, so that the next round can begin.
        let check = json!({
            "type": "http", "port": port.number(), "path": "/",
            "interval_ms": 1_000, "stable_ms": 0, "up_after": 1,
        });
        let service = json!({
            "zone": ZONE, "record": "www", "types": ["A"], "ttl": 5, "check": check,
        });
        self.put("/api/v1/dns/services/www", &service).await;

        let mut took_ms = vec![];
        for _ in 0..SITE_ROUNDS {
            self.all_answer("www", SITES[0]).await;
            let began = Instant::now();
            servers[0].kill9();
            let answered = self.all_answer("www", SITES[1]).await;
            took_ms.push(ms(answered.duration_since(began)));
            servers[0] = serve(SITES[0], port.number(), home);
        }
        took_ms
    }

    /// From the event in the store until all members answer with the new master, in milliseconds, for each
    /// failover after the death of a master.
    async fn kill_masters(&self) -> Vec<f64> {
        let mut nodes = vec![];
        for host in 1..=2 * SHARDS {
            let host = u8::try_from(host).expect("few hosts");
            let options = RedisOptions {
                host: Ipv4Addr::new(127, 71, 0, host),
                ..RedisOptions::new(Flavour::Valkey9)
            };
            nodes.push(RedisServer::start(options).await);
        }
        let client = self.client();
        let namespace = json!({"namespace": "ns"});
        client.post("/api/v1/namespaces", &namespace).await;
        let addrs: Vec<String> = nodes.iter().map(RedisServer::addr).collect();
        let create = json!({"name": "c", "nodes": addrs, "replicas": 2});
        let reply = client.post("/api/v1/namespaces/ns/clusters", &create).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        for shard in 0..SHARDS {
            let service = json!({
                "zone": ZONE, "record": format!("master{shard}"), "types": ["A"], "ttl": 5,
                "target": {"namespace": "ns", "cluster": "c", "shard": shard, "role": "master"},
            });
            let path = format!("/api/v1/dns/services/master{shard}");
            self.put(&path, &service).await;
        }

        let mut took_ms = vec![];
        for round in 0..SHARDS * SHARD_ROUNDS {
            let shard = round % SHARDS;
            let (old, new) = self.master_and_replica(shard, &nodes).await;
            let record = format!("master{shard}");
            self.all_answer(&record, host(&old)).await;
            let failovers = self.failovers().await.len();
            let dead = nodes.iter_mut().find(|node| node.addr() == old);
            let dead = dead.expect("it is one of ours");
            dead.kill();
            self.all_answer(&record, host(&new)).await;
            let answered = now_ms();
            let changed = eventually("the store tells of the failover", async || {
                let failovers_now = self.failovers().await;
                let last = failovers_now
                    .last()
                    .filter(|_| failovers_now.len() > failovers);
                last.copied().ok_or("none yet")
            })
            .await;
            took_ms.push(answered.saturating_sub(changed) as f64);
            dead.restart().await;
        }
        took_ms
    }

    /// The addresses of a shard's master, and of its replica once it has all that the master has.
    async fn master_and_replica(&self, shard: usize, servers: &[RedisServer]) -> (String, String) {
        let path = format!("/api/v1/namespaces/ns/clusters/c/shards/{shard}/nodes");
        eventually("the shard is whole", async || {
            let reply = self.client().send("GET", &path, &[], "").await?;
            let nodes = reply.json()["data"]["nodes"].take();
            let of_role = |role: &str| {
                let mut nodes = nodes.as_array().into_iter().flatten();
                let node = nodes.find(|node| node["role"] == role)?;
                node["addr"].as_str().map(str::to_owned)
            };
            let (master, replica) = of_role("master").zip(of_role("slave")).ok_or("no pair")?;
            let mut servers = servers.iter();
            let server = servers.find(|server| server.addr() == replica);
            let server = server.expect("it is one of ours");
            let state = server.call(&["INFO", "replication"]).await.text();
            let follows = ["role:slave", "master_link_status:up"];
            match follows.iter().all(|it| state.contains(it)) {
                true => Ok((master, replica)),
                false => Err(state),
            }
        })
        .await
    }

    /// When the store changed by a failover, each time so far. Milliseconds since 1970.
    async fn failovers(&self) -> Vec<u64> {
        let path = "/api/v1/namespaces/ns/clusters/c/events";
        let events = self.client().get(path).await.json()["data"]["events"].take();
        let events = events.as_array().into_iter().flatten();
        let failovers = events.filter(|event| event["kind"] == "failover");
        failovers
            .filter_map(|event| event["at_ms"].as_u64())
            .collect()
    }

    /// When the last member answered with this address: all are watched at the same time.
    async fn all_answer(&self, record: &str, address: &str) -> Instant {
        let mut watched = JoinSet::new();
        for server in self.group.members.iter().map(Daemon::dns_address) {
            let (record, address) = (record.to_owned(), address.to_owned());
            watched.spawn_blocking(move || answers(server, &record, &address));
        }
        let answered = watched.join_all().await;
        answered.into_iter().max().expect("three members")
    }
}

/// Waits until a member answers with this address alone; when that was seen.
fn answers(server: SocketAddr, record: &str, address: &str) -> Instant {
    let began = Instant::now();
    loop {
        let mut dig = Command::new("dig");
        dig.args(["+short", "+tries=1", "+time=1", SUBNET]);
        dig.arg(format!("@{}", server.ip()));
        dig.args(["-p", &server.port().to_string()]);
        let answer = dig.arg(format!("{record}.{ZONE}")).output();
        let answer = answer.expect("run dig (package bind9-dnsutils)");
        if String::from_utf8_lossy(&answer.stdout).trim() == address {
            return Instant::now();
        }
        let took = began.elapsed();
        assert!(
            took < GIVES_UP,
            "{server} does not answer {record} with {address}"
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A site's web server.
fn serve(address: &str, port: u16, home: &Path) -> Process {
    let mut server = Command::new("python3");
    server.args(["-m", "http.server", "--bind", address, "--directory"]);
    server.arg(home).arg(port.to_string());
    Process::start("a site's web server", server, &home.join("servers.log"))
}

/// An address without its port.
fn host(addr: &str) -> &str {
    addr.rsplit_once(':').expect("host:port").0
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = now.expect("after 1970").as_millis();
    u64::try_from(ms).expect("before the year 500 million")
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
