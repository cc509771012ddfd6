//! The circuit breaker: a plugin that keeps failing is left alone for a while.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// One plugin's breakers, by binding. They go with the plugin's version: a swapped file starts anew.
pub(crate) struct Breakers {
    threshold: u32,
    pause: Duration,
    bindings: Mutex<HashMap<String, Breaker>>,
}

#[derive(Clone, Default)]
struct Breaker {
    failures: u32,
    last: String,
    /// Nothing is called before this. Each trial moves it, so that there is one at a time.
    open_until: Option<Instant>,
}

/// A breaker that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) failures: u32,
    pub(crate) retry_in: Duration,
    pub(crate) last: String,
}

impl Breaker {
    fn open(&self, now: Instant) -> Option<Open> {
        let until = self.open_until?;
        Some(Open {
            failures: self.failures,
            retry_in: until.saturating_duration_since(now),
            last: self.last.clone(),
        })
    }
}

impl Breakers {
    pub(crate) fn new(threshold: u32, pause: Duration) -> Self {
        Self {
            threshold,
            pause,
            bindings: Mutex::default(),
        }
    }

    /// May this binding be called? An open breaker lets one trial through after each pause.
    pub(crate) fn admit(&self, binding: &str, now: Instant) -> Result<(), Open> {
        let mut bindings = self.bindings.lock();
        let Some(breaker) = bindings.get_mut(binding) else {
            return Ok(());
        };
        match breaker.open(now) {
            Some(open) if !open.retry_in.is_zero() => Err(open),
            Some(_) => {
                breaker.open_until = Some(now + self.pause);
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn succeeded(&self, binding: &str) {
        self.bindings.lock().remove(binding);
    }

    /// Counts a failure. True if the breaker is open now.
    pub(crate) fn failed(&self, binding: &str, now: Instant, why: String) -> bool {
        let mut bindings = self.bindings.lock();
        let breaker = bindings.entry(binding.to_owned()).or_default();
        breaker.failures += 1;
        breaker.last = why;
        if breaker.failures >= self.threshold {
            breaker.open_until = Some(now + self.pause);
        }
        breaker.open_until.is_some()
    }

    /// The bindings that are not called now, in order.
    pub(crate) fn open(&self, now: Instant) -> Vec<(String, Open)> {
        let bindings = self.bindings.lock();
        let mut open: Vec<_> = bindings
            .iter()
            .filter_map(|(binding, breaker)| Some((binding.clone(), breaker.open(now)?)))
            .collect();
        open.sort_by(|a, b| a.0.cmp(&b.0));
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_good_trial() {
        let pause = Duration::from_secs(10);
        let breakers = Breakers::new(2, pause);
        let start = Instant::now();
        assert!(!breakers.failed("a", start, "one".into()));
        breakers.succeeded("a");
        assert!(!breakers.failed("a", start, "two".into()));
        assert!(breakers.failed("a", start, "three".into()));

        let open = breakers
            .admit("a", start + Duration::from_secs(4))
            .unwrap_err();
        assert_eq!(
            open,
            Open {
                failures: 2,
                retry_in: Duration::from_secs(6),
                last: "three".into()
            }
        );
        assert!(
            breakers.admit("b", start).is_ok(),
            "another binding is not concerned"
        );

        let later = start + pause;
        assert!(breakers.admit("a", later).is_ok(), "one trial");
        assert!(breakers.admit("a", later).is_err(), "and only one");
        breakers.succeeded("a");
        assert!(breakers.admit("a", later).is_ok());
        assert!(breakers.open(later).is_empty());
    }

    #[test]
    fn a_trial_that_never_reports_does_not_block_for_ever() {
        let pause = Duration::from_secs(1);
        let breakers = Breakers::new(1, pause);
        let start = Instant::now();
        breakers.failed("a", start, "x".into());
        assert!(breakers.admit("a", start + pause).is_ok());
        assert!(breakers.admit("a", start + 2 * pause).is_ok());
    }
}
