//! What every [`DnsProvider`] must do: one suite, run on the in-memory twin and on real plugins.

mod bench;
mod contents;
mod values;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::names::{DomainName, LineCode, RecordType, SetId, ZoneName};
use crate::plan::Observation;
use crate::provider::{
    Caps, Change, DnsProvider, Outcome, PerItem, ProviderError, RecordData, RecordKey, RecordSet,
    RecordValue,
};
use crate::survey::observe;

pub use self::bench::Bench;

/// A service can take longer to show a write everywhere; what stands in for one, and a server on this
/// host, shows it at once.
const SETTLES: Duration = Duration::from_millis(50);

/// A provider broke its contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {message}")]
pub struct Broken {
    /// What was being checked.
    pub step: &'static str,
    /// What was expected and what came.
    pub message: String,
}

/// What a provider does not do, as it says itself. The contract leaves it the choice; whoever runs the
/// suite knows what to expect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Contents that it refused to hold, each with its type: `TXT "…"`.
    pub refused: Vec<String>,
}

/// Checks `provider` against its contract, in a zone that it can change. Everything happens under
/// the names `suite-…` of that zone and at the zone's own name with the type TXT, which must not be there
/// before and are not there after.
///
/// # Errors
/// [`Broken`]: the first thing that is not as it must be.
pub async fn run(provider: &dyn DnsProvider, zone: &ZoneName) -> Result<Report, Broken> {
    let suite = Suite::of(provider, zone).await?;
    let mut report = Report::default();
    suite.describes_itself().await?;
    suite.lists_the_zone_and_its_lines().await?;
    suite.creates_as_normalized().await?;
    suite.does_nothing_twice().await?;
    suite.updates_in_place_and_notices_stale().await?;
    suite.touches_the_exact_key().await?;
    suite.answers_change_by_change().await?;
    suite.reads_each_set_once().await?;
    suite.adds_and_removes_values().await?;
    suite.changes_the_ttl_alone().await?;
    suite.switches_values_off_if_it_says_so().await?;
    suite.weighs_values_if_it_says_so().await?;
    suite.holds_contents_as_they_are(&mut report).await?;
    suite.knows_all_kinds_of_names().await?;
    suite.lets_no_cname_stand_beside_others().await?;
    suite.says_what_is_not_there().await?;
    suite.deletes_what_is_asked().await?;
    Ok(report)
}

/// Checks that a zone of so many record sets more is read whole. It takes as many writes, so it stands
/// apart from [`run`].
///
/// # Errors
/// [`Broken`].
pub async fn run_large(
    provider: &dyn DnsProvider,
    zone: &ZoneName,
    sets: usize,
    at_once: usize,
) -> Result<(), Broken> {
    let suite = Suite::of(provider, zone).await?;
    suite.reads_a_large_zone(sets, at_once).await
}

struct Suite<'a> {
    provider: &'a dyn DnsProvider,
    zone: &'a ZoneName,
    caps: Caps,
}

type Checked = Result<(), Broken>;

impl<'a> Suite<'a> {
    async fn of(provider: &'a dyn DnsProvider, zone: &'a ZoneName) -> Result<Self, Broken> {
        let caps = provider.describe().await;
        Ok(Self {
            provider,
            zone,
            caps: caps.map_err(|error| broken("describe", error))?,
        })
    }

    async fn describes_itself(&self) -> Checked {
        const STEP: &str = "describes itself";
        let again = self
            .provider
            .describe()
            .await
            .map_err(|error| broken(STEP, error))?;
        ensure(STEP, again == self.caps, || {
            "two calls of describe differ".to_owned()
        })?;
        ensure(STEP, self.caps.max_values >= 1, || {
            "max-values is 0".to_owned()
        })?;
        ensure(STEP, self.caps.changes_per_call >= 1, || {
            "changes-per-call is 0".to_owned()
        })?;
        for needed in ["A", "TXT"] {
            let known = self.caps.record_types.iter().any(|rtype| rtype.is(needed));
            ensure(STEP, known, || format!("the suite needs {needed} records"))?;
        }
        Ok(())
    }

