//! Sites, their members, what connects them, and time: a queue of events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::judge::Judge;
use super::provider::{Provider, Write};
use super::setup::{INTERVAL, Setup};
use crate::family::Family;
use crate::survivor::flaw::Flaw;
use crate::survivor::{
    Answer, CallId, Deed, Health, Input, Memory, Order, Quorum, Survivor, Verdicts,
};

/// How a member reaches the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::survivor) enum Link {
    Good,
    /// Calls and answers get lost, come late or twice.
    Bad,
    Cut,
}

/// A site with its member.
pub(in crate::survivor) struct Site {
    pub(in crate::survivor) machine: Option<Survivor>,
    memory: Memory,
    /// Counts starts: what an earlier life ordered and had not sent is gone.
    life: u32,
    rate: f64,
    offset: u64,
    pub(in crate::survivor) link: Link,
    pub(in crate::survivor) serves: bool,
    /// Sites of one side reach one another.
    pub(in crate::survivor) side: usize,
    /// Its checks call everyone down.
    pub(in crate::survivor) blind: bool,
    floor: u64,
    pub(in crate::survivor) asked: u64,
    asked_now: u64,
}

impl Site {
    pub(in crate::survivor) fn clock(&self, now: u64) -> u64 {
        self.offset + (now as f64 * self.rate) as u64
    }

    pub(in crate::survivor) fn is_up(&self) -> bool {
        self.machine.is_some()
    }
}

#[derive(Debug)]
pub(in crate::survivor) enum Event {
    Tick(usize),
    /// A member looks around: quorum, checks.
    Sense(usize),
    Lead,
    Send(usize, u32, Order),
    ReadAt(usize, u32, CallId),
    Arrive(Write, Option<(usize, u32, CallId)>),
    Tell(usize, u32, Input, u64),
    Fault,
    Replay(usize),
}

/// Everything.
pub(in crate::survivor) struct World {
    pub(in crate::survivor) now: u64,
    pub(in crate::survivor) setup: Setup,
    pub(in crate::survivor) random: StdRng,
    pub(in crate::survivor) sites: Vec<Site>,
    pub(in crate::survivor) provider: Provider,
    pub(in crate::survivor) judge: Judge,
    queue: BTreeMap<(u64, u64), Event>,
    count: u64,
    pub(in crate::survivor) flaw: Option<Flaw>,
    /// Everything may take this many times as long as promised.
    pub(in crate::survivor) overdue: u64,
    pub(in crate::survivor) history: BTreeSet<Deed>,
    group_floor: u64,
    /// Values that were written once, for replays.
    pub(in crate::survivor) recorded: Vec<(usize, String)>,
    pub(in crate::survivor) memory_lost: bool,
    pub(in crate::survivor) traced: bool,
}

