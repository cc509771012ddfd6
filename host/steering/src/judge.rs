//! Judging: the leader hears all voters, decides what is up, and who serves the lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::documents::{Stored, encode};
use portolan_consensus::{MemberId, Revision, Space, Txn};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::assign::{Move, Owners, assign, moves};
use crate::check::{Sight, Verdict, Votes};
use crate::clock::now_ms;
use crate::documents::keys;
use crate::error::SteeringError;
use crate::events::EventKind;
use crate::names::SiteCode;
use crate::observe::{Seen, Sightings};
use crate::services::{Service, Target as ServiceTarget};
use crate::sites::SiteState;
use crate::steering::Steering;
use crate::store::revision_of;
use crate::targets::{Target, TargetId};
use crate::world::{Outlook, World};

/// Documents of one transaction.
const BATCH: usize = 200;

/// What a leader need not work out again as long as the world stands.
#[derive(Default)]
struct Docket {
    world: World,
    targets: BTreeMap<TargetId, (Target, Vec<String>)>,
    /// When the next site gets its lines back if nothing happens until then.
    again_ms: u64,
}

/// Documents to be written, and what they tell.
#[derive(Default)]
struct Writes {
    /// Guarded by the revision that was decided on; none deletes.
    documents: Vec<(String, Revision, Option<bytes::Bytes>)>,
    events: Vec<(EventKind, String)>,
    /// The sites that lines go to.
    moved_to: Vec<SiteCode>,
}

impl Steering {
    /// Judges again and again, as long as this member leads.
    pub(crate) async fn judge(self: Arc<Self>, term: CancellationToken) {
        let pause = Duration::from_millis(self.options.judge_interval_ms);
        let mut failing = false;
        let mut docket = Docket::default();
        let judging = async {
            loop {
                match self.judge_once(&mut docket).await {
                    Ok(()) => failing = false,
                    Err(error) => {
                        if !failing {
                            tracing::warn!(%error, "sites could not be judged");
                        }
                        failing = true;
                    }
                }
                sleep(pause).await;
            }
        };
        term.run_until_cancelled(judging).await;
    }

    async fn judge_once(&self, docket: &mut Docket) -> Result<(), SteeringError> {
        let sightings = self.all_sightings().await;
        let mut world = self.world();
        if !world.checks_like(&docket.world) {
            docket.targets = world.purposes();
        }
        if let Some((key, reason)) = world.unreadable.iter().next() {
            return Err(SteeringError::Document {
                key: key.clone(),
                message: format!("{reason}; until that is mended, no line moves"),
            });
        }
        let verdicts = judged(&world, &docket.targets, &sightings);
        if let Some(revision) = self.write(verdicts).await? {
            world = self.world_at(revision).await;
        }
        if world.decides_like(&docket.world) && now_ms() < docket.again_ms {
            return Ok(());
        }
        let (owners, again_ms) = assigned(&world);
        self.write(owners).await?;
        docket.again_ms = again_ms;
        docket.world = (*world).clone();
        self.measure(&world);
        Ok(())
    }

    fn measure(&self, world: &World) {
        let addresses = world.addresses();
        let outlook = Outlook {
            world,
            addresses: &addresses,
            now_ms: now_ms(),
        };
        let sites = world.sites.values().map(|stored| &stored.document);
        let states: Vec<SiteState> = sites
            .map(|site| SiteState::of(site.intent, outlook.site(site)))
            .collect();
        let mut owned = BTreeMap::new();
        for owners in world.owners.values() {
            for (line, families) in &owners.document.lines {
                for code in families.values().flat_map(|owner| &owner.sites) {
                    *owned
                        .entry((code.to_string(), line.to_string()))
                        .or_default() += 1;
                }
            }
        }
        self.meter.sites(&states, &owned);
    }

    async fn write(&self, mut writes: Writes) -> Result<Option<Revision>, SteeringError> {
        let mut last = None;
        let mut events = std::mem::take(&mut writes.events);
        for batch in writes.documents.chunks(BATCH) {
            let txn = batch
                .iter()
                .fold(Txn::new(), |txn, (key, revision, value)| {
                    let txn = txn.guard(Space::Steering, key.as_str(), *revision);
                    match value {
                        Some(value) => txn.put(Space::Steering, key.as_str(), value.clone()),
                        None => txn.delete(Space::Steering, key.as_str()),
                    }
                });
            let told = std::mem::take(&mut events);
            last = Some(self.commit_telling(txn, &told).await?);
        }
        for site in &writes.moved_to {
            self.meter.moved(site.as_str());
        }
        Ok(last)
    }
}

