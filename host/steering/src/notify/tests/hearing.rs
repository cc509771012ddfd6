//! What a webhook hears in the end.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::notify::{AlarmOptions, Alarms, Condition, Delivery, Message, MessageState};

const OPTIONS: AlarmOptions = AlarmOptions {
    hold_ms: 0,
    repeat_ms: 10_000_000,
};

fn condition(subject: &str, since_ms: u64) -> Condition {
    Condition {
        kind: "site-down".into(),
        subject: subject.into(),
        summary: format!("{subject} is down since {since_ms}"),
        since_ms,
    }
}

fn words(messages: &[Message]) -> Vec<String> {
    let word = |message: &Message| {
        format!(
            "{} {}",
            message.state.as_str(),
            message.condition.subject.as_str()
        )
    };
    messages.iter().map(word).collect()
}

/// A round in which everything arrives.
fn round(
    alarms: &mut Alarms,
    open: &[Condition],
    options: &AlarmOptions,
    now_ms: u64,
) -> Vec<String> {
    let due = alarms.step(open, options, now_ms);
    for message in &due {
        alarms.record(message, Delivery::Delivered, now_ms);
    }
    words(&due)
}

#[test]
fn an_alarm_is_told_once_and_resolved_once() {
    let mut alarms = Alarms::default();
    let down = [condition("sh", 5)];
    assert_eq!(round(&mut alarms, &down, &OPTIONS, 10), ["firing sh"]);
    assert!(round(&mut alarms, &down, &OPTIONS, 20).is_empty());
    assert_eq!(round(&mut alarms, &[], &OPTIONS, 30), ["resolved sh"]);
    assert!(round(&mut alarms, &[], &OPTIONS, 40).is_empty());
    assert_eq!(alarms, Alarms::default(), "nothing is left of it");
}

#[test]
fn a_new_leader_goes_on_from_the_store() {
    let mut alarms = Alarms::default();
    let down = [condition("sh", 5)];
    round(&mut alarms, &down, &OPTIONS, 10);
    let stored = serde_json::to_string(&alarms).unwrap();
    let mut alarms: Alarms = serde_json::from_str(&stored).unwrap();
    assert!(round(&mut alarms, &down, &OPTIONS, 20).is_empty());
    assert_eq!(round(&mut alarms, &[], &OPTIONS, 30), ["resolved sh"]);
}

#[test]
fn a_short_condition_is_not_told() {
    let options = AlarmOptions {
        hold_ms: 100,
        ..OPTIONS
    };
    let mut alarms = Alarms::default();
    let down = [condition("sh", 1_000)];
    assert!(round(&mut alarms, &down, &options, 1_099).is_empty());
    assert!(round(&mut alarms, &[], &options, 1_100).is_empty());
    let again = [condition("sh", 2_000)];
    assert_eq!(round(&mut alarms, &again, &options, 2_100), ["firing sh"]);
}

#[test]
fn an_alarm_that_lasts_is_told_again() {
    let options = AlarmOptions {
        repeat_ms: 100,
        ..OPTIONS
    };
    let mut alarms = Alarms::default();
    let down = [condition("sh", 0)];
    let told = |alarms: &mut Alarms, options: &AlarmOptions, times: &[u64]| -> Vec<usize> {
        let rounds = times.iter();
        rounds
            .map(|now| round(alarms, &down, options, *now).len())
            .collect()
    };
    assert_eq!(
        told(&mut alarms, &options, &[0, 99, 100, 199, 200]),
        [1, 0, 1, 0, 1]
    );
    let never = AlarmOptions {
        repeat_ms: 0,
        ..OPTIONS
    };
    let mut alarms = Alarms::default();
    assert_eq!(told(&mut alarms, &never, &[0, 1_000_000_000]), [1, 0]);
}

#[test]
fn what_does_not_arrive_is_told_later() {
    let mut alarms = Alarms::default();
    let down = [condition("sh", 0)];
    let due = alarms.step(&down, &OPTIONS, 0);
    alarms.record(&due[0], Delivery::NotDelivered, 0);
    assert!(alarms.step(&down, &OPTIONS, 29_999).is_empty(), "it pauses");
    let due = alarms.step(&down, &OPTIONS, 30_000);
    alarms.record(&due[0], Delivery::NotDelivered, 30_000);
    assert!(
        alarms.step(&down, &OPTIONS, 89_999).is_empty(),
        "for twice as long"
    );
    alarms.retry_now();
    assert_eq!(words(&alarms.step(&down, &OPTIONS, 89_999)), ["firing sh"]);
    assert!(
        alarms.step(&[], &OPTIONS, 90_000).is_empty(),
        "nobody heard of it"
    );
}

#[test]
fn what_may_have_arrived_is_resolved() {
    let mut alarms = Alarms::default();
    let due = alarms.step(&[condition("sh", 0)], &OPTIONS, 0);
    alarms.record(&due[0], Delivery::Unknown, 0);
    assert_eq!(round(&mut alarms, &[], &OPTIONS, 30_000), ["resolved sh"]);
}

