//! Which message makes which changes. Pure.
//!
//! A message is carried out wholly or not at all, and only if all of its prerequisites hold: each set
//! that is changed must consist of exactly the records that were read, and each that is created must not
//! be there. So a change is a true compare-and-set, save for TTLs, which prerequisites cannot see.
//!
//! A server leaves out, without a word, what would put a CNAME beside other records (RFC 2136, 3.4.2.2).
//! So there are prerequisites against that, too.

use portolan_plugin::{dns::Change, sets::grouped};

use crate::{
    message::Update,
    rdata::{self, CNAME, NS},
    view::Stood,
};

/// Types that people write and that may stand under a name beside those that are managed: DNAME, HINFO,
/// RP, AFSDB, LOC, NAPTR, CERT, DS, SSHFP, IPSECKEY, DNSKEY, DHCID, TLSA, SMIMEA, CDS, CDNSKEY,
/// OPENPGPKEY, SVCB, HTTPS, SPF, EUI48, EUI64, URI, and SOA.
const OTHER_CODES: [u16; 24] = [
    rdata::SOA,
    13,
    17,
    18,
    29,
    35,
    37,
    39,
    43,
    44,
    45,
    48,
    49,
    52,
    53,
    59,
    60,
    61,
    64,
    65,
    99,
    108,
    109,
    256,
];

/// A nameserver that no answer ever shows: `passing.portolan.invalid`.
const PASSING: &[u8] = b"\x07passing\x08portolan\x07invalid\x00";

/// A change to be made.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    /// The number of the change.
    pub(crate) index: usize,
    pub(crate) change: &'a Change,
    pub(crate) code: u16,
    /// What stands there now, like `change.before`.
    pub(crate) standing: Option<Stood>,
    /// The data of what shall stand there; none to delete it.
    pub(crate) wanted: Option<Vec<Vec<u8>>>,
}

impl Write<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.change.key.name
    }

    fn creates(&self) -> bool {
        self.standing.is_none()
    }

    fn deletes(&self) -> bool {
        self.wanted.is_none()
    }
}

/// The message that makes these changes; none where it would be too long.
pub(crate) fn message(zone: &str, writes: &[&Write]) -> Option<Vec<u8>> {
    let mut update = Update::of(zone);
    for write in writes {
        require_standing(&mut update, write);
        if write.creates() {
            require_room(&mut update, write, writes);
        }
    }
    // Updates are made in their order, and what goes must be gone before what comes in its place.
    for write in writes.iter().filter(|write| write.deletes()) {
        update.delete_set(write.name(), write.code);
    }
    for write in writes {
        let (Some(wanted), Some(after)) = (&write.wanted, &write.change.after) else {
            continue;
        };
        match &write.standing {
            Some(standing) if write.name() == zone && write.code == NS => {
                replace_nameservers(&mut update, standing, after.ttl, wanted);
            }
            standing => {
                if standing.is_some() {
                    update.delete_set(write.name(), write.code);
                }
                for data in wanted {
                    update.add(write.name(), write.code, after.ttl, data);
                }
            }
        }
    }
    update.finish()
}

/// Servers never delete all nameservers of a zone at once (RFC 2136, 3.4.2.4): so what is new comes first
/// and what is unwanted goes one by one. A record that is there already does not change the set's TTL at
/// every server, so one comes and goes that was not there.
fn replace_nameservers(update: &mut Update, standing: &Stood, ttl: u32, wanted: &[Vec<u8>]) {
    let name = &standing.set.key.name;
    let passing = (standing.set.ttl != ttl).then_some(PASSING);
    for data in wanted.iter().map(Vec::as_slice).chain(passing) {
        update.add(name, NS, ttl, data);
    }
    let unwanted = standing.data.iter().filter(|data| !wanted.contains(data));
    for data in unwanted.map(Vec::as_slice).chain(passing) {
        update.delete(name, NS, data);
    }
}

fn require_standing(update: &mut Update, write: &Write) {
    match &write.standing {
        None => update.require_none(write.name(), write.code),
        Some(standing) => {
            for data in &standing.data {
                update.require(write.name(), standing.code, data);
            }
        }
    }
}

/// Demands that nothing stands under the name that excludes what is created.
fn require_room(update: &mut Update, write: &Write, writes: &[&Write]) {
    let goes = |code: u16| {
        let mut here = writes.iter().filter(|other| other.name() == write.name());
        here.any(|other| other.code == code && other.deletes())
    };
    if write.code != CNAME {
        if !goes(CNAME) {
            update.require_none(write.name(), CNAME);
        }
        return;
    }
    let codes = || rdata::TYPES.iter().map(|(_, code)| *code);
    if !codes().any(goes) {
        return update.require_free(write.name());
    }
    // Nothing demands that nothing is left after something has gone: so each type is named.
    let others = codes().filter(|code| *code != CNAME && !goes(*code));
    for code in others.chain(OTHER_CODES) {
        update.require_none(write.name(), code);
    }
}

/// The writes of each name, in the order in which the names first appear. They may depend on each other.
pub(crate) fn by_name<'a>(writes: &[&'a Write<'a>]) -> Vec<Vec<&'a Write<'a>>> {
    grouped(writes.iter().copied(), |one, other| {
        one.name() == other.name()
    })
}

/// Does a CNAME take the place of other records of its name, or they its?
pub(crate) fn is_swap(writes: &[&Write]) -> bool {
    let mut pairs = writes
        .iter()
        .flat_map(|one| writes.iter().map(move |other| (one, other)));
    pairs.any(|(one, other)| {
        one.name() == other.name()
            && (one.code == CNAME) != (other.code == CNAME)
            && one.deletes() != other.deletes()
    })
}