/// The verdicts that change.
fn judged(
    world: &World,
    targets: &BTreeMap<TargetId, (Target, Vec<String>)>,
    sightings: &BTreeMap<MemberId, Option<Sightings>>,
) -> Writes {
    let mut writes = Writes::default();
    let at_ms = now_ms();
    for (id, (target, purposes)) in targets {
        let stored = world.verdicts.get(&id.0);
        // Who answers without a word on the target has not looked yet.
        let sight = |told: &Sightings| told.get(id).map_or(Sight::Unknown, |seen| seen.sight);
        let votes = Votes::count(sightings.values().map(|told| told.as_ref().map(sight)));
        let before = stored.map(|stored| &stored.document);
        let Some(after) = next_verdict(before, at_ms, &votes) else {
            continue;
        };
        if let Some(event) = told(before, &after, target, purposes, &votes, id, sightings) {
            writes.events.push(event);
        }
        let revision = stored.map_or(Revision::ZERO, |stored| stored.modified);
        let key = keys::verdict(&id.0);
        writes.documents.push((key, revision, Some(encode(&after))));
    }
    let gone = world.verdicts.iter();
    for (id, stored) in gone.filter(|(id, _)| !targets.contains_key(&TargetId((*id).clone()))) {
        let key = keys::verdict(id);
        writes.documents.push((key, stored.modified, None));
    }
    writes
}

/// What is judged for the first time needs evidence for either verdict.
fn next_verdict(before: Option<&Verdict>, at_ms: u64, votes: &Votes) -> Option<Verdict> {
    match before {
        Some(before) => before.judge(at_ms, votes),
        None => {
            let presumed = Verdict::presumed_up(at_ms);
            let down = Verdict {
                up: false,
                ..presumed.clone()
            };
            presumed.judge(at_ms, votes).or(down.judge(at_ms, votes))
        }
    }
}

fn told(
    before: Option<&Verdict>,
    after: &Verdict,
    target: &Target,
    purposes: &[String],
    votes: &Votes,
    id: &TargetId,
    sightings: &BTreeMap<MemberId, Option<Sightings>>,
) -> Option<(EventKind, String)> {
    let what = purposes.join(", ");
    match (before, after.up) {
        (None, true) => None,
        (_, true) => Some((
            EventKind::Up,
            format!("{what}: up again ({target}; {votes})"),
        )),
        (_, false) => {
            let down = |seen: &&Seen| seen.sight == Sight::Down;
            let told = sightings.values().flatten().filter_map(|told| told.get(id));
            let reason = told.filter(down).map(|seen| seen.reason.as_str()).next();
            let reason = reason.unwrap_or("no answer");
            let text = format!("{what}: down ({target}: {reason}; {votes})");
            Some((EventKind::Down, text))
        }
    }
}

/// The owners that change, and when to decide again even if nothing happens until then.
fn assigned(world: &World) -> (Writes, u64) {
    let mut writes = Writes::default();
    let addresses = world.addresses();
    let outlook = Outlook {
        world,
        addresses: &addresses,
        now_ms: now_ms(),
    };
    let sites = world.all_sites();
    let nobody = Owners::default();
    for (name, service) in &world.services {
        let service = &service.document;
        if matches!(service.target, ServiceTarget::Cluster(_)) {
            continue;
        }
        let stored: Option<&Stored<Owners>> = world.owners.get(name);
        let before = stored.map_or(&nobody, |stored| &stored.document);
        let after = assign(service, &sites, &outlook, before, outlook.now_ms);
        if after == *before {
            continue;
        }
        for moved in moves(before, &after) {
            writes.events.push((EventKind::Line, tell(service, &moved)));
            if !moved.from.is_empty() {
                writes.moved_to.extend(moved.to);
            }
        }
        let revision = revision_of(&stored.cloned());
        let key = keys::owners(&service.name);
        writes.documents.push((key, revision, Some(encode(&after))));
    }
    (writes, again_ms(world, outlook.now_ms))
}

/// The first time after `now_ms` at which a target has been up for long enough.
fn again_ms(world: &World, now_ms: u64) -> u64 {
    let returns = world
        .purposes()
        .into_iter()
        .filter_map(|(id, (target, _))| {
            let verdict = world.verdict(&id)?;
            verdict.returns_at_ms(&target.pace())
        });
    returns
        .filter(|at_ms| *at_ms > now_ms)
        .min()
        .unwrap_or(u64::MAX)
}

fn tell(service: &Service, moved: &Move) -> String {
    let codes = |sites: &[SiteCode]| {
        let codes: Vec<&str> = sites.iter().map(SiteCode::as_str).collect();
        codes.join(", ")
    };
    let Move {
        line, family, why, ..
    } = moved;
    let to = codes(&moved.to);
    if moved.from.is_empty() {
        return format!("{}: {line} ({family}) is served by {to}", service.name);
    }
    let from = codes(&moved.from);
    format!(
        "{}: {line} ({family}) goes from {from} to {to}: {why}",
        service.name
    )
}
