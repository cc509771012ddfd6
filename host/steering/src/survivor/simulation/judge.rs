//! What must hold at every moment.

use super::provider::Provider;
use super::setup::{INTERVAL, Setup};
use super::world::{Link, Site};
use crate::names::DomainName;
use crate::survivor::Quorum;

/// How long after a home is in good order again its lines may still point elsewhere.
pub(in crate::survivor) const GRACE: u64 = 14 * INTERVAL;

pub(in crate::survivor) struct Judge {
    failure: Option<String>,
    /// Who counted on a line at the last look.
    holder: Vec<Option<usize>>,
    /// By line, when anybody last counted on it.
    held: Vec<Option<u64>>,
    /// Since when a site has been in good order without a break: up, serving, reaching the provider,
    /// not in a minority of a group that decides.
    good_since: Vec<Option<u64>>,
    /// By observer and site, when it last was not to be seen.
    unseen: Vec<Vec<u64>>,
    /// By line, where it pointed at the last look.
    pointed: Vec<usize>,
    pub(in crate::survivor) takeovers: usize,
    pub(in crate::survivor) group_moves: usize,
    pub(in crate::survivor) returns: usize,
    /// The longest that a home in good order waited for its line.
    pub(in crate::survivor) longest_wait: u64,
}

impl Judge {
    pub(in crate::survivor) fn new(setup: &Setup) -> Self {
        Self {
            failure: None,
            holder: vec![None; setup.lines.len()],
            held: vec![None; setup.lines.len()],
            good_since: vec![Some(0); setup.sites.len()],
            unseen: vec![vec![0; setup.sites.len()]; setup.sites.len()],
            pointed: setup.homes().collect(),
            takeovers: 0,
            group_moves: 0,
            returns: 0,
            longest_wait: 0,
        }
    }

    pub(in crate::survivor) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(in crate::survivor) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(in crate::survivor) fn held_since(&self, line: usize, since: u64) -> bool {
        self.held[line].is_some_and(|held| held >= since)
    }

    pub(in crate::survivor) fn verdict(&self) -> Result<(), String> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// A member writes values under its own name alone.
    pub(in crate::survivor) fn own_name(&mut self, setup: &Setup, at: usize, name: &DomainName) {
        let own = format!("_portolan.{}.example.com", setup.sites[at]);
        if name.as_str() != own {
            self.fail(format!("site {at} writes {name}"));
        }
    }

    pub(in crate::survivor) fn group_moves(&mut self, now: u64, line: usize) {
        self.group_moves += 1;
        if let Some(holder) = self.holder[line] {
            self.fail(format!(
                "{now}: the group moves line {line}, on which {holder} counts"
            ));
        }
    }

    pub(in crate::survivor) fn look(
        &mut self,
        now: u64,
        setup: &Setup,
        sites: &[Site],
        provider: &Provider,
        strict: bool,
    ) {
        self.watch_sites(now, sites);
        for line in 0..setup.lines.len() {
            self.watch_holder(now, setup, sites, provider, line, strict);
            self.watch_record(now, setup, provider, line, strict);
        }
    }

    fn watch_sites(&mut self, now: u64, sites: &[Site]) {
        let a_group = sites.iter().any(|site| {
            let quorum = site.machine.as_ref().map(|machine| machine.quorum);
            quorum.is_some_and(|quorum| quorum != Quorum::Lost)
        });
        for (at, site) in sites.iter().enumerate() {
            let good = site.is_up() && site.serves && site.link == Link::Good && !a_group;
            self.good_since[at] = match (good, self.good_since[at]) {
                (false, _) => None,
                (true, since) => Some(since.unwrap_or(now)),
            };
            for (other, seen) in sites.iter().enumerate() {
                if !seen.serves || site.side != seen.side || site.blind {
                    self.unseen[at][other] = now;
                }
            }
        }
    }

    /// One at a time, and nobody against a value that moves.
    fn watch_holder(
        &mut self,
        now: u64,
        setup: &Setup,
        sites: &[Site],
        provider: &Provider,
        line: usize,
        strict: bool,
    ) {
        let holds = |at: &usize| {
            let site: &Site = &sites[*at];
            let clock = site.clock(now);
            site.machine
                .as_ref()
                .is_some_and(|machine| machine.counts_on(line, clock))
        };
        let mut holders = (0..sites.len()).filter(holds);
        let holder = holders.next();
        if let Some(other) = holders.next().filter(|_| strict) {
            self.fail(format!(
                "{now}: {holder:?} and {other} count on line {line}"
            ));
        }
        if holder.is_some() {
            self.held[line] = Some(now);
        }
        let before = std::mem::replace(&mut self.holder[line], holder);
        let home = setup.orders[line][0];
        match holder.filter(|_| holder != before) {
            Some(taker) if taker != home && strict => {
                self.check_taking(now, setup, provider, home, taker, line, &sites[taker]);
            }
            _ => {}
        }
    }

    /// What is taken was not renewed by the time of the question that decided.
    #[allow(clippy::too_many_arguments, reason = "a snapshot of the world")]
    fn check_taking(
        &mut self,
        now: u64,
        setup: &Setup,
        provider: &Provider,
        home: usize,
        taker: usize,
        line: usize,
        site: &Site,
    ) {
        // Checks may lag behind by as much as an interval.
        if now > self.unseen[taker][home] + INTERVAL {
            self.fail(format!(
                "{now}: {taker} takes line {line} although it sees {home} serve"
            ));
        }
        let (written, texts) = &provider.own_writes[home];
        let stands = provider.values[home].now() == texts && !texts.is_empty();
        // A value that everyone can read, written within three intervals of the fastest clock.
        let readable = written + setup.settle < site.asked;
        let young = written + INTERVAL * 5 / 2 > site.asked;
        if stands && readable && young {
            self.fail(format!(
                "{now}: {taker} takes line {line} although {home} wrote at {written} and was read at {}",
                site.asked
            ));
        }
    }

    fn watch_record(
        &mut self,
        now: u64,
        setup: &Setup,
        provider: &Provider,
        line: usize,
        strict: bool,
    ) {
        let owner = *provider.records[line].now();
        let order = &setup.orders[line];
        if !order.contains(&owner) {
            self.fail(format!("{now}: line {line} points to {owner}"));
        }
        let home = order[0];
        let before = std::mem::replace(&mut self.pointed[line], owner);
        self.takeovers += usize::from(owner != before && owner != home);
        self.returns += usize::from(owner != before && owner == home);
        if owner == home {
            return;
        }
        let Some(since) = self.good_since[home] else {
            return;
        };
        let since = since.max(provider.records[line].since().min(now));
        let waits = now - self.good_since[home].unwrap_or(since);
        self.longest_wait = self.longest_wait.max(waits);
        if strict && waits > GRACE {
            self.fail(format!(
                "{now}: line {line} points to {owner} although its home {home} is in good order since {since}"
            ));
        }
    }
}
