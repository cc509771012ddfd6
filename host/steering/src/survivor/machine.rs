//! The machine: takes what happened, answers what is to be done. It has no clock and does no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use portolan_consensus::ClusterKey;

use super::claims::Stake;
use super::flaw::{Flaw, Flaws};
use super::orders::{
    Answer, CallId, Deed, Health, Input, MAX_DEEDS, Memory, Order, Owner, Quorum, Verdicts, What,
    Zone,
};
use super::pen::{Call, Pen};
use super::plan::{LineKey, Plan, SiteName};
use super::sightings::{Sightings, latest};

/// Survivor mode of one member in one zone. See [the module](crate::survivor) for the protocol.
#[derive(Debug)]
pub struct Survivor {
    pub(super) plan: Arc<Plan>,
    /// What the group agreed on since; acted on as soon as nothing hangs on the old one.
    pub(super) next_plan: Option<Arc<Plan>>,
    /// The plan's fingerprint as it stands in values.
    pub(super) plan_mark: u32,
    pub(super) me: SiteName,
    pub(super) key: ClusterKey,
    pub(super) tag: u32,
    pub(super) started_ms: u64,
    pub(super) quorum: Quorum,
    /// Since when there has been a quorum, or none.
    pub(super) quorum_ms: u64,
    pub(super) verdicts: Verdicts,
    pub(super) sightings: Sightings,
    pub(super) pen: Pen,
    /// The highest sequence of any value that is known to stand or to have stood.
    pub(super) clock: u64,
    pub(super) stakes: BTreeMap<usize, Stake>,
    /// Until when a line is not claimed again.
    pub(super) cooling: BTreeMap<usize, u64>,
    /// Where the lines' records pointed by the last read.
    pub(super) owners: BTreeMap<LineKey, Owner>,
    pub(super) reading: Option<Call>,
    pub(super) read_ms: Option<u64>,
    pub(super) read_soon_ms: Option<u64>,
    pub(super) pointing: Option<(Call, BTreeMap<LineKey, SiteName>)>,
    /// When nothing of the last order to point can take effect any more, and when reads show it.
    pub(super) point_quiet_ms: u64,
    pub(super) point_shown_ms: u64,
    /// Since when a value with the word `group` is known to stand.
    pub(super) group_shown_ms: Option<u64>,
    /// When values of its own were first known to stand, with their sequences, since the zone is
    /// watched without a gap.
    pub(super) shown: VecDeque<(u64, u64)>,
    /// When its value may be removed again.
    pub(super) withdraw_ms: u64,
    /// When another writer of this site's name was last seen.
    pub(super) twin_ms: Option<u64>,
    /// Lines of orders to point of which nobody knows what became, with where they pointed.
    pub(super) unsure: BTreeMap<LineKey, SiteName>,
    /// The group is whole and nothing is left to do.
    pub(super) rested: bool,
    pub(super) deeds: Vec<Deed>,
    pub(super) handed_back: bool,
    pub(super) remembered: Memory,
    /// Something may differ from what is remembered.
    pub(super) learned: bool,
    pub(super) provider_time: Option<u64>,
    pub(super) next_id: CallId,
    pub(super) flaws: Flaws,
}

/// What an operator wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SurvivorStatus {
    /// Whether this member shows itself in the zone.
    pub shows_itself: bool,
    /// The sites whose values count as live.
    pub live: Vec<SiteName>,
    /// The lines that this member holds.
    pub held: Vec<LineKey>,
    /// The lines that it claims and does not hold yet.
    pub wanted: Vec<LineKey>,
    /// Another writer uses this site's name: two members are set to be the same site. Neither takes a
    /// line.
    pub twin: bool,
}

