//! All zones in memory: one immutable picture per state of the store.

use hickory_proto::rr::{LowerName, RecordType};
use imbl::HashMap;
use portolan_consensus::documents::{DocumentError, decode};
use portolan_consensus::{Key, Record};
use portolan_steering::ZoneName;

use crate::documents::{self, SetDocument, ZoneDocument};
use crate::wire;
use crate::zone::{Apex, Zone};

/// The zones as of one moment. Clones share all that they have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    zones: HashMap<LowerName, Zone>,
}

/// Why a document of the store is not served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It can be read, but not be served.
    #[error("the document {key} in the store cannot be served: {reason}")]
    Content {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Picture {
    /// Takes up one document as it stands now; none when it is gone. What cannot be used changes
    /// nothing: the state before goes on being served.
    pub(crate) fn take(&mut self, key: &Key, record: Option<&Record>) -> Result<(), Unusable> {
        let unusable = |reason| Unusable::Content {
            key: key.to_string(),
            reason,
        };
        if let Some(zone) = documents::zone_of(key) {
            let document = record.map(|record| decode::<ZoneDocument>(key, &record.value));
            return self
                .take_zone(&zone, document.transpose()?)
                .map_err(unusable);
        }
        let Some((zone, set)) = documents::set_of(key) else {
            return Err(unusable("its key names no record set".to_owned()));
        };
        let document = record.map(|record| decode::<SetDocument>(key, &record.value));
        let document = document.transpose()?;
        self.change(&zone, |zone| match &document {
            Some(document) => zone.put(&set, document),
            None => zone.remove(&set),
        })
        .map_err(unusable)
    }

    fn take_zone(&mut self, zone: &ZoneName, document: Option<ZoneDocument>) -> Result<(), String> {
        let apex = document.map(|document| Apex::new(zone, &document));
        let apex = apex.transpose()?;
        self.change(zone, |zone| {
            zone.apex = apex.map(Into::into);
            Ok(())
        })
    }

    fn change(
        &mut self,
        zone: &ZoneName,
        change: impl FnOnce(&mut Zone) -> Result<(), String>,
    ) -> Result<(), String> {
        let name = LowerName::from(wire::name(zone.as_str())?);
        let zone = self.zones.entry(name.clone()).or_default();
        change(zone)?;
        if zone.is_empty() {
            self.zones.remove(&name);
        }
        Ok(())
    }

    /// The zone of this name, if it is served.
    pub(crate) fn zone(&self, name: &LowerName) -> Option<(&Zone, &Apex)> {
        let zone = self.zones.get(name)?;
        Some((zone, zone.apex.as_deref()?))
    }

    /// The zone that answers for a name: the closest one above it. What a DS query asks for stands
    /// in the zone above the name's own.
    pub(crate) fn authority(&self, name: &LowerName, rtype: RecordType) -> Option<(&Zone, &Apex)> {
        let labels = name.iter().count();
        let above = match rtype {
            RecordType::DS => labels.saturating_sub(1),
            _ => labels,
        };
        let at = |depth| self.zone(&LowerName::from(name.trim_to(depth)));
        (0..=above).rev().find_map(at).or_else(|| at(labels))
    }

    /// The zones that are served.
    pub(crate) fn served(&self) -> impl Iterator<Item = &Apex> {
        self.zones.values().filter_map(|zone| zone.apex.as_deref())
    }
}
