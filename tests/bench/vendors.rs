//! What providers ask of their services: 1,000 of 10,000 record sets are to change, and the plugin reads the
//! zone and writes what differs, under the limits and in the portions of the daemon.
//!
//! The rival is the client that makes the fewest requests which the service's API allows: it reads each page
//! once, at the largest size, puts as many changes into a request as the API takes, and neither looks whether
//! a set still stands as it was read nor asks whether its change has been carried out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portolan_sandbox::SandboxOptions;
use portolan_steering::suite::Bench;
use portolan_steering::{
    Action, BindingName, Change, DnsProvider, DomainName, LineCode, Normalized, Outcome, Owned,
    Ownership, Plan, RecordKey, RecordSet, RecordType, RecordValue, SetId, Situation, Ttl, Wanted,
    ZoneName, decide,
};
use portolan_tests::{FrontedPowerDns, NameServer, Plugin};
use portolan_vendors::{
    AliStub, CloudflareStub, DigitalOcean, DnspodStub, Front, Hetzner, Huawei, Moto, Vendor,
};
use serde::Serialize;

const SETS: usize = 10_000;
const CHANGED: usize = 1_000;
const TTL_S: u32 = 600;
/// Sets that a call puts into the zone before anything is measured.
const FILLED_AT_ONCE: usize = 2_500;

/// A provider, and what stands for its service here.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    provider: &'static str,
    /// The fewest requests that read the zone.
    reads: usize,
    /// The fewest requests that make the changes.
    writes: usize,
}

const fn candidate(provider: &'static str, reads: usize, writes: usize) -> Candidate {
    Candidate {
        provider,
        reads,
        writes,
    }
}

/// The fewest requests, from the services' documentation.
const CANDIDATES: [Candidate; 11] = [
    // One GET of the zone; one PATCH.
    candidate("powerdns", 1, 1),
    // One AXFR; one UPDATE of less than 64 KiB.
    candidate("rfc2136 (BIND)", 1, 1),
    candidate("rfc2136 (Knot)", 1, 1),
    candidate("rfc2136 (PowerDNS)", 1, 1),
    // Pages of 300; batches of 1,000 records, of which an UPSERT counts as two.
    candidate("route53", SETS.div_ceil(300), 2 * CHANGED / 1_000),
    // Pages of 5,000; one batch of up to 3,500.
    candidate("cloudflare", SETS.div_ceil(5_000), 1),
    // Pages of 500; one record a request.
    candidate("alidns", SETS.div_ceil(500), CHANGED),
    // Pages of 3,000; one record a request.
    candidate("dnspod", SETS.div_ceil(3_000), CHANGED),
    // Pages of 500; fifty sets a request.
    candidate("huaweicloud", SETS.div_ceil(500), CHANGED / 50),
    // Pages of 100; one set a request.
    candidate("hetzner", SETS.div_ceil(100), CHANGED),
    // Pages of 200; one record a request.
    candidate("digitalocean", SETS.div_ceil(200), CHANGED),
];

async fn start(provider: &str) -> Box<dyn Vendor> {
    const ZONES: [&str; 1] = ["example.com"];
    match provider {
        "powerdns" => Box::new(FrontedPowerDns::start().await),
        "rfc2136 (BIND)" => Box::new(NameServer::bind().await),
        "rfc2136 (Knot)" => Box::new(NameServer::knot().await),
        "rfc2136 (PowerDNS)" => Box::new(NameServer::powerdns().await),
        "route53" => Box::new(Moto::start().await),
        "cloudflare" => {
            let stub = CloudflareStub::start("cf-token", &ZONES).await;
            // The only one that may hold so many.
            stub.set_plan("example.com", "enterprise");
            Box::new(stub)
        }
        "alidns" => Box::new(AliStub::start("LTAI-bench", "secret", &ZONES).await),
        "dnspod" => Box::new(DnspodStub::start("AKIDbench", "secret", &ZONES).await),
        "huaweicloud" => Box::new(Front::start(Huawei::new()).await),
        "hetzner" => Box::new(Front::start(Hetzner::new()).await),
        "digitalocean" => Box::new(Front::start(DigitalOcean::new()).await),
        other => panic!("nothing stands for {other}"),
    }
}

