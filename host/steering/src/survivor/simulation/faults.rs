//! What goes wrong, and how a run ends.

use rand::Rng;

use super::provider::Write;
use super::setup::INTERVAL;
use super::world::{Event, Link, World};
use crate::survivor::Quorum;

/// For how long things go wrong.
const TROUBLE: u64 = 40 * INTERVAL;
/// By when everything has come right after that.
const RECOVERY: u64 = 40 * INTERVAL;
/// A member whose calls wait too long lapses now and then; it holds again within this.
const HELD_AGAIN: u64 = 4 * INTERVAL;
/// In the last part of that nothing moves any more.
const CALM: u64 = 8 * INTERVAL;

impl World {
    /// Trouble, then recovery, then the last look.
    pub(in crate::survivor) fn run(&mut self) {
        self.after(0, Event::Fault);
        self.run_until(TROUBLE);
        if self.judge.has_failed() {
            return;
        }
        self.overdue = 1;
        self.end_trouble();
        self.run_until(TROUBLE + RECOVERY);
        if !self.judge.has_failed() {
            self.check_end();
        }
    }

    pub(in crate::survivor) fn fault(&mut self) {
        if self.now >= TROUBLE {
            return;
        }
        let at = self.random.random_range(0..self.sites.len());
        match self.random.random_range(0..17) {
            0..=2 => self.cut(),
            3 => self.heal(),
            4 | 5 => self.kill(at),
            6 => {
                self.note(|| format!("{at} crashes"));
                self.stop(at);
            }
            7 | 8 => self.revive(at),
            9 => {
                self.sites[at].serves = !self.sites[at].serves;
                let serves = self.sites[at].serves;
                self.note(|| format!("{at} serves: {serves}"));
            }
            10 => self.set_link(at, Link::Bad),
            11 => self.set_link(at, Link::Cut),
            12 => self.set_link(at, Link::Good),
            13 => {
                self.sites[at].blind = !self.sites[at].blind;
                let blind = self.sites[at].blind;
                self.note(|| format!("{at} is blind: {blind}"));
            }
            _ => self.attack(at),
        }
        let gap = self.random.random_range(0..INTERVAL * 4);
        self.after(gap, Event::Fault);
    }

    pub(in crate::survivor) fn cut(&mut self) {
        for site in &mut self.sites {
            site.side = self.random.random_range(0..3);
        }
        let sides: Vec<usize> = self.sites.iter().map(|site| site.side).collect();
        self.note(|| format!("sides {sides:?}"));
    }

    pub(in crate::survivor) fn heal(&mut self) {
        self.note(|| "healed".to_owned());
        for site in &mut self.sites {
            site.side = 0;
        }
    }

    pub(in crate::survivor) fn set_link(&mut self, at: usize, link: Link) {
        self.note(|| format!("{at} reaches the provider: {link:?}"));
        self.sites[at].link = link;
    }

    pub(in crate::survivor) fn kill(&mut self, at: usize) {
        self.note(|| format!("{at} dies"));
        self.stop(at);
        self.sites[at].serves = false;
    }

    pub(in crate::survivor) fn revive(&mut self, at: usize) {
        self.sites[at].serves = true;
        if !self.sites[at].is_up() {
            let forgets = self.random.random_bool(0.15);
            self.note(|| format!("{at} is back (without memory: {forgets})"));
            self.start(at, forgets);
        }
    }

    /// Somebody else writes under a site's name: old values, others' values, or made up ones.
    fn attack(&mut self, at: usize) {
        let mut texts = self.provider.values[at].now().clone();
        let recorded = self.recorded.len();
        let forged = match self.random.random_range(0..4) {
            _ if recorded == 0 => "v=portolan1".to_owned(),
            0 => self.forged(at),
            1 => self.recorded[self.random.random_range(0..recorded)]
                .1
                .clone(),
            _ => {
                let own = self.recorded.iter().filter(|(site, _)| *site == at);
                let own: Vec<&String> = own.map(|(_, text)| text).collect();
                match own.len() {
                    0 => return,
                    count => own[self.random.random_range(0..count)].clone(),
                }
            }
        };
        // Beside what stands there, or in its place.
        if self.random.random() {
            texts.clear();
        }
        texts.push(forged);
        self.note(|| format!("attack on {at}: {texts:?}"));
        self.attack_value(at, texts);
    }

