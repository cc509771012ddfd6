//! Two must say the same before it is believed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::future::join_all;

use super::error::{Failure, Said};

/// How many are asked at a time, and how many must agree.
const QUORUM: usize = 2;

/// Asks two at a time until an address leads with at least two voices, or all were asked.
pub(super) async fn agree<'a, T, F, A>(sources: &'a [T], ask: F) -> Result<IpAddr, Failure>
where
    F: Fn(&'a T) -> A,
    A: Future<Output = Said>,
{
    let mut said = Vec::new();
    for some in sources.chunks(QUORUM) {
        said.extend(join_all(some.iter().map(&ask)).await);
        if let Some(address) = leading(&said) {
            return Ok(address);
        }
    }
    let answers = said.iter().filter(|said| said.answer.is_ok()).count();
    Err(if answers < QUORUM {
        Failure::TooFew(said)
    } else {
        Failure::Disagreement(said)
    })
}

/// The address that at least two name, and more than any other. Two against two is no answer: a site
/// whose outbound traffic alternates between lines is told apart from a single liar in that way.
fn leading(said: &[Said]) -> Option<IpAddr> {
    let mut voices: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for address in said.iter().filter_map(|said| said.answer.as_ref().ok()) {
        *voices.entry(*address).or_default() += 1;
    }
    let most = voices.values().copied().max().filter(|it| *it >= QUORUM)?;
    let mut leaders = voices.iter().filter(|(_, count)| **count == most);
    match (leaders.next(), leaders.next()) {
        (Some((address, _)), None) => Some(*address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `.` is no answer, a letter an address.
    async fn asked(sources: &str) -> (Result<char, &'static str>, usize) {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let letters: Vec<char> = sources.chars().collect();
        let result = agree(&letters, |letter| {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let answer = match letter {
                '.' => Err("no answer".to_owned()),
                letter => Ok(IpAddr::from([8, 8, 8, *letter as u8])),
            };
            std::future::ready(Said {
                source: letter.to_string(),
                answer,
            })
        })
        .await;
        let result = match result {
            Ok(IpAddr::V4(address)) => Ok(char::from(address.octets()[3])),
            Ok(IpAddr::V6(_)) | Err(Failure::Nothing(_)) => unreachable!(),
            Err(Failure::Disagreement(_)) => Err("disagreement"),
            Err(Failure::TooFew(_)) => Err("too few"),
        };
        (result, asked.into_inner())
    }

    #[tokio::test]
    async fn two_that_agree_are_believed_and_no_more_are_asked() {
        assert_eq!(asked("aabb").await, (Ok('a'), 2));
        assert_eq!(asked("a.ab").await, (Ok('a'), 4));
        assert_eq!(asked("xaabb").await, (Ok('a'), 4), "one lies");
        assert_eq!(asked("..aa").await, (Ok('a'), 4));
    }

    #[tokio::test]
    async fn two_against_two_goes_on_to_the_next() {
        assert_eq!(asked("abab").await, (Err("disagreement"), 4));
        assert_eq!(asked("ababa").await, (Ok('a'), 5));
    }

    #[tokio::test]
    async fn one_alone_is_not_believed() {
        assert_eq!(asked("a...").await, (Err("too few"), 4));
        assert_eq!(asked("abc").await, (Err("disagreement"), 3));
        assert_eq!(asked("").await, (Err("too few"), 0));
    }
}
