//! What is known of a site's address, and what it takes to know better.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::error::DetectError;

/// The addresses of a site's family, as last settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Sorted. Empty as long as none was ever found.
    pub addresses: Vec<IpAddr>,
    /// Since when these are known. Milliseconds since 1970, like the other times.
    pub since_ms: u64,
    /// When they were last looked for, whatever came of it.
    pub checked_ms: u64,
    /// What speaks against them: they stay, but an operator should look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Warning>,
    /// Other addresses that were found and wait to be found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    candidate: Option<Candidate>,
}

/// What went wrong, and since when it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The latest error.
    pub message: String,
    /// When it went wrong first, without having gone right since.
    pub since_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Candidate {
    addresses: Vec<IpAddr>,
    /// How often it was found, nothing else having been found between.
    seen: u32,
}

impl Known {
    /// Whether other addresses wait to be confirmed: looking again soon shortens the time in which a
    /// record shows the old ones.
    pub fn is_changing(&self) -> bool {
        self.candidate.is_some()
    }
}

/// Decides what is known after a detection.
///
/// A failure or disagreement keeps the addresses and remembers the warning: an address is not given up
/// because nobody confirms it. Addresses that differ replace the old ones when they were found
/// `confirmations` times (0 counts as 1) with nothing else found between; a failure between says
/// nothing for or against them. So a site whose outbound traffic alternates between two lines keeps
/// its address, and a changed one costs one more look. The first ones ever are taken at once, for
/// there is nothing to lose.
pub fn settle(
    old: Option<Known>,
    found: Result<Vec<IpAddr>, DetectError>,
    confirmations: u32,
    now_ms: u64,
) -> Known {
    let old = old.unwrap_or(Known {
        addresses: Vec::new(),
        since_ms: now_ms,
        checked_ms: now_ms,
        trouble: None,
        candidate: None,
    });
    match found {
        Err(error) => Known {
            checked_ms: now_ms,
            trouble: Some(Warning {
                message: error.to_string(),
                since_ms: old.trouble.map_or(now_ms, |trouble| trouble.since_ms),
            }),
            ..old
        },
        Ok(mut addresses) => {
            addresses.sort();
            addresses.dedup();
            take_in(old, addresses, confirmations, now_ms)
        }
    }
}

fn take_in(old: Known, found: Vec<IpAddr>, confirmations: u32, now_ms: u64) -> Known {
    let calm = Known {
        checked_ms: now_ms,
        trouble: None,
        candidate: None,
        ..old
    };
    if found == calm.addresses || found.is_empty() {
        return calm;
    }
    let before = old.candidate.filter(|it| it.addresses == found);
    let seen = before.map_or(0, |it| it.seen).saturating_add(1);
    if calm.addresses.is_empty() || seen >= confirmations {
        return Known {
            addresses: found,
            since_ms: now_ms,
            ..calm
        };
    }
    Known {
        candidate: Some(Candidate {
            addresses: found,
            seen,
        }),
        ..calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;

    /// Settles what is found, one after another, at 1, 2, 3 …: a number is the last part of the
    /// address that is found, none a failure. Tells what is known after each.
    fn story(confirmations: u32, found: &[Option<u8>]) -> Vec<Known> {
        let mut known = None;
        let mut story = Vec::new();
        for (time, found) in (1..).zip(found) {
            let found = found.map(|last| vec![IpAddr::from([8, 8, 8, last])]);
            let found = found.ok_or(DetectError {
                family: Family::Ipv4,
                tried: Vec::new(),
            });
            let after = settle(known.take(), found, confirmations, time);
            story.push(after.clone());
            known = Some(after);
        }
        story
    }

    fn addresses(story: &[Known]) -> Vec<Option<u8>> {
        let last = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => unreachable!(),
        };
        story
            .iter()
            .map(|known| known.addresses.first().map(last))
            .collect()
    }

    #[test]
    fn a_failure_keeps_the_address_and_warns_since_the_first() {
        let story = story(1, &[Some(1), None, None, Some(1)]);
        assert_eq!(addresses(&story), [Some(1); 4]);
        let warned = |known: &Known| known.trouble.as_ref().map(|trouble| trouble.since_ms);
        let warned: Vec<_> = story.iter().map(warned).collect();
        assert_eq!(warned, [None, Some(2), Some(2), None]);
        assert_eq!(story[2].checked_ms, 3);
        assert_eq!(story[3].since_ms, 1);
    }

    #[test]
    fn the_first_address_is_taken_at_once_and_a_new_one_when_it_stays() {
        let story = story(2, &[None, Some(1), Some(2), Some(2), Some(3)]);
        assert_eq!(
            addresses(&story),
            [None, Some(1), Some(1), Some(2), Some(2)]
        );
        assert_eq!(story[3].since_ms, 4);
        assert!(story[2].is_changing() && !story[3].is_changing());
    }

    #[test]
    fn alternating_addresses_change_nothing() {
        let story = story(2, &[Some(1), Some(2), Some(1), Some(2), Some(1), Some(2)]);
        assert_eq!(addresses(&story), [Some(1); 6]);
        let others = [Some(1), Some(2), Some(3), Some(2), Some(3)];
        assert_eq!(addresses(&self::story(2, &others)), [Some(1); 5]);
    }

    #[test]
    fn a_failure_between_does_not_delay_a_change() {
        let story = story(2, &[Some(1), Some(2), None, Some(2)]);
        assert_eq!(addresses(&story), [Some(1), Some(1), Some(1), Some(2)]);
    }

    #[test]
    fn one_confirmation_or_none_changes_at_once() {
        for confirmations in [0, 1] {
            let story = story(confirmations, &[Some(1), Some(2)]);
            assert_eq!(addresses(&story), [Some(1), Some(2)]);
        }
    }

    #[test]
    fn order_does_not_matter_and_what_is_known_survives_the_store() {
        let (one, two): (IpAddr, IpAddr) = ("8.8.8.1".parse().unwrap(), "8.8.8.2".parse().unwrap());
        let known = settle(None, Ok(vec![two, one, two]), 2, 1);
        assert_eq!(known.addresses, [one, two]);
        let changing = settle(Some(known), Ok(vec![two]), 2, 2);
        let stored = serde_json::to_string(&changing).unwrap();
        let read: Known = serde_json::from_str(&stored).unwrap();
        let changed = settle(Some(read), Ok(vec![two]), 2, 3);
        assert_eq!(changed.addresses, [two]);
    }
}
