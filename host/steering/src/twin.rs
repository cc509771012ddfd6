//! The in-memory twin of a DNS provider, with faults on demand and a memory of how it was called.
//!
//! It keeps the port's contract to the letter: stale changes are noticed, applying twice changes
//! nothing, extras are preserved, TTLs are clamped as [`Twin::min_ttl`] says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::names::{DomainName, LineCode, RecordType, ZoneName};
use crate::provider::{
    Account, Caps, Change, ConnectError, DnsProvider, Features, Line, Outcome, PerItem,
    ProviderError, Providers, RecordKey, RecordPage, RecordSet, Zone, ZonePage,
};

/// What goes wrong with one call of [`DnsProvider::apply`].
#[derive(Debug, Clone)]
pub enum ApplyFault {
    /// Nothing is done.
    Refuse(ProviderError),
    /// All is done, and the answer is lost.
    LoseAnswer,
    /// So many changes are made, and the answer is lost.
    CutAfter(usize),
    /// So many changes are made, then the call hangs until it is dropped.
    HangAfter(usize),
    /// The zone is changed by somebody else right before.
    Overtake(Box<RecordSet>),
}

/// What goes wrong with one call of [`DnsProvider::read`].
#[derive(Debug, Clone)]
pub enum ReadFault {
    /// The page fails.
    Refuse(ProviderError),
    /// The page names itself as the next one.
    Circle,
}

/// What a provider makes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It reads a set of another zone as a part of this one.
    ReadsAnotherZone,
    /// It reads each set twice.
    ReadsTwice,
    /// Each of its pages is empty, and names the same one as the next.
    RepeatsCursor,
    /// Asked how a set reads back, it answers about another one.
    NormalizesAnother,
    /// It says that changes are made, and makes none.
    ChangesNothing,
    /// With each change it changes the zone's first other set, too.
    ChangesAnother,
}

#[derive(Default)]
struct State {
    sets: BTreeMap<RecordKey, (RecordSet, u64)>,
    writes: u64,
    applied: Vec<Change>,
    /// Changes that were asked for and stood so already.
    repeated: Vec<RecordKey>,
    /// Changes of sets that are refused.
    refused: usize,
    /// The calls that a real provider would hear of.
    called: Vec<(&'static str, Instant)>,
    apply_calls: usize,
    read_calls: BTreeMap<ZoneName, usize>,
    /// What every call is answered with.
    outage: Option<ProviderError>,
    apply_faults: VecDeque<ApplyFault>,
    read_faults: VecDeque<Option<ReadFault>>,
    bad: BTreeMap<RecordKey, ProviderError>,
    lie: Option<Lie>,
    account: Option<Account>,
}

/// A provider with its zones in memory.
pub struct Twin {
    zones: Vec<ZoneName>,
    caps: Mutex<Caps>,
    /// Lower TTLs are raised to this, in seconds.
    pub min_ttl: u32,
    /// Record sets on one page.
    pub page_size: usize,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    /// Released once for every call that hangs.
    pub hanging: Semaphore,
}

impl Twin {
    /// An empty zone, on pages of three sets, at a provider that can do everything but all at once.
    pub fn new(zone: &ZoneName) -> Arc<Self> {
        Self::of(vec![zone.clone()], 3)
    }

    /// The same with so many zones and sets on a page.
    pub fn of(zones: Vec<ZoneName>, page_size: usize) -> Arc<Self> {
        let types = ["A", "AAAA", "CNAME", "MX", "NS", "SRV", "TXT", "CAA"];
        let caps = Caps {
            features: Features {
                lines: true,
                weights: true,
                disable: true,
                comment: true,
                atomic_rrset: true,
                ..Features::default()
            },
            record_types: types
                .iter()
                .filter_map(|it| RecordType::parse(it).ok())
                .collect(),
            max_values: 8,
            changes_per_call: 50,
            settle: Duration::ZERO,
            hosts: Vec::new(),
        };
        Arc::new(Self {
            zones,
            caps: Mutex::new(caps),
            min_ttl: 60,
            page_size,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            hanging: Semaphore::new(0),
        })
    }