    async fn lists_the_zone_and_its_lines(&self) -> Checked {
        const STEP: &str = "lists the zone and its lines";
        let mut cursor = None;
        let mut seen = BTreeSet::new();
        loop {
            let page = self
                .provider
                .zones(cursor.as_deref())
                .await
                .map_err(|error| broken(STEP, error))?;
            seen.extend(page.zones.into_iter().map(|zone| zone.name));
            match page.next {
                None => break,
                Some(next) if cursor.as_ref() == Some(&next) => {
                    return Err(broken(STEP, "zones answers the same cursor again"));
                }
                next => cursor = next,
            }
        }
        ensure(STEP, seen.contains(self.zone), || {
            format!("{} is not in {seen:?}", self.zone)
        })?;
        let lines = self
            .provider
            .lines(self.zone)
            .await
            .map_err(|error| broken(STEP, error))?;
        let has_default = lines.iter().any(|line| line.code.is_default());
        ensure(STEP, has_default, || {
            "there is no line `default`".to_owned()
        })?;
        let plausible = self.caps.features.lines || lines.len() == 1;
        ensure(STEP, plausible, || {
            "it has lines that `features` does not tell of".to_owned()
        })
    }

    async fn creates_as_normalized(&self) -> Checked {
        const STEP: &str = "creates as normalized";
        for wanted in [
            self.a("suite-a", &["192.0.2.1"])?,
            self.set("suite-a", "TXT", &["\"one two\""])?,
        ] {
            let standing = self.create(STEP, &wanted).await?;
            let twice = self.normal(STEP, &standing).await?;
            ensure(STEP, twice.data == standing.data, || {
                format!(
                    "{} stands there, and normalizes to {}",
                    standing.data, twice.data
                )
            })?;
        }
        Ok(())
    }

    async fn does_nothing_twice(&self) -> Checked {
        const STEP: &str = "does nothing twice";
        let normal = self
            .normal(STEP, &self.a("suite-a", &["192.0.2.1"])?)
            .await?;
        let before = self.standing(STEP, &normal.key).await?;
        for before in [None, Some(&before)] {
            let outcome = self.change(STEP, before, Some(&normal)).await?;
            ensure(STEP, outcome == Ok(Outcome::Already), || {
                format!("the zone stands so already, but the outcome is {outcome:?}")
            })?;
        }
        Ok(())
    }

    async fn updates_in_place_and_notices_stale(&self) -> Checked {
        const STEP: &str = "updates in place and notices stale";
        let key = self.key("suite-a", "A", "default")?;
        let first = self.standing(STEP, &key).await?;
        let second = self
            .normal(STEP, &self.a("suite-a", &["192.0.2.2"])?)
            .await?;
        let outcome = self.change(STEP, Some(&first), Some(&second)).await?;
        ensure(STEP, outcome == Ok(Outcome::Applied), || {
            format!("{outcome:?}")
        })?;
        let third = self
            .normal(STEP, &self.a("suite-a", &["192.0.2.3"])?)
            .await?;
        let late = [
            ("an update", Some(&first), Some(&third)),
            ("a create", None, Some(&third)),
            ("a delete", Some(&first), None),
        ];
        for (what, before, after) in late {
            let outcome = self.change(STEP, before, after).await?;
            ensure(STEP, outcome == Ok(Outcome::Stale), || {
                format!("{what} on an outdated read is {outcome:?}, not stale")
            })?;
        }
        let read = self.standing(STEP, &key).await?;
        ensure(STEP, read.data == second.data, || {
            format!("{} stands there", read.data)
        })
    }

