//! How a daemon starts, refuses to start, and stops.

use std::time::Duration;

use portolan_tests::{Cluster, Daemon, Workload, eventually};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Starts a daemon that must refuse, and checks that it says why.
async fn refuses(mut daemon: Daemon, parts: &[&str]) {
    let (status, said) = daemon.start_and_fail().await;
    assert!(!status.success(), "it ended with success; it said: {said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn a_single_member_bootstraps_keeps_its_data_and_finds_itself_again() {
    let home = TempDir::new().unwrap();
    let mut member = Daemon::new(home.path(), 7);
    member.start_ready().await;
    assert_eq!(member.metrics().await.unwrap()["id"], 7);
    member.client().write("a", "1").await.unwrap();
    assert!(member.stop().await.success());
    member.start_ready().await;
    assert_eq!(member.client().read("a").await.unwrap(), "1");
    member.kill9();
    member.start_ready().await;
    assert_eq!(member.client().read("a").await.unwrap(), "1");
}

#[tokio::test]
async fn the_data_directory_of_another_id_is_refused() {
    let home = TempDir::new().unwrap();
    let mut member = Daemon::new(home.path(), 1);
    member.start_ready().await;
    assert!(member.stop().await.success());
    let data = member.data().to_owned();
    let other = Daemon::new(home.path(), 2).data_at(&data);
    refuses(other, &[data.to_str().unwrap(), "member 1", "2"]).await;
}

#[tokio::test]
async fn a_data_directory_that_another_process_holds_is_refused() {
    let home = TempDir::new().unwrap();
    let mut member = Daemon::new(home.path(), 1);
    member.start_ready().await;
    let data = member.data().to_owned();
    let elsewhere = TempDir::new().unwrap();
    let second = Daemon::new(elsewhere.path(), 1).data_at(&data);
    refuses(second, &[data.to_str().unwrap(), "another process"]).await;
    member
        .client()
        .write("the first", "is undisturbed")
        .await
        .unwrap();
}

#[tokio::test]
async fn an_id_that_another_address_has_is_refused() {
    let cluster = Cluster::start().await;
    let elsewhere = TempDir::new().unwrap();
    let taken = Daemon::new(elsewhere.path(), 2).join(&cluster.members[0].address());
    refuses(taken, &["2", &cluster.members[1].address()]).await;
    cluster.voters_are(&[1, 2, 3]).await;
}

#[tokio::test]
async fn another_address_than_the_group_knows_is_refused() {
    let mut cluster = Cluster::start().await;
    assert!(cluster.members[1].stop().await.success());
    let elsewhere = TempDir::new().unwrap();
    let moved = Daemon::new(elsewhere.path(), 2).data_at(cluster.members[1].data());
    refuses(moved, &[&cluster.members[1].address(), "--advertise"]).await;
}

#[tokio::test]
async fn anything_but_loopback_is_refused_with_the_reason() {
    let home = TempDir::new().unwrap();
    let outward = Daemon::new(home.path(), 1).host("0.0.0.0");
    refuses(outward, &["0.0.0.0", "--insecure"]).await;
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_the_place() {
    let home = TempDir::new().unwrap();
    for (config, parts) in [
        (
            "[raft]\nsnapshot_afer = 5\n",
            ["snapshot_afer", "snapshot_after"],
        ),
        ("[raft]\nprofile = \"moon\"\n", ["moon", "lan"]),
        ("listen = 5\n", ["socket address", "portolan.toml:1"]),
    ] {
        let checked = Daemon::new(home.path(), 1)
            .config(config)
            .config_command("check");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success(), "accepted {config:?}");
        for part in parts {
            assert!(said.contains(part), "{config:?}: no {part:?} in: {said}");
        }
    }
    let good = Daemon::new(home.path(), 1).config("[raft]\nprofile = \"wan\"\n");
    let checked = good.config_command("check");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let shown = good.config_command("show");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("wan"));
}

#[tokio::test]
async fn a_leader_that_is_asked_to_stop_hands_over_and_exits_with_success() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let others: Vec<String> = (0..3)
        .filter(|index| *index != leader)
        .map(|index| cluster.members[index].address())
        .collect();
    let workload = Workload::start("client", 4, &others);
    workload.goes_on_for(100).await;
    let term = cluster.members[leader].metrics().await.unwrap()["current_term"]
        .as_u64()
        .unwrap();

    assert!(cluster.members[leader].stop().await.success());
    workload.goes_on_for(100).await;
    let history = workload.stop().await;
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    let metrics = cluster.members[next].metrics().await.unwrap();
    // Handed over, not lost and fought for: one term more.
    assert_eq!(metrics["current_term"].as_u64().unwrap(), term + 1);
    history.check(
        "the next leader",
        &cluster.client(next).read_all().await.unwrap(),
    );
}

#[tokio::test]
async fn a_request_that_runs_when_the_daemon_is_asked_to_stop_is_finished() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let address = cluster.members[leader].address();
    let body = r#"{"Put":{"key":"half","value":"done"}}"#;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /write HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..10]).await.unwrap();
    // The daemon has to have begun with it.
    tokio::time::sleep(Duration::from_millis(300)).await;

    let stopping = cluster.members[leader].stop();
    let finishing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let refused = TcpStream::connect(&address).await;
        stream.write_all(&body.as_bytes()[10..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (refused.is_err(), answer)
    };
    let (status, (refused, answer)) = tokio::join!(stopping, finishing);
    assert!(status.success(), "{status}");
    assert!(refused, "it took new connections while it stopped");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\"OK\""),
        "{answer}"
    );
    let client = cluster.client(cluster.leader().await);
    assert_eq!(client.read("half").await.unwrap(), "done");
}

#[tokio::test]
async fn a_stopped_member_rejoins_by_itself() {
    let mut cluster = Cluster::start().await;
    for index in 0..3 {
        assert!(cluster.members[index].stop().await.success());
        let key = format!("while-{index}-is-down");
        let client = cluster.client((index + 1) % 3);
        eventually("the others go on", async || client.write(&key, "x").await).await;
        cluster.members[index].start_ready().await;
        assert_eq!(cluster.client(index).read(&key).await.unwrap(), "x");
    }
    cluster.voters_are(&[1, 2, 3]).await;
}
