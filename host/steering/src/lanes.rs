//! How fast and how often a binding is called: slots, a rate, a pause after failures, and the wait that
//! a provider asks for, which nothing of ours cuts short.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portolan_consensus::Revision;
use rand::Rng;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::options::SteeringOptions;
use crate::provider::{DnsProvider, ProviderError};

/// The longest wait that a provider can ask for: a wrong header must not silence a binding for days.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// The delay after the `failures`-th failure in a row: doubled each time from `backoff_min_ms` to
/// `backoff_max_ms`, and between half of that and all of it, so that zones do not march in step.
pub(crate) fn backoff(options: &SteeringOptions, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let full = options
        .backoff_min_ms
        .saturating_mul(1 << doublings)
        .min(options.backoff_max_ms);
    Duration::from_millis(rand::rng().random_range(full / 2..=full))
}

/// Why a binding is not called now.
#[derive(Debug, Clone)]
pub(crate) struct Postponed {
    pub(crate) until: Instant,
    pub(crate) reason: String,
}

/// One binding's way to its provider.
pub(crate) struct Lane {
    slots: Semaphore,
    /// Of those who look and change nothing: a round that takes long does not keep a plan waiting.
    looks: Semaphore,
    state: Mutex<State>,
}

struct State {
    /// When the next call may leave.
    next_call: Instant,
    spacing: Duration,
    /// Until when the provider asked not to be called, and its words.
    asked: Option<Postponed>,
    failures: u32,
    paused: Option<Postponed>,
    /// The binding's revision that the failures belong to.
    revision: Revision,
    /// The provider, of this revision of the binding and this state of the plugins: it keeps its
    /// connections from call to call.
    connected: Option<(Revision, u64, Arc<dyn DnsProvider>)>,
}

impl Lane {
    pub(crate) fn new(options: &SteeringOptions) -> Self {
        Self {
            slots: Semaphore::new(options.zones_at_once.max(1)),
            looks: Semaphore::new(options.zones_at_once.max(1)),
            state: Mutex::new(State {
                next_call: Instant::now(),
                spacing: Duration::ZERO,
                asked: None,
                failures: 0,
                paused: None,
                revision: Revision::ZERO,
                connected: None,
            }),
        }
    }

    /// Waits for a slot, unless the binding is paused. A binding that was changed is not.
    pub(crate) async fn enter(&self, revision: Revision) -> Result<SemaphorePermit<'_>, Postponed> {
        // Never closed, so an error cannot occur; a pause of no length is the harmless answer to it.
        let closed = |_| Postponed {
            until: Instant::now(),
            reason: "stopping".to_owned(),
        };
        let slot = self.slots.acquire().await.map_err(closed)?;
        let mut state = self.state.lock();
        if state.revision != revision {
            state.revision = revision;
            state.failures = 0;
            state.paused = None;
        }
        match &state.paused {
            Some(paused) if paused.until > Instant::now() => Err(paused.clone()),
            _ => Ok(slot),
        }
    }

    /// Waits until there is room to look at a zone. None never comes: the semaphore is never closed.
    pub(crate) async fn look(&self) -> Option<SemaphorePermit<'_>> {
        self.looks.acquire().await.ok()
    }

    /// The provider that was connected last, if neither its binding nor the plugins have changed.
    pub(crate) fn connected(
        &self,
        revision: Revision,
        plugins: u64,
    ) -> Option<Arc<dyn DnsProvider>> {
        let state = self.state.lock();
        let (of, when, provider) = state.connected.as_ref()?;
        (*of == revision && *when == plugins).then(|| Arc::clone(provider))
    }

    /// Keeps a connected provider, whose calls leave `spacing` apart from now on.
    pub(crate) fn keep(
        &self,
        revision: Revision,
        plugins: u64,
        provider: &Arc<dyn DnsProvider>,
        spacing: Duration,
    ) {
        let mut state = self.state.lock();
        state.connected = Some((revision, plugins, Arc::clone(provider)));
        state.spacing = spacing;
    }

    /// Waits until the rate allows one more call; refuses it as long as the provider asked not to be called.
    pub(crate) async fn turn(&self) -> Result<(), ProviderError> {
        self.may_call()?;
        let (slot, now) = {
            let mut state = self.state.lock();
            let now = Instant::now();
            let slot = state.next_call.max(now);
            state.next_call = slot + state.spacing;
            (slot, now)
        };
        if slot > now {
            sleep_until(slot).await;
        }
        self.may_call()
    }

    fn may_call(&self) -> Result<(), ProviderError> {
        let state = self.state.lock();
        let now = Instant::now();
        match &state.asked {
            Some(asked) if asked.until > now => Err(ProviderError::Throttled {
                message: asked.reason.clone(),
                retry_after: Some(asked.until - now),
            }),
            _ => Ok(()),
        }
    }

    /// Remembers how long the provider asks not to be called.
    pub(crate) fn heed(&self, error: &ProviderError) {
        if let ProviderError::Throttled {
            message,
            retry_after: Some(wait),
        } = error
        {
            let mut state = self.state.lock();
            let until = Instant::now() + LONGEST_WAIT.min(*wait);
            if state.asked.as_ref().is_none_or(|asked| asked.until < until) {
                state.asked = Some(Postponed {
                    until,
                    reason: message.clone(),
                });
            }
        }
    }

    /// Pauses the binding after a failure that concerns the account or its provider as a whole;
    /// never for less than the provider asked for.
    pub(crate) fn pause(&self, options: &SteeringOptions, error: &ProviderError) {
        self.heed(error);
        let mut state = self.state.lock();
        state.failures += 1;
        let own = Instant::now() + backoff(options, state.failures);
        let until = state
            .asked
            .as_ref()
            .map_or(own, |asked| asked.until.max(own));
        state.paused = Some(Postponed {
            until,
            reason: error.to_string(),
        });
    }

    /// The provider answers.
    pub(crate) fn resume(&self) {
        let mut state = self.state.lock();
        state.failures = 0;
        state.paused = None;
    }
}

