//! Services, as operators give and see them.

mod service;

use std::collections::{BTreeMap, BTreeSet};

use portolan_consensus::{Consistency, Revision, Space, Txn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::service::{ClusterTarget, NodeRole};
pub(crate) use self::service::{
    Service, SiteChoice, SitesTarget, SurvivorMode, Target, WithoutLines,
};
use crate::assign::Owners;
use crate::documents::{ZoneRecords, ZoneServices, encode, keys};
use crate::error::SteeringError;
use crate::family::Family;
use crate::input;
use crate::names::{BindingName, DomainName, LineCode, RecordType, ServiceName, ZoneName};
use crate::plan::Wanted;
use crate::provider::DnsProvider as _;
use crate::steering::Steering;
use crate::store::{Stored, check_revision, revision_of, until_settled};
use crate::survive::needs_the_group;
use crate::zones::not_served;

/// A service as answers show it. It can be sent back as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceView {
    #[serde(flatten)]
    service: Service,
    /// The absolute name of its records.
    pub domain: Option<DomainName>,
    /// The binding that serves its zone.
    pub provider: Option<BindingName>,
    /// By line and family: the sites that serve it.
    pub served_by: BTreeMap<LineCode, BTreeMap<Family, OwnerView>>,
    /// The document's revision, for `ETag` and `If-Match`.
    #[serde(skip)]
    pub revision: Revision,
}

/// Who serves a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnerView {
    /// The codes of the sites.
    pub sites: Vec<String>,
    /// Since when. Milliseconds since 1970.
    pub since_ms: u64,
    /// Why they, and not those before.
    pub why: String,
}

