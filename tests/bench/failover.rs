//! From `kill -9` of the leader to the first write that another member acknowledges.

use std::time::{Duration, Instant};

use portolan_tests::{Connection, PATIENCE};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::median;
use crate::system::{Operation, System};

/// A new write starts this often on each survivor, whether or not those before it have been answered:
/// one that a server keeps waiting must not hide that the next would have gone through.
const ATTEMPT_EVERY: Duration = Duration::from_millis(10);

/// After a failover the group gets this long before the next.
const REST: Duration = Duration::from_secs(3);

/// How long one system went without a leader.
#[derive(Debug, Serialize)]
pub(crate) struct Failover {
    pub(crate) system: &'static str,
    pub(crate) median_ms: f64,
    pub(crate) all_ms: Vec<f64>,
}

pub(crate) async fn measure(system: &mut System, times: usize) -> Failover {
    let mut all_ms = vec![];
    for _ in 0..times {
        let leader = system.leader().await;
        let survivors: Vec<String> = (0..3)
            .filter(|index| *index != leader)
            .map(|index| system.address(index))
            .collect();
        let requests: Vec<Vec<u8>> = survivors
            .iter()
            .map(|address| system.requests(Operation::Write, address)(0))
            .collect();

        let start = Instant::now();
        system.kill9(leader);
        let first = first_write(survivors.into_iter().zip(requests).collect());
        let first = timeout(PATIENCE, first)
            .await
            .expect("no write got through after a failover");
        all_ms.push((first - start).as_secs_f64() * 1e3);

        system.revive(leader).await;
        sleep(REST).await;
    }
    Failover {
        system: system.name(),
        median_ms: median(all_ms.clone()),
        all_ms,
    }
}

/// When the first of many attempts was acknowledged.
async fn first_write(survivors: Vec<(String, Vec<u8>)>) -> Instant {
    let (done, mut first) = mpsc::channel(1);
    loop {
        for (address, request) in survivors.clone() {
            let done = done.clone();
            tokio::spawn(timeout(PATIENCE, async move {
                let mut connection = Connection::open(&address).await.ok()?;
                let (status, _) = connection.round_trip(&request).await.ok()?;
                // Only the first is looked at; the others find the channel full or closed.
                (status == 200).then(|| done.try_send(Instant::now()).ok())
            }));
        }
        if let Ok(Some(when)) = timeout(ATTEMPT_EVERY, first.recv()).await {
            return when;
        }
    }
}