impl Survivor {
    /// A member that has just started, and does not know of a quorum. `tag` is to be random;
    /// `memory` is what [`Order::Remember`] gave last.
    pub fn new(
        plan: Arc<Plan>,
        me: SiteName,
        key: ClusterKey,
        tag: u32,
        memory: Memory,
        now_ms: u64,
    ) -> Self {
        let clock = memory.deeds.last().map_or(0, |deed| deed.seq);
        Self {
            plan_mark: mark(&key, &plan),
            next_plan: None,
            me,
            key,
            tag,
            started_ms: now_ms,
            quorum: Quorum::Lost,
            quorum_ms: now_ms,
            verdicts: Verdicts::new(),
            sightings: Sightings::remembering(&memory.seen),
            pen: Pen::after(memory.seq.max(plan.floor)),
            clock: clock.max(plan.floor),
            stakes: BTreeMap::new(),
            cooling: BTreeMap::new(),
            owners: BTreeMap::new(),
            reading: None,
            read_ms: None,
            read_soon_ms: None,
            pointing: None,
            point_quiet_ms: 0,
            point_shown_ms: 0,
            group_shown_ms: None,
            shown: VecDeque::new(),
            withdraw_ms: 0,
            twin_ms: None,
            unsure: BTreeMap::new(),
            rested: false,
            deeds: memory.deeds.clone(),
            handed_back: false,
            remembered: memory,
            learned: false,
            provider_time: None,
            next_id: 0,
            flaws: Flaws::default(),
            plan,
        }
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, flaw: Option<Flaw>) -> Self {
        self.flaws.on = flaw;
        self.sightings.flaws = self.flaws;
        if flaw == Some(Flaw::ForgetsSequence) {
            self.pen.seq = 0;
        }
        self
    }

    /// Tells what the group agreed on. While there is no quorum the member goes on with what it had.
    pub fn set_plan(&mut self, plan: Arc<Plan>) {
        self.next_plan = Some(plan);
    }

    /// Takes one input and answers what is to be done now. To be called with [`Input::Tick`] at least
    /// every half of the flight time. `now_ms` is this member's own monotonic clock, best one that
    /// goes on while the machine sleeps (`CLOCK_BOOTTIME`).
    pub fn step(&mut self, now_ms: u64, input: Input) -> Vec<Order> {
        // First: an answer that comes now must not bring back what has lapsed before it.
        self.lapse(now_ms);
        self.take(now_ms, input);
        self.expire(now_ms);
        self.note_what_stands();
        self.lapse(now_ms);
        self.let_go(now_ms);
        self.take_up_plan();
        let mut orders = Vec::new();
        self.order_value(now_ms, &mut orders);
        self.order_lines(now_ms, &mut orders);
        self.order_read(now_ms, &mut orders);
        self.order_hand_back(now_ms, &mut orders);
        self.order_memory(&mut orders);
        orders
    }

    /// Whether this member counts on a line being its own now: its claim was read back, and nobody
    /// can have taken it for gone since.
    pub fn holds(&self, line: &LineKey, now_ms: u64) -> bool {
        let at = self.plan.position(line);
        at.is_some_and(|at| self.counts_on(at, now_ms))
    }

    pub(super) fn counts_on(&self, at: usize, now_ms: u64) -> bool {
        self.stakes.get(&at) == Some(&Stake::Holding) && self.lease_runs(now_ms)
    }

    /// Whether this member itself has nothing to do with a line and nothing of its own on the way to it,
    /// and has a quorum.
    pub fn is_free(&self, line: &LineKey, now_ms: u64) -> bool {
        let claimed = self
            .plan
            .position(line)
            .is_some_and(|at| self.stakes.contains_key(&at));
        let former_life_is_over = now_ms >= self.started_ms + self.plan.timing.flight;
        self.quorum.stands() && !claimed && former_life_is_over && self.lines_are_quiet(now_ms)
    }

