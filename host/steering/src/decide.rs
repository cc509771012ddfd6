//! The decision: what has to change in a zone, and what must not be touched.
//!
//! Everything here is pure. [`decide`] compares what is wanted, as the provider says it will read
//! back, with what stands in the zone and with what we know to be ours. Its rules:
//!
//! * Only what is ours is changed or deleted. What stands there and is not ours is refused, unless
//!   the operator said `adopt`.
//! * What is wrong with one record set keeps that set alone from being written, and nothing at its
//!   name is deleted meanwhile.
//! * A set is updated in place; what is new comes before what goes. The only delete that comes first
//!   is that of our own set which clashes with its replacement (a CNAME with anything else).
//! * An [`Observation`](crate::Observation) is always a whole zone: a partial read never gets this far.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::names::{DomainName, LineCode};
use crate::plan::{Action, ActionKind, Owned, Plan, Refusal, Situation, Wanted};
use crate::provider::{Caps, RecordData, RecordKey, RecordSet};

/// Whether a provider with these capabilities can hold the set at all.
pub fn admissible(wanted: &Wanted, caps: &Caps) -> Result<(), String> {
    let features = &caps.features;
    if !caps.record_types.contains(&wanted.key.rtype) {
        let known: Vec<&str> = caps
            .record_types
            .iter()
            .map(|rtype| rtype.as_str())
            .collect();
        return Err(format!(
            "the provider cannot hold {} records; it can hold {}",
            wanted.key.rtype,
            known.join(", ")
        ));
    }
    if !features.lines && !wanted.key.line.is_default() {
        return Err("the provider has no lines; use the line `default`".to_owned());
    }
    if !features.weights && wanted.values.iter().any(|value| value.weight.is_some()) {
        return Err("the provider has no weights; leave them out".to_owned());
    }
    if !features.disable && wanted.values.iter().any(|value| !value.enabled) {
        return Err("the provider cannot disable a value; leave it out instead".to_owned());
    }
    if wanted.values.len() > caps.max_values as usize {
        return Err(format!(
            "it has {} values, and the provider holds at most {} in one set",
            wanted.values.len(),
            caps.max_values
        ));
    }
    Ok(())
}

/// Compares and decides. See the module's documentation for the rules.
pub fn decide(situation: Situation<'_>) -> Plan {
    let mut decision = Decision::new(situation);
    for wanted in situation.wanted {
        decision.keep(wanted);
    }
    let known: BTreeSet<&RecordKey> = situation.wanted.iter().map(|wanted| &wanted.key).collect();
    for (key, owned) in situation
        .owned
        .iter()
        .filter(|(key, _)| !known.contains(key))
    {
        decision.retire(key, owned);
    }
    decision.withhold_until_settled(|decision| {
        // First what stays in any case, for that decides what lines lack their default.
        decision.withhold_until_settled(|decision| {
            decision.withhold_what_clashes();
            decision.withhold_deletes_beside_refusals();
        });
        decision.withhold_what_lacks_a_default_line();
    });
    decision.into_plan()
}

const NOT_OURS: &str = "exists and is not ours; set adopt to take it over";

struct Decision<'a> {
    situation: Situation<'a>,
    actions: Vec<Action>,
    refused: Vec<Refusal>,
    warnings: Vec<Refusal>,
    confirmed: BTreeMap<RecordKey, RecordData>,
    forgotten: BTreeSet<RecordKey>,
}

impl<'a> Decision<'a> {
    fn new(situation: Situation<'a>) -> Self {
        Self {
            situation,
            actions: Vec::new(),
            refused: Vec::new(),
            warnings: Vec::new(),
            confirmed: BTreeMap::new(),
            forgotten: BTreeSet::new(),
        }
    }

