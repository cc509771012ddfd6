//! What the store says of sites and services, held ready: every member follows it in memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use portolan_consensus::documents::{Document, Stored, decode};
use portolan_consensus::{Consistency, Event, Record, Revision, Scan, Space, WatchError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::assign::{Health, Owners, Sight};
use crate::check::Verdict;
use crate::compose::SiteAddresses;
use crate::documents::keys;
use crate::error::SteeringError;
use crate::family::Family;
use crate::names::SiteCode;
use crate::presence::Presence;
use crate::services::Service;
use crate::sites::Site;
use crate::steering::Steering;
use crate::survive::Merged;
use crate::targets::{self, TargetId};

/// How long to wait before the store is asked again after it refused.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Documents of one kind, by what their keys say after the prefix.
type Kept<D> = OrdMap<String, Stored<D>>;

/// Sites, services and what was decided on them, as of one revision. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) revision: Revision,
    pub(crate) sites: Kept<Site>,
    pub(crate) services: Kept<Service>,
    pub(crate) owners: Kept<Owners>,
    pub(crate) verdicts: Kept<Verdict>,
    pub(crate) presences: Kept<Presence>,
    /// By zone: what sites did without the group.
    pub(crate) merged: Kept<Merged>,
    /// Documents that cannot be read, and why. What is not known must not move a line.
    pub(crate) unreadable: OrdMap<String, String>,
}

impl World {
    /// Takes in what a key holds now.
    fn take(&mut self, key: &str, record: Option<&Record>) {
        let Self {
            sites,
            services,
            owners,
            verdicts,
            presences,
            merged,
            unreadable,
            ..
        } = self;
        let taken = if let Some(rest) = key.strip_prefix(keys::SITES) {
            keep(sites, rest, key, record)
        } else if let Some(rest) = key.strip_prefix(keys::SERVICES) {
            keep(services, rest, key, record)
        } else if let Some(rest) = key.strip_prefix(keys::OWNERS) {
            keep(owners, rest, key, record)
        } else if let Some(rest) = key.strip_prefix(keys::VERDICTS) {
            keep(verdicts, rest, key, record)
        } else if let Some(rest) = key.strip_prefix(keys::PRESENCES) {
            keep(presences, rest, key, record)
        } else if let Some(rest) = key.strip_prefix(keys::SURVIVORS) {
            keep(merged, rest, key, record)
        } else {
            return;
        };
        match taken {
            Ok(()) => unreadable.remove(key),
            Err(reason) => unreadable.insert(key.to_owned(), reason),
        };
    }

    /// The addresses of all sites, as far as they are known.
    pub(crate) fn addresses(&self) -> SiteAddresses {
        let mut known = BTreeMap::new();
        for site in self.sites.values().map(|stored| &stored.document) {
            for family in Family::ALL {
                let addresses = self.addresses_of(site, family);
                if !addresses.is_empty() {
                    known.insert((site.code.clone(), family), addresses.to_vec());
                }
            }
        }
        known
    }

    fn addresses_of<'a>(&'a self, site: &'a Site, family: Family) -> &'a [IpAddr] {
        match site.fixed(family) {
            [] if site.detects(family) => {
                let key = site.code.as_str().to_ascii_lowercase();
                let found = self.presences.get(&key);
                found.map_or(&[], |found| found.document.addresses(family))
            }
            fixed => fixed,
        }
    }

    /// All sites, by code.
    pub(crate) fn all_sites(&self) -> Vec<Site> {
        let sites = self.sites.values();
        sites.map(|stored| stored.document.clone()).collect()
    }

    /// The shares of sites that have one.
    pub(crate) fn weights(&self) -> BTreeMap<SiteCode, u32> {
        let sites = self.sites.values().map(|stored| &stored.document);
        sites
            .filter_map(|site| Some((site.code.clone(), site.weight?)))
            .collect()
    }