#[test]
fn a_condition_that_returns_before_its_end_was_told_is_the_same_alarm() {
    let mut alarms = Alarms::default();
    round(&mut alarms, &[condition("sh", 0)], &OPTIONS, 0);
    let due = alarms.step(&[], &OPTIONS, 10);
    alarms.record(&due[0], Delivery::NotDelivered, 10);
    let again = [condition("sh", 20)];
    assert!(round(&mut alarms, &again, &OPTIONS, 40_000).is_empty());
    // Had the end perhaps been told, the alarm has to be.
    let due = alarms.step(&[], &OPTIONS, 50_000);
    alarms.record(&due[0], Delivery::Unknown, 50_000);
    assert_eq!(round(&mut alarms, &again, &OPTIONS, 120_000), ["firing sh"]);
}

#[test]
fn kinds_that_are_no_longer_wanted_are_forgotten_silently() {
    let mut alarms = Alarms::default();
    round(&mut alarms, &[condition("sh", 0)], &OPTIONS, 0);
    alarms.keep_kinds(|kind| kind != "site-down");
    assert!(round(&mut alarms, &[], &OPTIONS, 10).is_empty());
}

/// What happens in a round: which of three conditions are open, and what becomes of messages.
#[derive(Debug, Clone)]
struct Round {
    open: [bool; 3],
    deliveries: Vec<Fate>,
    passes_ms: u64,
}

/// What becomes of a message, as it is and as the sender sees it.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    IsLost,
    ArrivesUnseen,
    IsLostUnseen,
}

fn rounds(fates: Vec<Fate>) -> impl Strategy<Value = Vec<Round>> {
    let fate = prop::sample::select(fates);
    let round = (any::<[bool; 3]>(), vec(fate, 3), 1_u64..100_000);
    let round = round.prop_map(|(open, deliveries, passes_ms)| Round {
        open,
        deliveries,
        passes_ms,
    });
    vec(round, 1..60)
}

/// Plays the rounds, then one in which nothing is open and all that is due arrives. The answer is
/// what was heard, by subject.
fn heard(rounds: &[Round]) -> BTreeMap<String, Vec<MessageState>> {
    let mut alarms = Alarms::default();
    let mut heard: BTreeMap<String, Vec<MessageState>> = BTreeMap::new();
    let mut now = 0;
    for round in rounds {
        now += round.passes_ms;
        let open: Vec<Condition> = (0..3)
            .filter(|index| round.open[*index])
            .map(|index| condition(&index.to_string(), now))
            .collect();
        let due = alarms.step(&open, &OPTIONS, now);
        assert_eq!(due, alarms.step(&open, &OPTIONS, now), "due until recorded");
        for (message, fate) in due.iter().zip(&round.deliveries) {
            let (arrives, delivery) = match fate {
                Fate::Arrives => (true, Delivery::Delivered),
                Fate::IsLost => (false, Delivery::NotDelivered),
                Fate::ArrivesUnseen => (true, Delivery::Unknown),
                Fate::IsLostUnseen => (false, Delivery::Unknown),
            };
            alarms.record(message, delivery, now);
            if arrives {
                let subject = message.condition.subject.clone();
                heard.entry(subject).or_default().push(message.state);
            }
        }
        // Each round may be the last of this leader.
        let stored = serde_json::to_string(&alarms).unwrap();
        alarms = serde_json::from_str(&stored).unwrap();
    }
    now += 1_000_000;
    for message in alarms.step(&[], &OPTIONS, now) {
        alarms.record(&message, Delivery::Delivered, now);
        let subject = message.condition.subject.clone();
        heard.entry(subject).or_default().push(message.state);
    }
    assert_eq!(alarms, Alarms::default(), "nothing is left to tell");
    heard
}

proptest! {
    /// Losses that are seen as such delay, but neither repeat nor swallow anything.
    #[test]
    fn every_alarm_that_is_heard_is_resolved_exactly_once(
        rounds in rounds(vec![Fate::Arrives, Fate::Arrives, Fate::IsLost])
    ) {
        for (subject, heard) in heard(&rounds) {
            for (index, state) in heard.iter().enumerate() {
                let expected = if index % 2 == 0 {
                    MessageState::Firing
                } else {
                    MessageState::Resolved
                };
                prop_assert_eq!(*state, expected, "{}: {:?}", subject, heard);
            }
            prop_assert_eq!(heard.len() % 2, 0, "{}: {:?}", subject, heard);
        }
    }

    /// Where nobody can tell whether a message arrived, it may be heard twice, but the last word is
    /// always the true one.
    #[test]
    fn the_last_word_is_true_whatever_gets_lost(
        rounds in rounds(vec![
            Fate::Arrives, Fate::IsLost, Fate::ArrivesUnseen, Fate::IsLostUnseen,
        ])
    ) {
        for (subject, heard) in heard(&rounds) {
            prop_assert_eq!(
                heard.last(), Some(&MessageState::Resolved), "{}: {:?}", subject, heard
            );
        }
    }
}
