//! A real PowerDNS on loopback, with one zone, and `dig`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Reply};
use crate::ports::Port;
use crate::process::Process;
use crate::wait::eventually;

/// Where Debian's `pdns-backend-sqlite3` ships the schema of an empty database.
const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

const DATABASE: &str = "zones.sqlite3";

/// How a PowerDNS is started.
#[derive(Debug, Clone)]
pub struct PowerDnsOptions {
    /// Where its HTTP API listens.
    pub api: SocketAddr,
    /// Where it answers DNS queries.
    pub dns: SocketAddr,
    /// The API's key.
    pub key: String,
    /// The zone that it serves, without the trailing dot.
    pub zone: String,
}

/// A record set as PowerDNS holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Seconds.
    pub ttl: u64,
    /// Contents in order.
    pub values: Vec<String>,
}

/// A running PowerDNS with temporary data. Dropping it ends it and removes the data.
#[derive(Debug)]
pub struct PowerDns {
    process: Process,
    options: PowerDnsOptions,
    // After the process: it ends before its files go.
    _home: TempDir,
    _ports: Vec<Port>,
}

impl PowerDns {
    /// Starts one on free ports with a key of its own.
    pub async fn start(zone: &str) -> Self {
        let (api, dns) = (Port::reserve(), Port::reserve());
        let address = |port: &Port| port.address().parse().expect("a socket address");
        let options = PowerDnsOptions {
            api: address(&api),
            dns: address(&dns),
            key: format!("powerdns-key-of-port-{}", api.number()),
            zone: zone.to_owned(),
        };
        let mut server = Self::start_with(options).await;
        server._ports = vec![api, dns];
        server
    }

    /// Starts one and creates its zone.
    pub async fn start_with(options: PowerDnsOptions) -> Self {
        let home = TempDir::new().expect("create a temporary directory");
        create_database(home.path());
        let configuration = configuration(home.path(), options.dns) + &api_configuration(&options);
        fs::write(home.path().join("pdns.conf"), configuration).expect("write pdns.conf");

        let mut command = Command::new("pdns_server");
        command.arg(format!("--config-dir={}", home.path().display()));
        let process = Process::start("PowerDNS", command, &home.path().join("log"));
        let mut server = Self {
            process,
            options,
            _home: home,
            _ports: vec![],
        };
        server.answering().await;
        server.create_zone(&server.options.zone).await;
        server
    }

    async fn answering(&mut self) {
        let client = self.client();
        let process = &mut self.process;
        eventually("PowerDNS answers", async || {
            if let Some(status) = process.ended() {
                panic!("PowerDNS ended with {status}: {}", process.log());
            }
            client.send("GET", "/api", &[], "").await
        })
        .await;
    }

    /// Has it serve one more zone.
    pub async fn create_zone(&self, zone: &str) {
        let body = json!({
            "name": format!("{zone}."),
            "kind": "Native",
            "nameservers": [format!("ns1.{zone}.")],
            "soa_edit_api": "INCREASE",
        });
        let reply = self
            .api("POST", "/api/v1/servers/localhost/zones", &body)
            .await;
        assert_eq!(
            reply.status, 201,
            "PowerDNS did not create the zone: {}",
            reply.body
        );
    }

    fn client(&self) -> Client {
        Client::new(self.options.api.to_string())
    }