    /// Decides on a set that shall stand in the zone.
    fn keep(&mut self, wanted: &'a Wanted) {
        let key = &wanted.key;
        let target = match self.target(wanted) {
            Ok(target) => target,
            Err(reason) => return self.refuse(key, reason),
        };
        self.warn_of_another_ttl(wanted, &target);
        let owned = self.situation.owned.get(key);
        let Some(observed) = self.situation.observed.sets.get(key) else {
            return self.keep_absent(wanted, target, owned);
        };
        let same = observed.data == target.data;
        match owned.filter(|owned| owned.recognises(&observed.data)) {
            Some(owned) if same => {
                if owned.last.as_ref() != Some(&target.data) || !owned.pending.is_empty() {
                    self.confirmed.insert(key.clone(), observed.data.clone());
                }
                self.leave(key, "as wanted");
            }
            Some(owned) if self.is_settling(owned) && !owned.shows(&observed.data) => {
                self.leave(key, Action::WAITING);
            }
            Some(owned) => {
                let drift = owned.was_changed_outside(&observed.data);
                let reason = match (drift, owned.pending.is_empty(), &wanted.why) {
                    (true, ..) => "changed outside".into(),
                    (false, true, Some(why)) => why.clone().into(),
                    (false, true, None) => "the wanted state changed".into(),
                    (false, false, _) => "the last change was not completed".into(),
                };
                self.update(observed, target, reason, drift);
            }
            None if wanted.adopt && same => {
                self.confirmed.insert(key.clone(), observed.data.clone());
                self.leave(key, "adopted as it stands");
            }
            None if wanted.adopt => self.update(observed, target, "adopted".into(), false),
            None => {
                // Whoever made it while our create was on its way keeps it.
                if owned.is_some() {
                    self.forgotten.insert(key.clone());
                }
                self.refuse(key, NOT_OURS.to_owned());
            }
        }
    }

    /// What the set will read back as, or why it cannot be written.
    fn target(&self, wanted: &'a Wanted) -> Result<RecordSet, String> {
        admissible(wanted, self.situation.caps)?;
        let target = match self.situation.normalized.get(&wanted.key) {
            Some(Ok(target)) => target,
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the provider did not say how it would hold this set".to_owned()),
        };
        if target.key != wanted.key {
            return Err(format!("the provider would write {} instead", target.key));
        }
        if !target.data.serves() {
            return Err("the provider would leave no value that is served".to_owned());
        }
        match self.clashing(&wanted.key).find(|set| !self.is_ours(set)) {
            Some(other) => Err(format!(
                "a CNAME stands alone at its name, and {} stands there and is not ours",
                other.key
            )),
            None => Ok(target.clone()),
        }
    }

    fn warn_of_another_ttl(&mut self, wanted: &Wanted, target: &RecordSet) {
        let (asked, given) = (wanted.ttl.seconds(), target.data.ttl);
        if asked != given {
            let reason =
                format!("a TTL of {asked} s is wanted, and the provider makes it {given} s");
            let key = wanted.key.clone();
            self.warnings.push(Refusal { key, reason });
        }
    }

    fn keep_absent(&mut self, wanted: &Wanted, target: RecordSet, owned: Option<&Owned>) {
        if owned.is_some_and(|owned| self.is_settling(owned)) {
            return self.leave(&target.key, Action::WAITING);
        }
        // With a change underway, its own delete or a create that never arrived explains the gap.
        let vanished = owned.is_some_and(|it| it.last.is_some() && it.pending.is_empty());
        self.actions.push(Action {
            kind: ActionKind::Create,
            key: target.key.clone(),
            before: None,
            after: Some(target),
            reason: match &wanted.why {
                _ if vanished => "removed outside".into(),
                Some(why) => why.clone().into(),
                None => "not in the zone".into(),
            },
            drift: vanished,
        });
    }

    /// Decides on a set of ours that is no longer wanted.
    fn retire(&mut self, key: &RecordKey, owned: &Owned) {
        if let Some(why) = self.situation.kept.get(key) {
            return self.leave(key, why.clone());
        }
        let observed = match self.situation.observed.sets.get(key) {
            Some(observed) if owned.recognises(&observed.data) => observed,
            None if self.is_settling(owned) => return self.leave(key, Action::WAITING),
            _ => {
                self.forgotten.insert(key.clone());
                return;
            }
        };
        if key.rtype.is("NS") && key.name.is_apex(self.situation.zone) {
            self.forgotten.insert(key.clone());
            return self.leave(key, "released: the zone's own NS set is never deleted");
        }
        self.actions.push(Action {
            kind: ActionKind::Delete,
            key: key.clone(),
            before: Some(observed.clone()),
            after: None,
            reason: "no longer wanted".into(),
            drift: false,
        });
    }

