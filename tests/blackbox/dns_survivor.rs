//! Two sites and no third voter, in networks of their own: they lose one another, one dies, comes back, and
//! they find one another again, at every moment of it. A real PowerDNS, and a stand-in of a provider with
//! lines, see it all.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portolan_tests::{
    AliStub, Client, Cluster, Network, Port, PowerDns, PowerDnsOptions, Process, Setup,
    built_plugins, dig, eventually, eventually_within,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::dns::bind;

const ZONE: &str = "example.test";
const NAME: &str = "www.example.test";
const LINED_ZONE: &str = "example.com";
const KEY_ID: &str = "LTAI-of-a-test";
const SECRET: &str = "the-secret-of-a-test-account";
const INTERVAL: Duration = Duration::from_secs(5);
/// Where many things happen one after the other.
const SHORT_INTERVAL: Duration = Duration::from_secs(2);
/// A delay, three intervals of watching, a claim and its read-back, and a machine that is busy.
const MOVES_WITHIN: Duration = Duration::from_secs(120);

/// The addresses in the records of the two sites.
const RECORDS: [&str; 2] = ["203.0.113.1", "203.0.113.2"];

/// Every state of every record that was ever read, in order: one owner at a time means one value each.
type Seen = Arc<Mutex<[Vec<Vec<String>>; 3]>>;

