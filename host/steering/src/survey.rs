//! Looking at a zone: what is wanted, what stands there, and the plan that follows.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::{Consistency, Revision, Space, Txn};

use crate::calls::Calls;
use crate::clock::now_ms;
use crate::compose::{Composed, Served, compose};
use crate::decide::{admissible, decide};
use crate::documents::{Binding, OwnedSets, Place, ZoneRecords, keys};
use crate::error::SteeringError;
use crate::names::{BindingName, DomainName, ZoneName};
use crate::plan::{Normalized, Observation, Ownership, Plan, Situation, Wanted};
use crate::provider::{Caps, DnsProvider, ProviderError, RecordSet};
use crate::services::{Target, services_of};
use crate::steering::Steering;
use crate::store::{Stored, revision_of};
use crate::survive::Leave;
use crate::zones::not_served;

/// A look at a zone and all that it rests on.
pub(crate) struct Survey {
    pub(crate) place: Place,
    pub(crate) provider: Calls,
    pub(crate) caps: Caps,
    pub(crate) owned: Ownership,
    /// The zone as it was read.
    pub(crate) observed: Observation,
    pub(crate) plan: Plan,
    pub(crate) basis: Basis,
    pub(crate) owned_revision: Revision,
    /// What may be done with lines in survivor mode, and until when.
    pub(crate) leave: Leave,
}

/// The documents that a plan rests on: what follows from it is written only as long as they stand.
#[derive(Debug, Default)]
pub(crate) struct Basis(Vec<(String, Revision)>);

impl Basis {
    fn rest_on(&mut self, key: String, revision: Revision) {
        self.0.push((key, revision));
    }

    /// Guards a transaction.
    pub(crate) fn guard(&self, txn: Txn) -> Txn {
        let keys = self.0.iter();
        keys.fold(txn, |txn, (key, revision)| {
            txn.guard(Space::Steering, key.as_str(), *revision)
        })
    }
}

impl Steering {
    /// Looks at a zone and decides. It changes nothing.
    pub(crate) async fn survey(
        &self,
        zone: &ZoneName,
        consistency: Consistency,
    ) -> Result<Survey, SteeringError> {
        let (name, binding) = self.binding_of(zone, consistency).await?;
        let records = self
            .store
            .load::<ZoneRecords>(&keys::zone(zone), consistency)
            .await?;
        let owned = self
            .store
            .load::<OwnedSets>(&keys::owned(zone), consistency)
            .await?;

        let place = Place {
            binding: name.clone(),
            since: binding.created.0,
            plugin: binding.document.plugin.clone(),
        };
        let owned_revision = revision_of(&owned);
        let mut basis = Basis::default();
        basis.rest_on(keys::provider(&name), binding.modified);
        basis.rest_on(keys::zone(zone), revision_of(&records));
        let services = self.served_in(zone, consistency, &mut basis).await?;
        // Wanting nothing is a document too: without one, nothing follows for what is ours.
        if records.is_none() && services.is_none() {
            return Err(SteeringError::NotFound(format!(
                "no records were ever wanted in the zone {zone}"
            )));
        }
        let own = records.map(|stored| stored.document.records);
        let owned = owned
            .map(|stored| stored.document.at(&place))
            .unwrap_or_default();

        let provider = self.connect(&name, &binding)?;
        let failed = |call| {
            let provider = &provider;
            move |error| provider.failed(call, error)
        };
        let caps = provider.describe().await.map_err(failed("describe"))?;
        let world = self.world();
        let Composed {
            mut wanted,
            mut kept,
            refused,
        } = compose(
            own.unwrap_or_default(),
            &services.unwrap_or_default(),
            &world.addresses(),
            &world.weights(),
            &caps,
        );
        let leave = self.leave_to_move(zone).await;
        wanted.retain(|wanted| !leave.held.contains_key(&wanted.key));
        kept.extend(leave.held.clone());
        let observed = observe(&provider, zone, None, self.options.max_pages)
            .await
            .map_err(failed("read"))?;
        let normalized = normalize(&provider, zone, &caps, &wanted)
            .await
            .map_err(failed("normalize"))?;
        let mut plan = decide(Situation {
            zone,
            binding: &name,
            caps: &caps,
            wanted: &wanted,
            normalized: &normalized,
            observed: &observed,
            owned: &owned,
            kept: &kept,
            now_ms: now_ms(),
        });
        plan.refused.extend(refused);
        Ok(Survey {
            place,
            provider,
            caps,
            owned,
            observed,
            plan,
            basis,
            owned_revision,
            leave,
        })
    }

    /// The services of a zone and what decides their records; none where it never had any.
    async fn served_in(
        &self,
        zone: &ZoneName,
        consistency: Consistency,
        basis: &mut Basis,
    ) -> Result<Option<Vec<Served>>, SteeringError> {
        let index = self.zone_services(zone, consistency).await?;
        basis.rest_on(keys::zone_services(zone), revision_of(&index));
        let mut services = Vec::new();
        for name in services_of(&index) {
            let service = self.load_service(name, consistency).await?;
            let owners = self.load_owners(name, consistency).await?;
            basis.rest_on(keys::service(name), revision_of(&service));
            basis.rest_on(keys::owners(name), revision_of(&owners));
            let Some(service) = service.map(|stored| stored.document) else {
                continue;
            };
            let nodes = match &service.target {
                Target::Cluster(target) => Some(self.clusters.nodes(target).await),
                Target::Sites(_) => None,
            };
            services.push(Served {
                service,
                owners: owners.map(|stored| stored.document).unwrap_or_default(),
                nodes,
            });
        }
        Ok(index.map(|_| services))
    }

