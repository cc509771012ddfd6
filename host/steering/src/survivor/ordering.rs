//! What a machine orders, and when.

use std::collections::BTreeMap;

use super::flaw::Flaw;
use super::machine::Survivor;
use super::orders::{CallId, Memory, Order, Quorum};
use super::pen::Call;
use super::plan::{LineKey, SiteName};
use super::value::{Face, Value};

impl Survivor {
    /// Whether a write of this member's former life may still be on its way.
    fn may_write(&self, now_ms: u64) -> bool {
        let times = &self.plan.timing;
        if self.flaws.has(Flaw::WritesWithoutWaiting) {
            return self.sightings.asked_ms.is_some();
        }
        let over_ms = self.started_ms + times.flight;
        let read = self.sightings.asked_ms;
        let known = read.is_some_and(|asked| asked >= over_ms + times.settle);
        // A value says what its writer has read; an old one would not count as a sign of life.
        let recent = read.is_some_and(|asked| now_ms <= asked + times.interval);
        known && recent && self.pen.is_quiet(now_ms)
    }

    pub(super) fn order_value(&mut self, now_ms: u64, orders: &mut Vec<Order>) {
        if !self.may_write(now_ms) {
            return;
        }
        let times = self.plan.timing;
        if self.shows_itself(now_ms) {
            let face = self.face();
            let due = match self.pen.last_ordered_ms() {
                None => true,
                Some(last) if now_ms < last + times.interval / 8 => false,
                Some(last) => {
                    let changed = self.pen.last_face() != Some(&face);
                    changed || self.pen.again || now_ms >= last + times.interval
                }
            };
            if due {
                orders.push(self.publish(now_ms, face));
            }
        } else if self.quorum == Quorum::Whole && self.pen.in_zone && now_ms >= self.withdraw_ms {
            let id = self.fresh_id();
            self.pen.withdraw(id, now_ms);
            // Again only if a read still shows it after that.
            self.withdraw_ms = now_ms + times.interval;
            orders.push(Order::Withdraw {
                id,
                name: self.plan.value_name(&self.me),
                not_after_ms: now_ms + times.send_window,
            });
        }
    }

    fn publish(&mut self, now_ms: u64, face: Face) -> Order {
        let id = self.fresh_id();
        self.learned = true;
        let seq = self.pen.write(id, now_ms, face.clone());
        let value = Value {
            revision: self.plan.revision,
            seq,
            tag: self.tag,
            at: match self.flaws.has(Flaw::TrustsClocks) {
                true => Some(now_ms / 1000),
                false => self.provider_time,
            },
            plan: self.plan_mark,
            saw: self
                .plan
                .sites()
                .map(|site| self.sightings.seq(site))
                .collect(),
            face,
        };
        Order::Publish {
            id,
            name: self.plan.value_name(&self.me),
            text: value.write(&self.key, &self.plan, &self.me),
            not_after_ms: now_ms + self.plan.timing.send_window,
        }
    }

    pub(super) fn order_lines(&mut self, now_ms: u64, orders: &mut Vec<Order>) {
        let Some(asked) = self.sightings.asked_ms else {
            return;
        };
        let recent = asked >= self.point_shown_ms && now_ms <= asked + self.plan.timing.interval;
        let free = self.pointing.is_none() && now_ms >= self.point_quiet_ms;
        if self.quorum.stands() || !recent || !free {
            return;
        }
        let lines: BTreeMap<LineKey, SiteName> = self.lines_elsewhere().collect();
        let not_after_ms = self.may_send_until(now_ms);
        if lines.is_empty() || not_after_ms <= now_ms {
            return;
        }
        let id = self.fresh_id();
        let call = Call {
            id,
            ordered_ms: now_ms,
        };
        self.pointing = Some((call, lines.clone()));
        self.point_quiet_ms = now_ms + self.plan.timing.send_window + self.plan.timing.flight;
        orders.push(Order::Point {
            id,
            lines,
            not_after_ms,
        });
    }

    /// What is sent by then has taken effect before anybody else can count on the line.
    fn may_send_until(&self, now_ms: u64) -> u64 {
        let times = &self.plan.timing;
        let soon = now_ms + times.send_window;
        if self.flaws.has(Flaw::NeverLapses) {
            return soon;
        }
        let lease = self.pen.lease_until_ms(times).unwrap_or(0);
        soon.min(lease.saturating_sub(times.flight))
    }

    pub(super) fn order_read(&mut self, now_ms: u64, orders: &mut Vec<Order>) {
        if self.rested || self.reading.is_some() {
            return;
        }
        let half = self.plan.timing.interval / 2;
        let due = self.read_ms.is_none_or(|last| now_ms >= last + half);
        let soon = self.read_soon_ms.is_some_and(|soon| now_ms >= soon);
        if due || soon {
            let id = self.fresh_id();
            self.reading = Some(Call {
                id,
                ordered_ms: now_ms,
            });
            self.read_ms = Some(now_ms);
            self.read_soon_ms = None;
            orders.push(Order::Read { id });
        }
    }

    pub(super) fn order_hand_back(&mut self, now_ms: u64, orders: &mut Vec<Order>) {
        let over = self.stakes.is_empty() && self.lines_are_quiet(now_ms);
        if self.quorum.stands() && over && !self.handed_back && !self.deeds.is_empty() {
            self.handed_back = true;
            orders.push(Order::HandBack(self.deeds.clone()));
        }
    }

    pub(super) fn order_memory(&mut self, orders: &mut Vec<Order>) {
        if !std::mem::take(&mut self.learned) {
            return;
        }
        let memory = Memory {
            seq: self.pen.seq,
            seen: self.sightings.seen(),
            deeds: self.deeds.clone(),
        };
        if memory != self.remembered {
            self.remembered = memory.clone();
            orders.insert(0, Order::Remember(memory));
        }
    }

    fn fresh_id(&mut self) -> CallId {
        self.next_id += 1;
        self.next_id
    }
}
