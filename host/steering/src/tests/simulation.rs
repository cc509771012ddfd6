//! Sites that fail at random, over the in-memory twin: three, five and nine of them.
//!
//! One seed is one run: `PORTOLAN_SEED=7` runs that one alone, `PORTOLAN_SEEDS=1000` so many. The health of
//! sites changes, calls of the provider fail, are carried out without an answer, or only in part; the
//! decisions are the ones that the daemon makes. Throughout, a line has one owner, no record set that stood
//! is ever missing, and what is somebody else's stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use super::fixtures::{set, zone};
use crate::assign::{Health, Owners, Sight, assign};
use crate::compose::{Composed, Served, SiteAddresses, compose};
use crate::decide::decide;
use crate::family::Family;
use crate::names::{BindingName, LineCode, SiteCode};
use crate::ownership;
use crate::plan::{Action, Normalized, Observation, Ownership, Situation, Wanted};
use crate::provider::{DnsProvider as _, ProviderError, RecordKey, RecordSet};
use crate::services::Service;
use crate::sites::Site;
use crate::twin::{ApplyFault, Twin};

const STEPS: u64 = 60;
const LINES: [&str; 6] = ["default", "CT", "CU", "CMCC", "CNEdu", "OverSea"];

/// How a line is claimed by sites: what a rule decides.
type Claims = BTreeMap<LineCode, BTreeSet<SiteCode>>;

/// Who is up.
struct Weather(BTreeMap<SiteCode, Health>);

impl Sight for Weather {
    fn health(&self, _: &Service, site: &Site, _: Family) -> Health {
        self.0.get(&site.code).copied().unwrap_or(Health::Unknown)
    }

    fn has_address(&self, site: &Site, family: Family) -> bool {
        !site.fixed(family).is_empty()
    }
}

/// The daemon's side of a run and the twin on the other.
struct Run {
    random: StdRng,
    sites: Vec<Site>,
    service: Service,
    weather: Weather,
    owners: Owners,
    owned: Ownership,
    twin: Arc<Twin>,
    foreign: Vec<RecordSet>,
    /// Record sets that stood once: they must not be missing again.
    stood: BTreeSet<RecordKey>,
    now_ms: u64,
}

impl Run {
    fn new(seed: u64, count: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut lines: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for line in LINES {
            lines
                .entry(random.random_range(0..count))
                .or_default()
                .push(line);
        }
        let site = |index: usize| {
            serde_json::from_value(json!({
                "code": format!("s{index}"),
                "lines": lines.get(&index).cloned().unwrap_or_default(),
                "fallback": 10 * index,
                "addresses": {"ipv4": [format!("203.0.113.{}", index + 1)]},
            }))
            .unwrap()
        };
        let sites: Vec<Site> = (0..count).map(site).collect();
        let up = sites.iter().map(|site| (site.code.clone(), Health::Up));
        let weather = Weather(up.collect());
        let service = json!({
            "name": "s", "zone": "example.com", "record": "www", "types": ["A"],
        });
        let twin = Twin::new(&zone());
        let foreign = vec![
            set("mail A", &["192.0.2.1"]),
            set("www AAAA CT", &["2001:db8::1"]),
            set("@ NS", &["ns1.example.net"]),
        ];
        for set in &foreign {
            twin.put(set.clone());
        }
        let foreign = twin.all();
        Self {
            random,
            sites,
            service: serde_json::from_value(service).unwrap(),
            weather,
            owners: Owners::default(),
            owned: Ownership::new(),
            twin,
            foreign,
            stood: BTreeSet::new(),
            now_ms: 1_000_000,
        }
    }

    /// A site's health changes, or that of all.
    fn change_weather(&mut self) {
        let any = |random: &mut StdRng| match random.random_range(0..10) {
            0..4 => Health::Up,
            4..7 => Health::Down,
            7..9 => Health::Returning { at_ms: 0 },
            _ => Health::Unknown,
        };
        if self.random.random_ratio(1, 15) {
            for health in self.weather.0.values_mut() {
                *health = any(&mut self.random);
            }
        } else {
            let at = self.random.random_range(0..self.sites.len());
            let health = any(&mut self.random);
            self.weather.0.insert(self.sites[at].code.clone(), health);
        }
    }

    fn break_something(&mut self) {
        let gone = || ProviderError::Transient("gone".to_owned());
        match self.random.random_range(0..8) {
            0 => self.twin.fail_apply(ApplyFault::Refuse(gone())),
            1 => self.twin.fail_apply(ApplyFault::LoseAnswer),
            2 => {
                let line = LINES[self.random.random_range(0..LINES.len())];
                let key = super::fixtures::key(&format!("www A {line}"));
                self.twin.refuse_set(&key, gone());
            }
            _ => self.twin.heal(),
        }
    }

    /// Decides who serves the lines, and answers it as claims.
    fn decide_owners(&mut self) -> Claims {
        let before = std::mem::take(&mut self.owners);
        let (service, sites) = (&self.service, &self.sites);
        self.owners = assign(service, sites, &self.weather, &before, self.now_ms);
        let claims = self.owners.lines.iter().map(|(line, families)| {
            let sites = families.values().flat_map(|owner| owner.sites.clone());
            (line.clone(), sites.collect())
        });
        claims.collect()
    }

    fn composed(&self) -> Composed {
        let addresses = self.sites.iter().map(|site| {
            let known = site.fixed(Family::Ipv4).to_vec();
            ((site.code.clone(), Family::Ipv4), known)
        });
        let addresses: SiteAddresses = addresses.collect();
        let served = Served {
            service: self.service.clone(),
            owners: self.owners.clone(),
            nodes: None,
        };
        let caps = self.twin_caps();
        compose(vec![], &[served], &addresses, &BTreeMap::new(), &caps)
    }

