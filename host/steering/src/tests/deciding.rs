//! The decision, rule by rule, then over any situation.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::fixtures::{data, key, set, wanted, zone};
use crate::decide::{cannot_coexist, decide};
use crate::names::{BindingName, RecordType};
use crate::ownership;
use crate::plan::{
    Action, ActionKind, Normalized, Observation, Owned, Ownership, Plan, Situation, Wanted,
};
use crate::provider::{Caps, Features, Outcome, ProviderError, RecordKey, RecordSet};

/// A situation to decide on.
#[derive(Debug, Clone)]
struct Given {
    caps: Caps,
    wanted: Vec<Wanted>,
    errors: BTreeMap<RecordKey, ProviderError>,
    observed: Observation,
    owned: Ownership,
    kept: BTreeMap<RecordKey, String>,
    /// The least TTL of the zone.
    min_ttl: u32,
    now_ms: u64,
}

impl Given {
    fn new(wanted: Vec<Wanted>, observed: Vec<RecordSet>) -> Self {
        let types = ["A", "CNAME", "TXT", "NS"];
        Self {
            caps: Caps {
                features: Features {
                    lines: true,
                    weights: true,
                    disable: true,
                    ..Default::default()
                },
                record_types: types
                    .iter()
                    .map(|it| RecordType::parse(it).unwrap())
                    .collect(),
                max_values: 3,
                ..Caps::default()
            },
            wanted,
            errors: BTreeMap::new(),
            observed: Observation {
                sets: observed
                    .into_iter()
                    .map(|set| (set.key.clone(), set))
                    .collect(),
                foreign: 0,
            },
            owned: Ownership::new(),
            kept: BTreeMap::new(),
            min_ttl: 0,
            now_ms: 1_000_000,
        }
    }

    /// We wrote this set, and nothing is underway.
    fn ours(mut self, set: RecordSet) -> Self {
        let owned = Owned {
            last: Some(set.data),
            ..Owned::default()
        };
        self.owned.insert(set.key, owned);
        self
    }

    /// We were about to create this set.
    fn intended(mut self, set: RecordSet) -> Self {
        let pending = set
            .data
            .values
            .into_iter()
            .map(|value| value.content)
            .collect();
        self.owned.insert(
            set.key,
            Owned {
                pending,
                ..Owned::default()
            },
        );
        self
    }

    fn decide(&self) -> Plan {
        let normalized: Normalized = self
            .wanted
            .iter()
            .map(|wanted| {
                let answer = match self.errors.get(&wanted.key) {
                    Some(error) => Err(error.clone()),
                    None => Ok(self.clamped(wanted)),
                };
                (wanted.key.clone(), answer)
            })
            .collect();
        decide(Situation {
            zone: &zone(),
            binding: &BindingName::parse("main").unwrap(),
            caps: &self.caps,
            wanted: &self.wanted,
            normalized: &normalized,
            observed: &self.observed,
            owned: &self.owned,
            kept: &self.kept,
            now_ms: self.now_ms,
        })
    }

    fn clamped(&self, wanted: &Wanted) -> RecordSet {
        let mut set = wanted.to_set();
        set.data.ttl = set.data.ttl.max(self.min_ttl);
        set
    }

    /// Carries a plan out, without a fault.
    fn carry_out(&mut self, plan: &Plan) {
        ownership::settle(&mut self.owned, plan);
        for action in plan.changes() {
            ownership::intend(&mut self.owned, action, self.now_ms);
            match &action.after {
                Some(after) => self.observed.sets.insert(action.key.clone(), after.clone()),
                None => self.observed.sets.remove(&action.key),
            };
            ownership::learn(&mut self.owned, action, &Ok(Outcome::Applied), self.now_ms);
        }
    }
}

fn changes(plan: &Plan) -> Vec<String> {
    let text = |action: &Action| format!("{} {}", action.kind.as_str(), action.key);
    plan.changes().map(text).collect()
}

