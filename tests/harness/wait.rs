//! Waiting for what must come, without saying how fast.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen: far more than a healthy group needs, so that a busy
/// machine does not fail a test. How fast things are is the benchmark's business.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(25);

/// Repeats `check` until it answers `Ok`; panics with its last objection after [`PATIENCE`].
pub async fn eventually<T, E: Display>(what: &str, check: impl AsyncFnMut() -> Result<T, E>) -> T {
    eventually_within(PATIENCE, what, check).await
}

/// [`eventually`] with a limit of its own.
pub async fn eventually_within<T, E: Display>(
    within: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match check().await {
            Ok(value) => return value,
            Err(objection) if start.elapsed() > within => {
                panic!("waited {within:?} in vain until {what}: {objection}")
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