    /// Changes what it can do.
    pub fn set_caps(&self, change: impl FnOnce(&mut Caps)) {
        change(&mut self.caps.lock());
    }

    /// Writes as somebody else.
    pub fn put(&self, set: RecordSet) {
        self.state.lock().put(set);
    }

    /// Deletes as somebody else.
    pub fn remove(&self, key: &RecordKey) {
        self.state.lock().sets.remove(key);
    }

    /// What stands there.
    pub fn get(&self, key: &RecordKey) -> Option<RecordSet> {
        self.state.lock().sets.get(key).map(|(set, _)| set.clone())
    }

    /// Everything that stands there.
    pub fn all(&self) -> Vec<RecordSet> {
        self.state
            .lock()
            .sets
            .values()
            .map(|(set, _)| set.clone())
            .collect()
    }

    /// The changes that were made through the port, in order.
    pub fn applied(&self) -> Vec<Change> {
        self.state.lock().applied.clone()
    }

    /// How often `apply` was called.
    pub fn apply_calls(&self) -> usize {
        self.state.lock().apply_calls
    }

    /// How often `read` was called.
    pub fn read_calls(&self) -> usize {
        self.state.lock().read_calls.values().sum()
    }

    /// How often each zone was read.
    pub fn reads(&self) -> BTreeMap<ZoneName, usize> {
        self.state.lock().read_calls.clone()
    }

    /// Which calls came, and when; `describe` and `validate` ask no provider and are left out.
    pub fn called(&self) -> Vec<(&'static str, Instant)> {
        self.state.lock().called.clone()
    }

    /// The changes that were asked for although they stood so already.
    pub fn repeated(&self) -> Vec<RecordKey> {
        self.state.lock().repeated.clone()
    }

    /// How often a set of [`Twin::refuse_set`] was tried.
    pub fn refused(&self) -> usize {
        self.state.lock().refused
    }

    /// Answers every call with an error, until [`Twin::heal`].
    pub fn set_outage(&self, error: ProviderError) {
        self.state.lock().outage = Some(error);
    }

    /// Makes the next call of `apply` without a fault yet go wrong.
    pub fn fail_apply(&self, fault: ApplyFault) {
        self.state.lock().apply_faults.push_back(fault);
    }

    /// Lets `pages` pages be read, then one go wrong.
    pub fn fail_read_after(&self, pages: usize, fault: ReadFault) {
        let mut state = self.state.lock();
        state.read_faults.extend(std::iter::repeat_n(None, pages));
        state.read_faults.push_back(Some(fault));
    }

    /// Refuses every change of one set.
    pub fn refuse_set(&self, key: &RecordKey, error: ProviderError) {
        self.state.lock().bad.insert(key.clone(), error);
    }

    /// Makes this up from now on.
    pub fn lie(&self, lie: Lie) {
        self.state.lock().lie = Some(lie);
    }

    /// Lets everything go well from now on.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.apply_faults.clear();
        state.read_faults.clear();
        state.bad.clear();
        state.outage = None;
        state.lie = None;
    }

    /// The account that was connected last.
    pub fn account(&self) -> Option<Account> {
        self.state.lock().account.clone()
    }

    /// Tells whoever listens that providers changed.
    pub fn tick(&self) {
        self.changes.send_modify(|tick| *tick += 1);
    }

    /// What a call that is about a zone begins with.
    fn hear(
        &self,
        call: &'static str,
        zone: &ZoneName,
    ) -> Result<MutexGuard<'_, State>, ProviderError> {
        let mut state = self.state.lock();
        state.called.push((call, Instant::now()));
        match &state.outage {
            Some(error) => Err(error.clone()),
            None if self.zones.contains(zone) => Ok(state),
            None => Err(ProviderError::NotFound(format!("there is no zone {zone}"))),
        }
    }
}

impl State {
    fn put(&mut self, mut set: RecordSet) {
        self.writes += 1;
        set.handle = format!("v{}", self.writes);
        self.sets.insert(set.key.clone(), (set, self.writes));
    }

