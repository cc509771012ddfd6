//! Hash slots: which one a key has, and how a range of them is written.

use std::{fmt, ops::RangeInclusive};

pub(super) const SLOTS: usize = 16_384;

/// The slot of a key: CRC16 (XMODEM) of its hash tag, or of all of it.
pub fn hash_slot(key: impl AsRef<[u8]>) -> u16 {
    crc16(hash_tag(key.as_ref())) % SLOTS as u16
}

/// What stands between the first `{` and the next `}`, unless that is nothing.
fn hash_tag(key: &[u8]) -> &[u8] {
    let position = |bytes: &[u8], wanted: u8| bytes.iter().position(|byte| *byte == wanted);
    let Some(open) = position(key, b'{') else {
        return key;
    };
    match position(&key[open + 1..], b'}') {
        None | Some(0) => key,
        Some(length) => &key[open + 1..][..length],
    }
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

/// Adjacent slots, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotRange {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl SlotRange {
    pub(super) fn iter(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    pub(super) fn contains(self, slot: u16) -> bool {
        self.iter().contains(&slot)
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// `5`, `0-100` or several of them between spaces, as SETSLOT and MIGRATE take them.
    pub(super) fn parse_many(text: &str) -> Result<Vec<Self>, String> {
        let ranges: Result<Vec<Self>, String> = text.split_whitespace().map(Self::parse).collect();
        match ranges?.as_slice() {
            [] => Err("ERR Invalid slot id: not started as an integer".to_owned()),
            ranges => Ok(ranges.to_vec()),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let slot = |text: &str| match text.parse::<i64>() {
            Err(_) => Err("ERR Invalid slot id: not started as an integer".to_owned()),
            Ok(slot @ 0..16_384) => Ok(slot as u16),
            Ok(_) => Err("ERR Invalid slot id: out of numeric range".to_owned()),
        };
        let (first, last) = match text.char_indices().skip(1).find(|(_, found)| *found == '-') {
            None => (slot(text)?, slot(text)?),
            Some((at, _)) => (slot(&text[..at])?, slot(&text[at + 1..])?),
        };
        if first > last {
            return Err("ERR Invalid slot id: out of numeric range".to_owned());
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}
