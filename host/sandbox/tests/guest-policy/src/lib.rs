//! The migration policy that the sandbox's tests call. The setting `act` is a command: most of them do
//! what no policy should. It has no manifest; the tests put one in.

#![allow(clippy::panic)]

use std::{
    hint::black_box,
    io::Read,
    sync::atomic::{AtomicU32, Ordering},
};

use portolan_plugin::{
    Policy, export_policy,
    migration::{Budget, Description, Error, Move, Plan, SlotRange, Snapshot},
};
use serde::Deserialize;

/// Whatever a call leaves behind would show here.
static CALLS: AtomicU32 = AtomicU32::new(0);

#[derive(Deserialize)]
struct Settings {
    act: String,
}

struct Fixture {
    act: String,
}

impl Policy for Fixture {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            summary: "Misbehaves.".into(),
            score: "Nothing.".into(),
            triggers: Vec::new(),
            metrics: Vec::new(),
        }
    }

    fn new(Settings { act }: Settings) -> Result<Self, Error> {
        match act.as_str() {
            "wrong" => Err(Error::Invalid("`act` is wrong".into())),
            _ => Ok(Self { act }),
        }
    }

    fn propose(&self, snapshot: &Snapshot, _: &Budget) -> Result<Plan, Error> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        match self.act.as_str() {
            "loop" => loop {
                black_box(());
            },
            "memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            "panic" => panic!("I gave up"),
            "unusable" => Err(Error::Unusable("no shards".into())),
            "around" => {
                let mut input = String::new();
                let read = std::io::stdin().read_to_string(&mut input);
                let around: Vec<String> = std::env::vars()
                    .map(|(name, _)| name)
                    .chain(std::env::args())
                    .chain((!input.is_empty()).then_some(input))
                    .collect();
                Ok(nothing(format!(
                    "call {calls}, {read:?}, around: {around:?}"
                )))
            }
            "flood" => {
                let mut plan = nothing("x".into());
                plan.nothing_to_do = vec!["x".repeat(100); 5_000];
                Ok(plan)
            }
            "steal" => Ok(Plan {
                moves: vec![Move {
                    range: SlotRange { first: 0, last: 9 },
                    from_shard: snapshot.shards[1].id,
                    to_shard: snapshot.shards[0].id,
                    priority: 0,
                    reason: "mine".into(),
                    text: "mine".into(),
                    expected_gain: 0.0,
                    estimated_bytes: None,
                }],
                nothing_to_do: Vec::new(),
                ..nothing(String::new())
            }),
            other => Ok(nothing(other.to_owned())),
        }
    }
}

fn nothing(reason: String) -> Plan {
    Plan {
        moves: Vec::new(),
        score_before: 0.0,
        score_after: 0.0,
        nothing_to_do: vec![reason],
        rejected: Vec::new(),
    }
}

export_policy!(Fixture);