    async fn touches_the_exact_key(&self) -> Checked {
        const STEP: &str = "touches the exact key";
        let key = self.key("suite-a", "A", "default")?;
        let mut neighbours = vec![self.key("suite-a", "TXT", "default")?];
        if self.caps.features.lines {
            let lines = self
                .provider
                .lines(self.zone)
                .await
                .map_err(|error| broken(STEP, error))?;
            if let Some(line) = lines.iter().find(|line| !line.code.is_default()) {
                let mut other = self.a("suite-a", &["192.0.2.9"])?;
                other.key.line = line.code.clone();
                let normal = self.normal(STEP, &other).await?;
                let outcome = self.change(STEP, None, Some(&normal)).await?;
                ensure(STEP, outcome == Ok(Outcome::Applied), || {
                    format!("{outcome:?}")
                })?;
                neighbours.push(other.key);
            }
        }
        let mut before = Vec::new();
        for neighbour in &neighbours {
            before.push(self.standing(STEP, neighbour).await?.data);
        }
        let standing = self.standing(STEP, &key).await?;
        let next = self
            .normal(STEP, &self.a("suite-a", &["192.0.2.4"])?)
            .await?;
        let outcome = self.change(STEP, Some(&standing), Some(&next)).await?;
        ensure(STEP, outcome == Ok(Outcome::Applied), || {
            format!("{outcome:?}")
        })?;
        for (neighbour, before) in neighbours.iter().zip(before) {
            let after = self.standing(STEP, neighbour).await?.data;
            ensure(STEP, after == before, || {
                format!("{neighbour} became {after}")
            })?;
        }
        Ok(())
    }

    async fn answers_change_by_change(&self) -> Checked {
        const STEP: &str = "answers change by change";
        if self.caps.features.atomic_zone {
            return Ok(());
        }
        let good = self
            .normal(STEP, &self.a("suite-good", &["192.0.2.1"])?)
            .await?;
        let bad = self.a("suite-bad", &["not an address"])?;
        // A provider that sends a bad value on and lets its server refuse it is right too, as long
        // as it says so for that change alone.
        let changes = [change(None, Some(&bad)), change(None, Some(&good))];
        let results = self.apply(STEP, &changes).await?;
        let [bad_result, good_result] = results.as_slice() else {
            return Err(broken(
                STEP,
                format!("{} answers to 2 changes", results.len()),
            ));
        };
        ensure(STEP, *good_result == Ok(Outcome::Applied), || {
            format!("a good change beside a bad one is {good_result:?}")
        })?;
        let stands = self.read(STEP, &bad.key).await?;
        let refused = bad_result.is_err() && stands.is_none();
        // The twin keeps any text, and then it says so.
        let accepted = *bad_result == Ok(Outcome::Applied) && stands.is_some();
        ensure(STEP, refused || accepted, || {
            format!("the outcome is {bad_result:?}, and {stands:?} stands there")
        })?;
        self.clear(STEP, &bad.key).await?;
        self.clear(STEP, &good.key).await
    }

    async fn reads_each_set_once(&self) -> Checked {
        self.reads_a_large_zone(7, 7).await
    }

    async fn reads_a_large_zone(&self, sets: usize, at_once: usize) -> Checked {
        const STEP: &str = "reads each set once";
        let mut wanted = Vec::new();
        for index in 0..sets {
            wanted.push(self.a(&format!("suite-page-{index}"), &["192.0.2.1"])?);
        }
        let wanted = self.all_normal(STEP, &wanted).await?;
        for some in wanted.chunks(at_once) {
            let changes: Vec<Change> = some.iter().map(|set| change(None, Some(set))).collect();
            self.all_applied(STEP, &changes).await?;
        }
        // `observe` itself refuses a set that is read twice, and pages that go in a circle.
        let all = self.observe(STEP).await?;
        let mut deletes = Vec::new();
        for set in &wanted {
            let read = all.sets.get(&set.key);
            ensure(STEP, read.map(|read| &read.data) == Some(&set.data), || {
                format!("{} reads as {read:?}", set.key)
            })?;
            deletes.extend(read.map(|read| change(Some(read), None)));
        }
        for some in deletes.chunks(at_once) {
            self.all_applied(STEP, some).await?;
        }
        Ok(())
    }