#[test]
fn what_is_missing_is_created_and_what_differs_updated_in_place() {
    let given = Given::new(
        vec![
            wanted("new A", &["192.0.2.1"]),
            wanted("old A", &["192.0.2.2"]),
        ],
        vec![set("old A", &["192.0.2.1"])],
    )
    .ours(set("old A", &["192.0.2.1"]));
    let plan = given.decide();
    assert_eq!(
        changes(&plan),
        ["create new.example.com A", "update old.example.com A"]
    );
    assert!(plan.changes().all(|action| !action.drift));
    assert!(plan.refused.is_empty());
}

#[test]
fn what_is_not_ours_is_refused_even_when_it_is_the_same() {
    for content in ["192.0.2.1", "192.0.2.9"] {
        let given = Given::new(
            vec![wanted("www A", &["192.0.2.1"])],
            vec![set("www A", &[content])],
        );
        let plan = given.decide();
        assert_eq!(plan.changes().count(), 0);
        assert!(
            plan.refused[0].reason.contains("set adopt"),
            "{:?}",
            plan.refused
        );
    }
}

#[test]
fn what_is_not_known_stays_as_it_is() {
    let mut given = Given::new(vec![], vec![set("www A", &["192.0.2.1"])]);
    given = given.ours(set("www A", &["192.0.2.1"]));
    let why = "kept: no ipv4 address of sh is known".to_owned();
    given.kept.insert(key("www A"), why.clone());
    let plan = given.decide();
    assert_eq!(plan.changes().count(), 0);
    assert_eq!(plan.actions[0].reason, why);
}

#[test]
fn another_ttl_than_the_wanted_one_is_a_warning() {
    let mut given = Given::new(vec![wanted("www A", &["192.0.2.1"])], vec![]);
    given.min_ttl = 600;
    let plan = given.decide();
    assert_eq!(plan.changes().count(), 1);
    let warned = &plan.warnings[0].reason;
    assert_eq!(
        warned,
        "a TTL of 300 s is wanted, and the provider makes it 600 s"
    );
}

#[test]
fn adopting_takes_over_what_stands() {
    let adopted = Wanted {
        adopt: true,
        ..wanted("www A", &["192.0.2.1"])
    };
    let mut same = Given::new(vec![adopted.clone()], vec![set("www A", &["192.0.2.1"])]);
    let plan = same.decide();
    assert_eq!(plan.changes().count(), 0);
    same.carry_out(&plan);
    assert_eq!(
        same.owned[&key("www A")].last,
        Some(data(300, &["192.0.2.1"]))
    );

    let other = Given::new(vec![adopted], vec![set("www A", &["192.0.2.9"])]);
    assert_eq!(changes(&other.decide()), ["update www.example.com A"]);
}

#[test]
fn what_others_keep_beside_a_set_goes_along() {
    let mut standing = set("www A", &["192.0.2.9"]);
    standing.comment = Some("ask ops".into());
    standing.extras = "proxied".into();
    standing.handle = "id-7".into();
    let given = Given::new(
        vec![wanted("www A", &["192.0.2.1"])],
        vec![standing.clone()],
    )
    .ours(set("www A", &["192.0.2.9"]));
    let plan = given.decide();
    let action = plan.changes().next().unwrap();
    let after = action.after.as_ref().unwrap();
    assert_eq!(action.before.as_ref(), Some(&standing));
    assert_eq!(
        (&after.comment, &after.extras),
        (&standing.comment, &standing.extras)
    );
}

#[test]
fn only_ours_is_deleted_and_only_by_its_exact_key() {
    let observed = vec![
        set("www A", &["192.0.2.1"]),
        set("www A CT", &["192.0.2.1"]),
        set("www TXT", &["\"x\""]),
    ];
    let given = Given::new(vec![], observed).ours(set("www A", &["192.0.2.1"]));
    let plan = given.decide();
    assert_eq!(changes(&plan), ["delete www.example.com A"]);
    assert_eq!(plan.unmanaged, 2);
}

