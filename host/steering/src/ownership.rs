//! Keeping the books on what is ours. Pure.
//!
//! A change is entered twice: as an intent before the provider hears of it, and as an outcome after.
//! A leader that is killed in between leaves the intent, from which the next one knows whatever it
//! finds in the zone for ours.

use crate::plan::{Action, ActionKind, Owned, Ownership, Plan};
use crate::provider::{Outcome, ProviderError};

/// Enters what a plan found out without changing anything.
pub(crate) fn settle(owned: &mut Ownership, plan: &Plan) {
    for key in &plan.forgotten {
        owned.remove(key);
    }
    for (key, data) in &plan.confirmed {
        let entry = owned.entry(key.clone()).or_default();
        entry.last = Some(data.clone());
        entry.pending.clear();
    }
}

/// Enters that `action` is about to be tried.
pub(crate) fn intend(owned: &mut Ownership, action: &Action, now_ms: u64) {
    if action.kind == ActionKind::None {
        return;
    }
    let mut entry = owned.remove(&action.key).unwrap_or_default();
    let contents = |set: &Option<crate::provider::RecordSet>| -> Vec<String> {
        let values = set.iter().flat_map(|set| &set.data.values);
        values.map(|value| value.content.clone()).collect()
    };
    match action.kind {
        ActionKind::Create => entry = entry.in_doubt(),
        // It stands there and is ours, or is being adopted.
        ActionKind::Update => {
            entry.last = entry
                .last
                .or_else(|| action.before.as_ref().map(|set| set.data.clone()));
        }
        // If it is gone when we look again, what stands there then may be somebody else's.
        ActionKind::Delete => {
            entry = entry.in_doubt();
            entry.pending.extend(contents(&action.before));
        }
        ActionKind::None => {}
    }
    entry.pending.extend(contents(&action.after));
    entry.at_ms = now_ms;
    owned.insert(action.key.clone(), entry);
}

/// Enters what became of an action. What failed, is stale or unknown stays an intent: the next look
/// at the zone settles it.
pub(crate) fn learn(
    owned: &mut Ownership,
    action: &Action,
    result: &Result<Outcome, ProviderError>,
    now_ms: u64,
) {
    if !matches!(result, Ok(Outcome::Applied | Outcome::Already)) {
        return;
    }
    match &action.after {
        Some(after) => {
            let last = Some(after.data.clone());
            let standing = Owned {
                last,
                pending: Default::default(),
                at_ms: now_ms,
            };
            owned.insert(action.key.clone(), standing);
        }
        None => {
            owned.remove(&action.key);
        }
    }
}
