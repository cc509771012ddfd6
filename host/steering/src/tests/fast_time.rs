//! Minutes that pass in moments.

use std::time::Duration;

use portolan_consensus::{Member, Space, Txn};
use tokio::time::{Instant, advance, pause, resume};

/// How far time goes at once. Shorter than what is measured with it.
pub(crate) const STEP: Duration = Duration::from_millis(100);

/// How often the store is waited for in a step.
const WRITES: usize = 2;

/// The clock of a test's runtime, wound on by hand.
///
/// It is not simply frozen, for the store beneath a member is real: it waits for a disk, which takes no
/// frozen time at all, and everything with a deadline would fail at once. So time runs as ever, goes ahead in
/// steps, and in each the store writes something after whatever the step has woken.
pub(crate) struct FastTime(Member);

impl FastTime {
    /// Of the runtime of this member.
    pub(crate) fn of(member: &Member) -> Self {
        Self(member.clone())
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            pause();
            advance(STEP).await;
            resume();
            for _ in 0..WRITES {
                let txn = Txn::new().put(Space::User, "a moment", "has passed");
                self.0.txn(txn).await.unwrap();
            }
        }
    }

    /// Lets time pass until something holds, for so long at most.
    pub(crate) async fn until(&self, what: &str, within: Duration, holds: impl Fn() -> bool) {
        let end = Instant::now() + within;
        while !holds() {
            assert!(Instant::now() < end, "not within {within:?}: {what}");
            self.pass(STEP).await;
        }
    }
}
