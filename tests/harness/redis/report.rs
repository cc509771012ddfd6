//! What writers were told, and what of it a cluster has lost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ClusterClient;

/// What the writer of one key was told. Values are numbers that grow, starting with 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyHistory {
    /// The last acknowledged value.
    pub acknowledged: Option<u64>,
    /// A later value whose outcome is open. The key was not written again: a lost write may arrive
    /// late and cover what came after it.
    pub unknown: Option<u64>,
}

/// What the writers of a [`super::ClusterLoad`] were told.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// How many writes were acknowledged.
    pub acknowledged: u64,
    /// How many writes got no answer.
    pub unknown: u64,
    /// Refusals that outlasted the client's patience, and how often each came.
    pub errors: BTreeMap<String, u64>,
    /// The longest time without an acknowledged write of any writer.
    pub longest_gap: Duration,
    /// The longest time in which some slot that is written to had no acknowledged write: how long the
    /// clients of one shard had to wait, where the others went on.
    pub longest_slot_gap: Duration,
    /// By key.
    pub keys: BTreeMap<String, KeyHistory>,
}

/// A key that does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The key.
    pub key: String,
    /// What its writer was told.
    pub expected: KeyHistory,
    /// What its master holds.
    pub found: Option<String>,
}

/// What [`LoadReport::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// An acknowledged write is missing: nothing is there, or an older value.
    pub lost: Vec<Loss>,
    /// What is there was never written.
    pub wrong: Vec<Loss>,
}

impl Losses {
    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.wrong.is_empty()
    }
}

/// What is written as the value `number` of `key`.
pub(super) fn written(key: &str, number: u64) -> String {
    format!("{key}={number}")
}

impl LoadReport {
    /// Reads every key from its master. A key must hold its last acknowledged value, or a later one
    /// whose outcome was open.
    pub async fn verify(&self, seeds: &[String], password: Option<&str>) -> Losses {
        let mut client = ClusterClient::new(seeds, password);
        let mut losses = Losses::default();
        for (key, expected) in &self.keys {
            let found = client.get(key).await;
            let found = found.unwrap_or_else(|error| panic!("cannot read {key:?} back: {error}"));
            let into = match expected.judge(key, found.as_deref()) {
                Verdict::Kept => continue,
                Verdict::Lost => &mut losses.lost,
                Verdict::Wrong => &mut losses.wrong,
            };
            into.push(Loss {
                key: key.clone(),
                expected: expected.clone(),
                found,
            });
        }
        losses
    }

    /// Adds what another writer was told, about other keys. The gaps are not its business.
    pub(super) fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.keys.extend(other.keys);
    }
}

enum Verdict {
    Kept,
    Lost,
    Wrong,
}

impl KeyHistory {
    fn judge(&self, key: &str, found: Option<&str>) -> Verdict {
        let Some(found) = found else {
            return match self.acknowledged {
                Some(_) => Verdict::Lost,
                None => Verdict::Kept,
            };
        };
        let number = found
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('='))
            .and_then(|number| number.parse::<u64>().ok());
        match number {
            None | Some(0) => Verdict::Wrong,
            Some(_) if number == self.acknowledged || number == self.unknown => Verdict::Kept,
            Some(older) if Some(older) < self.acknowledged => Verdict::Lost,
            Some(_) => Verdict::Wrong,
        }
    }
}
