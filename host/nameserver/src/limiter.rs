//! Response rate limiting, after BIND's: alike answers to one client network are rationed, so that
//! the server is of no use to whoever forges a victim's address.
//!
//! A fixed table of buckets, each one number: when its next answer is due (the generic cell rate
//! algorithm). Keys that fall into one bucket share it, which the random seed makes unpredictable;
//! so an attack can neither fill the memory nor starve a chosen client.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hickory_proto::rr::LowerName;
use ipnet::IpNet;

use crate::answer::Kind;
use crate::options::RateOptions;

/// How many buckets: far more than the networks that a flood forges in a second of its burst.
const BUCKETS: usize = 1 << 16;
const SECOND_US: u64 = 1_000_000;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    /// Send it truncated, so that a real client comes back over TCP.
    Truncate,
    Drop,
}

/// Rations answers.
pub(crate) struct Limiter {
    options: RateOptions,
    /// When each bucket's next answer would be due if it gave them evenly. Microseconds.
    due: Box<[AtomicU64]>,
    limited: AtomicU32,
    seed: RandomState,
}

impl Limiter {
    pub(crate) fn new(options: RateOptions) -> Self {
        let buckets = if options.answers_per_second == 0 {
            0
        } else {
            BUCKETS
        };
        Self {
            options,
            due: (0..buckets).map(|_| AtomicU64::new(0)).collect(),
            limited: AtomicU32::new(0),
            seed: RandomState::new(),
        }
    }

    /// Whether one more answer goes to `client`; `now_us` is any clock that does not go back, in
    /// microseconds.
    pub(crate) fn admit(
        &self,
        client: IpAddr,
        kind: Kind,
        subject: &LowerName,
        now_us: u64,
    ) -> Verdict {
        let client = client.to_canonical();
        if self.due.is_empty() || self.is_exempt(client) {
            return Verdict::Send;
        }
        let hash = self.seed.hash_one((self.network(client), kind, subject));
        let bucket = usize::try_from(hash % BUCKETS as u64).unwrap_or(0);
        let spacing = SECOND_US / u64::from(self.options.answers_per_second).min(SECOND_US);
        let burst = u64::from(self.options.burst_seconds) * SECOND_US;
        let take = |due: u64| {
            let next = due.max(now_us) + spacing;
            (next <= now_us + burst).then_some(next)
        };
        let taken = self
            .due
            .get(bucket)
            .map(|due| due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take));
        match taken {
            Some(Err(_)) => self.over_the_limit(),
            _ => Verdict::Send,
        }
    }

    fn over_the_limit(&self) -> Verdict {
        let limited = self.limited.fetch_add(1, Ordering::Relaxed);
        match limited.checked_rem(self.options.slip) {
            Some(0) => Verdict::Truncate,
            _ => Verdict::Drop,
        }
    }

    fn is_exempt(&self, client: IpAddr) -> bool {
        self.options.exempt.iter().any(|it| it.contains(&client))
    }

    fn network(&self, client: IpAddr) -> IpAddr {
        let prefix = match client {
            IpAddr::V4(_) => self.options.ipv4_prefix,
            IpAddr::V6(_) => self.options.ipv6_prefix,
        };
        IpNet::new(client, prefix).map_or(client, |network| network.network())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(change: impl FnOnce(&mut RateOptions)) -> Limiter {
        let mut options = RateOptions {
            answers_per_second: 5,
            burst_seconds: 2,
            ..RateOptions::default()
        };
        change(&mut options);
        Limiter::new(options)
    }

    /// What becomes of so many alike answers at one moment.
    fn ask(limiter: &Limiter, times: usize, client: &str, at_us: u64) -> [usize; 3] {
        let name = LowerName::default();
        let mut counts = [0; 3];
        for _ in 0..times {
            match limiter.admit(client.parse().unwrap(), Kind::Positive, &name, at_us) {
                Verdict::Send => counts[0] += 1,
                Verdict::Truncate => counts[1] += 1,
                Verdict::Drop => counts[2] += 1,
            }
        }
        counts
    }

    #[test]
    fn a_network_gets_its_burst_and_then_its_rate() {
        let limiter = limiter(|_| {});
        let start = 1_000 * SECOND_US;
        assert_eq!(ask(&limiter, 16, "192.0.2.1", start), [10, 3, 3]);
        assert_eq!(
            ask(&limiter, 2, "192.0.2.99", start),
            [0, 1, 1],
            "the same /24"
        );
        assert_eq!(ask(&limiter, 9, "192.0.2.1", start + SECOND_US)[0], 5);
        assert_eq!(
            ask(&limiter, 99, "192.0.2.1", start + 60 * SECOND_US)[0],
            10
        );
        assert_eq!(
            ask(&limiter, 3, "::ffff:192.0.2.1", start + 60 * SECOND_US)[0],
            0
        );
    }

    #[test]
    fn other_networks_and_other_answers_have_their_own() {
        let limiter = limiter(|_| {});
        assert_eq!(ask(&limiter, 20, "192.0.2.1", 0)[0], 10);
        assert_eq!(ask(&limiter, 10, "198.51.100.1", 0)[0], 10);
        assert_eq!(ask(&limiter, 10, "2001:db8::1", 0)[0], 10);
        let client = "192.0.2.1".parse().unwrap();
        let verdict = limiter.admit(client, Kind::NoName, &LowerName::default(), 0);
        assert_eq!(verdict, Verdict::Send);
    }

    #[test]
    fn it_can_be_off_exempt_or_silent() {
        assert_eq!(
            ask(&limiter(|it| it.answers_per_second = 0), 99, "::1", 0)[0],
            99
        );
        let exempt = limiter(|it| it.exempt = vec!["127.0.0.0/8".parse().unwrap()]);
        assert_eq!(ask(&exempt, 99, "127.0.0.1", 0)[0], 99);
        assert_eq!(ask(&limiter(|it| it.slip = 0), 20, "::1", 0), [10, 0, 10]);
    }
}
