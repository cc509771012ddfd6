//! A zone in memory, as queries see it.
//!
//! Cloning one is cheap and shares its names, so that the picture in which answers are looked up is
//! never written to: a change makes the next one.

use std::sync::Arc;

use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use imbl::OrdMap;
use portolan_steering::{LineCode, RecordKey, ZoneName};

use crate::documents::{SetDocument, ZoneDocument};
use crate::serial::Serial;
use crate::wire;

/// A zone: what stands at its apex by itself, and its names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zone {
    /// None as long as only sets of the zone have been seen; it is not served then.
    pub(crate) apex: Option<Arc<Apex>>,
    /// In canonical order (RFC 4034 §6.1), in which a name's descendants come right after it.
    nodes: OrdMap<LowerName, Arc<Node>>,
}

/// A zone's SOA and NS.
#[derive(Debug, Clone)]
pub(crate) struct Apex {
    /// The zone's name.
    pub(crate) origin: LowerName,
    pub(crate) serial: Serial,
    pub(crate) soa: RData,
    pub(crate) ns: Vec<RData>,
    /// Of the SOA and the NS. Seconds.
    pub(crate) ttl: u32,
    /// How long a negative answer holds (RFC 2308 §5). Seconds.
    pub(crate) negative_ttl: u32,
}

/// What stands at a name, on all lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    sets: Vec<ServedSet>,
}

/// A record set as it is served.
#[derive(Debug, Clone)]
pub(crate) struct ServedSet {
    key: RecordKey,
    rtype: RecordType,
    ttl: u32,
    values: Vec<ServedValue>,
}

/// An enabled value.
#[derive(Debug, Clone)]
struct ServedValue {
    data: RData,
    weight: Option<u32>,
}

/// Where a search in a zone ends.
pub(crate) enum Found<'a> {
    /// The name, or the wildcard that stands for it, has sets.
    Node(&'a Node),
    /// The name is there and has no sets: a name below it has (or it is the apex).
    Empty,
    /// The zone has no such name.
    Missing,
    /// Another zone begins at this name or above it.
    Cut(LowerName, &'a Node),
}

impl Apex {
    /// What the document says, on the wire.
    pub(crate) fn new(zone: &ZoneName, document: &ZoneDocument) -> Result<Self, String> {
        let said = &document.authority;
        let hosts: Result<Vec<Name>, String> = said
            .ns
            .iter()
            .map(|host| wire::name(host.as_str()))
            .collect();
        let hosts = hosts?;
        let primary = hosts.first().cloned().ok_or("it has no name server")?;
        let contact = Name::from_ascii(format!("{}.", said.contact))
            .map_err(|error| format!("its contact: {error}"))?;
        // All of them are checked to be below 2³¹ where they are set.
        let seconds = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let soa = SOA::new(
            primary,
            contact,
            document.serial.0,
            seconds(said.refresh),
            seconds(said.retry),
            seconds(said.expire),
            said.minimum,
        );
        Ok(Self {
            origin: LowerName::from(wire::name(zone.as_str())?),
            serial: document.serial,
            soa: RData::SOA(soa),
            ns: hosts.into_iter().map(|host| RData::NS(NS(host))).collect(),
            ttl: said.ttl,
            negative_ttl: said.minimum.min(said.ttl),
        })
    }

    /// The zone's SOA as an answer.
    pub(crate) fn soa_record(&self) -> Record {
        Record::from_rdata(Name::from(&self.origin), self.ttl, self.soa.clone())
    }

    /// The zone's name servers as an answer.
    pub(crate) fn ns_records(&self) -> Vec<Record> {
        let record =
            |data: &RData| Record::from_rdata(Name::from(&self.origin), self.ttl, data.clone());
        self.ns.iter().map(record).collect()
    }
}

impl Zone {
    /// Puts a set, or takes it away where none of its values is served.
    pub(crate) fn put(&mut self, key: &RecordKey, document: &SetDocument) -> Result<(), String> {
        let Some(rtype) = wire::wire_type(&key.rtype) else {
            return Err(format!("the type {} is not served", key.rtype));
        };
        let enabled = document.values.iter().filter(|value| value.enabled);
        let values: Result<Vec<ServedValue>, String> = enabled
            .map(|value| {
                Ok(ServedValue {
                    data: wire::rdata(rtype, &value.content)?,
                    weight: value.weight,
                })
            })
            .collect();
        let set = ServedSet {
            key: key.clone(),
            rtype,
            ttl: document.ttl,
            values: values?,
        };
        self.remove(key)?;
        if set.values.is_empty() {
            return Ok(());
        }
        let name = LowerName::from(wire::name(key.name.as_str())?);
        let node = self.nodes.entry(name).or_default();
        Arc::make_mut(node).sets.push(set);
        Ok(())
    }

    /// Takes a set away.
    pub(crate) fn remove(&mut self, key: &RecordKey) -> Result<(), String> {
        let name = LowerName::from(wire::name(key.name.as_str())?);
        let Some(node) = self.nodes.get_mut(&name) else {
            return Ok(());
        };
        let node = Arc::make_mut(node);
        node.sets.retain(|set| set.key != *key);
        if node.sets.is_empty() {
            self.nodes.remove(&name);
        }
        Ok(())
    }

    /// Whether nothing is known of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.apex.is_none() && self.nodes.is_empty()
    }

    /// Whether the name or one below it has sets, which makes both exist (RFC 4592 §2.2.2).
    fn exists(&self, name: &LowerName) -> bool {
        self.nodes
            .range(name.clone()..)
            .next()
            .is_some_and(|(next, _)| name.zone_of(next))
    }

    /// What stands at a name.
    pub(crate) fn node(&self, name: &LowerName) -> Option<&Node> {
        self.nodes.get(name).map(Arc::as_ref)
    }

    /// Searches a name within the zone from the apex down (RFC 1034 §4.3.2). A query for DS asks
    /// the parent's side of a cut.
    pub(crate) fn find(&self, apex: &Apex, name: &LowerName, rtype: RecordType) -> Found<'_> {
        let labels = name.iter().count();
        let mut encloser = apex.origin.clone();
        for depth in apex.origin.iter().count() + 1..=labels {
            let at = LowerName::from(name.trim_to(depth));
            if !self.exists(&at) {
                return self.wildcard_below(&encloser);
            }
            let parents_side = rtype == RecordType::DS && depth == labels;
            match self.node(&at) {
                Some(node) if node.is_cut() && !parents_side => return Found::Cut(at, node),
                _ => encloser = at,
            }
        }
        self.node(name).map_or(Found::Empty, Found::Node)
    }

    /// What stands for a missing name below its closest encloser (RFC 4592 §3.3.1).
    fn wildcard_below(&self, encloser: &LowerName) -> Found<'_> {
        let wildcard = encloser.prepend_label("*").map(LowerName::from);
        match wildcard.ok().and_then(|name| self.node(&name)) {
            Some(node) => Found::Node(node),
            None => Found::Missing,
        }
    }

    /// All records that a client of the line `default` can get, in canonical order of their names,
    /// without the apex's own. Values with weights are all there.
    pub(crate) fn default_line(&self) -> impl Iterator<Item = Record> {
        let line = LineCode::default_line();
        self.nodes.iter().flat_map(move |(name, node)| {
            let name = Name::from(name);
            let types = node.types(&line);
            let sets = types.into_iter().filter_map(|rtype| node.get(&line, rtype));
            sets.flat_map(|set| set.all(&name)).collect::<Vec<_>>()
        })
    }
}