    /// The binding's provider, at its lane's rate.
    pub(crate) fn connect(
        &self,
        name: &BindingName,
        binding: &Stored<Binding>,
    ) -> Result<Calls, SteeringError> {
        let lane = self.lane(name);
        let plugins = *self.providers.changes().borrow();
        let provider = match lane.connected(binding.modified, plugins) {
            Some(provider) => provider,
            None => {
                let account = self.account(name, &binding.document)?;
                let provider = self.providers.connect(account)?;
                let spacing = self.spacing(&binding.document, &*provider);
                lane.keep(binding.modified, plugins, &provider, spacing);
                provider
            }
        };
        let (binding, meter) = (name.clone(), Arc::clone(&self.meter));
        Ok(Calls {
            provider,
            binding,
            lane,
            meter,
        })
    }

    /// How far apart a binding's calls leave.
    fn spacing(&self, binding: &Binding, provider: &dyn DnsProvider) -> Duration {
        let own = binding.calls_per_second.map(NonZeroU32::get);
        match provider.is_remote() {
            true => Duration::from_secs(1) / own.unwrap_or(self.options.calls_per_second).max(1),
            false => Duration::ZERO,
        }
    }

    /// The binding that serves a zone.
    pub(crate) async fn binding_of(
        &self,
        zone: &ZoneName,
        consistency: Consistency,
    ) -> Result<(BindingName, Stored<Binding>), SteeringError> {
        let serving = self.serving(zone, consistency).await?;
        let (name, _) = serving.ok_or_else(|| not_served(zone))?;
        let binding = self.load_binding(&name, consistency).await?;
        Ok((name, binding.ok_or_else(|| not_served(zone))?))
    }

    /// The name and revision of the binding whose lane a round of `zone` takes.
    pub(crate) async fn lane_of(
        &self,
        zone: &ZoneName,
    ) -> Result<(BindingName, Revision), SteeringError> {
        let serving = self.serving(zone, Consistency::Stale).await?;
        let (name, _) = serving.ok_or_else(|| not_served(zone))?;
        let binding = self.load_binding(&name, Consistency::Stale).await?;
        Ok((name, revision_of(&binding)))
    }
}

/// Reads all of a zone, or of one name in it. What cannot be read to its end is an error, never a smaller
/// zone.
pub(crate) async fn observe(
    provider: &dyn DnsProvider,
    zone: &ZoneName,
    name: Option<&DomainName>,
    max_pages: usize,
) -> Result<Observation, ProviderError> {
    let broken = |what: String| Err(ProviderError::Transient(format!("{zone}: {what}")));
    let mut observation = Observation::default();
    let mut cursors = HashSet::new();
    let mut cursor: Option<String> = None;
    for _ in 0..max_pages {
        let page = provider.read(zone, name, cursor.as_deref()).await?;
        observation.foreign += page.foreign;
        for set in page.sets {
            if !set.key.name.is_within(zone) {
                return broken(format!(
                    "the provider read {} as a part of it",
                    set.key.name
                ));
            }
            if let Some(name) = name.filter(|name| **name != set.key.name) {
                return broken(format!(
                    "the provider was asked for {name} and read {}",
                    set.key.name
                ));
            }
            let key = set.key.clone();
            if observation.sets.insert(set.key.clone(), set).is_some() {
                return broken(format!("the provider read {key} twice"));
            }
        }
        match page.next {
            None => return Ok(observation),
            Some(next) if !cursors.insert(next.clone()) => {
                return broken(format!(
                    "the provider's pages go in a circle (cursor {next:?})"
                ));
            }
            next => cursor = next,
        }
    }
    broken(format!(
        "not read to its end within {max_pages} pages (`max_pages`)"
    ))
}

/// Asks how what the provider can hold at all will read back.
async fn normalize(
    provider: &dyn DnsProvider,
    zone: &ZoneName,
    caps: &Caps,
    wanted: &[Wanted],
) -> Result<Normalized, ProviderError> {
    let sets: Vec<RecordSet> = wanted
        .iter()
        .filter(|wanted| admissible(wanted, caps).is_ok())
        .map(Wanted::to_set)
        .collect();
    if sets.is_empty() {
        return Ok(Normalized::new());
    }
    let answers = provider.normalize(zone, &sets).await?;
    if answers.len() != sets.len() {
        let (given, asked) = (answers.len(), sets.len());
        return Err(ProviderError::Transient(format!(
            "{zone}: the provider answered {given} of {asked} sets to normalize"
        )));
    }
    let answers = sets.into_iter().zip(answers).map(|(set, answer)| {
        let answer = answer.and_then(|normal| match normal.key == set.key {
            true => Ok(normal),
            false => Err(ProviderError::Transient(format!(
                "the provider was asked about {} and answered about {}",
                set.key, normal.key
            ))),
        });
        (set.key, answer)
    });
    Ok(answers.collect())
}