struct Stage {
    cluster: Cluster,
    servers: [Option<Process>; 2],
    gate: Gate,
    dns: Arc<PowerDns>,
    ali: Arc<AliStub>,
    seen: Seen,
    watcher: JoinHandle<()>,
    // After everything that runs in it.
    network: Arc<Network>,
    port: u16,
    home: TempDir,
    _ports: Vec<Port>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Stage {
    /// Both zones in survivor mode with this interval.
    async fn with(interval: Duration) -> Self {
        let network = Arc::new(Network::new(2));
        let ports: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
        let dns = PowerDns::start_with(PowerDnsOptions {
            api: network.caller_at(ports[0].number()),
            dns: network.caller_at(ports[1].number()),
            key: "survivor-key".to_owned(),
            zone: ZONE.to_owned(),
        })
        .await;
        let ali = AliStub::start_on(network.caller(), KEY_ID, SECRET, &[LINED_ZONE]).await;
        let setup = Setup {
            config: "[steering]\ninterval_ms = 1000\nbackoff_min_ms = 200\nbackoff_max_ms = 1000\n\
                     calls_per_second = 50\n"
                .into(),
            plugins: Some(built_plugins()),
            network: Some(Arc::clone(&network)),
            members: Some(2),
            ..Setup::default()
        };
        let cluster = Cluster::start_with(setup).await;
        let gate = Gate::open(network.caller_at(0), dns.api_address()).await;
        let (dns, ali) = (Arc::new(dns), Arc::new(ali));
        let seen = Seen::default();
        let watcher = tokio::spawn(watch(Arc::clone(&dns), Arc::clone(&ali), Arc::clone(&seen)));
        let mut stage = Self {
            cluster,
            servers: [None, None],
            gate,
            dns,
            ali,
            seen,
            watcher,
            network,
            port: ports[2].number(),
            home: TempDir::new().expect("create a temporary directory"),
            _ports: ports,
        };
        for site in 0..2 {
            stage.serve(site);
        }
        stage.steer(interval).await;
        stage.records_are_at([0, 0, 1]).await;
        *stage.seen.lock().expect("nobody panicked with it") = Default::default();
        stage
    }

    /// Starts a site's web server.
    fn serve(&mut self, site: usize) {
        let host = u8::try_from(site).expect("a host's number");
        let mut server = Command::new("python3");
        let address = self.network.address(host).to_string();
        let home = self.home.path().to_str().expect("a UTF-8 path");
        server.args(["-m", "http.server", "--bind", &address, "--directory", home]);
        server.arg(self.port.to_string());
        let server = self.network.on(host, &server);
        let log = self.home.path().join(format!("server-{site}.log"));
        let name = format!("the web server of site {site}");
        self.servers[site] = Some(Process::start(&name, server, &log));
    }

    /// A site's web server and its member are gone.
    fn kill(&mut self, site: usize) {
        self.servers[site].take().expect("it runs").kill9();
        self.cluster.members[site].kill9();
    }

    /// They are back.
    fn revive(&mut self, site: usize) {
        self.serve(site);
        self.cluster.members[site].start();
    }

    fn client(&self, site: usize) -> Client {
        self.cluster.client(site)
    }

    async fn steer(&self, interval: Duration) {
        let client = self.client(0);
        let api = self.gate.address;
        let powerdns = json!({
            "plugin": "powerdns", "settings": {"url": format!("http://{api}")},
            "credentials": {"api-key": self.dns.key()},
            "hosts": [format!("http://{api}")], "zones": [ZONE],
        });
        bind(&client, "home", &powerdns).await;
        let ali = json!({
            "plugin": "alidns", "settings": {"endpoint": self.ali.url()},
            "credentials": {"access-key-id": KEY_ID, "access-key-secret": SECRET},
            "hosts": [self.ali.url()], "zones": [LINED_ZONE],
        });
        bind(&client, "ali", &ali).await;
        let check = json!({
            "type": "http", "port": self.port, "path": "/", "stable_ms": 3_000,
        });
        for (site, line) in [(0, "CT"), (1, "CU")] {
            let body = json!({
                "member": site + 1, "addresses": {"ipv4": [RECORDS[site]]}, "check": check,
                "lines": [{"line": "default", "priority": site}, line],
                "check_address": self.network.address(site as u8).to_string(),
            });
            put(&client, &format!("/api/v1/dns/sites/s{site}"), &body).await;
        }
        let service = |zone: &str, lines: Value| {
            json!({
                "zone": zone, "record": "www", "types": ["A"], "ttl": 600, "check": check,
                "lines": lines, "survivor": {"interval_ms": interval.as_millis() as u64},
            })
        };
        let web = service(ZONE, json!(["default"]));
        put(&client, "/api/v1/dns/services/web", &web).await;
        let lined = service(LINED_ZONE, json!(["CT", "CU"]));
        put(&client, "/api/v1/dns/services/lined", &lined).await;
    }

    /// Waits until the records of web, CT and CU are at these sites.
    async fn records_are_at(&self, sites: [usize; 3]) {
        let wanted = sites.map(|site| vec![RECORDS[site].to_owned()]);
        eventually_within(
            MOVES_WITHIN,
            &format!("the records are at {sites:?}"),
            async || {
                let found = records(&self.dns, &self.ali);
                if found == wanted {
                    return Ok(());
                }
                Err(format!("{found:?}; {}", self.all_views().await))
            },
        )
        .await;
    }

    /// How a member finds survivor mode in a zone.
    async fn view(&self, site: usize, zone: &str) -> Value {
        let client = self.client(site);
        let Ok(reply) = client.send("GET", "/api/v1/dns/survivor", &[], "").await else {
            return Value::Null;
        };
        let zones = reply.json()["zones"].clone();
        let mut zones = zones.as_array().into_iter().flatten();
        let found = zones.find(|view| view["zone"] == zone);
        found.cloned().unwrap_or(Value::Null)
    }

    async fn all_views(&self) -> String {
        let mut views = Vec::new();
        for site in 0..2 {
            for zone in [ZONE, LINED_ZONE] {
                views.push(self.view(site, zone).await.to_string());
            }
        }
        views.join("; ")
    }

    async fn view_is(&self, site: usize, zone: &str, what: &str, is: impl Fn(&Value) -> bool) {
        eventually_within(MOVES_WITHIN, what, async || {
            let view = self.view(site, zone).await;
            if is(&view) { Ok(()) } else { Err(view) }
        })
        .await;
    }

    /// The value that a site shows in the zone at PowerDNS.
    async fn value_of(&self, site: usize) -> Option<String> {
        let name = format!("_portolan.s{site}.{ZONE}");
        let set = self.dns.record_set(&name, "TXT").await?;
        set.values.first().cloned()
    }

    /// Waits for a value of a site's that another is not, and that is as it should be.
    async fn shows(&self, site: usize, what: &str, is: impl Fn(&str) -> bool) {
        let before = self.value_of(site).await;
        let what = format!("s{site} shows {what}");
        eventually_within(MOVES_WITHIN, &what, async || {
            let shown = self.value_of(site).await;
            match &shown {
                Some(value) if shown != before && is(value) => Ok(()),
                _ => Err(format!("{shown:?}; {}", self.all_views().await)),
            }
        })
        .await;
    }

    /// Where the record of web points.
    fn record_is_at(&self, site: usize) -> bool {
        dig(self.dns.dns_address(), NAME, "A") == [RECORDS[site]]
    }

    /// Waits until the group is whole, has put the zone in order, and shows itself no more.
    async fn is_whole_again(&self) {
        for site in 0..2 {
            for zone in [ZONE, LINED_ZONE] {
                self.view_is(site, zone, "the group is whole and rests", |view| {
                    view["quorum"] == "whole" && view["shows_itself"] == false
                })
                .await;
            }
            eventually_within(MOVES_WITHIN, "the values are gone", async || {
                match self.value_of(site).await {
                    None => Ok(()),
                    Some(value) => Err(value),
                }
            })
            .await;
        }
    }

    /// A zone's history as a member tells it, oldest first.
    async fn history(&self, site: usize, zone: &str) -> Vec<Value> {
        let path = format!("/api/v1/dns/zones/{zone}/history");
        let history = self.client(site).get(&path).await.json();
        let changes = history["changes"].as_array().into_iter().flatten();
        changes.rev().cloned().collect()
    }

    /// The changes of the record of web, as a member tells them.
    async fn of_record(&self, site: usize) -> Vec<Value> {
        let mut changes = self.history(site, ZONE).await;
        changes.retain(|change| change["key"]["type"] == "A");
        changes
    }
}

/// Whether a value claims any line.
fn claims(value: &str) -> bool {
    value.contains(" want=") || value.contains(" hold=")
}

/// What stands between the members and PowerDNS. While it is shut, whoever wants to point a record at a site
/// is cut off before PowerDNS hears of it; everything else passes.
struct Gate {
    address: SocketAddr,
    shut: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Gate {
    async fn open(at: SocketAddr, server: String) -> Self {
        let listener = TcpListener::bind(at).await.expect("bind the gate");
        let address = listener.local_addr().expect("the gate's address");
        let shut = Arc::new(AtomicBool::new(false));
        let accepting = tokio::spawn({
            let shut = Arc::clone(&shut);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(to) = TcpStream::connect(&server).await else {
                        continue;
                    };
                    let shut = Arc::clone(&shut);
                    tokio::spawn(async move {
                        let (from_client, to_client) = client.into_split();
                        let (from_server, to_server) = to.into_split();
                        // Whichever side ends, the other learns of it: both are dropped.
                        tokio::select! {
                            () = pass(from_client, to_server, |said| {
                                shut.load(Ordering::Relaxed) && names_a_site(said)
                            }) => {}
                            () = pass(from_server, to_client, |_| false) => {}
                        }
                    });
                }
            }
        });
        Self {
            address,
            shut,
            accepting,
        }
    }

    fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

/// Passes on what comes, until it ends or something comes that must not pass.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    stops_at: impl Fn(&[u8]) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if stops_at(&buffer[..read]) || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Requests are short, and come in one piece or two: an address is not cut in two.
fn names_a_site(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    RECORDS.iter().any(|record| text.contains(record))
}

/// Where the records of web, CT and CU point.
fn records(dns: &PowerDns, ali: &AliStub) -> [Vec<String>; 3] {
    let of_line = |line: &str| {
        let records = ali.records().into_iter();
        let records = records.filter(|it| it.rr == "www" && it.line == line);
        records.map(|record| record.value).collect()
    };
    [
        dig(dns.dns_address(), NAME, "A"),
        of_line("telecom"),
        of_line("unicom"),
    ]
}

/// Reads the records again and again, and notes whenever one is another.
async fn watch(dns: Arc<PowerDns>, ali: Arc<AliStub>, seen: Seen) {
    loop {
        let (dns, ali) = (Arc::clone(&dns), Arc::clone(&ali));
        let found = tokio::task::spawn_blocking(move || records(&dns, &ali)).await;
        for (seen, found) in seen
            .lock()
            .expect("nobody panicked with it")
            .iter_mut()
            .zip(found.expect("reading does not panic"))
        {
            if seen.last() != Some(&found) {
                seen.push(found);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn put(client: &Client, path: &str, body: &Value) {
    let reply = client.put(path, body).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
}

fn holds(view: &Value, lines: &[&str]) -> bool {
    view["quorum"] == "lost" && view["held"] == json!(lines)
}

#[tokio::test]
async fn two_sites_share_their_lines_through_the_zone_alone() {
    let mut stage = Stage::with(INTERVAL).await;

    // They lose one another: each counts on its own lines, and sees that the other lives.
    stage.network.cut(0, 1);
    let of = [
        (0, ZONE, vec!["web: default (ipv4)"]),
        (0, LINED_ZONE, vec!["lined: CT (ipv4)"]),
        (1, ZONE, vec![]),
        (1, LINED_ZONE, vec!["lined: CU (ipv4)"]),
    ];
    for (site, zone, lines) in &of {
        let other = format!("s{}", 1 - site);
        let what = format!("s{site} holds {lines:?} in {zone}");
        stage
            .view_is(*site, zone, &what, |view| {
                holds(view, lines) && view["live"] == json!([other])
            })
            .await;
    }
    // And so it stays, long after either could have taken the other for dead.
    let began = Instant::now();
    while began.elapsed() < 5 * INTERVAL {
        assert_eq!(
            records(&stage.dns, &stage.ali),
            [0, 0, 1].map(|site| vec![RECORDS[site].to_owned()]),
        );
        tokio::time::sleep(INTERVAL / 10).await;
    }
    for (site, zone, lines) in &of {
        let view = stage.view(*site, zone).await;
        assert!(holds(&view, lines) && view["wanted"] == json!([]), "{view}");
    }

    // One of them dies. Somebody goes on showing its last value, and one that was never signed.
    let last = stage.value_of(0).await.expect("s0 shows itself");
    stage.kill(0);
    let dns = Arc::clone(&stage.dns);
    let forger = tokio::spawn(async move {
        let forged = format!("{}A\"", last.trim_end_matches('"'));
        for value in [&last, &forged].into_iter().cycle() {
            let name = format!("_portolan.s0.{ZONE}");
            dns.replace(&name, "TXT", 600, &[value]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    stage.records_are_at([1, 1, 1]).await;
    forger.abort();

    // It comes back, still alone: its lines come home.
    stage.revive(0);
    stage.records_are_at([0, 0, 1]).await;

    // They find one another again: the zone is as it was, and there is one history.
    stage.network.mend(0, 1);
    stage.is_whole_again().await;
    for (line, zone) in [
        ("web: default (ipv4)", ZONE),
        ("lined: CT (ipv4)", LINED_ZONE),
    ] {
        let told = |from: &str, to: &str| {
            format!("{line} went from {from} to {to} while the group had no quorum (survivor mode)")
        };
        eventually("what was done alone is told once", async || {
            let events = stage.client(0).get("/api/v1/dns/events").await.json();
            let events = events["events"].as_array().cloned().unwrap_or_default();
            let texts: Vec<&str> = events.iter().filter_map(|it| it["text"].as_str()).collect();
            let times = |text: String| texts.iter().filter(|it| **it == text).count();
            match (times(told("s0", "s1")), times(told("s1", "s0"))) {
                (1, 1) => Ok(()),
                found => Err(format!("{found:?}: {texts:?}")),
            }
        })
        .await;
        let changes = stage.history(1, zone).await;
        let alone = changes.iter().filter(|change| {
            let reason = change["reason"].as_str().unwrap_or_default();
            reason.starts_with("survivor mode: ")
        });
        assert_eq!(alone.count(), 2, "{changes:?}");
    }

    // From now on the group moves lines again.
    stage.servers[0].take().expect("it runs").kill9();
    stage.records_are_at([1, 1, 1]).await;

    // Whoever read the zone at any time found one owner for each line, and no other moves.
    let at = |site: usize| vec![RECORDS[site].to_owned()];
    let moves = vec![at(0), at(1), at(0), at(1)];
    let expected = [moves.clone(), moves, vec![at(1)]];
    eventually("every state of every record was one of these", async || {
        let seen = stage.seen.lock().expect("nobody panicked with it").clone();
        if seen == expected {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
}

/// The moment of a takeover in which the two sites find one another again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The other site is dead and not yet taken for dead: nothing is claimed.
    BeforeTheClaim,
    /// The claim stands in the zone, and the record still points to the dead site.
    Claimed,
    /// The record points to the taker.
    Taken,
    /// The dead site is back, alone, and asks for its line.
    AskedBack,
}

#[tokio::test]
async fn whenever_two_sites_find_one_another_again_one_has_the_line() {
    let mut stage = Stage::with(SHORT_INTERVAL).await;
    let settled = stage.of_record(0).await.len();
    let mut expected = vec![vec![RECORDS[0].to_owned()]];
    let began = Instant::now();
    for moment in [
        Moment::BeforeTheClaim,
        Moment::Claimed,
        Moment::Taken,
        Moment::AskedBack,
    ] {
        // They lose one another, and the one that has the line dies. Who is between two steps stays there.
        stage.network.cut(0, 1);
        stage.kill(0);
        stage.gate.shut(moment == Moment::Claimed);
        match moment {
            Moment::BeforeTheClaim => {
                stage
                    .shows(1, "itself, without a group, and no claim", |value| {
                        !value.contains(" group") && !claims(value)
                    })
                    .await
            }
            Moment::Claimed => {
                stage
                    .shows(1, "a claim that is read back", |value| {
                        value.contains(" hold=")
                    })
                    .await
            }
            Moment::Taken | Moment::AskedBack => stage.records_are_at([1, 1, 1]).await,
        }
        if moment == Moment::AskedBack {
            stage.gate.shut(true);
            stage.revive(0);
            stage
                .shows(0, "that it wants its line", |value| {
                    value.contains(" want=")
                })
                .await;
        }

        // Right now they find one another again.
        let taken = matches!(moment, Moment::Taken | Moment::AskedBack);
        assert!(stage.record_is_at(usize::from(taken)), "{moment:?}");
        stage.network.mend(0, 1);
        if moment != Moment::AskedBack {
            stage.revive(0);
        }
        stage
            .view_is(1, ZONE, "s1 has found the group", |view| {
                view["quorum"] != "lost"
            })
            .await;
        stage.gate.shut(false);
        stage.records_are_at([0, 0, 1]).await;
        stage.is_whole_again().await;
        if taken {
            expected.extend([1, 0].map(|site| vec![RECORDS[site].to_owned()]));
        }
        // Every read found each line with one of the two, and it went to and fro once at most.
        let seen = stage.seen.lock().expect("nobody panicked with it").clone();
        assert_eq!(seen[0], expected, "{moment:?}");
        let has_one = |owners: &Vec<String>| owners.len() == 1;
        assert!(seen.iter().flatten().all(has_one), "{moment:?}: {seen:?}");
        println!(
            "{moment:?}: whole again {:.1?} after the beginning",
            began.elapsed()
        );
    }

    // Both tell the same history, in which each change begins where the last one ended: what was seen.
    let texts = expected.iter().map(|it| it.iter().map(String::as_str));
    let wanted: Vec<Vec<&str>> = texts.map(Iterator::collect).collect();
    eventually("there is one history", async || {
        let histories = [stage.of_record(0).await, stage.of_record(1).await];
        let [changes, others] = &histories;
        let states: Vec<Vec<&str>> = changes.iter().map(|it| contents(&it["after"])).collect();
        let begun = changes.iter().map(|it| contents(&it["before"]));
        let chained = begun.skip(1).eq(states[..states.len() - 1].iter().cloned());
        // What stood before they lost one another is the last change of the beginning.
        match changes == others && chained && states[settled - 1..] == wanted {
            true => Ok(()),
            false => Err(format!("{histories:?}")),
        }
    })
    .await;
    // What a site did alone is the group's own, and no drift that somebody else made.
    let changes = stage.of_record(0).await;
    let foreign = changes
        .iter()
        .filter(|change| change["reason"] == "changed outside");
    assert_eq!(foreign.count(), 0, "{changes:?}");
}

/// The contents of a record, as a history has them.
fn contents(data: &Value) -> Vec<&str> {
    let values = data["values"].as_array().into_iter().flatten();
    values
        .filter_map(|value| value["content"].as_str())
        .collect()
}

#[tokio::test]
async fn a_zone_that_the_group_serves_itself_cannot_outlive_its_quorum() {
    let setup = Setup {
        members: Some(1),
        ..Setup::default()
    };
    let cluster = Cluster::start_with(setup).await;
    let client = cluster.client(0);
    let local = json!({"plugin": "local", "zones": [ZONE]});
    bind(&client, "home", &local).await;
    let service = json!({"zone": ZONE, "record": "www", "survivor": {}});
    let path = "/api/v1/dns/services/web";
    let reply = client.put(path, &service).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    let error = reply.json()["error"].clone();
    assert_eq!(error["at"], "survivor", "{error}");
    let shown = client.get("/api/v1/dns/survivor").await.json();
    assert_eq!(shown, json!({"zones": []}));
}
