//! What signatures of requests have in common: order, hexadecimal digits, hashes, and moments as vendors
//! write them.
//!
//! The secret is the daemon's alone: a plugin writes a request down canonically, has the daemon compute
//! [`Host::hmac`](crate::Host::hmac) over it, and puts the outcome into a header.

use sha2::{Digest, Sha256};

/// The few pairs of a request, ordered by name and value; a general sort weighs more in a component.
pub fn in_order(pairs: Vec<(&str, String)>) -> Vec<(&str, String)> {
    let mut ordered = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let place = ordered.partition_point(|other| *other < pair);
        ordered.insert(place, pair);
    }
    ordered
}

/// A SHA-256 hash in lower-case hexadecimal digits.
pub fn sha256_hex(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// Octets in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A moment in UTC, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    /// The moment so many seconds after 1970 began.
    pub fn at(seconds: u64) -> Self {
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Years are counted from March, so that a leap day is the last of its year; 719,468 days lie
        // between 1 March of year 0 and 1970, and 146,097 in each era of 400 years.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Five months from March on take 153 days.
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Self {
            year: 400 * era + year_of_era + u64::from(month <= 2),
            month,
            day,
            hour: second / 3_600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    /// `2023-10-26T10:22:32Z`.
    pub fn extended(self) -> String {
        let Self {
            hour,
            minute,
            second,
            ..
        } = self;
        format!("{}T{hour:02}:{minute:02}:{second:02}Z", self.date())
    }

    /// `20231026T102232Z`.
    pub fn basic(self) -> String {
        let Self {
            hour,
            minute,
            second,
            ..
        } = self;
        format!("{}T{hour:02}{minute:02}{second:02}Z", self.basic_date())
    }

    /// `2023-10-26`.
    pub fn date(self) -> String {
        let Self {
            year, month, day, ..
        } = self;
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `20231026`.
    pub fn basic_date(self) -> String {
        let Self {
            year, month, day, ..
        } = self;
        format!("{year:04}{month:02}{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_know_the_calendar() {
        for (seconds, extended) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Moment::at(seconds).extended(), extended);
        }
        let moment = Moment::at(1_698_315_752);
        assert_eq!(moment.basic(), "20231026T102232Z");
        assert_eq!(
            (moment.date(), moment.basic_date()),
            ("2023-10-26".into(), "20231026".into())
        );
    }

    #[test]
    fn a_hash_is_written_in_lower_case() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_hex(b""), empty);
    }
}