impl World {
    pub(in crate::survivor) fn new(seed: u64, setup: Option<Setup>, flaw: Option<Flaw>) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let setup = setup.unwrap_or_else(|| Setup::drawn(&mut random));
        let site = |random: &mut StdRng| Site {
            machine: None,
            memory: Memory::default(),
            life: 0,
            rate: random.random_range(0.8..=1.2),
            offset: random.random_range(0..1 << 40),
            link: Link::Good,
            serves: true,
            side: 0,
            blind: false,
            floor: 0,
            asked: 0,
            asked_now: 0,
        };
        let sites: Vec<Site> = setup.sites.iter().map(|_| site(&mut random)).collect();
        let mut world = Self {
            now: 0,
            provider: Provider::new(&setup),
            judge: Judge::new(&setup),
            setup,
            random,
            sites,
            queue: BTreeMap::new(),
            count: 0,
            flaw,
            overdue: 1,
            history: BTreeSet::new(),
            group_floor: 0,
            recorded: vec![],
            memory_lost: false,
            traced: std::env::var_os("PORTOLAN_SEED").is_some(),
        };
        for at in 0..world.sites.len() {
            world.start(at, false);
            world.after(at as u64 * 100, Event::Tick(at));
            world.after(at as u64 * 130, Event::Sense(at));
        }
        world.after(INTERVAL / 2, Event::Lead);
        world
    }

    pub(in crate::survivor) fn note(&self, line: impl FnOnce() -> String) {
        if self.traced {
            println!("{:>8.2}  {}", self.now as f64 / INTERVAL as f64, line());
        }
    }

    pub(in crate::survivor) fn after(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.queue.insert((self.now + delay, self.count), event);
    }

    /// Runs until `end`, or until something is broken.
    pub(in crate::survivor) fn run_until(&mut self, end: u64) {
        while !self.judge.has_failed() {
            let Some(next) = self.queue.first_entry() else {
                return;
            };
            let time = next.key().0;
            if time > end {
                self.now = end;
                return;
            }
            let event = next.remove();
            self.now = time;
            self.happen(event);
            self.look();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick(at) => {
                self.step(at, Input::Tick);
                self.after(INTERVAL / 32, Event::Tick(at));
            }
            Event::Sense(at) => {
                self.sense(at);
                let gap = self.random.random_range(INTERVAL / 12..INTERVAL / 4);
                self.after(gap, Event::Sense(at));
            }
            Event::Lead => {
                self.lead();
                self.after(INTERVAL / 2, Event::Lead);
            }
            Event::Send(at, life, order) => self.send(at, life, order),
            Event::ReadAt(at, life, id) => {
                let lag = self.setup.settle * self.overdue;
                let zone = self
                    .provider
                    .read(self.now, &self.setup, lag, &mut self.random);
                self.answer(at, life, Input::Read(id, Some(zone)));
            }
            Event::Arrive(write, from) => self.arrive(write, from),
            Event::Tell(at, life, input, asked) => {
                if self.sites[at].life == life {
                    self.sites[at].asked_now = asked;
                    self.step(at, input);
                }
            }
            Event::Fault => self.fault(),
            Event::Replay(at) => self.replay(at),
        }
    }

    /// One input to a member, and what it orders.
    pub(in crate::survivor) fn step(&mut self, at: usize, input: Input) {
        let clock = self.sites[at].clock(self.now);
        if matches!(input, Input::Read(_, Some(_))) {
            self.sites[at].asked = self.sites[at].asked_now;
        }
        let Some(machine) = &mut self.sites[at].machine else {
            return;
        };
        let orders = machine.step(clock, input);
        for order in orders {
            match order {
                Order::Remember(memory) => self.sites[at].memory = memory,
                Order::HandBack(deeds) => self.merge(at, deeds),
                order => {
                    let delay = match self.random.random_range(0..10) {
                        0 => self.random.random_range(0..self.setup.flight * 2),
                        _ => self.random.random_range(0..=self.setup.flight / 10),
                    };
                    let life = self.sites[at].life;
                    self.after(delay, Event::Send(at, life, order));
                }
            }
        }
    }

    fn merge(&mut self, at: usize, deeds: Vec<Deed>) {
        if !self.quorum(at).stands() {
            return;
        }
        let last = deeds.iter().map(|deed| deed.seq).max().unwrap_or(0);
        self.group_floor = self.group_floor.max(last);
        self.history.extend(deeds);
        let life = self.sites[at].life;
        self.after(10, Event::Tell(at, life, Input::Merged(last), 0));
    }

    pub(in crate::survivor) fn quorum(&self, at: usize) -> Quorum {
        let mine = &self.sites[at];
        let together = |site: &&Site| site.is_up() && site.side == mine.side;
        let count = self.sites.iter().filter(together).count();
        if !mine.is_up() || count * 2 <= self.sites.len() {
            Quorum::Lost
        } else if count == self.sites.len() {
            Quorum::Whole
        } else {
            Quorum::Partial
        }
    }

    pub(in crate::survivor) fn sees(&self, at: usize, other: usize) -> Health {
        let (mine, theirs) = (&self.sites[at], &self.sites[other]);
        let up = theirs.serves && (at == other || (mine.side == theirs.side && !mine.blind));
        if up { Health::Up } else { Health::Down }
    }

    fn sense(&mut self, at: usize) {
        if !self.sites[at].is_up() {
            return;
        }
        let quorum = self.quorum(at);
        if quorum.stands() && self.sites[at].floor < self.group_floor {
            self.sites[at].floor = self.group_floor;
            let plan = self.setup.plan(self.group_floor);
            if let Some(machine) = &mut self.sites[at].machine {
                machine.set_plan(plan);
            }
        }
        let verdicts: Verdicts = (0..self.sites.len())
            .map(|other| {
                let key = (
                    self.setup.sites[other].clone(),
                    Arc::from("shop"),
                    Family::Ipv4,
                );
                (key, self.sees(at, other))
            })
            .collect();
        self.step(at, Input::Quorum(quorum));
        self.step(at, Input::Verdicts(verdicts));
    }

    /// The group, as simple as can be: its leader has each line point to the first healthy member.
    fn lead(&mut self) {
        let leader = (0..self.sites.len()).find(|&at| self.quorum(at).stands());
        let Some(at) = leader else { return };
        if self.sites[at].link == Link::Cut {
            return;
        }
        let Some(machine) = &self.sites[at].machine else {
            return;
        };
        let clock = self.sites[at].clock(self.now);
        let mut writes = vec![];
        for line in 0..self.setup.lines.len() {
            let healthy = |site: &usize| {
                let it = &self.sites[*site];
                it.is_up() && it.serves && it.side == self.sites[at].side
            };
            let wanted = self.setup.orders[line].iter().copied().find(healthy);
            let stands = *self.provider.records[line].now();
            let moves = wanted.filter(|&wanted| wanted != stands);
            if let Some(to) = moves
                && machine.group_may_move(&self.setup.lines[line].key, clock)
            {
                writes.push((line, stands, to));
            }
        }
        for (line, from, to) in writes {
            self.judge.group_moves(self.now, line);
            let delay = self.random.random_range(0..=self.setup.flight);
            self.note(|| format!("group: line {line} from {from} to {to}"));
            self.after(
                delay,
                Event::Arrive(Write::Records(vec![(line, from, to)]), None),
            );
        }
    }

    /// A call of a member leaves, unless it is too late or its caller has died.
    fn send(&mut self, at: usize, life: u32, order: Order) {
        if self.sites[at].life != life {
            return;
        }
        let clock = self.sites[at].clock(self.now);
        let own_value = |texts| Write::Value {
            site: at,
            texts,
            own: true,
        };
        let (id, not_after, write) = match order {
            Order::Read { id } => return self.send_read(at, life, id),
            Order::Publish {
                id,
                name,
                text,
                not_after_ms,
            } => {
                self.judge.own_name(&self.setup, at, &name);
                self.recorded.push((at, text.clone()));
                (id, not_after_ms, own_value(vec![text]))
            }
            Order::Withdraw {
                id,
                name,
                not_after_ms,
            } => {
                self.judge.own_name(&self.setup, at, &name);
                (id, not_after_ms, own_value(vec![]))
            }
            Order::Point {
                id,
                lines,
                not_after_ms,
            } => {
                let mut records = vec![];
                for (line, from) in &lines {
                    let line = self.setup.line(line);
                    records.push((line, self.setup.index(from), at));
                }
                let machine = self.sites[at].machine.as_ref();
                let lost = machine.is_some_and(|it| it.quorum == Quorum::Lost);
                let not_after = if lost { not_after_ms } else { 0 };
                (id, not_after, Write::Records(records))
            }
            Order::Remember(_) | Order::HandBack(_) => return,
        };
        let late = clock > not_after && self.overdue == 1;
        if late {
            return self.after(
                0,
                Event::Tell(at, life, Input::Answered(id, Answer::NotDone), 0),
            );
        }
        self.note(|| format!("{at} sends {write:?}"));
        self.carry(at, life, id, write);
    }

    fn carry(&mut self, at: usize, life: u32, id: CallId, write: Write) {
        let flight = self.setup.flight * self.overdue;
        let (bad, cut) = match self.sites[at].link {
            Link::Good => (false, false),
            Link::Bad => (true, false),
            Link::Cut => (false, true),
        };
        if cut || (bad && self.random.random_bool(0.25)) {
            let answer = match self.random.random_range(0..3) {
                0 if cut => Some(Answer::NotDone),
                1 => None,
                _ => Some(Answer::Unknown),
            };
            if let Some(answer) = answer {
                let delay = self.random.random_range(0..=flight);
                self.after(delay, Event::Tell(at, life, Input::Answered(id, answer), 0));
            }
            return;
        }
        let long = if bad { flight } else { flight / 4 };
        let delay = self.random.random_range(0..=long);
        let answered = !(bad && self.random.random_bool(0.25));
        let from = answered.then_some((at, life, id));
        if bad && self.random.random_bool(0.2) {
            let again = self.random.random_range(0..=flight);
            self.after(again, Event::Arrive(write.clone(), None));
        }
        self.after(delay, Event::Arrive(write, from));
    }

    fn send_read(&mut self, at: usize, life: u32, id: CallId) {
        let bad = self.sites[at].link == Link::Bad;
        if self.sites[at].link == Link::Cut || (bad && self.random.random_bool(0.3)) {
            if self.random.random() {
                self.after(
                    self.setup.flight / 2,
                    Event::Tell(at, life, Input::Read(id, None), 0),
                );
            }
            return;
        }
        // The judge wants to know when the question was asked.
        self.sites[at].asked_now = self.now;
        let delay = self.random.random_range(0..=self.setup.flight);
        self.after(delay, Event::ReadAt(at, life, id));
    }

    fn answer(&mut self, at: usize, life: u32, input: Input) {
        let delay = self.random.random_range(0..=self.setup.flight);
        let asked = self.sites[at].asked_now;
        self.after(delay, Event::Tell(at, life, input, asked));
    }

    fn arrive(&mut self, write: Write, from: Option<(usize, u32, CallId)>) {
        let mut answer = Answer::Done;
        match write {
            Write::Value { site, texts, own } => {
                if own {
                    self.provider.own_writes[site] = (self.now, texts.clone());
                }
                self.provider.values[site].set(self.now, texts);
            }
            Write::Records(records) => {
                for (line, before, to) in records {
                    let stands = *self.provider.records[line].now();
                    if self.setup.compares && stands != before && stands != to {
                        answer = Answer::NotDone;
                        continue;
                    }
                    self.note(|| format!("line {line} points from {stands} to {to}"));
                    self.provider.records[line].set(self.now, to);
                }
            }
        }
        if let Some((at, life, id)) = from {
            self.answer(at, life, Input::Answered(id, answer));
        }
    }

    pub(in crate::survivor) fn start(&mut self, at: usize, forgets: bool) {
        let clock = self.sites[at].clock(self.now);
        let tag = self.random.random();
        let setup = &self.setup;
        let site = &mut self.sites[at];
        if forgets {
            site.memory = Memory::default();
            self.memory_lost = true;
        }
        site.life += 1;
        let plan = setup.plan(site.floor);
        let (me, key) = (setup.sites[at].clone(), setup.key.clone());
        let machine = Survivor::new(plan, me, key, tag, site.memory.clone(), clock);
        site.machine = Some(machine.with(self.flaw));
    }

    pub(in crate::survivor) fn stop(&mut self, at: usize) {
        self.sites[at].machine = None;
        self.sites[at].life += 1;
    }

    fn look(&mut self) {
        let strict = self.overdue == 1;
        self.judge
            .look(self.now, &self.setup, &self.sites, &self.provider, strict);
    }
}
