//! HTTP status codes that are good.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One status or a range of them: `301`, `200-299`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// As an operator may write it.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "not a status; write \"200-299\", \"301\" or 301"
)]
enum Written {
    Number(u16),
    Text(String),
}

impl StatusRange {
    /// 200 to 299: the request was received, understood and accepted (RFC 9110 §15.3).
    pub const SUCCESS: Self = Self {
        first: 200,
        last: 299,
    };

    /// Whether `status` is in it.
    pub fn contains(&self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }

    fn new(first: u16, last: u16) -> Result<Self, String> {
        let valid = 100..=599;
        if !valid.contains(&first) || !valid.contains(&last) || first > last {
            return Err(format!(
                "`{first}-{last}` holds no status; they go from 100 to 599, the smaller one first"
            ));
        }
        Ok(Self { first, last })
    }
}

impl FromStr for StatusRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |part: &str| {
            part.trim()
                .parse::<u16>()
                .map_err(|_| format!("`{text}` is not a status; write \"200-299\" or \"301\""))
        };
        Self::new(number(first)?, number(last)?)
    }
}

impl TryFrom<Written> for StatusRange {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(status) => Self::new(status, status),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<StatusRange> for String {
    fn from(range: StatusRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}
