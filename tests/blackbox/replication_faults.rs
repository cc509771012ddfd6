//! Members that die: nothing acknowledged is lost, and the rest goes on.

use std::time::Duration;

use portolan_tests::{Cluster, History, Setup, Workload, eventually};
use serde_json::Value;

/// A log so short that a member which is down for a moment lags behind its beginning.
const SHORT_LOG: &str = "
    [raft]
    snapshot_after = 300
    log_keep = 50
    log_chunk_bytes = 65536
    checkpoint_ms = 200
";

#[tokio::test]
async fn a_killed_leader_costs_no_acknowledged_write_and_writes_go_on() {
    let mut cluster = Cluster::start().await;
    let workload = Workload::start("client", 8, &cluster.addresses());
    for _ in 0..3 {
        workload.goes_on_for(200).await;
        let leader = cluster.leader().await;
        cluster.members[leader].kill9();
        workload.goes_on_for(200).await;
        cluster.members[leader].start_ready().await;
    }
    workload.goes_on_for(200).await;
    let history = workload.stop().await;
    for index in 0..3 {
        let contents = cluster.client(index).read_all().await.unwrap();
        history.check(&format!("member {}", index + 1), &contents);
    }
}

#[tokio::test]
async fn all_members_killed_at_once_keep_every_acknowledged_write() {
    let mut cluster = Cluster::start().await;
    let mut history = History::default();
    for round in ["first", "second", "third"] {
        let workload = Workload::start(round, 8, &cluster.addresses());
        workload.goes_on_for(300).await;
        cluster.kill9_all();
        history.add(workload.stop().await);
        cluster.restart_all().await;
        for index in 0..3 {
            let contents = cluster.client(index).read_all().await.unwrap();
            history.check(
                &format!("member {} in the {round} round", index + 1),
                &contents,
            );
        }
    }
}

#[tokio::test]
async fn a_member_that_was_down_for_longer_than_the_log_is_kept_catches_up_by_snapshot() {
    let setup = Setup {
        config: SHORT_LOG.into(),
        ..Setup::default()
    };
    let mut cluster = Cluster::start_with(setup).await;
    let down = cluster.follower().await;
    let others: Vec<String> = (0..3)
        .filter(|index| *index != down)
        .map(|index| cluster.members[index].address())
        .collect();
    let workload = Workload::start("client", 8, &others);
    workload.goes_on_for(100).await;
    let last_seen = log_index(&cluster.members[down].metrics().await.unwrap()["last_applied"]);
    cluster.members[down].kill9();

    workload.goes_on_for(1_000).await;
    let leader = cluster.leader().await;
    eventually(
        "the leader's log begins after what the member has seen",
        async || {
            let purged = log_index(&cluster.members[leader].metrics().await?["purged"]);
            match purged > last_seen + 200 {
                true => Ok(()),
                false => Err(format!(
                    "purged to {purged}, the member has seen {last_seen}"
                )),
            }
        },
    )
    .await;

    cluster.members[down].start_ready().await;
    workload.goes_on_for(200).await;
    let history = workload.stop().await;
    cluster.all_caught_up().await;
    let metrics = cluster.members[down].metrics().await.unwrap();
    let snapshot = log_index(&metrics["snapshot"]);
    assert!(
        snapshot > last_seen,
        "it caught up without a snapshot: {metrics:#}"
    );
    history.check(
        "the member",
        &cluster.client(down).read_all_stale().await.unwrap(),
    );
}

fn log_index(log_id: &Value) -> u64 {
    log_id["index"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn without_a_majority_stale_reads_work_and_all_else_says_why_it_does_not() {
    let mut cluster = Cluster::start().await;
    cluster.client(0).write("kept", "yes").await.unwrap();
    cluster.all_caught_up().await;
    let survivor = cluster.follower().await;
    for index in (0..3).filter(|index| *index != survivor) {
        cluster.members[index].kill9();
    }

    let client = cluster.client(survivor);
    let stale = client
        .send("POST", "/read?consistency=stale", &[], "\"kept\"")
        .await
        .unwrap();
    assert_eq!(
        (stale.status, stale.body.as_str()),
        (200, "{\"OK\":\"yes\"}")
    );
    assert_eq!(client.read_all_stale().await.unwrap()["kept"], "yes");

    // Each of these answers by itself: the harness's client would call a silent server's timeout.
    let reason = client.read("kept").await.unwrap_err();
    assert!(
        reason.contains(" 503 ") || reason.contains(" 504 "),
        "{reason}"
    );
    let reason = client.read_all().await.unwrap_err();
    assert!(
        reason.contains(" 503 ") || reason.contains(" 504 "),
        "{reason}"
    );
    let reason = client.write("lost", "perhaps").await.unwrap_err();
    assert!(
        reason.contains(" 503 ") || reason.contains(" 504 "),
        "{reason}"
    );
    let change = client
        .post("/change-membership", &serde_json::json!([1]))
        .await;
    assert!(
        [503, 504].contains(&change.status),
        "{} {}",
        change.status,
        change.complaint()
    );

    eventually("it is no longer ready", async || {
        let ready = client.send("GET", "/readyz", &[], "").await?;
        if ready.status == 503 {
            Ok(())
        } else {
            Err(format!("{} {}", ready.status, ready.body))
        }
    })
    .await;
    assert_eq!(client.get("/healthz").await.status, 200);

    cluster.restart_all().await;
    assert_eq!(client.read("kept").await.unwrap(), "yes");
}

#[tokio::test]
async fn a_member_that_stood_still_does_not_serve_the_past() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let paused = cluster.members[leader].running();
    cluster
        .client(leader)
        .write("register", "old")
        .await
        .unwrap();

    // A leader that is stopped for a while comes back believing that it leads.
    paused.pause();
    let follower = (leader + 1) % 3;
    eventually("the others go on", async || {
        cluster.client(follower).write("register", "new").await
    })
    .await;
    let client = cluster.client(leader);
    let early = tokio::spawn(async move { client.read("register").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    paused.resume();
    if let Ok(read) = early.await.unwrap() {
        assert_eq!(read, "new", "a deposed leader served a read of its own");
    }
    let client = cluster.client(leader);
    let read = eventually("it serves reads again", async || {
        client.read("register").await
    })
    .await;
    assert_eq!(read, "new");
}
