//! A zone as it stands: the server's record sets, and what they say in our terms.

use std::collections::BTreeMap;

use portolan_plugin::{
    dns::{RecordKey, RecordSet},
    names::without_dot,
};

use crate::{
    api::{Rr, RrSet},
    lines::{LUA, Lines},
    rrset,
};

/// Name, type and line.
type Key = (String, String, String);

/// The zone, with its sets found by their keys.
pub(crate) struct Zone<'a> {
    rrsets: &'a [RrSet],
    sets: BTreeMap<Key, RecordSet>,
}

impl<'a> Zone<'a> {
    pub(crate) fn new(rrsets: &'a [RrSet], lines: &Lines) -> Self {
        let mut zone = Self {
            rrsets,
            sets: BTreeMap::new(),
        };
        zone.add(rrsets.iter().filter_map(rrset::read));
        // Last, since what is computed answers in place of what stands beside it.
        for rrset in rrsets.iter().filter(|rrset| rrset.rtype == LUA) {
            let name = without_dot(&rrset.name);
            for record in rrset.records.iter().filter(|record| !record.disabled) {
                zone.add(lines.read(&name, &record.content).into_iter().flatten());
            }
        }
        zone
    }

    fn add(&mut self, sets: impl IntoIterator<Item = RecordSet>) {
        for set in sets {
            self.sets.insert(key(&set.key), set);
        }
    }

    /// All sets that the daemon is told of.
    pub(crate) fn into_sets(self) -> impl Iterator<Item = RecordSet> {
        self.sets.into_values()
    }

    pub(crate) fn set(&self, wanted: &RecordKey) -> Option<&RecordSet> {
        self.sets.get(&key(wanted))
    }

    /// The sets of one name and type, on whatever line.
    pub(crate) fn on_all_lines(&self, name: &str, rtype: &str) -> impl Iterator<Item = &RecordSet> {
        let first = (name.to_owned(), rtype.to_owned(), String::new());
        let sets = self.sets.range(first..).map(|(_, set)| set);
        sets.take_while(move |set| set.key.name == name && set.key.rtype == rtype)
    }

    /// The server's own set.
    pub(crate) fn rrset(&self, name: &str, rtype: &str) -> Option<&'a RrSet> {
        let is_it = |rrset: &&RrSet| {
            let named = rrset.name.strip_suffix('.').unwrap_or(&rrset.name);
            named.eq_ignore_ascii_case(name) && rrset.rtype == rtype
        };
        self.rrsets.iter().find(is_it)
    }

    /// The computed records of a name that are not ours.
    pub(crate) fn foreign_code(&self, name: &str, lines: &Lines) -> impl Iterator<Item = &'a Rr> {
        let rrset = self.rrset(name, LUA);
        let records = rrset.into_iter().flat_map(|rrset| &rrset.records);
        records.filter(move |record| record.disabled || lines.read(name, &record.content).is_none())
    }
}

fn key(key: &RecordKey) -> Key {
    (key.name.clone(), key.rtype.clone(), key.line.clone())
}
