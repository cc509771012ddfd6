//! How fast a binding's requests leave. The vendor's published quota is kept here, so that no plugin has to
//! keep it and none can break it.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::Rate;

/// The quotas of one binding. None of them is exceeded in any window of its length, wherever it begins.
pub(crate) struct Quotas(Mutex<Vec<Quota>>);

struct Quota {
    rate: Rate,
    /// When the requests of the last window leave, some of them in the future.
    departures: VecDeque<Instant>,
}

/// A quota that is used up for longer than the request may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsedUp {
    pub(crate) rate: Rate,
    /// How long it stays so.
    pub(crate) wait: Duration,
}

impl Quotas {
    /// The operator's own number of requests a second, or else what the manifest declares.
    pub(crate) fn new(declared: &[Rate], own: Option<NonZeroU32>) -> Self {
        let rates = match own {
            Some(requests) => vec![Rate {
                requests,
                seconds: NonZeroU32::MIN,
            }],
            None => declared.to_vec(),
        };
        let quota = |rate| Quota {
            rate,
            departures: VecDeque::new(),
        };
        Self(Mutex::new(rates.into_iter().map(quota).collect()))
    }

    /// Takes one request out of every quota; answers how long it waits before it leaves. Where that is
    /// longer than `patience`, nothing is taken.
    pub(crate) fn take(&self, now: Instant, patience: Duration) -> Result<Duration, UsedUp> {
        let mut quotas = self.0.lock();
        let last = quotas
            .iter()
            .map(|quota| (quota.opens().unwrap_or(now).max(now), quota.rate))
            .max_by_key(|(opens, _)| *opens);
        let Some((leaves, rate)) = last else {
            return Ok(Duration::ZERO);
        };
        let wait = leaves - now;
        if wait > patience {
            return Err(UsedUp { rate, wait });
        }
        for quota in quotas.iter_mut() {
            quota.depart(leaves);
        }
        Ok(wait)
    }
}

impl Quota {
    /// From when on one more may leave, behind those that wait already; none where there are none.
    fn opens(&self) -> Option<Instant> {
        let is_full = self.departures.len() >= self.rate.requests.get() as usize;
        let oldest = self.departures.front().filter(|_| is_full);
        let frees = oldest.map(|oldest| *oldest + self.window());
        frees.max(self.departures.back().copied())
    }

    fn depart(&mut self, at: Instant) {
        let window = self.window();
        let is_past = |departure: &Instant| *departure + window <= at;
        while self.departures.front().is_some_and(is_past) {
            self.departures.pop_front();
        }
        self.departures.push_back(at);
    }

    fn window(&self) -> Duration {
        Duration::from_secs(self.rate.seconds.get().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1_000);

    fn rate(requests: u32, seconds: u32) -> Rate {
        Rate {
            requests: requests.try_into().unwrap(),
            seconds: seconds.try_into().unwrap(),
        }
    }

    /// When each of these requests leaves, in milliseconds after the first.
    fn departures(quotas: &Quotas, asked_ms: &[u64]) -> Vec<u64> {
        let start = Instant::now();
        let leave = |ms: &u64| {
            let now = start + Duration::from_millis(*ms);
            let leaves = now + quotas.take(now, PATIENCE).unwrap();
            u64::try_from((leaves - start).as_millis()).unwrap()
        };
        asked_ms.iter().map(leave).collect()
    }

    #[test]
    fn no_window_has_more_than_the_quota_wherever_it_begins() {
        let quotas = Quotas::new(&[rate(3, 1)], None);
        let asked = [0, 900, 900, 900, 950, 2_500, 2_500];
        let leave = departures(&quotas, &asked);
        assert_eq!(leave, [0, 900, 900, 1_000, 1_900, 2_500, 2_500]);
    }

    #[test]
    fn the_strictest_of_several_quotas_counts() {
        let quotas = Quotas::new(&[rate(2, 1), rate(3, 60)], None);
        assert_eq!(
            departures(&quotas, &[0, 0, 0, 0, 0]),
            [0, 0, 1_000, 60_000, 60_000]
        );
    }

    #[test]
    fn the_operators_own_number_takes_the_place_of_what_is_declared() {
        let quotas = Quotas::new(&[rate(1, 3_600)], NonZeroU32::new(2));
        assert_eq!(departures(&quotas, &[0, 0, 0]), [0, 0, 1_000]);
        let free = Quotas::new(&[], None);
        assert_eq!(departures(&free, &[0; 100]), [0; 100]);
    }

    #[test]
    fn what_would_wait_too_long_takes_nothing() {
        let quotas = Quotas::new(&[rate(1, 60)], None);
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(quotas.take(now, second), Ok(Duration::ZERO));
        let expected = UsedUp {
            rate: rate(1, 60),
            wait: 60 * second,
        };
        for _ in 0..2 {
            assert_eq!(quotas.take(now, second), Err(expected));
        }
        assert_eq!(quotas.take(now + 60 * second, second), Ok(Duration::ZERO));
    }
}
