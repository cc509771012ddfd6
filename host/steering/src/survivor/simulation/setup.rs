//! What a run is about: sites, lines, times.

use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::ClusterKey;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::family::Family;
use crate::names::{LineCode, ZoneName};
use crate::survivor::{LineKey, LineRule, Plan, SiteName, Timing};

pub(in crate::survivor) const INTERVAL: u64 = 30_000;

/// What stays the same in a run.
#[derive(Debug, Clone)]
pub(in crate::survivor) struct Setup {
    pub(in crate::survivor) sites: Vec<SiteName>,
    /// Sorted by key, as in a plan.
    pub(in crate::survivor) lines: Vec<LineRule>,
    /// By line: its home, then its takers.
    pub(in crate::survivor) orders: Vec<Vec<usize>>,
    pub(in crate::survivor) flight: u64,
    pub(in crate::survivor) settle: u64,
    pub(in crate::survivor) quorum_delay: u64,
    pub(in crate::survivor) key: ClusterKey,
    /// The provider changes a record only if it stands as it was said to.
    pub(in crate::survivor) compares: bool,
}

impl Setup {
    pub(in crate::survivor) fn of_two() -> Self {
        let sites = vec![site("bj"), site("sh")];
        let orders = vec![vec![0, 1], vec![1, 0]];
        let mut setup = Self {
            sites,
            lines: vec![],
            orders,
            flight: INTERVAL / 8,
            settle: INTERVAL / 8,
            quorum_delay: INTERVAL,
            key: ClusterKey::from_bytes(&[7; 32]).unwrap(),
            compares: false,
        };
        setup.make_lines(&["CT", "CU"]);
        setup
    }

    fn make_lines(&mut self, lines: &[&str]) {
        let rules = lines.iter().zip(&self.orders);
        let rules = rules.map(|(line, order)| rule(line, &self.sites, order));
        self.lines = rules.collect();
    }

    pub(in crate::survivor) fn drawn(random: &mut StdRng) -> Self {
        let mut setup = Self::of_two();
        if random.random_bool(0.4) {
            setup.sites.push(site("gz"));
            let mut orders = vec![];
            for _ in 0..3 {
                let mut order = vec![0, 1, 2];
                order.shuffle(random);
                orders.push(order);
            }
            setup.orders = orders;
            setup.make_lines(&["CMCC", "CT", "CU"]);
        }
        setup.flight = INTERVAL / random.random_range(8..60);
        setup.settle = INTERVAL / 4 * random.random_range(0..=4) / 4;
        setup.quorum_delay = INTERVAL / 2 * random.random_range(0..6);
        setup.compares = random.random();
        setup
    }

    pub(in crate::survivor) fn homes(&self) -> impl Iterator<Item = usize> {
        self.orders.iter().map(|order| order[0])
    }

    pub(in crate::survivor) fn index(&self, site: &SiteName) -> usize {
        self.sites.iter().position(|it| it == site).unwrap()
    }

    pub(in crate::survivor) fn line(&self, key: &LineKey) -> usize {
        self.lines.iter().position(|it| it.key == *key).unwrap()
    }

    pub(in crate::survivor) fn plan(&self, floor: u64) -> Arc<Plan> {
        let timing = Timing {
            interval: Duration::from_millis(INTERVAL),
            quorum_delay: Duration::from_millis(self.quorum_delay),
            settle: Duration::from_millis(self.settle),
            flight: Duration::from_millis(self.flight),
        };
        let zone = ZoneName::parse("example.com").unwrap();
        Arc::new(Plan::new(zone, 7, floor, self.lines.clone(), timing).unwrap())
    }
}

fn site(name: &str) -> SiteName {
    SiteName::parse(name).unwrap()
}

fn rule(line: &str, sites: &[SiteName], order: &[usize]) -> LineRule {
    let key = LineKey {
        service: "shop".into(),
        line: LineCode::parse(line).unwrap(),
        family: Family::Ipv4,
    };
    let mut order = order.iter().map(|&at| sites[at].clone());
    LineRule {
        key,
        home: order.next().unwrap(),
        takers: order.collect(),
    }
}