#[test]
fn the_zones_own_ns_set_is_never_deleted() {
    let ns = set("@ NS", &["ns.example.net"]);
    let mut given = Given::new(vec![], vec![ns.clone()]).ours(ns);
    let plan = given.decide();
    assert_eq!(plan.changes().count(), 0);
    given.carry_out(&plan);
    assert!(given.owned.is_empty(), "it is released");
}

#[test]
fn drift_is_told_from_a_new_wish_and_from_a_change_cut_off() {
    let cases = [
        // wanted, standing, last, pending; drift
        ("192.0.2.1", Some("192.0.2.9"), "192.0.2.1", None, true),
        ("192.0.2.1", None, "192.0.2.1", None, true),
        ("192.0.2.2", Some("192.0.2.1"), "192.0.2.1", None, false),
        (
            "192.0.2.2",
            Some("192.0.2.1"),
            "192.0.2.1",
            Some("192.0.2.2"),
            false,
        ),
        (
            "192.0.2.2",
            Some("192.0.2.9"),
            "192.0.2.1",
            Some("192.0.2.2"),
            true,
        ),
        (
            "192.0.2.3",
            Some("192.0.2.2"),
            "192.0.2.1",
            Some("192.0.2.2"),
            false,
        ),
    ];
    for (wish, standing, last, pending, drift) in cases {
        let observed = standing.map(|content| set("www A", &[content]));
        let mut given = Given::new(
            vec![wanted("www A", &[wish])],
            observed.into_iter().collect(),
        )
        .ours(set("www A", &[last]));
        let owned = given.owned.get_mut(&key("www A")).unwrap();
        owned.pending.extend(pending.map(str::to_owned));
        let plan = given.decide();
        let action = plan.changes().next().unwrap();
        assert_eq!(
            action.drift, drift,
            "{wish} {standing:?} {last} {pending:?}: {}",
            action.reason
        );
    }
}

#[test]
fn a_create_that_was_cut_off_is_recognised_by_what_it_holds() {
    let wish = vec![wanted("www A", &["192.0.2.1", "192.0.2.2"])];
    let intent = set("www A", &["192.0.2.1", "192.0.2.2"]);
    let half =
        Given::new(wish.clone(), vec![set("www A", &["192.0.2.1"])]).intended(intent.clone());
    assert_eq!(changes(&half.decide()), ["update www.example.com A"]);

    let foreign =
        Given::new(wish.clone(), vec![set("www A", &["192.0.2.9"])]).intended(intent.clone());
    let plan = foreign.decide();
    assert!(plan.refused[0].reason.contains("not ours"));
    assert!(plan.forgotten.contains(&key("www A")));

    let no_more = Given::new(vec![], vec![set("www A", &["192.0.2.2"])]).intended(intent);
    assert_eq!(changes(&no_more.decide()), ["delete www.example.com A"]);
}

#[test]
fn another_account_makes_ownership_doubtful() {
    let mut given = Given::new(
        vec![wanted("a A", &["192.0.2.1"]), wanted("b A", &["192.0.2.1"])],
        vec![set("a A", &["192.0.2.1"]), set("b A", &["192.0.2.9"])],
    )
    .ours(set("a A", &["192.0.2.1"]))
    .ours(set("b A", &["192.0.2.1"]));
    given.owned = given
        .owned
        .into_iter()
        .map(|(key, owned)| (key, owned.in_doubt()))
        .collect();
    let plan = given.decide();
    assert_eq!(plan.changes().count(), 0);
    assert!(plan.confirmed.contains_key(&key("a A")));
    assert_eq!(plan.refused[0].key, key("b A"));
}