    fn update(
        &mut self,
        before: &RecordSet,
        target: RecordSet,
        reason: Cow<'static, str>,
        drift: bool,
    ) {
        // What the provider keeps beside the data is not ours to change.
        let after = RecordSet {
            comment: before.comment.clone(),
            extras: before.extras.clone(),
            handle: before.handle.clone(),
            ..target
        };
        self.actions.push(Action {
            kind: ActionKind::Update,
            key: before.key.clone(),
            before: Some(before.clone()),
            after: Some(after),
            reason,
            drift,
        });
    }

    fn leave(&mut self, key: &RecordKey, reason: impl Into<Cow<'static, str>>) {
        self.actions.push(Action {
            kind: ActionKind::None,
            key: key.clone(),
            before: None,
            after: None,
            reason: reason.into(),
            drift: false,
        });
    }

    fn refuse(&mut self, key: &RecordKey, reason: String) {
        self.refused.push(Refusal {
            key: key.clone(),
            reason,
        });
    }

    fn is_settling(&self, owned: &Owned) -> bool {
        let settle_ms = u64::try_from(self.situation.caps.settle.as_millis()).unwrap_or(u64::MAX);
        owned.at_ms.saturating_add(settle_ms) > self.situation.now_ms
    }

    fn is_ours(&self, set: &RecordSet) -> bool {
        self.situation
            .owned
            .get(&set.key)
            .is_some_and(|owned| owned.recognises(&set.data))
    }

    /// The sets that stand where `key` is to stand and cannot stand beside it: a CNAME is alone on
    /// its line (RFC 1034 §3.6.2; providers with lines check it line by line).
    fn clashing(&self, key: &'a RecordKey) -> impl Iterator<Item = &'a RecordSet> + use<'a> {
        self.situation
            .observed
            .sets
            .values()
            .filter(move |set| cannot_coexist(key, &set.key))
    }

    /// One refusal can be the reason for another: repeats until there is no new one, which comes,
    /// for there are fewer actions each time.
    fn withhold_until_settled(&mut self, withhold: impl Fn(&mut Self)) {
        loop {
            let left = self.actions.len();
            withhold(self);
            if self.actions.len() == left {
                return;
            }
        }
    }

    /// As long as something wanted at a name cannot be written, nothing at that name is deleted: it
    /// may be what was to be replaced.
    fn withhold_deletes_beside_refusals(&mut self) {
        let refused: BTreeMap<DomainName, RecordKey> = self
            .refused
            .iter()
            .map(|it| (it.key.name.clone(), it.key.clone()))
            .collect();
        self.withhold(|action| {
            let beside = refused.get(&action.key.name)?;
            (action.kind == ActionKind::Delete)
                .then(|| format!("not deleted as long as {beside} is left undone"))
        });
    }

    /// What cannot stand beside a set that stays is not created.
    fn withhold_what_clashes(&mut self) {
        let leaving = self.keys_of(ActionKind::Delete);
        let observed = self.situation.observed;
        self.withhold(|action| {
            let stays =
                |key: &&RecordKey| cannot_coexist(&action.key, key) && !leaving.contains(key);
            let other = observed.sets.keys().find(stays)?;
            (action.kind == ActionKind::Create)
                .then(|| format!("a CNAME stands alone at its name, and {other} stays there"))
        });
    }

