//! Reading and writing a zone for its survivor: the values of the sites and the records of the lines, and
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portolan_consensus::Consistency;
use tokio::sync::watch;
use tokio::time::timeout;

use super::monotonic_ms;
use super::plans::ZonePlan;
use crate::calls::Calls;
use crate::content::canonical;
use crate::error::SteeringError;
use crate::names::{DomainName, LineCode, RecordType, SetId, ZoneName};
use crate::provider::{
    Change, DnsProvider as _, Outcome, ProviderError, RecordData, RecordKey, RecordSet, RecordValue,
};
use crate::steering::Steering;
use crate::survey::observe;
use crate::survivor::{Answer, LineKey, Owner, Plan, Quorum, SiteName, Zone};

/// Of the values' records. Nobody resolves them, and every provider takes this.
const VALUE_TTL: u32 = 600;
/// Up to so many names are read one by one, and beyond that the zone as a whole.
const NAMES_ONE_BY_ONE: usize = 6;

/// A zone's desk.
pub(super) struct Desk {
    steering: Arc<Steering>,
    zone: ZoneName,
    me: SiteName,
    /// How long one call of the provider may take.
    deadline: Duration,
    /// As last read, without those that were written since.
    sets: Mutex<BTreeMap<RecordKey, RecordSet>>,
}

/// What is read, and how it is found.
pub(super) struct Reading {
    pub(super) zone_plan: Arc<ZonePlan>,
    pub(super) plan: Arc<Plan>,
}

impl Desk {
    pub(super) fn new(
        steering: Arc<Steering>,
        zone: ZoneName,
        me: SiteName,
        deadline: Duration,
    ) -> Self {
        Self {
            steering,
            zone,
            me,
            deadline,
            sets: Mutex::default(),
        }
    }

    /// The zone's values and records, all asked for after this was called.
    pub(super) async fn read(&self, reading: &Reading) -> Result<Zone, SteeringError> {
        let calls = self.connect().await?;
        let mut names: BTreeSet<DomainName> = reading
            .plan
            .sites()
            .map(|site| reading.plan.value_name(site))
            .collect();
        let records = reading.zone_plan.records.values();
        names.extend(records.map(|record| record.name.clone()));
        // What is written meanwhile is forgotten by it, and must not come back with this.
        self.sets.lock().clear();
        let read = self.read_names(&calls, &names).await;
        let sets = read.map_err(|error| calls.failed("read", error))?;
        let zone = picture(reading, &sets);
        *self.sets.lock() = sets;
        Ok(zone)
    }

    async fn read_names(
        &self,
        calls: &Calls,
        names: &BTreeSet<DomainName>,
    ) -> Result<BTreeMap<RecordKey, RecordSet>, ProviderError> {
        if names.len() > NAMES_ONE_BY_ONE {
            let pages = self.steering.options.max_pages;
            return Ok(observe(calls, &self.zone, None, pages).await?.sets);
        }
        let mut sets = BTreeMap::new();
        for name in names {
            sets.extend(self.read_name(calls, name).await?);
        }
        Ok(sets)
    }

    async fn read_name(
        &self,
        calls: &Calls,
        name: &DomainName,
    ) -> Result<BTreeMap<RecordKey, RecordSet>, ProviderError> {
        let pages = self.steering.options.max_pages;
        let read = observe(calls, &self.zone, Some(name), pages);
        let read = timeout(self.deadline, read).await;
        let read = read.map_err(|_| ProviderError::Transient(format!("no answer on {name}")))?;
        Ok(read?.sets)
    }

    /// Has `text`, or nothing, stand as the one value of this member's site.
    pub(super) async fn set_value(
        &self,
        name: &DomainName,
        text: Option<&str>,
        not_after_ms: u64,
    ) -> Answer {
        let Ok(calls) = self.connect().await else {
            return Answer::NotDone;
        };
        let key = value_key(name);
        let before = self.sets.lock().remove(&key);
        let before = match before {
            Some(before) => Some(before),
            // It was written since it was read: its handle is another.
            None => match self.read_name(&calls, name).await {
                Ok(mut sets) => sets.remove(&key),
                Err(error) => return self.not_done("read", &error),
            },
        };
        let after =
            text.map(|text| with_values(&key, before.as_ref(), VALUE_TTL, vec![quoted(text)]));
        if before.is_none() && after.is_none() {
            return Answer::Done;
        }
        let change = Change { key, before, after };
        self.send(&calls, &[change], not_after_ms, || true).await
    }

    /// Points lines to this member's site, wherever their records still stand as it is said.
    pub(super) async fn point(
        &self,
        reading: &Reading,
        lines: &BTreeMap<LineKey, SiteName>,
        not_after_ms: u64,
        quorum: &watch::Receiver<Quorum>,
    ) -> Answer {
        let Ok(calls) = self.connect().await else {
            return Answer::NotDone;
        };
        let plan = &reading.zone_plan;
        let changes: Vec<Change> = {
            let mut sets = self.sets.lock();
            let due = lines.iter().filter_map(|(line, from)| {
                let key = plan.records.get(line)?;
                let before = sets.remove(key)?;
                let stands = owner(plan, line, Some(&before)) == Owner::Site(from.clone());
                let after = stands.then(|| self.pointed(plan, line, &before))??;
                Some(Change {
                    key: key.clone(),
                    before: Some(before),
                    after: Some(after),
                })
            });
            due.collect()
        };
        if changes.is_empty() {
            return Answer::NotDone;
        }
        for change in &changes {
            tracing::warn!(zone = %self.zone, key = %change.key, site = %self.me,
                "the group has no quorum: this site takes the line");
        }
        let alone = || *quorum.borrow() == Quorum::Lost;
        self.send(&calls, &changes, not_after_ms, alone).await
    }

