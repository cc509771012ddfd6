//! Work that only the leader does.

use tokio_util::sync::CancellationToken;

use crate::member::Member;

impl Member {
    /// Runs `work` whenever this member leads, until `shutdown`. The token that it is given is
    /// cancelled when leadership or the daemon ends, and `work` is waited for.
    pub async fn while_leading<F>(
        &self,
        what: &str,
        shutdown: CancellationToken,
        work: impl Fn(CancellationToken) -> F + Send + Sync,
    ) where
        F: Future<Output = ()> + Send,
    {
        let mut leadership = self.leadership();
        loop {
            let led = tokio::select! {
                () = shutdown.cancelled() => return,
                led = leadership.wait_for(|now| now.is_self) => led.map(|now| now.term),
            };
            // The member is gone.
            let Ok(led) = led else { return };
            tracing::info!(what, term = led, "work of the leader starts");
            let term = shutdown.child_token();
            let work = work(term.clone());
            let lost = async {
                let _ = leadership
                    .wait_for(|now| !now.is_self || now.term != led)
                    .await;
            };
            tokio::pin!(work);
            tokio::select! {
                () = &mut work => {}
                () = lost => {
                    term.cancel();
                    work.await;
                }
            }
            tracing::info!(what, term = led, "work of the leader ends");
        }
    }
}
