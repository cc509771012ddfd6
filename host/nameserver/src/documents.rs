//! What the server keeps in the store: versioned JSON documents under `steering`.
//!
//! | key | document |
//! |---|---|
//! | `local-zone/<zone>` | [`ZoneDocument`]: the zone's serial, SOA and name servers |
//! | `local-set/<zone>/<name>/<type>/<line>/<set>` | [`SetDocument`]: one record set |
//!
//! Whoever writes a set writes its zone in the same transaction, guarded: so the zone's revision
//! tells whether anything in it has changed, and each state has a serial of its own.

use portolan_consensus::documents::Document;
use portolan_steering::{
    DomainName, LineCode, RecordData, RecordKey, RecordType, RecordValue, SetId, ZoneName,
};
use serde::{Deserialize, Serialize};

use crate::serial::Serial;

/// Where everything of the server begins: what a watch follows.
pub(crate) const ALL: &str = "local-";
/// Where all zones begin.
pub(crate) const ZONES: &str = "local-zone/";
const SETS: &str = "local-set/";

/// A zone, apart from its record sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ZoneDocument {
    /// Moves with every change of the zone.
    pub(crate) serial: Serial,
    /// What the binding's settings say.
    pub(crate) authority: Authority,
}

/// What a zone's SOA and NS say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Authority {
    /// The zone's name servers, absolute; the first is the SOA's primary.
    pub(crate) ns: Vec<DomainName>,
    /// The SOA's RNAME in presentation format, without the trailing dot.
    pub(crate) contact: String,
    /// How often a secondary looks for a new serial. Seconds.
    pub(crate) refresh: u32,
    /// How soon a secondary that got no answer looks again. Seconds.
    pub(crate) retry: u32,
    /// How long a secondary serves the zone unseen. Seconds.
    pub(crate) expire: u32,
    /// How long a resolver remembers that something is not there. Seconds.
    pub(crate) minimum: u32,
    /// Of the SOA and the NS. Seconds.
    pub(crate) ttl: u32,
}

/// A record set; its key is the document's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SetDocument {
    /// Seconds.
    pub(crate) ttl: u32,
    /// Its values, each in its one spelling.
    pub(crate) values: Vec<RecordValue>,
}

impl Document for ZoneDocument {}
impl Document for SetDocument {}

impl SetDocument {
    pub(crate) fn new(data: &RecordData) -> Self {
        Self {
            ttl: data.ttl,
            values: data.values.clone(),
        }
    }

    pub(crate) fn data(&self) -> RecordData {
        RecordData {
            ttl: self.ttl,
            values: self.values.clone(),
        }
    }
}

/// The key of a [`ZoneDocument`].
pub(crate) fn zone_key(zone: &ZoneName) -> String {
    format!("{ZONES}{}", escape(zone.as_str()))
}

/// The zone that a key of a [`ZoneDocument`] names.
pub(crate) fn zone_of(key: &str) -> Option<ZoneName> {
    ZoneName::parse(&unescape(key.strip_prefix(ZONES)?)).ok()
}

/// Where the sets of a zone begin.
pub(crate) fn sets_of(zone: &ZoneName) -> String {
    format!("{SETS}{}/", escape(zone.as_str()))
}

/// Where the sets at a name begin.
pub(crate) fn sets_at(zone: &ZoneName, name: &DomainName) -> String {
    format!("{}{}/", sets_of(zone), escape(name.as_str()))
}

/// The key of a [`SetDocument`].
pub(crate) fn set_key(zone: &ZoneName, key: &RecordKey) -> String {
    format!(
        "{}{}/{}/{}",
        sets_at(zone, &key.name),
        key.rtype,
        escape(key.line.as_str()),
        escape(key.set_id.as_str())
    )
}

/// The zone and the set that a key of a [`SetDocument`] names.
pub(crate) fn set_of(key: &str) -> Option<(ZoneName, RecordKey)> {
    let parts: Vec<String> = key.strip_prefix(SETS)?.split('/').map(unescape).collect();
    let [zone, name, rtype, line, set_id] = parts.as_slice() else {
        return None;
    };
    let key = RecordKey {
        name: DomainName::parse(name).ok()?,
        rtype: RecordType::parse(rtype).ok()?,
        line: LineCode::parse(line).ok()?,
        set_id: SetId::parse(set_id).ok()?,
    };
    Some((ZoneName::parse(zone).ok()?, key))
}

/// Names of classless reverse zones (RFC 2317), line codes and set ids may hold a slash.
fn escape(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

fn unescape(part: &str) -> String {
    part.replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_set_whatever_its_parts_hold() {
        let zone = ZoneName::parse("0/25.2.0.192.in-addr.arpa").unwrap();
        let sets = [("default", ""), ("a/b", "x/y%2Fz"), ("10=0", "%/ é")];
        for (line, set_id) in sets {
            let key = RecordKey {
                name: DomainName::in_zone("1", &zone).unwrap(),
                rtype: RecordType::parse("PTR").unwrap(),
                line: LineCode::parse(line).unwrap(),
                set_id: SetId::parse(set_id).unwrap(),
            };
            let text = set_key(&zone, &key);
            assert!(text.starts_with(&sets_at(&zone, &key.name)), "{text}");
            assert_eq!(set_of(&text), Some((zone.clone(), key)), "{text}");
        }
        assert_eq!(zone_of(&zone_key(&zone)), Some(zone));
        for odd in ["local-set/example.com/x", "local-zone/", "zone/example.com"] {
            assert!(set_of(odd).is_none() && zone_of(odd).is_none(), "{odd}");
        }
    }
}
