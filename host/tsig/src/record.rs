//! The TSIG record (RFC 8945, section 4.2).

use crate::walk::{self, Located, number};

/// The record's type.
pub(crate) const TYPE: u16 = 250;
const CLASS_ANY: u16 = 255;
/// How far the two clocks may differ, in seconds, as RFC 8945, section 10, recommends.
pub(crate) const FUDGE: u16 = 300;

/// What a TSIG record says.
#[derive(Debug)]
pub(crate) struct Tsig {
    /// Where it begins in its message.
    pub(crate) start: usize,
    pub(crate) key_name: Vec<u8>,
    pub(crate) algorithm_name: Vec<u8>,
    /// Seconds since 1970; 48 bits on the wire.
    pub(crate) time: u64,
    pub(crate) fudge: u16,
    pub(crate) mac: Vec<u8>,
    pub(crate) original_id: u16,
    pub(crate) error: u16,
    pub(crate) other: Vec<u8>,
}

impl Tsig {
    /// Reads one. None where it is malformed.
    pub(crate) fn read(message: &[u8], at: &Located) -> Option<Self> {
        let (key_name, fixed) = walk::name(message, at.start)?;
        let [class, ttl_high, ttl_low] = [2, 4, 6].map(|offset| number(message, fixed + offset));
        if [class?, ttl_high?, ttl_low?] != [CLASS_ANY, 0, 0] {
            return None;
        }
        let (algorithm_name, fixed) = walk::name(message, at.rdata.start)?;
        let [high, middle, low] = [0, 2, 4].map(|offset| number(message, fixed + offset));
        let time = u64::from(high?) << 32 | u64::from(middle?) << 16 | u64::from(low?);
        let fudge = number(message, fixed + 6)?;
        let mac_start = fixed + 10;
        let mac_end = mac_start + usize::from(number(message, fixed + 8)?);
        let other_start = mac_end + 6;
        let other_end = other_start + usize::from(number(message, mac_end + 4)?);
        if other_end != at.rdata.end {
            return None;
        }
        Some(Self {
            start: at.start,
            key_name,
            algorithm_name,
            time,
            fudge,
            mac: message.get(mac_start..mac_end)?.to_vec(),
            original_id: number(message, mac_end)?,
            error: number(message, mac_end + 2)?,
            other: message.get(other_start..other_end)?.to_vec(),
        })
    }

    /// The record as it stands at the end of a message.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut rdata = self.algorithm_name.clone();
        rdata.extend(self.timers());
        rdata.extend(length(&self.mac));
        rdata.extend(&self.mac);
        rdata.extend(self.original_id.to_be_bytes());
        rdata.extend(self.error.to_be_bytes());
        rdata.extend(length(&self.other));
        rdata.extend(&self.other);
        let mut record = self.key_name.clone();
        record.extend(TYPE.to_be_bytes());
        record.extend(CLASS_ANY.to_be_bytes());
        record.extend(0_u32.to_be_bytes());
        record.extend(length(&rdata));
        record.extend(rdata);
        record
    }

    /// What the MAC of a first message covers of the record (section 4.3.3).
    pub(crate) fn variables(&self) -> Vec<u8> {
        let mut variables = self.key_name.clone();
        variables.extend(CLASS_ANY.to_be_bytes());
        variables.extend(0_u32.to_be_bytes());
        variables.extend(&self.algorithm_name);
        variables.extend(self.timers());
        variables.extend(self.error.to_be_bytes());
        variables.extend(length(&self.other));
        variables.extend(&self.other);
        variables
    }

    /// What the MAC of a later message covers of it (section 5.3.1).
    pub(crate) fn timers(&self) -> Vec<u8> {
        let mut timers = self.time.to_be_bytes()[2..].to_vec();
        timers.extend(self.fudge.to_be_bytes());
        timers
    }
}

/// The length of what is never longer than a message, as 16 bits.
pub(crate) fn length(bytes: &[u8]) -> [u8; 2] {
    (bytes.len() as u16).to_be_bytes()
}