/// What one half of the work took.
#[derive(Debug, Serialize)]
pub(crate) struct Effort {
    pub(crate) requests: usize,
    /// Of the rival.
    pub(crate) fewest_requests: usize,
    /// Bytes of targets and bodies.
    pub(crate) sent: usize,
    /// Bytes of bodies.
    pub(crate) received: usize,
    /// Time in the plugin's own code: a plan's per set of the zone, an apply's per change.
    pub(crate) compute_us_each: f64,
}

/// One provider.
#[derive(Debug, Serialize)]
pub(crate) struct Manners {
    pub(crate) provider: &'static str,
    pub(crate) record_sets: usize,
    pub(crate) changes: usize,
    /// Reading the zone, and learning how what is wanted will read back.
    pub(crate) plan: Effort,
    pub(crate) apply: Effort,
}

/// All providers.
pub(crate) async fn measure(directory: &Path) -> Vec<Manners> {
    let mut measured = vec![];
    for candidate in CANDIDATES {
        crate::progress(&format!("changing a zone at {}", candidate.provider));
        measured.push(measure_one(candidate, directory).await);
    }
    measured
}

async fn measure_one(candidate: Candidate, directory: &Path) -> Manners {
    let vendor = start(candidate.provider).await;
    let zone = ZoneName::parse(vendor.zone()).expect("a zone's name");
    let cache_dir = Some(directory.join("compiled-plugins"));
    let unlimited = Plugin::of(&*vendor, unlimited(cache_dir.clone())).await;
    let owned = fill(&*unlimited.bind(vendor.binding()), &zone).await;

    let options = SandboxOptions {
        cache_dir,
        ..SandboxOptions::default()
    };
    let plugin = Plugin::of(&*vendor, options).await;
    let provider = plugin.bind(vendor.binding());
    let mut meter = Meter::new(&*vendor, &plugin);

    let plan = plan(&*provider, &zone, &owned).await;
    let changes: Vec<Change> = plan.changes().map(Action::to_change).collect();
    assert_eq!((changes.len(), plan.refused), (CHANGED, vec![]));
    let planning = meter.lap(candidate.reads, SETS);

    let caps = provider.describe().await.expect("a description");
    for portion in changes.chunks(caps.changes_per_call as usize) {
        apply(&*provider, &zone, portion).await;
    }
    let applying = meter.lap(candidate.writes, CHANGED);

    let again = self::plan(&*provider, &zone, &owned).await;
    assert_eq!(again.changes().count(), 0, "{}", candidate.provider);
    assert_eq!(meter.writes(), 0, "{} reads", candidate.provider);
    Manners {
        provider: candidate.provider,
        record_sets: SETS,
        changes: CHANGED,
        plan: planning,
        apply: applying,
    }
}

/// What calls may take before anything is measured.
fn unlimited(cache_dir: Option<PathBuf>) -> SandboxOptions {
    const AN_HOUR_MS: u64 = 3_600_000;
    SandboxOptions {
        deadline_ms: AN_HOUR_MS,
        compute_ms: AN_HOUR_MS,
        request_ms: AN_HOUR_MS,
        memory_bytes: 1 << 30,
        host_calls: u64::MAX,
        requests: u32::MAX,
        sent_bytes: usize::MAX,
        received_bytes: usize::MAX,
        cache_dir,
        ..SandboxOptions::default()
    }
}

/// Puts all sets into the zone, and answers what is ours in it then.
async fn fill(provider: &dyn DnsProvider, zone: &ZoneName) -> Ownership {
    let sets: Vec<RecordSet> = normalized(provider, zone, &wanted(zone, "192.0.2"))
        .await
        .into_values()
        .map(|set| set.expect("a set that can be written"))
        .collect();
    for portion in sets.chunks(FILLED_AT_ONCE) {
        let create = |set: &RecordSet| Change {
            key: set.key.clone(),
            before: None,
            after: Some(set.clone()),
        };
        let creates: Vec<Change> = portion.iter().map(create).collect();
        apply(provider, zone, &creates).await;
    }
    let own = |set: RecordSet| {
        let last = Some(set.data);
        let owned = Owned {
            last,
            ..Owned::default()
        };
        (set.key, owned)
    };
    sets.into_iter().map(own).collect()
}