#[test]
fn what_a_provider_cannot_hold_is_refused_alone() {
    let weighted = {
        let mut wanted = wanted("weight A", &["192.0.2.1"]);
        wanted.values[0].weight = Some(1);
        wanted
    };
    let disabled = {
        let mut wanted = wanted("off A", &["192.0.2.1", "192.0.2.2"]);
        wanted.values[0].enabled = false;
        wanted
    };
    let mut given = Given::new(
        vec![
            wanted("good A", &["192.0.2.1"]),
            wanted("type MX", &["10 a.example.net"]),
            wanted("line A CT", &["192.0.2.1"]),
            wanted(
                "many A",
                &["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"],
            ),
            wanted("bad A", &["192.0.2.1"]),
            weighted,
            disabled,
        ],
        vec![],
    );
    given.caps.features = Features::default();
    given
        .errors
        .insert(key("bad A"), ProviderError::Invalid("no such thing".into()));
    let plan = given.decide();
    assert_eq!(changes(&plan), ["create good.example.com A"]);
    let reasons = [
        ("type MX", "cannot hold MX"),
        ("line A CT", "no lines"),
        ("many A", "at most 3"),
        ("bad A", "no such thing"),
        ("weight A", "no weights"),
        ("off A", "cannot disable"),
    ];
    for (at, words) in reasons {
        let refusal = plan
            .refused
            .iter()
            .find(|refusal| refusal.key == key(at))
            .unwrap();
        assert!(refusal.reason.contains(words), "{at}: {}", refusal.reason);
    }
}

#[test]
fn a_cname_replaces_ours_but_not_what_is_foreign() {
    let wish = vec![wanted("www CNAME", &["a.example.net"])];
    let given = Given::new(wish.clone(), vec![set("www A", &["192.0.2.1"])])
        .ours(set("www A", &["192.0.2.1"]));
    assert_eq!(
        changes(&given.decide()),
        ["delete www.example.com A", "create www.example.com CNAME"]
    );
    let plan = Given::new(wish, vec![set("www A", &["192.0.2.1"])]).decide();
    assert_eq!(plan.changes().count(), 0);
    assert!(
        plan.refused[0].reason.contains("not ours"),
        "{:?}",
        plan.refused
    );
}

#[test]
fn nothing_is_deleted_where_its_replacement_cannot_be_written() {
    let mut given = Given::new(
        vec![wanted("www CNAME", &["a.example.net"])],
        vec![set("www A", &["192.0.2.1"]), set("ftp A", &["192.0.2.1"])],
    )
    .ours(set("www A", &["192.0.2.1"]))
    .ours(set("ftp A", &["192.0.2.1"]));
    given.errors.insert(
        key("www CNAME"),
        ProviderError::Unsupported("no CNAME".into()),
    );
    let plan = given.decide();
    assert_eq!(changes(&plan), ["delete ftp.example.com A"]);
    assert_eq!(plan.refused.len(), 2);
}

#[test]
fn what_is_new_comes_before_what_goes_and_the_default_line_first_and_last() {
    let mut given = Given::new(
        vec![
            wanted("z A CT", &["192.0.2.1"]),
            wanted("z A", &["192.0.2.1"]),
        ],
        vec![set("a A", &["192.0.2.1"]), set("a A CT", &["192.0.2.1"])],
    )
    .ours(set("a A", &["192.0.2.1"]))
    .ours(set("a A CT", &["192.0.2.1"]));
    given.caps.features.needs_default_line = true;
    assert_eq!(
        changes(&given.decide()),
        [
            "create z.example.com A",
            "create z.example.com A line CT",
            "delete a.example.com A line CT",
            "delete a.example.com A",
        ]
    );
}