    async fn deletes_what_is_asked(&self) -> Checked {
        const STEP: &str = "deletes what is asked";
        let standing: Vec<RecordSet> = self
            .observe(STEP)
            .await?
            .sets
            .into_values()
            .filter(|set| set.key.name.as_str().starts_with("suite-"))
            // The line `default` goes last: some providers insist.
            .rev()
            .collect();
        let mut standing: Vec<RecordSet> = standing;
        standing.sort_by_key(|set| set.key.line.is_default());
        for set in &standing {
            let outcome = self.change(STEP, Some(set), None).await?;
            ensure(STEP, outcome == Ok(Outcome::Applied), || {
                format!("{}: {outcome:?}", set.key)
            })?;
            let gone = self.read(STEP, &set.key).await?;
            ensure(STEP, gone.is_none(), || {
                format!("{} still stands there", set.key)
            })?;
            let again = self.change(STEP, Some(set), None).await?;
            let harmless = matches!(
                again,
                Ok(Outcome::Already) | Err(ProviderError::NotFound(_))
            );
            ensure(STEP, harmless, || format!("deleted again, it is {again:?}"))?;
        }
        let left = self.observe(STEP).await?;
        let ours = left
            .sets
            .keys()
            .find(|key| key.name.as_str().starts_with("suite-"));
        ensure(STEP, ours.is_none(), || format!("{ours:?} is left"))
    }

    fn key(&self, name: &str, rtype: &str, line: &str) -> Result<RecordKey, Broken> {
        let fail = |message: String| broken("names", message);
        Ok(RecordKey {
            name: DomainName::in_zone(name, self.zone).map_err(fail)?,
            rtype: RecordType::parse(rtype).map_err(fail)?,
            line: LineCode::parse(line).map_err(fail)?,
            set_id: SetId::none(),
        })
    }

    fn a(&self, name: &str, addresses: &[&str]) -> Result<RecordSet, Broken> {
        self.set(name, "A", addresses)
    }

    /// A set on the line `default`.
    fn set(&self, name: &str, rtype: &str, contents: &[&str]) -> Result<RecordSet, Broken> {
        let key = self.key(name, rtype, "default")?;
        Ok(RecordSet::wanted(key, data(contents)))
    }

    fn has(&self, rtype: &str) -> bool {
        self.caps.record_types.iter().any(|known| known.is(rtype))
    }

    async fn normal(&self, step: &'static str, set: &RecordSet) -> Result<RecordSet, Broken> {
        let mut normal = self.all_normal(step, std::slice::from_ref(set)).await?;
        // One answer to one set is what `all_normal` makes sure of.
        normal.pop().ok_or_else(|| broken(step, "no answer"))
    }

    /// How wanted sets will read back, all of which the provider can hold.
    async fn all_normal(
        &self,
        step: &'static str,
        sets: &[RecordSet],
    ) -> Result<Vec<RecordSet>, Broken> {
        let answers = self.try_normal(step, sets).await?;
        let normal = sets.iter().zip(answers).map(|(set, answer)| {
            answer.map_err(|error| broken(step, format!("{} is refused: {error}", set.key)))
        });
        normal.collect()
    }

    async fn try_normal(
        &self,
        step: &'static str,
        sets: &[RecordSet],
    ) -> Result<PerItem<RecordSet>, Broken> {
        let answers = self.provider.normalize(self.zone, sets).await;
        let answers = answers.map_err(|error| broken(step, error))?;
        ensure(step, answers.len() == sets.len(), || {
            format!("{} answers to {} sets", answers.len(), sets.len())
        })?;
        for (set, answer) in sets.iter().zip(&answers) {
            let same_key = answer.as_ref().map_or(true, |normal| normal.key == set.key);
            ensure(step, same_key, || {
                format!("{} normalizes to {answer:?}", set.key)
            })?;
        }
        Ok(answers)
    }

    /// Creates a set, and makes sure that it reads back as normalized.
    async fn create(&self, step: &'static str, wanted: &RecordSet) -> Result<RecordSet, Broken> {
        let normal = self.normal(step, wanted).await?;
        self.all_applied(step, &[change(None, Some(&normal))])
            .await?;
        self.stands(step, &normal).await
    }

    /// Changes what stands into another set of the same key, and makes sure that it does.
    async fn replace(&self, step: &'static str, wanted: &RecordSet) -> Result<RecordSet, Broken> {
        let before = self.standing(step, &wanted.key).await?;
        let normal = self.normal(step, wanted).await?;
        self.all_applied(step, &[change(Some(&before), Some(&normal))])
            .await?;
        self.stands(step, &normal).await
    }

