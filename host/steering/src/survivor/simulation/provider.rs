//! A DNS provider that keeps its promises, just: calls take up to the flight time, may be lost, come
//! twice or out of order, and reads lag behind by up to the settle time.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;

use super::setup::Setup;
use crate::survivor::{LineKey, Owner, SiteName, Zone};

/// A thing that changes, with its past.
#[derive(Debug)]
pub(in crate::survivor) struct Past<T>(Vec<(u64, T)>);

impl<T: Clone + PartialEq> Past<T> {
    pub(in crate::survivor) fn new(first: T) -> Self {
        Self(vec![(0, first)])
    }

    pub(in crate::survivor) fn set(&mut self, now: u64, value: T) {
        self.0.push((now, value));
    }

    pub(in crate::survivor) fn now(&self) -> &T {
        &self.0[self.0.len() - 1].1
    }

    pub(in crate::survivor) fn since(&self) -> u64 {
        self.0[self.0.len() - 1].0
    }

    pub(in crate::survivor) fn at(&self, time: u64) -> &T {
        let entry = self.0.iter().rev().find(|(since, _)| *since <= time);
        &entry.unwrap_or(&self.0[0]).1
    }

    pub(in crate::survivor) fn changes_since(&self, time: u64) -> usize {
        let after = self.0.windows(2).filter(|pair| pair[1].0 > time);
        after.filter(|pair| pair[0].1 != pair[1].1).count()
    }
}

/// The zone: by site its TXT values, by line the site that its record points to.
pub(in crate::survivor) struct Provider {
    pub(in crate::survivor) values: Vec<Past<Vec<String>>>,
    pub(in crate::survivor) records: Vec<Past<usize>>,
    /// When a site last changed its own value itself, and what to.
    pub(in crate::survivor) own_writes: Vec<(u64, Vec<String>)>,
}

/// A change that arrives.
#[derive(Debug, Clone)]
pub(in crate::survivor) enum Write {
    Value {
        site: usize,
        texts: Vec<String>,
        /// By the site itself, not by an attacker.
        own: bool,
    },
    /// By line: what it was said to point to, and where to point it.
    Records(Vec<(usize, usize, usize)>),
}

impl Provider {
    pub(in crate::survivor) fn new(setup: &Setup) -> Self {
        Self {
            values: (0..setup.sites.len()).map(|_| Past::new(vec![])).collect(),
            records: setup.homes().map(Past::new).collect(),
            own_writes: vec![(0, vec![]); setup.sites.len()],
        }
    }

    /// A whole read; each part of it lags by itself.
    pub(in crate::survivor) fn read(
        &self,
        now: u64,
        setup: &Setup,
        lag: u64,
        random: &mut StdRng,
    ) -> Zone {
        let mut when = || now.saturating_sub(random.random_range(0..=lag));
        let values: BTreeMap<SiteName, Vec<String>> = self
            .values
            .iter()
            .zip(&setup.sites)
            .map(|(texts, site)| (site.clone(), texts.at(when()).clone()))
            .collect();
        let owners: BTreeMap<LineKey, Owner> = self
            .records
            .iter()
            .zip(&setup.lines)
            .map(|(record, rule)| {
                let site = setup.sites[*record.at(when())].clone();
                (rule.key.clone(), Owner::Site(site))
            })
            .collect();
        Zone {
            values,
            owners,
            provider_time: Some(1_700_000_000 + now / 1000),
        }
    }
}