impl Node {
    fn is_cut(&self) -> bool {
        self.sets.iter().any(|set| set.rtype == RecordType::NS)
    }

    /// Whether clients of different lines may see different sets here.
    pub(crate) fn differs_by_line(&self) -> bool {
        self.sets.iter().any(|set| !set.key.line.is_default())
    }

    /// The types that a client of `line` sees, in order.
    ///
    /// Each type is the line's own, or else the line `default`'s; but in no client's view does a CNAME
    /// stand beside other data, whatever stands on which line: what the line itself says wins.
    pub(crate) fn types(&self, line: &LineCode) -> Vec<RecordType> {
        let of = |wanted: &LineCode| -> Vec<RecordType> {
            let sets = self.sets.iter().filter(|set| set.key.line == *wanted);
            sets.map(|set| set.rtype).collect()
        };
        let mut types = of(line);
        if !types.contains(&RecordType::CNAME) {
            let own = !types.is_empty();
            let fits = |rtype: &RecordType| !own || *rtype != RecordType::CNAME;
            types.extend(of(&LineCode::default_line()).into_iter().filter(fits));
        }
        types.sort_unstable();
        types.dedup();
        types
    }

    /// What a client of `line` sees of a type; none where it sees nothing.
    pub(crate) fn get(&self, line: &LineCode, rtype: RecordType) -> Option<View<'_>> {
        if !self.types(line).contains(&rtype) {
            return None;
        }
        let of = |wanted: &LineCode| -> Vec<&ServedSet> {
            let sets = self.sets.iter().filter(|set| set.rtype == rtype);
            sets.filter(|set| set.key.line == *wanted).collect()
        };
        let own = of(line);
        let sets = match own.is_empty() {
            true => of(&LineCode::default_line()),
            false => own,
        };
        // Sets that only their ids tell apart are one to a client, with one TTL (RFC 2181 §5.2).
        let ttl = sets.iter().map(|set| set.ttl).min()?;
        let values = sets.into_iter().flat_map(|set| &set.values).collect();
        Some(View { ttl, values })
    }
}

/// What one client sees of one type at one name.
pub(crate) struct View<'a> {
    ttl: u32,
    /// Not empty.
    values: Vec<&'a ServedValue>,
}

impl View<'_> {
    /// The values as records of `owner`.
    pub(crate) fn all(&self, owner: &Name) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::with_capacity(self.values.len());
        for value in &self.values {
            if !records.iter().any(|record| record.data == value.data) {
                records.push(self.record(owner, value));
            }
        }
        records
    }

    /// What to answer: all values, or where they have weights one of them, picked by its share.
    /// `dice` is any number; equal ones pick equally.
    pub(crate) fn answer(&self, owner: &Name, dice: u64) -> Vec<Record> {
        match self.pick(dice) {
            Some(value) => vec![self.record(owner, value)],
            None => self.all(owner),
        }
    }

    /// The value that the dice fall on; none where the values have no weights, or all have 0.
    fn pick(&self, dice: u64) -> Option<&ServedValue> {
        let weight = |value: &ServedValue| u64::from(value.weight.unwrap_or(0));
        let total: u64 = self.values.iter().map(|value| weight(value)).sum();
        let mut left = dice.checked_rem(total)?;
        self.values.iter().copied().find(|value| {
            let here = left < weight(value);
            left = left.saturating_sub(weight(value));
            here
        })
    }

    fn record(&self, owner: &Name, value: &ServedValue) -> Record {
        Record::from_rdata(owner.clone(), self.ttl, value.data.clone())
    }
}
