//! How long a member with much data takes from its start until it is ready.

use std::ops::Range;
use std::time::{Duration, Instant};

use portolan_tests::Cluster;
use serde::Serialize;
use tokio::time::sleep;

use crate::SETTLE;
use crate::system::System;

/// More often than [`portolan_tests::eventually`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Restarts of one follower.
#[derive(Debug, Serialize)]
pub(crate) struct Restart {
    pub(crate) keys: u64,
    /// After SIGTERM.
    pub(crate) stopped_ms: f64,
    /// After `kill -9`, right after the last write.
    pub(crate) killed_ms: f64,
    /// Resident memory of the three members with these keys.
    pub(crate) resident_bytes: u64,
}

pub(crate) async fn measure(cluster: Cluster, missing_keys: Range<u64>) -> Restart {
    let keys = missing_keys.end;
    let system = System::Portolan(cluster);
    system.load(missing_keys).await;
    let System::Portolan(mut cluster) = system else {
        unreachable!("it was made one above")
    };

    let follower = cluster.follower().await;
    cluster.members[follower].kill9();
    let killed_ms = start(&mut cluster, follower).await;
    sleep(SETTLE).await;
    let status = cluster.members[follower].stop().await;
    assert!(
        status.success(),
        "the member ended with {status} after SIGTERM"
    );
    let stopped_ms = start(&mut cluster, follower).await;
    sleep(SETTLE).await;
    let resident_bytes = cluster
        .members
        .iter()
        .map(|member| member.running().resident_bytes())
        .sum();
    Restart {
        keys,
        stopped_ms,
        killed_ms,
        resident_bytes,
    }
}

/// Milliseconds from the start of the process until `/readyz` answers 200.
async fn start(cluster: &mut Cluster, index: usize) -> f64 {
    let start = Instant::now();
    let member = &mut cluster.members[index];
    member.start();
    let client = member.client();
    loop {
        if client
            .send("GET", "/readyz", &[], "")
            .await
            .is_ok_and(|reply| reply.status == 200)
        {
            return start.elapsed().as_secs_f64() * 1e3;
        }
        assert!(
            start.elapsed() < portolan_tests::PATIENCE,
            "the member does not get ready"
        );
        sleep(LOOK_EVERY).await;
    }
}
