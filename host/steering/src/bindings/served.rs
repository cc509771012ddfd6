//! Which zones a binding serves: each is served by one binding at most.

use portolan_consensus::{Consistency, Space, Txn};

use crate::documents::{OwnedSets, Serves, ZoneRecords, encode, keys};
use crate::error::SteeringError;
use crate::names::{BindingName, ZoneName};
use crate::steering::Steering;
use crate::store::revision_of;

impl Steering {
    /// Adds to `txn` that `zone` is served by `name` from now on, unless another binding serves it.
    pub(super) async fn take_on(
        &self,
        txn: Txn,
        name: &BindingName,
        zone: &ZoneName,
        index: usize,
    ) -> Result<Txn, SteeringError> {
        let key = keys::serves(zone);
        let serves = self
            .store
            .load::<Serves>(&key, Consistency::Linearizable)
            .await?;
        if let Some(other) = serves
            .as_ref()
            .filter(|serves| serves.document.binding != *name)
        {
            return Err(SteeringError::invalid(
                format!("zones[{index}]"),
                format!(
                    "{zone} is served by the provider {} already",
                    other.document.binding
                ),
            ));
        }
        let document = Serves {
            binding: name.clone(),
        };
        Ok(txn
            .guard(Space::Steering, key.as_str(), revision_of(&serves))
            .put(Space::Steering, key, encode(&document)))
    }

    /// Adds to `txn` that nobody serves `zone` from now on.
    pub(super) async fn let_go(
        &self,
        txn: Txn,
        name: &BindingName,
        zone: &ZoneName,
        force: bool,
    ) -> Result<Txn, SteeringError> {
        let (zone_key, owned_key) = (keys::zone(zone), keys::owned(zone));
        let records = self
            .store
            .load::<ZoneRecords>(&zone_key, Consistency::Linearizable)
            .await?;
        let owned = self
            .store
            .load::<OwnedSets>(&owned_key, Consistency::Linearizable)
            .await?;
        let wanted = records
            .as_ref()
            .map_or(0, |stored| stored.document.records.len());
        let ours = owned.as_ref().map_or(0, |stored| stored.document.count());
        if !force && wanted + ours > 0 {
            return Err(SteeringError::Conflict(format!(
                "the zone {zone} of the provider {name} has {wanted} wanted record sets, and {ours} \
                 that stand there are ours; remove the records first, or repeat with ?force=true to \
                 leave them in the zone as they are"
            )));
        }
        Ok(txn
            .guard(Space::Steering, zone_key, revision_of(&records))
            .guard(Space::Steering, owned_key, revision_of(&owned))
            .delete(Space::Steering, keys::serves(zone)))
    }
}

/// Refuses a zone that is named twice.
pub(super) fn check_zones(zones: &[ZoneName]) -> Result<(), SteeringError> {
    for (index, zone) in zones.iter().enumerate() {
        if zones[..index].contains(zone) {
            return Err(SteeringError::invalid(
                format!("zones[{index}]"),
                format!("{zone} stands there twice"),
            ));
        }
    }
    Ok(())
}
