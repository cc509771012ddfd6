//! Zone serials and their arithmetic.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A zone's serial number: it moves with every change, and it wraps (RFC 1982).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Serial(pub(crate) u32);

impl Serial {
    /// The serial of a zone that comes to exist at `seconds` since 1970. The clock keeps a zone that
    /// was deleted and made again ahead of what secondaries remember of the first.
    pub(crate) fn starting_at(seconds: u64) -> Self {
        // The low 32 bits: serials wrap, as the clock does in 2106.
        Self((seconds & u64::from(u32::MAX)) as u32)
    }

    /// The serial of a zone that comes to exist now.
    pub(crate) fn starting_now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::starting_at(since.map_or(1, |since| since.as_secs()))
    }

    /// The serial after the next change.
    pub(crate) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Whether this one is later than `other`: less than half the circle ahead (RFC 1982 §3.2).
    pub(crate) fn is_after(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_move_forward_across_the_wrap() {
        for serial in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let (before, after) = (Serial(serial), Serial(serial).next());
            assert!(after.is_after(before), "{serial}");
            assert!(!before.is_after(after) && !before.is_after(before));
        }
        assert_eq!(Serial(u32::MAX).next(), Serial(0));
        assert!(!Serial(0x8000_0000).is_after(Serial(0)), "half is neither");
        assert_eq!(Serial::starting_at(1_700_000_000), Serial(1_700_000_000));
    }
}