    /// A provider that needs the line `default` beside the others gets it first and loses it last.
    fn withhold_what_lacks_a_default_line(&mut self) {
        if !self.situation.caps.features.needs_default_line {
            return;
        }
        let (leaving, coming) = (
            self.keys_of(ActionKind::Delete),
            self.keys_of(ActionKind::Create),
        );
        let standing = self
            .situation
            .observed
            .sets
            .keys()
            .filter(|key| !leaving.contains(key));
        let after: BTreeSet<&RecordKey> = standing.chain(&coming).collect();
        let sibling = |key: &RecordKey, default: bool| {
            after.iter().copied().find(|other| {
                other.name == key.name
                    && other.rtype == key.rtype
                    && other.line.is_default() == default
            })
        };
        self.withhold(|action| match (action.kind, action.key.line.is_default()) {
            (ActionKind::Create, false) if sibling(&action.key, true).is_none() => Some(
                "the provider needs a set of this name and type on the line `default` first; add one"
                    .to_owned(),
            ),
            (ActionKind::Delete, true) => sibling(&action.key, false).map(|other| {
                format!("not deleted: the provider needs it beside {other}, which stays")
            }),
            _ => None,
        });
    }

    /// Takes out the actions for which there is a reason against them.
    fn withhold(&mut self, against: impl Fn(&Action) -> Option<String>) {
        let actions = std::mem::take(&mut self.actions);
        for action in actions {
            match against(&action) {
                Some(reason) => self.refuse(&action.key, reason),
                None => self.actions.push(action),
            }
        }
    }

    fn keys_of(&self, kind: ActionKind) -> BTreeSet<RecordKey> {
        let of_kind = self.actions.iter().filter(|action| action.kind == kind);
        of_kind.map(|action| action.key.clone()).collect()
    }

    fn into_plan(self) -> Plan {
        let observed = self.situation.observed;
        let wanted: BTreeSet<&RecordKey> = self
            .situation
            .wanted
            .iter()
            .map(|wanted| &wanted.key)
            .collect();
        let unmanaged = observed
            .sets
            .values()
            .filter(|set| !wanted.contains(&set.key) && !self.is_ours(set))
            .count();
        let needs_default_line = self.situation.caps.features.needs_default_line;
        Plan {
            zone: self.situation.zone.clone(),
            binding: self.situation.binding.clone(),
            unmanaged: unmanaged + observed.foreign,
            actions: in_order(self.actions, needs_default_line),
            refused: self.refused,
            warnings: self.warnings,
            confirmed: self.confirmed,
            forgotten: self.forgotten,
        }
    }
}

/// Whether one of the two is a CNAME that the other would stand beside.
pub(crate) fn cannot_coexist(one: &RecordKey, other: &RecordKey) -> bool {
    one.name == other.name
        && one.line == other.line
        && one.rtype != other.rtype
        && (one.rtype.is("CNAME") || other.rtype.is("CNAME"))
}

/// Creates and updates first, the line `default` first among them, each after the delete that makes
/// way for it; then deletes, the line `default` last; then what changes nothing.
fn in_order(actions: Vec<Action>, needs_default_line: bool) -> Vec<Action> {
    let creates: Vec<RecordKey> = actions
        .iter()
        .filter(|action| action.kind == ActionKind::Create)
        .map(|action| action.key.clone())
        .collect();
    let replacement = |key: &RecordKey| creates.iter().filter(|it| cannot_coexist(it, key)).min();
    // Where other lines need the line `default`, they go with it.
    let with_default = |key: &RecordKey| {
        let default = RecordKey {
            line: LineCode::default_line(),
            ..key.clone()
        };
        if needs_default_line {
            replacement(&default)
        } else {
            None
        }
    };
    let not_default = |key: &RecordKey| !key.line.is_default();
    let place = |action: &Action| {
        let key = &action.key;
        let (phase, beside, step) = match action.kind {
            ActionKind::Create | ActionKind::Update => (0, key, 2),
            ActionKind::None => return (2, false, key.clone(), 0, key.clone()),
            ActionKind::Delete => match with_default(key).or_else(|| replacement(key)) {
                Some(replacement) => (0, replacement, u8::from(!not_default(key))),
                None => return (1, !not_default(key), key.clone(), 0, key.clone()),
            },
        };
        (
            phase,
            not_default(beside),
            beside.clone(),
            step,
            key.clone(),
        )
    };
    let mut placed: Vec<_> = actions
        .into_iter()
        .map(|action| (place(&action), action))
        .collect();
    placed.sort_by(|(one, _), (other, _)| one.cmp(other));
    placed.into_iter().map(|(_, action)| action).collect()
}