    /// Has texts stand as a site's value, whoever wrote them.
    fn attack_value(&mut self, at: usize, texts: Vec<String>) {
        let write = Write::Value {
            site: at,
            texts,
            own: false,
        };
        self.after(0, Event::Arrive(write, None));
    }

    /// A value that would be the latest of all, had read everything and claims everything; whoever
    /// made it does not have the key.
    fn forged(&mut self, at: usize) -> String {
        let site = &self.setup.sites[at];
        let known = self.recorded.last().map_or("", |(_, text)| text.as_str());
        let plan = known.split(" plan=").nth(1).unwrap_or_default();
        let plan = plan.split(' ').next().unwrap_or_default();
        let group = if self.random.random() { " group" } else { "" };
        let seq = 9_999 + self.now;
        format!(
            "v=portolan1 site={site} rev=7 seq={seq} tag=00000000 at=1999999999 plan={plan} \
             saw={seq}.{seq}.{seq}{group} hold=Aw mac=AAAA"
        )
    }

    /// The dead speak: old values come back again and again, and forged ones.
    pub(in crate::survivor) fn replay(&mut self, at: usize) {
        let own = self.recorded.iter().filter(|(site, _)| *site == at);
        let own: Vec<&String> = own.map(|(_, text)| text).collect();
        if own.is_empty() {
            return;
        }
        let old = own[self.random.random_range(0..own.len())].clone();
        let text = match self.random.random() {
            true => old,
            false => self.forged(at),
        };
        self.attack_value(at, vec![text]);
        self.after(INTERVAL, Event::Replay(at));
    }

    /// From here on nothing changes any more; some of the dead and of the cuts stay.
    pub(in crate::survivor) fn end_trouble(&mut self) {
        self.note(|| "the trouble ends".to_owned());
        for site in &mut self.sites {
            site.link = Link::Good;
            site.blind = false;
        }
        let cut = self.random.random_bool(0.5);
        match cut {
            true => {
                for at in 0..self.sites.len() {
                    self.sites[at].side = at;
                }
            }
            false => self.heal(),
        }
        let dead = self.random.random_bool(0.5);
        let dead = dead.then(|| self.random.random_range(0..self.sites.len()));
        for at in 0..self.sites.len() {
            match dead {
                Some(dead) if dead == at => {
                    self.kill(at);
                    if !self.memory_lost {
                        self.after(0, Event::Replay(at));
                    }
                }
                _ => self.revive(at),
            }
        }
    }

    /// Everything is where it belongs, and stays.
    pub(in crate::survivor) fn check_end(&mut self) {
        for line in 0..self.setup.lines.len() {
            let owner = *self.provider.records[line].now();
            let order = self.setup.orders[line].clone();
            let grouped = |at: &usize| self.quorum(*at).stands();
            let right = match order.iter().copied().find(grouped) {
                Some(first) => owner == first,
                None if self.sites[order[0]].is_up() => owner == order[0],
                None => self.sites[owner].is_up(),
            };
            if !right {
                self.judge.fail(format!(
                    "at the end line {line} of {order:?} points to {owner}"
                ));
            }
            let moved = self.provider.records[line].changes_since(self.now - CALM);
            if moved > 0 {
                self.judge
                    .fail(format!("at the end line {line} still moves"));
            }
            let group = (0..self.sites.len()).any(|at| self.quorum(at).stands());
            let held = self.judge.held_since(line, self.now - HELD_AGAIN);
            if held == group {
                self.judge
                    .fail(format!("at the end line {line} is held: {held}"));
            }
        }
        self.check_peace();
    }

    fn check_peace(&mut self) {
        let whole = (0..self.sites.len()).all(|at| self.quorum(at) == Quorum::Whole);
        // What somebody else put there since is nobody's.
        let left = self.provider.own_writes.iter().enumerate();
        let left = left.filter(|(at, (_, texts))| {
            let stands = self.provider.values[*at].now();
            !texts.is_empty() && stands.iter().any(|text| texts.contains(text))
        });
        let left: Vec<usize> = left.map(|(at, _)| at).collect();
        if whole && !left.is_empty() {
            self.judge
                .fail(format!("at the end values of {left:?} are left"));
        }
    }

    pub(in crate::survivor) fn holds(&self, at: usize, line: usize) -> bool {
        let site = &self.sites[at];
        let clock = site.clock(self.now);
        site.machine
            .as_ref()
            .is_some_and(|it| it.counts_on(line, clock))
    }
}