#[test]
fn a_line_without_its_default_is_refused_where_the_provider_needs_one() {
    let mut given = Given::new(
        vec![wanted("z A CT", &["192.0.2.1"])],
        vec![set("a A", &["192.0.2.1"]), set("a A CT", &["192.0.2.1"])],
    )
    .ours(set("a A", &["192.0.2.1"]));
    given.caps.features.needs_default_line = true;
    let plan = given.decide();
    assert_eq!(plan.changes().count(), 0);
    let refused: Vec<String> = plan.refused.iter().map(|it| it.key.to_string()).collect();
    assert_eq!(refused, ["z.example.com A line CT", "a.example.com A"]);
}

#[test]
fn a_zone_that_does_not_show_our_last_write_yet_is_left_to_settle() {
    let mut given = Given::new(
        vec![wanted("www A", &["192.0.2.2"])],
        vec![set("www A", &["192.0.2.1"])],
    )
    .ours(set("www A", &["192.0.2.2"]));
    given.caps.settle = Duration::from_secs(5);
    given.owned.get_mut(&key("www A")).unwrap().at_ms = given.now_ms - 4_999;
    let plan = given.decide();
    assert!(plan.changes().next().is_none() && plan.actions[0].is_waiting());
    given.now_ms += 1;
    assert!(given.decide().changes().next().unwrap().drift);
}

/// Few keys, so that wanted, standing and owned meet often.
fn any_key() -> impl Strategy<Value = RecordKey> {
    let names = prop::sample::select(vec!["@", "a", "b"]);
    let types = prop::sample::select(vec!["A", "CNAME", "TXT", "NS"]);
    let lines = prop::sample::select(vec!["default", "CT", "CU"]);
    (names, types, lines).prop_map(|(name, rtype, line)| key(&format!("{name} {rtype} {line}")))
}

fn any_set() -> impl Strategy<Value = RecordSet> {
    let contents = prop::collection::btree_set(prop::sample::select(vec!["1", "2", "3"]), 1..=3);
    (any_key(), contents, prop::sample::select(vec![60, 300])).prop_map(|(key, contents, ttl)| {
        RecordSet::wanted(key, data(ttl, &contents.into_iter().collect::<Vec<_>>()))
    })
}

/// At most one set of each key, and no CNAME beside another set.
fn any_zone() -> impl Strategy<Value = Vec<RecordSet>> {
    prop::collection::vec(any_set(), 0..8).prop_map(|sets| {
        let mut zone: Vec<RecordSet> = Vec::new();
        for set in sets {
            let fits =
                |other: &RecordSet| other.key != set.key && !cannot_coexist(&other.key, &set.key);
            if zone.iter().all(fits) {
                zone.push(set);
            }
        }
        zone
    })
}

fn any_owned() -> impl Strategy<Value = (Option<RecordSet>, RecordSet, bool)> {
    (prop::option::of(any_set()), any_set(), any::<bool>())
}

prop_compose! {
    fn any_given()(
        wanted_sets in any_zone(),
        adopt in prop::collection::vec(any::<bool>(), 8),
        observed in any_zone(),
        owned in prop::collection::vec(any_owned(), 0..6),
        ours in prop::collection::vec(any::<bool>(), 8),
        broken in prop::collection::vec(prop::bool::weighted(0.15), 8),
        needs_default_line in any::<bool>(),
    ) -> Given {
        let wishes: Vec<Wanted> = wanted_sets
            .iter()
            .zip(&adopt)
            .map(|(set, adopt)| Wanted {
                key: set.key.clone(),
                ttl: crate::Ttl::new(i64::from(set.data.ttl)).unwrap(),
                values: set.data.values.clone(),
                adopt: *adopt,
                why: None,
            })
            .collect();
        let mut given = Given::new(wishes, observed.clone());
        given.caps.features.needs_default_line = needs_default_line;
        for (set, broken) in wanted_sets.iter().zip(broken) {
            if broken {
                given.errors.insert(set.key.clone(), ProviderError::Invalid("no".into()));
            }
        }
        for (last, pending, certain) in owned {
            let key = pending.key.clone();
            given = given.intended(pending);
            if let (Some(last), true) = (last, certain) {
                given.owned.get_mut(&key).unwrap().last = Some(last.data);
            }
        }
        for (set, ours) in observed.into_iter().zip(ours) {
            if ours {
                given = given.ours(set);
            }
        }
        given
    }
}