    /// Makes one change or says why not.
    fn make(&mut self, change: &Change) -> Result<Outcome, ProviderError> {
        if let Some(error) = self.bad.get(&change.key) {
            self.refused += 1;
            return Err(error.clone());
        }
        let standing = self.sets.get(&change.key).map(|(set, _)| set);
        let data = |set: Option<&RecordSet>| set.map(|set| set.data.clone());
        if data(standing) == data(change.after.as_ref()) {
            self.repeated.push(change.key.clone());
            return Ok(Outcome::Already);
        }
        let handle = |set: Option<&RecordSet>| set.map(|set| set.handle.clone());
        if handle(standing) != handle(change.before.as_ref()) {
            return Ok(Outcome::Stale);
        }
        if change.after.is_some() && self.cname_clash(&change.key) {
            return Err(ProviderError::Conflict(format!(
                "{} beside a CNAME",
                change.key
            )));
        }
        self.applied.push(change.clone());
        let kept = standing.cloned();
        match self.lie {
            Some(Lie::ChangesNothing) => return Ok(Outcome::Applied),
            Some(Lie::ChangesAnother) => self.change_another(&change.key),
            _ => {}
        }
        match &change.after {
            Some(after) => {
                let comment = kept.as_ref().and_then(|kept| kept.comment.clone());
                let extras = kept.map(|kept| kept.extras).unwrap_or_default();
                self.put(RecordSet {
                    comment,
                    extras,
                    ..after.clone()
                });
            }
            None => {
                self.sets.remove(&change.key);
            }
        }
        Ok(Outcome::Applied)
    }

    fn change_another(&mut self, key: &RecordKey) {
        let other = self.sets.values().find(|(set, _)| set.key != *key);
        if let Some((mut other, _)) = other.cloned() {
            other.data.ttl += 1;
            self.put(other);
        }
    }

    fn cname_clash(&self, key: &RecordKey) -> bool {
        self.sets
            .keys()
            .any(|other| crate::decide::cannot_coexist(key, other))
    }
}

#[async_trait]
impl DnsProvider for Twin {
    async fn describe(&self) -> Result<Caps, ProviderError> {
        Ok(self.caps.lock().clone())
    }