    /// Whether the group may write this line's records, to be asked by the leader right before each
    /// write: there has been a quorum for a while, and no member outside of the group claims the line.
    pub fn group_may_move(&self, line: &LineKey, now_ms: u64) -> bool {
        if !self.quorum.stands() {
            return false;
        }
        if self.rested {
            return true;
        }
        let (Some(at), Some(asked)) = (self.plan.position(line), self.sightings.asked_ms) else {
            return false;
        };
        let settled = asked >= self.quorum_ms + self.plan.timing.patience();
        let recent = now_ms <= asked + 2 * self.plan.timing.interval;
        let shown = self.group_shown_ms.is_some_and(|shown| asked >= shown);
        let warned = shown || !self.shows_itself(now_ms);
        let claimed = self.stakes.contains_key(&at) || self.rivals(at).next().is_some();
        settled && recent && warned && !claimed
    }

    /// What an operator wants to know.
    pub fn status(&self, now_ms: u64) -> SurvivorStatus {
        let of = |wanted: fn(&Stake) -> bool| {
            let chosen = self.stakes.iter().filter(|(_, stake)| wanted(stake));
            chosen.map(|(&at, _)| self.line(at).clone()).collect()
        };
        let live = self.others().filter(|site| self.presence(site).is_live());
        SurvivorStatus {
            shows_itself: self.shows_itself(now_ms),
            live: live.cloned().collect(),
            held: of(|stake| matches!(stake, Stake::Holding | Stake::Leaving)),
            wanted: of(|stake| matches!(stake, Stake::Wanting { .. })),
            twin: self.has_twin(now_ms),
        }
    }