fn recognised(given: &Given, set: &RecordSet) -> bool {
    given
        .owned
        .get(&set.key)
        .is_some_and(|owned| owned.recognises(&set.data))
}

/// A second of work for both properties together.
const CASES: u32 = 4_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    /// Carrying a plan out makes ours what it shall be, leaves what is foreign as it stands, and
    /// leaves nothing more to do.
    #[test]
    fn a_plan_converges_and_touches_only_what_is_ours(given in any_given()) {
        let plan = given.decide();
        let mut after = given.clone();
        after.carry_out(&plan);

        let refused = |key: &RecordKey| plan.refused.iter().any(|refusal| refusal.key == *key);
        for wanted in &given.wanted {
            if !refused(&wanted.key) {
                let standing = after.observed.sets.get(&wanted.key).map(|set| &set.data);
                prop_assert_eq!(standing, Some(&wanted.to_set().data), "{}", wanted.key);
            }
        }
        for set in given.observed.sets.values() {
            let wish = given.wanted.iter().find(|wanted| wanted.key == set.key);
            let foreign = !recognised(&given, set) && wish.is_none_or(|wanted| !wanted.adopt);
            let standing = after.observed.sets.get(&set.key);
            if foreign || refused(&set.key) {
                prop_assert_eq!(standing, Some(set), "foreign or refused");
            } else if wish.is_none() && !(set.key.rtype.is("NS") && set.key.name.is_apex(&zone())) {
                prop_assert_eq!(standing, None, "ours and no longer wanted");
            }
        }
        let again = after.decide();
        prop_assert_eq!(changes(&again), Vec::<String>::new());
        prop_assert!(again.confirmed.is_empty() && again.forgotten.is_empty());
    }

    /// At every step on the way: no CNAME beside other data, no line without its default where the
    /// provider insists, and a name that served something serves something, save for the one step
    /// between our own set and the CNAME clash that replaces it.
    #[test]
    fn every_step_of_a_plan_is_safe(given in any_given()) {
        let plan = given.decide();
        let mut standing = given.observed.sets.clone();
        let lonely = |sets: &BTreeMap<RecordKey, RecordSet>, key: &RecordKey| {
            !key.line.is_default() && !sets.keys().any(|other| {
                other.line.is_default() && other.name == key.name && other.rtype == key.rtype
            })
        };
        let was_lonely: Vec<RecordKey> =
            standing.keys().filter(|key| lonely(&standing, key)).cloned().collect();
        let actions: Vec<&Action> = plan.changes().collect();
        for (index, action) in actions.iter().enumerate() {
            if let Some(after) = &action.after {
                prop_assert!(after.data.serves());
                let clash = standing.keys().find(|other| cannot_coexist(&action.key, other));
                prop_assert_eq!(clash, None, "{} clashes", &action.key);
                standing.insert(action.key.clone(), after.clone());
            } else {
                standing.remove(&action.key);
                let rest = &actions[index + 1..];
                let default = RecordKey { line: crate::LineCode::default_line(), ..action.key.clone() };
                let insists = given.caps.features.needs_default_line;
                let way_made = rest.iter().any(|later| {
                    later.kind == ActionKind::Create
                        && (cannot_coexist(&later.key, &action.key)
                            || insists && cannot_coexist(&later.key, &default))
                });
                let written = rest.iter().any(|later| later.kind != ActionKind::Delete);
                prop_assert!(way_made || !written, "{} goes before what is new", action.key);
            }
            if given.caps.features.needs_default_line {
                let left = standing.keys().find(|key| lonely(&standing, key) && !was_lonely.contains(key));
                prop_assert_eq!(left, None);
            }
        }
    }
}