    /// A line's record as it stands, with this site's addresses instead.
    fn pointed(&self, plan: &ZonePlan, line: &LineKey, before: &RecordSet) -> Option<RecordSet> {
        let mine = plan.addresses.get(&(self.me.clone(), line.family))?;
        let values = mine.iter().cloned().collect();
        let ttl = plan.ttls.get(line).map(|ttl| ttl.seconds());
        let ttl = ttl.unwrap_or(before.data.ttl).max(before.data.ttl);
        Some(with_values(&before.key, Some(before), ttl, values))
    }

    /// Hands changes over, unless it is too late or what `still` says no longer holds.
    async fn send(
        &self,
        calls: &Calls,
        changes: &[Change],
        not_after_ms: u64,
        still: impl Fn() -> bool,
    ) -> Answer {
        if let Err(error) = calls.lane.turn().await {
            return self.not_done("apply", &error);
        }
        if monotonic_ms() > not_after_ms || !still() {
            return Answer::NotDone;
        }
        let sent = calls.at_once("apply", calls.provider.apply(&self.zone, changes));
        match timeout(self.deadline, sent).await {
            Err(_) | Ok(Err(ProviderError::UnknownOutcome(_))) => Answer::Unknown,
            Ok(Err(error)) => self.not_done("apply", &error),
            Ok(Ok(results)) => together(results.iter().map(|result| match result {
                Ok(Outcome::Applied | Outcome::Already) => Answer::Done,
                Ok(Outcome::Stale) => Answer::NotDone,
                Err(ProviderError::UnknownOutcome(_)) => Answer::Unknown,
                Err(error) => self.not_done("apply", error),
            })),
        }
    }

    fn not_done(&self, call: &str, error: &ProviderError) -> Answer {
        tracing::warn!(zone = %self.zone, call, %error, "survivor mode: the provider refuses");
        Answer::NotDone
    }

    /// How long a change may not show at the provider.
    pub(super) async fn settle(&self) -> Result<Duration, SteeringError> {
        let calls = self.connect().await?;
        let caps = calls.describe().await;
        let caps = caps.map_err(|error| calls.failed("describe", error))?;
        Ok(caps.settle)
    }

    async fn connect(&self) -> Result<Calls, SteeringError> {
        let steering = &self.steering;
        let consistency = Consistency::Stale;
        let (name, binding) = steering.binding_of(&self.zone, consistency).await?;
        let calls = steering.connect(&name, &binding)?;
        match calls.is_remote() {
            true => Ok(calls),
            false => Err(needs_the_group(&self.zone)),
        }
    }
}

/// Why a zone cannot be in survivor mode.
pub(crate) fn needs_the_group(zone: &ZoneName) -> SteeringError {
    SteeringError::invalid(
        "survivor",
        format!(
            "{zone} is served by the group itself, which cannot write without a quorum; survivor mode needs \
             a DNS service outside of it"
        ),
    )
}

/// One answer for several changes: what is not known of one is not known of all.
fn together(answers: impl Iterator<Item = Answer>) -> Answer {
    let answers: Vec<Answer> = answers.collect();
    match answers.first() {
        Some(first) if answers.iter().all(|answer| answer == first) => *first,
        Some(_) => Answer::Unknown,
        None => Answer::NotDone,
    }
}

fn value_key(name: &DomainName) -> RecordKey {
    RecordKey {
        name: name.clone(),
        rtype: RecordType::txt(),
        line: LineCode::default_line(),
        set_id: SetId::none(),
    }
}

/// As presentation format has it; values have no character that would have to be escaped.
fn quoted(text: &str) -> String {
    let quoted = format!("\"{text}\"");
    canonical(&RecordType::txt(), &quoted).unwrap_or(quoted)
}

fn unquoted(content: &str) -> Option<String> {
    let text = content.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('"')).then(|| text.to_owned())
}

fn with_values(
    key: &RecordKey,
    before: Option<&RecordSet>,
    ttl: u32,
    contents: Vec<String>,
) -> RecordSet {
    let data = RecordData {
        ttl,
        values: contents.into_iter().map(RecordValue::plain).collect(),
    };
    match before {
        Some(before) => RecordSet {
            data,
            ..before.clone()
        },
        None => RecordSet::wanted(key.clone(), data),
    }
}

/// The zone as the machine sees it.
fn picture(reading: &Reading, sets: &BTreeMap<RecordKey, RecordSet>) -> Zone {
    let values = reading.plan.sites().map(|site| {
        let set = sets.get(&value_key(&reading.plan.value_name(site)));
        let values = set.into_iter().flat_map(|set| &set.data.values);
        let texts = values.filter_map(|value| unquoted(&value.content));
        (site.clone(), texts.collect())
    });
    let plan = &reading.zone_plan;
    let owners = reading.plan.lines().map(|rule| {
        let set = plan.records.get(&rule.key).and_then(|key| sets.get(key));
        (rule.key.clone(), owner(plan, &rule.key, set))
    });
    Zone {
        values: values.collect(),
        owners: owners.collect(),
        provider_time: None,
    }
}

fn owner(plan: &ZonePlan, line: &LineKey, set: Option<&RecordSet>) -> Owner {
    let Some(set) = set else { return Owner::Other };
    let values = &set.data.values;
    if values.iter().any(|value| !value.enabled) {
        return Owner::Other;
    }
    let contents = values.iter().map(|value| value.content.clone()).collect();
    let site = plan.site_at(line.family, &contents);
    site.map_or(Owner::Other, |site| Owner::Site(site.clone()))
}
