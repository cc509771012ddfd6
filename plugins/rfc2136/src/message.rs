//! Messages: queries and updates to send (RFC 1035, section 4; RFC 2136, section 2), answers to read.

use portolan_plugin::names::{APEX, relative};

use crate::{name, rdata};

/// A query for a whole zone.
pub(crate) const AXFR: u16 = 252;
const ANY_TYPE: u16 = 255;
const SOA: u16 = rdata::SOA;

const INTERNET: u16 = 1;
/// In a prerequisite "is not there", in an update "delete this one".
const NONE: u16 = 254;
/// In a prerequisite "is there", in an update "delete all".
const ANY: u16 = 255;

const HEADER: usize = 12;
/// Where the zone's name stands in every update, as names below it point to it.
const ZONE_NAME: [u8; 2] = [0xc0, HEADER as u8];
/// The longest message over TCP, less what the longest signature takes.
pub(crate) const MAX_MESSAGE: usize = u16::MAX as usize - 700;

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) code: u16,
    pub(crate) ttl: u32,
    /// Without pointers to other places of the message. Only SOA and the types that are managed have
    /// theirs.
    pub(crate) data: Vec<u8>,
}

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) rcode: u8,
    /// Does it come from the zone itself? A referral to another zone does not.
    pub(crate) authoritative: bool,
    pub(crate) records: Vec<Record>,
}

impl Answer {
    /// Reads an answer. Records of other classes, and under names that the daemon cannot write, are left
    /// out.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let flags = number(message, 2)?;
        let mut at = HEADER;
        for _ in 0..number(message, 4)? {
            at = name::decode(message, at)?.1 + 4;
        }
        let mut records = Vec::new();
        for _ in 0..number(message, 6)? {
            let (owner, fixed) = name::decode(message, at)?;
            let (code, class) = (number(message, fixed)?, number(message, fixed + 2)?);
            let ttl = u32::from(number(message, fixed + 4)?) << 16
                | u32::from(number(message, fixed + 6)?);
            let start = fixed + 10;
            at = start + usize::from(number(message, fixed + 8)?);
            let raw = message.get(start..at)?;
            let data = match rdata::rtype(code) {
                Some(rtype) => rdata::expand(rtype, message, start, at)?,
                None => raw.to_vec(),
            };
            if let (INTERNET, Some(name)) = (class, name::text(&owner)) {
                records.push(Record {
                    name,
                    code,
                    ttl,
                    data,
                });
            }
        }
        Some(Self {
            rcode: (flags & 0x0f) as u8,
            authoritative: flags & 0x0400 != 0,
            records,
        })
    }
}

/// A query; none where the name is no name.
pub(crate) fn query(name: &str, code: u16) -> Option<Vec<u8>> {
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(name::encode(name)?);
    message.extend(code.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    Some(message)
}

/// An update of one zone, as it is put together.
pub(crate) struct Update<'a> {
    zone: &'a str,
    zone_section: Vec<u8>,
    prerequisites: Section,
    updates: Section,
    /// A name or a set did not fit.
    broken: bool,
}

#[derive(Default)]
struct Section {
    count: usize,
    bytes: Vec<u8>,
}

impl<'a> Update<'a> {
    /// One without prerequisites and updates.
    pub(crate) fn of(zone: &'a str) -> Self {
        let name = name::encode(zone);
        let broken = name.is_none();
        let mut zone_section = name.unwrap_or_default();
        zone_section.extend(SOA.to_be_bytes());
        zone_section.extend(INTERNET.to_be_bytes());
        Self {
            zone,
            zone_section,
            prerequisites: Section::default(),
            updates: Section::default(),
            broken,
        }
    }

    /// Demands that the set is exactly these records, one call for each. Their TTLs do not count.
    pub(crate) fn require(&mut self, name: &str, code: u16, data: &[u8]) {
        self.prerequisite(name, code, INTERNET, data);
    }

    /// Demands that there is such a set.
    pub(crate) fn require_some(&mut self, name: &str, code: u16) {
        self.prerequisite(name, code, ANY, &[]);
    }

    /// Demands that there is no such set.
    pub(crate) fn require_none(&mut self, name: &str, code: u16) {
        self.prerequisite(name, code, NONE, &[]);
    }

    /// Demands that nothing at all stands under the name.
    pub(crate) fn require_free(&mut self, name: &str) {
        self.prerequisite(name, ANY_TYPE, NONE, &[]);
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, name: &str, code: u16, ttl: u32, data: &[u8]) {
        self.update(name, code, INTERNET, ttl, data);
    }

    /// Deletes a set.
    pub(crate) fn delete_set(&mut self, name: &str, code: u16) {
        self.update(name, code, ANY, 0, &[]);
    }

    /// Deletes a record.
    pub(crate) fn delete(&mut self, name: &str, code: u16, data: &[u8]) {
        self.update(name, code, NONE, 0, data);
    }

    fn prerequisite(&mut self, name: &str, code: u16, class: u16, data: &[u8]) {
        let written = self
            .prerequisites
            .write(self.zone, name, [code, class], 0, data);
        self.broken |= written.is_none();
    }

    fn update(&mut self, name: &str, code: u16, class: u16, ttl: u32, data: &[u8]) {
        let written = self
            .updates
            .write(self.zone, name, [code, class], ttl, data);
        self.broken |= written.is_none();
    }

    /// The whole message; none where it is too long or a name in it is no name of the zone.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        let count = |section: &Section| u16::try_from(section.count).ok();
        let mut message = vec![0, 0, 0x28, 0, 0, 1];
        message.extend(count(&self.prerequisites)?.to_be_bytes());
        message.extend(count(&self.updates)?.to_be_bytes());
        message.extend([0, 0]);
        message.extend(self.zone_section);
        message.extend(self.prerequisites.bytes);
        message.extend(self.updates.bytes);
        (!self.broken && message.len() <= MAX_MESSAGE).then_some(message)
    }
}

impl Section {
    fn write(
        &mut self,
        zone: &str,
        name: &str,
        code_and_class: [u16; 2],
        ttl: u32,
        data: &[u8],
    ) -> Option<()> {
        // A name that is too long as a whole would not be noticed in its parts.
        name::encode(name)?;
        match relative(name, zone)? {
            APEX => {}
            below => name::push_labels(&mut self.bytes, below)?,
        }
        self.bytes.extend(ZONE_NAME);
        for number in code_and_class {
            self.bytes.extend(number.to_be_bytes());
        }
        self.bytes.extend(ttl.to_be_bytes());
        let length = u16::try_from(data.len()).ok()?;
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend_from_slice(data);
        self.count += 1;
        Some(())
    }
}

/// The 16 bits at `at`.
fn number(message: &[u8], at: usize) -> Option<u16> {
    let octets = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([octets[0], octets[1]]))
}