/// The sets of the zone, a tenth of them with another address than they were filled in with.
fn changed(zone: &ZoneName) -> Vec<Wanted> {
    let mut wanted = wanted(zone, "192.0.2");
    let moved = self::wanted(zone, "198.51.100");
    for (number, moved) in moved.into_iter().enumerate() {
        if number % (SETS / CHANGED) == 0 {
            wanted[number] = moved;
        }
    }
    wanted
}

fn wanted(zone: &ZoneName, network: &str) -> Vec<Wanted> {
    let set = |number: usize| Wanted {
        key: RecordKey {
            name: DomainName::in_zone(&format!("host-{number}"), zone).expect("a name"),
            rtype: RecordType::parse("A").expect("a type"),
            line: LineCode::parse("default").expect("a line"),
            set_id: SetId::none(),
        },
        ttl: Ttl::new(TTL_S.into()).expect("a TTL"),
        values: vec![RecordValue::plain(format!(
            "{network}.{}",
            number % 250 + 1
        ))],
        adopt: false,
        why: None,
    };
    (0..SETS).map(set).collect()
}

async fn normalized(provider: &dyn DnsProvider, zone: &ZoneName, wanted: &[Wanted]) -> Normalized {
    let sets: Vec<RecordSet> = wanted.iter().map(Wanted::to_set).collect();
    let answers = provider.normalize(zone, &sets).await.expect("normal sets");
    let keys = sets.into_iter().map(|set| set.key);
    keys.zip(answers).collect()
}

/// Compares the zone with what shall stand in it.
async fn plan(provider: &dyn DnsProvider, zone: &ZoneName, owned: &Ownership) -> Plan {
    let wanted = changed(zone);
    let normalized = normalized(provider, zone, &wanted).await;
    let observed = Bench::new(provider, zone).await.observe().await;
    decide(Situation {
        zone,
        binding: &BindingName::parse("bench").expect("a name"),
        caps: &provider.describe().await.expect("a description"),
        wanted: &wanted,
        normalized: &normalized,
        observed: &observed,
        owned,
        kept: &BTreeMap::new(),
        now_ms: 0,
    })
}

async fn apply(provider: &dyn DnsProvider, zone: &ZoneName, changes: &[Change]) {
    let results = provider.apply(zone, changes).await;
    let results = results.unwrap_or_else(|error| panic!("{} changes: {error}", changes.len()));
    for (change, result) in changes.iter().zip(results) {
        assert_eq!(result, Ok(Outcome::Applied), "{}", change.key);
    }
}

/// Tells what happened since it was last asked.
struct Meter<'a> {
    vendor: &'a dyn Vendor,
    plugin: &'a Plugin,
    seen: usize,
    compute_s: f64,
}

impl<'a> Meter<'a> {
    fn new(vendor: &'a dyn Vendor, plugin: &'a Plugin) -> Self {
        Self {
            vendor,
            plugin,
            seen: vendor.seen().len(),
            compute_s: plugin.compute_seconds(),
        }
    }

    fn lap(&mut self, fewest_requests: usize, items: usize) -> Effort {
        let seen = self.vendor.seen().split_off(self.seen);
        let compute_s = self.plugin.compute_seconds();
        let effort = Effort {
            requests: seen.len(),
            fewest_requests,
            sent: seen.iter().map(|seen| seen.sent).sum(),
            received: seen.iter().map(|seen| seen.received).sum(),
            compute_us_each: (compute_s - self.compute_s) * 1e6 / items as f64,
        };
        self.seen += seen.len();
        self.compute_s = compute_s;
        effort
    }

    /// The requests since the last lap that change something.
    fn writes(&self) -> usize {
        let seen = self.vendor.seen().split_off(self.seen);
        seen.iter().filter(|seen| seen.is_write).count()
    }
}