    fn twin_caps(&self) -> crate::provider::Caps {
        let describe = self.twin.describe();
        futures_util::FutureExt::now_or_never(describe)
            .unwrap()
            .unwrap()
    }

    /// One round, as the daemon makes it: look, decide, write down, hand over, learn.
    async fn round(&mut self) {
        let composed = self.composed();
        let sets = self.twin.all().into_iter();
        let observed = Observation {
            sets: sets.map(|set| (set.key.clone(), set)).collect(),
            foreign: 0,
        };
        let wanted = &composed.wanted;
        let normalized: Normalized = wanted
            .iter()
            .map(|it: &Wanted| (it.key.clone(), Ok(it.to_set())))
            .collect();
        let plan = decide(Situation {
            zone: &zone(),
            binding: &BindingName::parse("main").unwrap(),
            caps: &self.twin_caps(),
            wanted,
            normalized: &normalized,
            observed: &observed,
            owned: &self.owned,
            kept: &composed.kept,
            now_ms: self.now_ms,
        });
        ownership::settle(&mut self.owned, &plan);
        let due: Vec<Action> = plan.changes().cloned().collect();
        for action in &due {
            ownership::intend(&mut self.owned, action, self.now_ms);
        }
        let changes: Vec<_> = due.iter().map(Action::to_change).collect();
        if let Ok(results) = self.twin.apply(&zone(), &changes).await {
            for (action, result) in due.iter().zip(&results) {
                ownership::learn(&mut self.owned, action, result, self.now_ms);
            }
        }
    }

    /// What must hold at every read of the zone.
    fn check(&mut self, claims: &Claims) -> Result<(), String> {
        one_owner_each(claims)?;
        for foreign in &self.foreign {
            if self.twin.get(&foreign.key).as_ref() != Some(foreign) {
                return Err(format!(
                    "{} is somebody else's and was changed",
                    foreign.key
                ));
            }
        }
        for key in &self.stood {
            let stands = self.twin.get(key).is_some_and(|set| set.data.serves());
            if !stands {
                return Err(format!("{key} is missing"));
            }
        }
        let ours = |set: &RecordSet| !self.foreign.iter().any(|it| it.key == set.key);
        let standing: Vec<RecordSet> = self.twin.all().into_iter().filter(ours).collect();
        for set in standing {
            if set.data.values.len() != 1 {
                return Err(format!("{} points to several sites: {}", set.key, set.data));
            }
            self.stood.insert(set.key);
        }
        Ok(())
    }
}

fn one_owner_each(claims: &Claims) -> Result<(), String> {
    for (line, sites) in claims {
        if sites.len() > 1 {
            return Err(format!("{line} is claimed by {sites:?}"));
        }
    }
    Ok(())
}

/// The rule of the contract's reference: every site that lives claims every dead site's lines.
fn naive_claims(sites: &[Site], weather: &Weather) -> Claims {
    let is_up = |site: &&Site| weather.0.get(&site.code) == Some(&Health::Up);
    let living: BTreeSet<SiteCode> = sites
        .iter()
        .filter(is_up)
        .map(|it| it.code.clone())
        .collect();
    let mut claims = Claims::new();
    for site in sites {
        let claimants = match living.contains(&site.code) {
            true => [site.code.clone()].into(),
            false => living.clone(),
        };
        for own in &site.lines {
            claims.insert(own.line.clone(), claimants.clone());
        }
    }
    claims
}

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    match number("PORTOLAN_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("PORTOLAN_SEEDS").unwrap_or(100)).collect(),
    }
}

async fn run(seed: u64, count: usize) -> Result<(), String> {
    let mut run = Run::new(seed, count);
    for step in 0..STEPS {
        run.now_ms += 1_000;
        if step > 0 {
            run.change_weather();
            run.break_something();
        }
        let claims = run.decide_owners();
        for _ in 0..run.random.random_range(1..3) {
            run.round().await;
            run.check(&claims)
                .map_err(|broken| format!("{count} sites, seed {seed}, step {step}: {broken}"))?;
        }
    }
    // All is well again: every line is at home.
    run.twin.heal();
    run.weather
        .0
        .values_mut()
        .for_each(|health| *health = Health::Up);
    let claims = run.decide_owners();
    for _ in 0..3 {
        run.round().await;
    }
    run.check(&claims)?;
    for site in &run.sites {
        for own in &site.lines {
            let key = super::fixtures::key(&format!("www A {}", own.line));
            let stands = run
                .twin
                .get(&key)
                .map(|set| set.data.values[0].content.clone());
            let home = site.fixed(Family::Ipv4)[0].to_string();
            if stands.as_ref() != Some(&home) {
                return Err(format!(
                    "{count} sites, seed {seed}: {} is at {stands:?}",
                    own.line
                ));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn whatever_fails_a_line_has_one_owner_and_a_record() {
    for seed in seeds() {
        for count in [3, 5, 9] {
            if let Err(broken) = run(seed, count).await {
                panic!("{broken}");
            }
        }
    }
}

#[test]
fn the_rule_of_the_reference_fails_here() {
    let broken = (0..100).filter(|seed| {
        let mut run = Run::new(*seed, 3);
        (0..STEPS).any(|_| {
            run.change_weather();
            one_owner_each(&naive_claims(&run.sites, &run.weather)).is_err()
        })
    });
    assert_eq!(broken.count(), 100, "two survivors fight in every run");
}