    async fn validate(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn zones(&self, _cursor: Option<&str>) -> Result<ZonePage, ProviderError> {
        let zone = |name: &ZoneName| Zone {
            name: name.clone(),
            min_ttl: Some(self.min_ttl),
        };
        Ok(ZonePage {
            zones: self.zones.iter().map(zone).collect(),
            next: None,
        })
    }

    async fn lines(&self, zone: &ZoneName) -> Result<Vec<Line>, ProviderError> {
        drop(self.hear("lines", zone)?);
        let codes = match self.caps.lock().features.lines {
            true => vec!["default", "CT", "CU", "CMCC"],
            false => vec!["default"],
        };
        let lines = codes
            .into_iter()
            .filter_map(|code| LineCode::parse(code).ok());
        Ok(lines
            .map(|code| Line {
                label: code.to_string(),
                code,
            })
            .collect())
    }

    async fn read(
        &self,
        zone: &ZoneName,
        name: Option<&DomainName>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, ProviderError> {
        let mut state = self.hear("read", zone)?;
        *state.read_calls.entry(zone.clone()).or_default() += 1;
        let fault = state.read_faults.pop_front().flatten();
        if let Some(ReadFault::Refuse(error)) = fault {
            return Err(error);
        }
        let from: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let of_name = |set: &&RecordSet| match name {
            Some(name) => set.key.name == *name,
            None => set.key.name.is_within(zone),
        };
        let sets: Vec<RecordSet> = state
            .sets
            .values()
            .map(|(set, _)| set)
            .filter(of_name)
            .cloned()
            .collect();
        let to = (from + self.page_size).min(sets.len());
        let next = match fault {
            Some(ReadFault::Circle) => Some(from.to_string()),
            _ => (to < sets.len()).then(|| to.to_string()),
        };
        let mut sets = sets[from.min(to)..to].to_vec();
        let mut next = next;
        match state.lie {
            Some(Lie::RepeatsCursor) => {
                sets.clear();
                next = Some("again".to_owned());
            }
            Some(Lie::ReadsTwice) => sets.extend(sets.clone()),
            Some(Lie::ReadsAnotherZone) => {
                for set in &mut sets {
                    set.key.name = elsewhere(&set.key.name)?;
                }
            }
            _ => {}
        }
        Ok(RecordPage {
            sets,
            foreign: 0,
            next,
        })
    }

    async fn normalize(
        &self,
        zone: &ZoneName,
        wanted: &[RecordSet],
    ) -> Result<PerItem<RecordSet>, ProviderError> {
        let lie = self.hear("normalize", zone)?.lie;
        let caps = self.caps.lock().clone();
        let normal = |set: &RecordSet| {
            if !caps.record_types.contains(&set.key.rtype) {
                return Err(ProviderError::Unsupported(format!(
                    "no {} records",
                    set.key.rtype
                )));
            }
            let mut set = set.clone();
            set.data.ttl = set.data.ttl.max(self.min_ttl);
            if lie == Some(Lie::NormalizesAnother) {
                set.key.name = elsewhere(&set.key.name)?;
            }
            Ok(set)
        };
        Ok(wanted.iter().map(normal).collect())
    }

    async fn apply(
        &self,
        zone: &ZoneName,
        changes: &[Change],
    ) -> Result<PerItem<Outcome>, ProviderError> {
        let (caps, hang, lost_after) = {
            let mut state = self.hear("apply", zone)?;
            state.apply_calls += 1;
            let (mut hang, mut lost_after) = (None, None);
            match state.apply_faults.pop_front() {
                Some(ApplyFault::Refuse(error)) => return Err(error),
                Some(ApplyFault::LoseAnswer) => lost_after = Some(changes.len()),
                Some(ApplyFault::CutAfter(made)) => lost_after = Some(made.min(changes.len())),
                Some(ApplyFault::HangAfter(made)) => hang = Some(made),
                Some(ApplyFault::Overtake(set)) => state.put(*set),
                None => {}
            }
            (self.caps.lock().clone(), hang, lost_after)
        };
        if let Some(made) = hang {
            for change in changes.iter().take(made) {
                let _ = self.state.lock().make(change);
            }
            self.hanging.add_permits(1);
            std::future::pending::<()>().await;
        }
        let mut state = self.state.lock();
        let before = caps
            .features
            .atomic_zone
            .then(|| (state.sets.clone(), state.applied.len()));
        let results: PerItem<Outcome> = changes[..lost_after.unwrap_or(changes.len())]
            .iter()
            .map(
                |change| match caps.record_types.contains(&change.key.rtype) {
                    true => state.make(change),
                    false => Err(ProviderError::Unsupported(format!(
                        "no {} records",
                        change.key.rtype
                    ))),
                },
            )
            .collect();
        if let Some((sets, applied)) = before
            && let Some(error) = results.iter().find_map(|result| result.as_ref().err())
        {
            let error = error.clone();
            state.sets = sets;
            state.applied.truncate(applied);
            return Ok(changes.iter().map(|_| Err(error.clone())).collect());
        }
        match lost_after {
            Some(_) => Err(ProviderError::UnknownOutcome(
                "the answer was lost".to_owned(),
            )),
            None => Ok(results),
        }
    }
}

/// The same name in a zone of somebody else's.
fn elsewhere(name: &DomainName) -> Result<DomainName, ProviderError> {
    DomainName::parse(&format!("{name}.elsewhere.test")).map_err(ProviderError::Invalid)
}

/// [`Providers`] that connect every account to one twin.
pub struct Twins(pub Arc<Twin>);

impl Providers for Twins {
    fn connect(&self, account: Account) -> Result<Arc<dyn DnsProvider>, ConnectError> {
        match account.plugin.as_str() {
            "twin" => {
                self.0.state.lock().account = Some(account);
                Ok(Arc::clone(&self.0) as Arc<dyn DnsProvider>)
            }
            other => Err(ConnectError {
                at: "plugin".to_owned(),
                message: format!("there is no plugin {other}"),
            }),
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}