    async fn stands(&self, step: &'static str, normal: &RecordSet) -> Result<RecordSet, Broken> {
        let read = self.standing(step, &normal.key).await?;
        ensure(step, read.data == normal.data, || {
            format!(
                "{} was written to {}, and {} read",
                normal.data, normal.key, read.data
            )
        })?;
        Ok(read)
    }

    async fn all_applied(&self, step: &'static str, changes: &[Change]) -> Checked {
        for (change, outcome) in changes.iter().zip(self.apply(step, changes).await?) {
            ensure(step, outcome == Ok(Outcome::Applied), || {
                format!("{}: {outcome:?}", change.key)
            })?;
        }
        Ok(())
    }

    async fn observe(&self, step: &'static str) -> Result<Observation, Broken> {
        observe(self.provider, self.zone, None, 1_000)
            .await
            .map_err(|error| broken(step, error))
    }

    /// One set, read by its name.
    async fn read(&self, step: &'static str, key: &RecordKey) -> Result<Option<RecordSet>, Broken> {
        let mut cursor = None;
        let mut found = None;
        for _ in 0..1_000 {
            let page = self
                .provider
                .read(self.zone, Some(&key.name), cursor.as_deref())
                .await
                .map_err(|error| broken(step, error))?;
            for set in page.sets {
                ensure(step, set.key.name == key.name, || {
                    format!("asked for {}, it read {}", key.name, set.key)
                })?;
                if set.key == *key {
                    found = Some(set);
                }
            }
            match page.next {
                None => return Ok(found),
                next => cursor = next,
            }
        }
        Err(broken(
            step,
            format!("the pages of {} do not end", key.name),
        ))
    }

    async fn standing(&self, step: &'static str, key: &RecordKey) -> Result<RecordSet, Broken> {
        self.read(step, key)
            .await?
            .ok_or_else(|| broken(step, format!("{key} is not there")))
    }

    async fn clear(&self, step: &'static str, key: &RecordKey) -> Checked {
        let Some(standing) = self.read(step, key).await? else {
            return Ok(());
        };
        let outcome = self.change(step, Some(&standing), None).await?;
        ensure(step, outcome == Ok(Outcome::Applied), || {
            format!("deleting {key}: {outcome:?}")
        })
    }

    async fn change(
        &self,
        step: &'static str,
        before: Option<&RecordSet>,
        after: Option<&RecordSet>,
    ) -> Result<Result<Outcome, ProviderError>, Broken> {
        let mut results = self.apply(step, &[change(before, after)]).await?;
        match (results.pop(), results.is_empty()) {
            (Some(result), true) => Ok(result),
            _ => Err(broken(step, "not one answer to one change")),
        }
    }

    async fn apply(
        &self,
        step: &'static str,
        changes: &[Change],
    ) -> Result<Vec<Result<Outcome, ProviderError>>, Broken> {
        let results = self.provider.apply(self.zone, changes).await;
        tokio::time::sleep(self.caps.settle.min(SETTLES)).await;
        results.map_err(|error| broken(step, error))
    }
}

/// At least one of the two is there, and their keys are equal.
fn change(before: Option<&RecordSet>, after: Option<&RecordSet>) -> Change {
    let key = after.or(before).map(|set| set.key.clone());
    Change {
        // Callers give one of the two.
        key: key.unwrap_or_else(|| unreachable!("a change without before and after")),
        before: before.cloned(),
        after: after.cloned(),
    }
}

fn data(contents: &[&str]) -> RecordData {
    let value = |content: &&str| RecordValue::plain((*content).to_owned());
    RecordData {
        ttl: 300,
        values: contents.iter().map(value).collect(),
    }
}

fn broken(step: &'static str, message: impl std::fmt::Display) -> Broken {
    Broken {
        step,
        message: message.to_string(),
    }
}

fn ensure(step: &'static str, holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(broken(step, message()))
    }
}