    async fn api(&self, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [
            ("x-api-key", self.options.key.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let reply = self.client().send(method, path, &headers, body).await;
        reply.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The API's `host:port`.
    pub fn api_address(&self) -> String {
        self.options.api.to_string()
    }

    /// The DNS server's address.
    pub fn dns_address(&self) -> SocketAddr {
        self.options.dns
    }

    /// The API's key.
    pub fn key(&self) -> &str {
        &self.options.key
    }

    /// A zone as its API shows it.
    pub async fn read_zone(&self, zone: &str) -> Reply {
        let path = format!("/api/v1/servers/localhost/zones/{zone}.");
        self.api("GET", &path, &Value::Null).await
    }

    /// All record sets of the zone as `(name, type)`, without SOA and NS of the apex.
    pub async fn record_sets(&self) -> BTreeMap<(String, String), RecordSet> {
        let reply = self.read_zone(&self.options.zone).await;
        assert_eq!(
            reply.status, 200,
            "PowerDNS did not show the zone: {}",
            reply.body
        );
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        reply.json()["rrsets"]
            .as_array()
            .expect("rrsets")
            .iter()
            .filter(|set| set["type"] != "SOA" && set["type"] != "NS")
            .map(|set| {
                let name = text(&set["name"]).trim_end_matches('.').to_owned();
                let records = set["records"].as_array().expect("records");
                let mut values: Vec<String> = records
                    .iter()
                    .map(|record| text(&record["content"]))
                    .collect();
                values.sort();
                let ttl = set["ttl"].as_u64().expect("a ttl");
                ((name, text(&set["type"])), RecordSet { ttl, values })
            })
            .collect()
    }

    /// One record set, where it exists.
    pub async fn record_set(&self, name: &str, rtype: &str) -> Option<RecordSet> {
        self.record_sets()
            .await
            .remove(&(name.to_owned(), rtype.to_owned()))
    }

    /// Writes a record set by hand, past the daemon.
    pub async fn replace(&self, name: &str, rtype: &str, ttl: u64, values: &[&str]) {
        let records: Vec<Value> = values
            .iter()
            .map(|value| json!({"content": value, "disabled": false}))
            .collect();
        self.patch(&json!({
            "name": format!("{name}."), "type": rtype, "ttl": ttl,
            "changetype": "REPLACE", "records": records,
        }))
        .await;
    }

    /// Deletes a record set by hand, past the daemon.
    pub async fn delete(&self, name: &str, rtype: &str) {
        let name = format!("{name}.");
        self.patch(&json!({"name": name, "type": rtype, "changetype": "DELETE"}))
            .await;
    }

    /// Writes a record set as the API takes it, past the daemon.
    pub async fn patch(&self, set: &Value) {
        let reply = self
            .api("PATCH", &self.zone_path(), &json!({"rrsets": [set]}))
            .await;
        assert_eq!(
            reply.status, 204,
            "PowerDNS did not change the zone: {}",
            reply.body
        );
    }

    fn zone_path(&self) -> String {
        format!("/api/v1/servers/localhost/zones/{}.", self.options.zone)
    }
}

/// What `dig` finds: the answers' data, in order; empty where there is no such record.
pub fn dig(server: SocketAddr, name: &str, rtype: &str) -> Vec<String> {
    dig_with(server, &[], name, rtype)
}

/// The same for a client in this network, as resolvers tell of it (RFC 7871).
pub fn dig_from(server: SocketAddr, subnet: &str, name: &str, rtype: &str) -> Vec<String> {
    dig_with(server, &[&format!("+subnet={subnet}")], name, rtype)
}

fn dig_with(server: SocketAddr, options: &[&str], name: &str, rtype: &str) -> Vec<String> {
    let output = Command::new("dig")
        .args(options)
        .args([
            "+short",
            "+tries=1",
            "+time=5",
            &format!("@{}", server.ip()),
        ])
        .args(["-p", &server.port().to_string(), name, rtype])
        .output()
        .unwrap_or_else(|error| panic!("cannot run dig (package bind9-dnsutils): {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "dig failed: {said}");
    let mut answers: Vec<String> = said.lines().map(str::to_owned).collect();
    answers.sort();
    answers
}

/// Creates the tables of the configuration's database.
pub(crate) fn create_database(home: &Path) {
    let schema = File::open(SCHEMA).unwrap_or_else(|error| {
        panic!("cannot read {SCHEMA} (package pdns-backend-sqlite3): {error}")
    });
    let status = Command::new("sqlite3")
        .arg(home.join(DATABASE))
        .stdin(schema)
        .status()
        .unwrap_or_else(|error| panic!("cannot run sqlite3 (package sqlite3): {error}"));
    assert!(status.success(), "sqlite3 did not create PowerDNS's tables");
}

/// No caches (a change must be seen at once) and no fsync (the data is temporary).
pub(crate) fn configuration(home: &Path, dns: SocketAddr) -> String {
    let home = home.display();
    format!(
        "launch=gsqlite3\n\
         gsqlite3-database={home}/{DATABASE}\n\
         gsqlite3-pragma-synchronous=0\n\
         socket-dir={home}\n\
         local-address={}\n\
         local-port={}\n\
         enable-lua-records=yes\n\
         edns-subnet-processing=yes\n\
         daemon=no\n\
         guardian=no\n\
         disable-syslog=yes\n\
         security-poll-suffix=\n\
         default-soa-content=ns1.@ hostmaster.@ 0 10800 3600 604800 60\n\
         cache-ttl=0\n\
         query-cache-ttl=0\n\
         negquery-cache-ttl=0\n\
         zone-cache-refresh-interval=0\n",
        dns.ip(),
        dns.port(),
    )
}

fn api_configuration(options: &PowerDnsOptions) -> String {
    let PowerDnsOptions { api, key, .. } = options;
    format!(
        "webserver=yes\n\
         webserver-address={}\n\
         webserver-port={}\n\
         webserver-allow-from=127.0.0.0/8,10.0.0.0/8\n\
         api=yes\n\
         api-key={key}\n",
        api.ip(),
        api.port(),
    )
}
