//! What a webhook is to be told, and what it was told.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::message::{Condition, Message, MessageState};

/// The pause after a message first could not be delivered; doubled with each further time. The
/// sender has tried several times by then.
const PAUSE_MIN_MS: u64 = 30_000;
/// The longest pause: how late a resolved event can be after a webhook works again.
const PAUSE_MAX_MS: u64 = 600_000;

/// When to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmOptions {
    /// How long a condition must be there before it is told. Milliseconds.
    pub hold_ms: u64,
    /// After which time a condition that is still there is told again; 0 never. Milliseconds.
    pub repeat_ms: u64,
}

impl Default for AlarmOptions {
    fn default() -> Self {
        Self {
            hold_ms: 0,
            repeat_ms: 4 * 3_600_000,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It arrived.
    Delivered,
    /// It surely did not arrive.
    NotDelivered,
    /// It may have arrived: the connection broke after it was sent, say.
    Unknown,
}

/// The alarms of one webhook. It is a document for the store: a new leader goes on from it.
///
/// For each alarm that was told, exactly one resolved event is told when its condition is gone. What
/// may have arrived is told again, and counts as told: rather twice than never. A condition that comes
/// back before its resolved event went out is the same alarm. One that is gone before it was told is
/// not told at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Alarm>", into = "Vec<Alarm>")]
pub struct Alarms {
    alarms: BTreeMap<Identity, Alarm>,
}

/// Kind and subject.
type Identity = (String, String);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Alarm {
    /// As last seen.
    condition: Condition,
    /// Whether the condition is there.
    open: bool,
    told: Told,
    /// When it was told last. Milliseconds since 1970, like the other times.
    told_ms: u64,
    /// Failed deliveries in a row.
    failures: u32,
    /// After failures, it is not told earlier.
    not_before_ms: u64,
}

/// Whether the webhook knows that the alarm fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    No,
    Perhaps,
    Yes,
}

impl Alarms {
    /// Takes in the conditions that are open now, all of them, and tells which messages are due. Each
    /// stays due until [`Alarms::record`] is told what became of it.
    pub fn step(
        &mut self,
        open: &[Condition],
        options: &AlarmOptions,
        now_ms: u64,
    ) -> Vec<Message> {
        self.take_in(open);
        let due = self.alarms.values().filter_map(|alarm| {
            let state = alarm.due(options, now_ms)?;
            (alarm.not_before_ms <= now_ms).then(|| Message {
                state,
                condition: alarm.condition.clone(),
            })
        });
        due.collect()
    }

    /// Takes in what became of a message.
    pub fn record(&mut self, message: &Message, delivery: Delivery, now_ms: u64) {
        let identity = identity(&message.condition);
        let Some(alarm) = self.alarms.get_mut(&identity) else {
            return;
        };
        match (delivery, message.state) {
            (Delivery::Delivered, MessageState::Resolved) if !alarm.open => {
                self.alarms.remove(&identity);
                return;
            }
            (Delivery::Delivered, state) => {
                alarm.told = match state {
                    MessageState::Firing => Told::Yes,
                    MessageState::Resolved => Told::No,
                };
                alarm.told_ms = now_ms;
                alarm.failures = 0;
                alarm.not_before_ms = 0;
                return;
            }
            (Delivery::Unknown, _) => alarm.told = Told::Perhaps,
            (Delivery::NotDelivered, _) => {}
        }
        alarm.failures = alarm.failures.saturating_add(1);
        alarm.not_before_ms = now_ms.saturating_add(pause_ms(alarm.failures));
    }

    /// Lets what failed be tried at once, as when the webhook was changed.
    pub fn retry_now(&mut self) {
        for alarm in self.alarms.values_mut() {
            alarm.failures = 0;
            alarm.not_before_ms = 0;
        }
    }

    /// Forgets alarms of other kinds, without a resolved event: a webhook that is no longer told of a
    /// kind must not hear that its conditions are gone.
    pub fn keep_kinds(&mut self, wanted: impl Fn(&str) -> bool) {
        self.alarms.retain(|_, alarm| wanted(&alarm.condition.kind));
    }

    fn take_in(&mut self, open: &[Condition]) {
        let present: BTreeSet<Identity> = open.iter().map(identity).collect();
        for (identity, alarm) in &mut self.alarms {
            alarm.open = present.contains(identity);
        }
        self.alarms
            .retain(|_, alarm| alarm.open || alarm.told != Told::No);
        for condition in open {
            self.alarms
                .entry(identity(condition))
                .and_modify(|alarm| alarm.condition = condition.clone())
                .or_insert_with(|| Alarm::new(condition.clone()));
        }
    }
}

impl Alarm {
    fn new(condition: Condition) -> Self {
        Self {
            condition,
            open: true,
            told: Told::No,
            told_ms: 0,
            failures: 0,
            not_before_ms: 0,
        }
    }

    fn due(&self, options: &AlarmOptions, now_ms: u64) -> Option<MessageState> {
        let passed = |since_ms: u64| now_ms.saturating_sub(since_ms);
        let fires = match (self.open, self.told) {
            (false, _) => return Some(MessageState::Resolved),
            (true, Told::Yes) => options.repeat_ms > 0 && passed(self.told_ms) >= options.repeat_ms,
            (true, Told::Perhaps) => true,
            (true, Told::No) => passed(self.condition.since_ms) >= options.hold_ms,
        };
        fires.then_some(MessageState::Firing)
    }
}

impl From<Vec<Alarm>> for Alarms {
    fn from(alarms: Vec<Alarm>) -> Self {
        let alarms = alarms.into_iter();
        Self {
            alarms: alarms
                .map(|alarm| (identity(&alarm.condition), alarm))
                .collect(),
        }
    }
}

impl From<Alarms> for Vec<Alarm> {
    fn from(alarms: Alarms) -> Self {
        alarms.alarms.into_values().collect()
    }
}

fn identity(condition: &Condition) -> Identity {
    (condition.kind.clone(), condition.subject.clone())
}

fn pause_ms(failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(20);
    PAUSE_MIN_MS
        .saturating_mul(1 << doublings)
        .min(PAUSE_MAX_MS)
}