/// A service as a request gives it: what answers show beside it is left alone.
#[derive(Deserialize)]
struct ServiceSpec {
    #[serde(default)]
    name: Option<ServiceName>,
    #[serde(default, rename = "domain")]
    _domain: Option<Value>,
    #[serde(default, rename = "provider")]
    _provider: Option<Value>,
    #[serde(default, rename = "served_by")]
    _served_by: Option<Value>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Steering {
    /// All services, by name.
    pub async fn services(&self) -> Result<Vec<ServiceView>, SteeringError> {
        let services = self.load_services(Consistency::Linearizable).await?;
        let mut views = Vec::with_capacity(services.len());
        for stored in services {
            views.push(self.view_service(stored).await?);
        }
        Ok(views)
    }

    /// One service.
    pub async fn service(&self, name: &str) -> Result<ServiceView, SteeringError> {
        let name = service_name(name)?;
        let stored = self.load_service(&name, Consistency::Linearizable).await?;
        self.view_service(stored.ok_or_else(|| no_service(&name))?)
            .await
    }

    /// Makes a service or replaces it. `revision` is the one that it must be at ([`Revision::ZERO`]: it
    /// must not exist).
    pub async fn put_service(
        &self,
        name: &str,
        body: Value,
        revision: Option<Revision>,
    ) -> Result<ServiceView, SteeringError> {
        let name = service_name(name)?;
        let service = parse(&name, body)?;
        until_settled(|| async {
            let standing = self.standing_service(&name, revision).await?;
            self.replace_service(standing, service.clone()).await
        })
        .await
    }

    /// Changes a service by a JSON merge patch (RFC 7396).
    pub async fn patch_service(
        &self,
        name: &str,
        patch: Value,
        revision: Option<Revision>,
    ) -> Result<ServiceView, SteeringError> {
        let name = service_name(name)?;
        if !patch.is_object() {
            return Err(SteeringError::invalid("", "a merge patch is a JSON object"));
        }
        until_settled(|| async {
            let standing = self.standing_service(&name, revision).await?;
            let stored = standing.clone().ok_or_else(|| no_service(&name))?;
            let mut document = input::document(&stored.document)?;
            input::merge(&mut document, &patch);
            self.replace_service(standing, parse(&name, document)?)
                .await
        })
        .await
    }

    /// Removes a service; the records that are ours of it are deleted.
    pub async fn delete_service(
        &self,
        name: &str,
        revision: Option<Revision>,
    ) -> Result<(), SteeringError> {
        let name = service_name(name)?;
        until_settled(|| async {
            let standing = self.standing_service(&name, revision).await?;
            let stored = standing.ok_or_else(|| no_service(&name))?;
            let key = keys::service(&name);
            let txn = Txn::new()
                .guard(Space::Steering, key.as_str(), stored.modified)
                .delete(Space::Steering, key)
                .delete(Space::Steering, keys::owners(&name));
            let txn = self.index(txn, &stored.document.zone, &name, false).await?;
            self.store.commit(txn).await?;
            tracing::info!(service = %name, "service deleted");
            Ok(())
        })
        .await
    }

    /// All services, by name, as the store has them.
    pub(crate) async fn load_services(
        &self,
        consistency: Consistency,
    ) -> Result<Vec<Stored<Service>>, SteeringError> {
        let stored = self.store.list(keys::SERVICES, consistency).await?;
        let stored = stored.into_iter().map(|(_, stored)| Ok(stored?));
        stored.collect()
    }

    pub(crate) async fn load_service(
        &self,
        name: &ServiceName,
        consistency: Consistency,
    ) -> Result<Option<Stored<Service>>, SteeringError> {
        let key = keys::service(name);
        let stored: Option<Stored<Service>> = self.store.load(&key, consistency).await?;
        Ok(stored)
    }

    pub(crate) async fn load_owners(
        &self,
        name: &ServiceName,
        consistency: Consistency,
    ) -> Result<Option<Stored<Owners>>, SteeringError> {
        Ok(self.store.load(&keys::owners(name), consistency).await?)
    }

    pub(crate) async fn zone_services(
        &self,
        zone: &ZoneName,
        consistency: Consistency,
    ) -> Result<Option<Stored<ZoneServices>>, SteeringError> {
        let key = keys::zone_services(zone);
        Ok(self.store.load(&key, consistency).await?)
    }

    /// Guards on the services of a zone, none of which may have one of the records.
    pub(crate) async fn guard_services(
        &self,
        txn: Txn,
        zone: &ZoneName,
        records: &[Wanted],
    ) -> Result<Txn, SteeringError> {
        let index = self.zone_services(zone, Consistency::Linearizable).await?;
        for service in services_of(&index) {
            let stored = self
                .load_service(service, Consistency::Linearizable)
                .await?;
            if let Some(stored) = stored {
                let service = &stored.document;
                let taken = has_record_of(service, records);
                if let Some(index) = taken {
                    return Err(SteeringError::invalid(
                        format!("records[{index}]"),
                        format!("the service {} has these records", service.name),
                    ));
                }
            }
        }
        let key = keys::zone_services(zone);
        Ok(txn.guard(Space::Steering, key, revision_of(&index)))
    }

    async fn standing_service(
        &self,
        name: &ServiceName,
        named: Option<Revision>,
    ) -> Result<Option<Stored<Service>>, SteeringError> {
        let standing = self.load_service(name, Consistency::Linearizable).await?;
        let what = format!("the service {name}");
        check_revision(&what, named, revision_of(&standing))?;
        Ok(standing)
    }

    pub(crate) async fn replace_service(
        &self,
        standing: Option<Stored<Service>>,
        service: Service,
    ) -> Result<ServiceView, SteeringError> {
        self.check_sites(&service).await?;
        let key = keys::service(&service.name);
        let txn = Txn::new()
            .guard(Space::Steering, key.as_str(), revision_of(&standing))
            .put(Space::Steering, key, encode(&service));
        let mut txn = self.check_records(txn, &service).await?;
        let before = standing.as_ref().map(|stored| &stored.document.zone);
        if before != Some(&service.zone) {
            if let Some(zone) = before {
                txn = self.index(txn, zone, &service.name, false).await?;
            }
            txn = self.index(txn, &service.zone, &service.name, true).await?;
        }
        let modified = self.store.commit(txn).await?;
        tracing::info!(service = %service.name, zone = %service.zone, "service set");
        let created = standing.map_or(modified, |stored| stored.created);
        self.view_service(Stored {
            document: service,
            created,
            modified,
        })
        .await
    }

    async fn check_sites(&self, service: &Service) -> Result<(), SteeringError> {
        let Target::Sites(SitesTarget {
            sites: SiteChoice::Some(codes),
        }) = &service.target
        else {
            return Ok(());
        };
        let sites = self.load_sites(Consistency::Linearizable).await?;
        let known: BTreeSet<_> = sites.iter().map(|stored| &stored.document.code).collect();
        match codes.iter().find(|code| !known.contains(code)) {
            Some(unknown) => Err(SteeringError::invalid(
                "target.sites",
                format!("no site has the code {unknown}; make it first"),
            )),
            None => Ok(()),
        }
    }

    /// Whether nobody else has the service's records, in a zone that a provider serves.
    async fn check_records(&self, txn: Txn, service: &Service) -> Result<Txn, SteeringError> {
        let zone = &service.zone;
        let (name, serves) = self
            .serving(zone, Consistency::Linearizable)
            .await?
            .ok_or_else(|| not_served(zone))?;
        let key = keys::zone(zone);
        let records: Option<Stored<ZoneRecords>> =
            self.store.load(&key, Consistency::Linearizable).await?;
        let revision = revision_of(&records);
        let records = records.map(|it| it.document.records).unwrap_or_default();
        if let Some(index) = has_record_of(service, &records) {
            return Err(SteeringError::Conflict(format!(
                "{} stands among the records of the zone; take it out there first",
                records[index].key
            )));
        }
        if service.survivor.is_some() {
            let binding = self.load_binding(&name, Consistency::Linearizable).await?;
            let calls = binding.map(|binding| self.connect(&name, &binding));
            // What cannot be connected now is told where it is used.
            if calls.is_some_and(|calls| calls.is_ok_and(|calls| !calls.is_remote())) {
                return Err(needs_the_group(zone));
            }
        }
        let index = self.zone_services(zone, Consistency::Linearizable).await?;
        for other in services_of(&index).filter(|other| **other != service.name) {
            let other = self.load_service(other, Consistency::Linearizable).await?;
            if let Some(other) = other.map(|stored| stored.document)
                && shares_records(service, &other)
            {
                return Err(SteeringError::Conflict(format!(
                    "the service {} has these records",
                    other.name
                )));
            }
        }
        Ok(txn.guard(Space::Steering, key, revision).guard(
            Space::Steering,
            keys::serves(zone),
            serves,
        ))
    }

    /// Adds a service to those of its zone, or takes it out.
    async fn index(
        &self,
        txn: Txn,
        zone: &ZoneName,
        name: &ServiceName,
        is_there: bool,
    ) -> Result<Txn, SteeringError> {
        let stored = self.zone_services(zone, Consistency::Linearizable).await?;
        let revision = revision_of(&stored);
        let mut services = stored.map(|stored| stored.document).unwrap_or_default();
        if is_there {
            services.services.insert(name.clone());
        } else {
            services.services.remove(name);
        }
        let key = keys::zone_services(zone);
        Ok(txn.guard(Space::Steering, key.as_str(), revision).put(
            Space::Steering,
            key,
            encode(&services),
        ))
    }

    async fn view_service(&self, stored: Stored<Service>) -> Result<ServiceView, SteeringError> {
        let service = stored.document;
        let owners = self.load_owners(&service.name, Consistency::Stale).await?;
        let provider = self.serving(&service.zone, Consistency::Stale).await?;
        let lines = owners.map(|it| it.document.lines).unwrap_or_default();
        let served_by = lines.into_iter().map(|(line, families)| {
            let families = families.into_iter().map(|(family, owner)| {
                let owner = OwnerView {
                    sites: owner.sites.iter().map(ToString::to_string).collect(),
                    since_ms: owner.since_ms,
                    why: owner.why,
                };
                (family, owner)
            });
            (line, families.collect())
        });
        Ok(ServiceView {
            domain: service.domain().ok(),
            provider: provider.map(|(name, _)| name),
            served_by: served_by.collect(),
            service,
            revision: stored.modified,
        })
    }
}

pub(crate) fn services_of(
    index: &Option<Stored<ZoneServices>>,
) -> impl Iterator<Item = &ServiceName> {
    index.iter().flat_map(|stored| &stored.document.services)
}

/// Which of the records a service has too. A CNAME stands alone at its name.
fn has_record_of(service: &Service, records: &[Wanted]) -> Option<usize> {
    let domain = service.domain().ok()?;
    let types: Vec<RecordType> = service
        .types
        .iter()
        .map(|rtype| RecordType::of_family(rtype.family()))
        .collect();
    records.iter().position(|record| {
        let key = &record.key;
        key.name == domain && (types.contains(&key.rtype) || key.rtype.is("CNAME"))
    })
}

fn shares_records(one: &Service, other: &Service) -> bool {
    one.domain() == other.domain() && !one.types.is_disjoint(&other.types)
}

fn parse(name: &ServiceName, body: Value) -> Result<Service, SteeringError> {
    let spec: ServiceSpec = input::parse(body)?;
    if spec.name.as_ref().is_some_and(|given| given != name) {
        let sentence = format!("the path says {name}");
        return Err(SteeringError::invalid("name", sentence));
    }
    let mut document = spec.rest;
    document.insert("name".to_owned(), name.as_str().into());
    let service: Service = input::parse(Value::Object(document))?;
    service
        .check()
        .map_err(|(at, sentence)| SteeringError::invalid(at, sentence))?;
    Ok(service)
}

fn service_name(text: &str) -> Result<ServiceName, SteeringError> {
    ServiceName::parse(text).map_err(|message| SteeringError::invalid("name", message))
}

fn no_service(name: &ServiceName) -> SteeringError {
    SteeringError::NotFound(format!(
        "no service is called {name}; GET /api/v1/dns/services lists them"
    ))
}