/// Whether an error says something about the account or its provider as a whole, rather than about
/// one zone or one change.
pub(crate) fn concerns_all(error: &ProviderError) -> bool {
    match error {
        ProviderError::Auth(_)
        | ProviderError::Denied(_)
        | ProviderError::Quota(_)
        | ProviderError::Throttled { .. }
        | ProviderError::Transient(_)
        | ProviderError::UnknownOutcome(_) => true,
        ProviderError::NotFound(_)
        | ProviderError::Conflict(_)
        | ProviderError::Invalid(_)
        | ProviderError::Unsupported(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SteeringOptions {
        SteeringOptions {
            backoff_min_ms: 100,
            backoff_max_ms: 1_000,
            ..Default::default()
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        for (failures, full) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (u32::MAX, 1_000)] {
            let delay = backoff(&options(), failures).as_millis();
            assert!((full / 2..=full).contains(&delay), "{failures}: {delay}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_lane_waits_at_least_as_long_as_asked() {
        let lane = Lane::new(&options());
        assert!(lane.enter(Revision(1)).await.is_ok());
        let retry_after = Some(Duration::from_secs(30));
        lane.pause(
            &options(),
            &ProviderError::Throttled {
                message: "slow".into(),
                retry_after,
            },
        );
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(lane.enter(Revision(1)).await.is_err());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(lane.enter(Revision(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_binding_is_tried_at_once() {
        let lane = Lane::new(&options());
        lane.pause(&options(), &ProviderError::Auth("wrong key".into()));
        assert!(lane.enter(Revision::ZERO).await.is_err());
        assert!(lane.enter(Revision(2)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_spaced_by_the_rate() {
        let lane = Lane::new(&options());
        lane.state.lock().spacing = Duration::from_millis(100);
        let began = Instant::now();
        for _ in 0..11 {
            lane.turn().await.unwrap();
        }
        assert_eq!(began.elapsed().as_millis(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_provider_asked_for_outlives_every_success() {
        let lane = Lane::new(&options());
        lane.heed(&ProviderError::Throttled {
            message: "slow".into(),
            retry_after: Some(Duration::from_secs(30)),
        });
        // The round of another zone that was underway, an operator who asks, a binding that is changed.
        lane.resume();
        assert!(lane.enter(Revision(2)).await.is_ok());
        let left = Some(Duration::from_secs(30));
        let refused = lane.turn().await.unwrap_err();
        assert!(
            matches!(refused, ProviderError::Throttled { retry_after, .. } if retry_after == left)
        );
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(lane.turn().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn no_provider_silences_its_binding_for_good() {
        let lane = Lane::new(&options());
        lane.heed(&ProviderError::Throttled {
            message: "never again".into(),
            retry_after: Some(Duration::MAX),
        });
        assert!(lane.turn().await.is_err());
        tokio::time::advance(LONGEST_WAIT).await;
        assert!(lane.turn().await.is_ok());
    }
}
