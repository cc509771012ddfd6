//! Where a site is: the member that stands there finds its addresses and writes them down.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::documents::{Document, Stored, encode};
use portolan_consensus::{Space, Txn};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ms;
use crate::detect::{Known, settle};
use crate::documents::keys;
use crate::error::SteeringError;
use crate::events::EventKind;
use crate::family::Family;
use crate::names::SiteCode;
use crate::sites::Site;
use crate::steering::Steering;
use crate::store::revision_of;

/// How soon other addresses are looked for once more before they are believed.
const CONFIRM: Duration = Duration::from_secs(5);
/// Until the store says that this member stands somewhere.
const NOTHING_TO_DO: Duration = Duration::from_secs(3_600);
/// How often different addresses must be found in a row.
const CONFIRMATIONS: u32 = 2;

/// The addresses that were found at a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) known: BTreeMap<Family, Known>,
}

impl Document for Presence {}

impl Presence {
    pub(crate) fn addresses(&self, family: Family) -> &[IpAddr] {
        self.known
            .get(&family)
            .map_or(&[], |known| &known.addresses)
    }

    /// Without the time of the last look: what is worth writing down when it changes.
    fn timeless(&self) -> Self {
        let mut timeless = self.clone();
        for known in timeless.known.values_mut() {
            known.checked_ms = 0;
        }
        timeless
    }

    fn is_changing(&self) -> bool {
        self.known.values().any(Known::is_changing)
    }
}

impl Steering {
    /// Finds the addresses of this member's own site, again and again, until `shutdown`.
    pub(crate) async fn keep_addresses(self: Arc<Self>, shutdown: CancellationToken) {
        let mut worlds = self.world.subscribe();
        while !shutdown.is_cancelled() {
            let own = self.own_site();
            let pause = match &own {
                Some(site) => self.look_for_addresses(site).await,
                None => NOTHING_TO_DO,
            };
            let another_site = async {
                while self.own_site() == own {
                    if worlds.changed().await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
                () = another_site => {}
            }
        }
    }

    /// The site at which this member stands.
    pub(crate) fn own_site(&self) -> Option<Site> {
        let world = self.world();
        let mut sites = world.sites.values().map(|stored| &stored.document);
        let id = self.member.id();
        sites.find(|site| site.member == Some(id)).cloned()
    }

    /// Looks once, and answers when to look again.
    async fn look_for_addresses(&self, site: &Site) -> Duration {
        let world = self.world();
        let key = site.code.as_str().to_ascii_lowercase();
        let stored = world.presences.get(&key).cloned();
        let before = stored.as_ref().map(|it| it.document.clone());
        let mut after = Presence::default();
        for (family, methods) in site.detections() {
            let found = self.detector.detect(family, methods).await;
            let old = before
                .as_ref()
                .and_then(|it| it.known.get(&family).cloned());
            let known = settle(old, found, CONFIRMATIONS, now_ms());
            after.known.insert(family, known);
        }
        let before = before.unwrap_or_default();
        if after.timeless() != before.timeless()
            && let Err(error) = self
                .write_presence(&site.code, stored, &before, &after)
                .await
        {
            tracing::debug!(site = %site.code, %error, "addresses not written down");
        }
        match after.is_changing() {
            true => CONFIRM,
            false => Duration::from_millis(self.options.address_interval_ms),
        }
    }

    async fn write_presence(
        &self,
        code: &SiteCode,
        stored: Option<Stored<Presence>>,
        before: &Presence,
        after: &Presence,
    ) -> Result<(), SteeringError> {
        let key = keys::presence(code);
        let txn = Txn::new()
            .guard(Space::Steering, key.as_str(), revision_of(&stored))
            .put(Space::Steering, key, encode(after));
        self.commit_telling(txn, &told(code, before, after)).await?;
        Ok(())
    }
}

/// What a look found that was not known before.
fn told(code: &SiteCode, before: &Presence, after: &Presence) -> Vec<(EventKind, String)> {
    let mut events = Vec::new();
    for (family, known) in &after.known {
        let old = before.known.get(family);
        let was = old.map(|old| old.addresses.as_slice()).unwrap_or_default();
        if was != known.addresses {
            let text = match was {
                [] => format!(
                    "the site {code} has the {family} address {}",
                    list(&known.addresses)
                ),
                was => format!(
                    "the site {code} has the {family} address {} and no longer {}",
                    list(&known.addresses),
                    list(was)
                ),
            };
            events.push((EventKind::Address, text));
        }
        let troubled = old.is_some_and(|old| old.trouble.is_some());
        if let Some(trouble) = &known.trouble
            && !troubled
        {
            let text = format!(
                "the {family} address of the site {code} cannot be confirmed and stays as it is: {}",
                trouble.message
            );
            events.push((EventKind::Address, text));
        }
    }
    events
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