    pub(crate) fn verdict(&self, target: &TargetId) -> Option<&Verdict> {
        self.verdicts.get(&target.0).map(|stored| &stored.document)
    }
}

fn keep<D: Document + Clone>(
    kept: &mut Kept<D>,
    rest: &str,
    key: &str,
    record: Option<&Record>,
) -> Result<(), String> {
    let Some(record) = record else {
        kept.remove(rest);
        return Ok(());
    };
    let document = decode(key, &record.value).map_err(|error| error.to_string())?;
    let stored = Stored {
        document,
        created: record.created,
        modified: record.modified,
    };
    kept.insert(rest.to_owned(), stored);
    Ok(())
}

/// The world at a time of day: what is needed to decide who serves a line.
pub(crate) struct Outlook<'a> {
    pub(crate) world: &'a World,
    pub(crate) addresses: &'a SiteAddresses,
    pub(crate) now_ms: u64,
}

impl Outlook<'_> {
    /// How a site stands as a whole.
    pub(crate) fn site(&self, site: &Site) -> Health {
        match targets::of_site(site, self.addresses) {
            Some(target) => self.target(&target),
            // A check that has no address to go to says nothing.
            None if site.check.is_some() => Health::Unknown,
            None => Health::Up,
        }
    }

    /// Since when a site's check says what it says.
    pub(crate) fn since_ms(&self, site: &Site) -> Option<u64> {
        let target = targets::of_site(site, self.addresses)?;
        let verdict = self.world.verdict(&target.id())?;
        Some(verdict.since_ms)
    }

    fn target(&self, target: &targets::Target) -> Health {
        targets::health(target, self.world.verdict(&target.id()), self.now_ms)
    }
}

impl Sight for Outlook<'_> {
    fn health(&self, service: &Service, site: &Site, family: Family) -> Health {
        let target = targets::of_service(service, site, family, self.addresses);
        let own = target.map_or(Health::Up, |target| self.target(&target));
        self.site(site).and(own)
    }

    fn has_address(&self, site: &Site, family: Family) -> bool {
        self.addresses.contains_key(&(site.code.clone(), family))
    }
}

impl Steering {
    /// Keeps [`Steering::world`] as the store is, until `shutdown`.
    pub(crate) async fn follow_world(self: Arc<Self>, shutdown: CancellationToken) {
        let follow = async {
            loop {
                match self.load_world().await {
                    Ok(()) => {}
                    Err(error) => tracing::debug!(%error, "sites and services could not be read"),
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        shutdown.run_until_cancelled(follow).await;
    }

    /// Reads everything, then takes in change after change, until a watch falls too far behind.
    async fn load_world(&self) -> Result<(), SteeringError> {
        let page = self
            .member
            .scan(Space::Steering, Scan::prefix(""), Consistency::Stale)
            .await?;
        let mut world = World {
            revision: page.revision,
            ..World::default()
        };
        for (key, record) in &page.items {
            world.take(key, Some(record));
        }
        let mut watch = self.member.watch(Space::Steering, "", page.revision);
        self.world.send_replace(Arc::new(world.clone()));
        loop {
            let event: Event = match watch.next().await {
                Ok(event) => event,
                Err(WatchError::Compacted { .. } | WatchError::Closed) => return Ok(()),
            };
            world.revision = event.revision;
            world.take(&event.key, event.record.as_ref());
            self.world.send_replace(Arc::new(world.clone()));
        }
    }

    /// The world as it is known here now.
    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.borrow())
    }

    /// The world as soon as it shows a revision.
    pub(crate) async fn world_at(&self, revision: Revision) -> Arc<World> {
        let mut worlds: watch::Receiver<Arc<World>> = self.world.subscribe();
        match worlds.wait_for(|world| world.revision >= revision).await {
            Ok(world) => Arc::clone(&world),
            // The sender is a part of self.
            Err(_) => self.world(),
        }
    }
}