    fn take(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Tick => {}
            Input::Quorum(quorum) => self.take_quorum(now_ms, quorum),
            Input::Verdicts(verdicts) => self.verdicts = verdicts,
            Input::Read(id, zone) => {
                if let Some(call) = self.reading.take_if(|call| call.id == id) {
                    match zone {
                        Some(zone) => self.take_read(call.ordered_ms, now_ms, zone),
                        None => self.read_again(now_ms),
                    }
                }
            }
            Input::Answered(id, answer) => {
                self.pen.answered(&self.plan.timing, now_ms, id, answer);
                self.take_pointed(now_ms, id, answer);
            }
            Input::Merged(seq) => {
                self.deeds.retain(|deed| deed.seq > seq);
                self.learned = true;
            }
        }
    }

    fn take_quorum(&mut self, now_ms: u64, quorum: Quorum) {
        if quorum == self.quorum {
            return;
        }
        if quorum.stands() != self.quorum.stands() {
            self.quorum_ms = now_ms;
            self.group_shown_ms = None;
            self.handed_back = false;
            self.sightings.interrupt();
        }
        self.quorum = quorum;
        self.rested = false;
    }

    fn take_read(&mut self, asked_ms: u64, now_ms: u64, zone: Zone) {
        let times = self.plan.timing;
        self.learned = true;
        self.provider_time = zone.provider_time.or(self.provider_time);
        self.take_own_value(asked_ms, now_ms, &zone);
        self.sightings
            .interrupt_after_gap(2 * times.interval, now_ms);
        if self.quorum == Quorum::Lost && !self.writes_arrive(now_ms) {
            // Whoever cannot write is no witness of others who do not.
            self.sightings.interrupt();
        }
        if !self.sightings.is_watching() {
            self.shown.clear();
        }
        let echo = self.echo(now_ms);
        self.sightings.observe(
            &self.key,
            &self.plan,
            &self.me,
            &zone,
            (self.plan_mark, echo),
            (asked_ms, now_ms),
        );
        self.raise(self.sightings.highest());
        self.pen.again |= self.pen.is_behind();
        self.owners = zone.owners;
        self.look_what_became(asked_ms);
        self.note_what_stands();
        self.lapse(now_ms);
        self.reconsider(asked_ms, now_ms);
        self.rested = self.may_rest(asked_ms, now_ms);
    }

    /// Whoever lives has read what has stood here for three intervals. A value whose writer had not is
    /// from before: replayed.
    fn echo(&mut self, now_ms: u64) -> Option<u64> {
        let patience = self.plan.timing.patience();
        let heard = |it: &&(u64, u64)| now_ms >= it.0 + patience;
        while self.shown.get(1).is_some_and(|next| heard(&next)) {
            self.shown.pop_front();
        }
        self.shown.front().filter(heard).map(|(_, seq)| *seq)
    }

    fn take_own_value(&mut self, asked_ms: u64, now_ms: u64, zone: &Zone) {
        let texts = zone.values.get(&self.me).map_or(&[][..], Vec::as_slice);
        let shown = latest(&self.key, &self.plan, &self.me, texts, self.flaws);
        let times = self.plan.timing;
        let displaced = self
            .pen
            .read_back(&times, asked_ms, now_ms, self.tag, shown.as_ref());
        if displaced {
            self.group_shown_ms = None;
            self.shown.clear();
            self.claims_are_hidden();
        }
        let Some(shown) = shown else { return };
        let since_start = self.pen.first_seq.is_some_and(|first| shown.seq >= first);
        if since_start && shown.tag != self.tag {
            self.twin_ms = Some(now_ms);
            self.give_all_up();
        }
        self.raise(shown.seq);
    }

    /// No later value of this member's has a lower sequence.
    fn raise(&mut self, seq: u64) {
        self.clock = self.clock.max(seq);
        if !self.flaws.has(Flaw::ForgetsSequence) {
            self.pen.seq = self.pen.seq.max(seq);
        }
    }

    fn take_pointed(&mut self, now_ms: u64, id: CallId, answer: Answer) {
        let Some((call, lines)) = self.pointing.take_if(|(call, _)| call.id == id) else {
            return;
        };
        let times = &self.plan.timing;
        if answer == Answer::NotDone {
            self.point_quiet_ms = now_ms;
            self.point_shown_ms = now_ms + times.interval / 8;
            return;
        }
        self.point_quiet_ms = call.quiet_ms(times, now_ms);
        self.point_shown_ms = self.point_quiet_ms + times.settle;
        if answer == Answer::Done {
            self.point_shown_ms = now_ms + times.settle;
            for (line, from) in lines {
                self.note(line, What::Pointed { from });
            }
        } else {
            self.unsure.extend(lines);
        }
        self.read_by(self.point_shown_ms);
    }

    fn look_what_became(&mut self, asked_ms: u64) {
        let known = asked_ms >= self.point_shown_ms;
        for (line, from) in std::mem::take(&mut self.unsure) {
            if self.owners.get(&line) == Some(&Owner::Site(self.me.clone())) {
                self.note(line, What::Pointed { from });
            } else if !known {
                self.unsure.insert(line, from);
            }
        }
    }

    fn expire(&mut self, now_ms: u64) {
        let times = self.plan.timing;
        self.pen.expire(&times, now_ms);
        let late = self.reading.take_if(|call| call.is_over(&times, now_ms));
        if late.is_some() {
            self.read_again(now_ms);
        }
        let over = self
            .pointing
            .take_if(|(call, _)| call.is_over(&times, now_ms));
        if let Some((_, lines)) = over {
            self.unsure.extend(lines);
            self.point_shown_ms = now_ms + times.settle;
            self.read_by(self.point_shown_ms);
        }
    }

    fn note_what_stands(&mut self) {
        let standing = self.pen.standing_seq();
        self.clock = self.clock.max(standing);
        if let Some(stands_ms) = self.pen.stands_ms(|_| true)
            && self.shown.back().is_none_or(|(_, seq)| *seq < standing)
        {
            self.shown.push_back((stands_ms, standing));
        }
        if let Some(stands_ms) = self.pen.stands_ms(|face| face.group) {
            let shown_ms = stands_ms + self.plan.timing.settle;
            if self.group_shown_ms.is_none() {
                self.group_shown_ms = Some(shown_ms);
                self.read_by(shown_ms);
            }
        }
        self.claims_stand();
    }

    pub(super) fn has_twin(&self, now_ms: u64) -> bool {
        let patience = self.plan.timing.patience();
        self.twin_ms.is_some_and(|seen| now_ms < seen + patience)
    }

    /// Whether its own value has been renewed lately.
    fn writes_arrive(&self, now_ms: u64) -> bool {
        let ordered = self.pen.acknowledged_ms();
        ordered.is_some_and(|ordered| now_ms <= ordered + 2 * self.plan.timing.interval)
    }

    /// Whether this member keeps a value in the zone.
    pub(super) fn shows_itself(&self, now_ms: u64) -> bool {
        let times = &self.plan.timing;
        match self.quorum {
            Quorum::Lost => now_ms >= self.quorum_ms + times.announce_delay(),
            Quorum::Partial => true,
            // Until the others have noticed, too.
            Quorum::Whole => {
                let late = now_ms >= self.quorum_ms + times.patience();
                let shown = self.pen.last_ordered_ms().is_some();
                !self.stakes.is_empty() || (shown && !late)
            }
        }
    }

    fn may_rest(&self, asked_ms: u64, now_ms: u64) -> bool {
        let settled = asked_ms >= self.quorum_ms + self.plan.timing.patience();
        let claimed = (0..self.plan.lines.len()).any(|at| self.rivals(at).next().is_some());
        let nothing_of_ours = !self.pen.in_zone && !self.shows_itself(now_ms);
        self.quorum == Quorum::Whole && settled && nothing_of_ours && !claimed
    }

    fn take_up_plan(&mut self) {
        if self.next_plan.is_none() || !self.quorum.stands() || !self.stakes.is_empty() {
            return;
        }
        if let Some(plan) = self.next_plan.take() {
            self.plan_mark = mark(&self.key, &plan);
            self.plan = plan;
            self.raise(self.plan.floor);
            self.cooling.clear();
            self.rested = false;
        }
    }

    /// Nothing of the last order to point can take effect any more.
    pub(super) fn lines_are_quiet(&self, now_ms: u64) -> bool {
        self.pointing.is_none() && now_ms >= self.point_quiet_ms
    }

    pub(super) fn lease_runs(&self, now_ms: u64) -> bool {
        let until = self.pen.lease_until_ms(&self.plan.timing);
        let asked = self.sightings.asked_ms.unwrap_or(0);
        // Whoever cannot read does not see that a line is asked back.
        let reads = now_ms <= asked + 2 * self.plan.timing.interval;
        reads && until.is_some_and(|until| now_ms < until)
    }

    pub(super) fn read_by(&mut self, ms: u64) {
        self.read_soon_ms = Some(self.read_soon_ms.map_or(ms, |soon| soon.min(ms)));
    }

    fn read_again(&mut self, now_ms: u64) {
        self.read_by(now_ms + self.plan.timing.interval / 8);
    }

    pub(super) fn health(&self, site: &SiteName, line: usize) -> Health {
        let LineKey {
            service, family, ..
        } = self.line(line);
        let of = (site.clone(), Arc::clone(service), *family);
        let verdict = self.verdicts.get(&of);
        verdict.copied().unwrap_or_default()
    }

    pub(super) fn line(&self, at: usize) -> &LineKey {
        &self.plan.lines[at].key
    }

    pub(super) fn note(&mut self, line: LineKey, what: What) {
        self.learned = true;
        if self.deeds.len() < MAX_DEEDS {
            self.deeds.push(Deed {
                seq: self.clock,
                site: self.me.clone(),
                line,
                what,
                at: self.provider_time,
            });
        }
    }
}

fn mark(key: &ClusterKey, plan: &Plan) -> u32 {
    let digest = key.sign("steering/survivor/plan", plan.fingerprint().as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
