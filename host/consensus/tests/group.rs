//! What a group promises: its members keep it over restarts, changes of the group and lost disks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Node, bind, directory, metric_above, rebind, solo, solo_at, trio};
use portolan_consensus::{
    Consistency, Error, RaftOptions, Revision, Scan, Space, StartError, StartMode, Txn, WatchError,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_keeps_what_it_acknowledged_over_a_restart() {
    let data = directory();
    let node = solo(data.path()).await;
    let addr = node.member.advertise().to_owned();
    node.put("a", "1").await;
    let revision = node.put("b", "2").await;
    node.member
        .txn(Txn::new().delete(Space::User, "a"))
        .await
        .unwrap();
    node.stop().await;

    let node = solo_at(rebind(&addr).await, data.path()).await;
    assert_eq!(node.get("a").await, None);
    assert_eq!(node.get("b").await.as_deref(), Some("2"));
    let record = node
        .member
        .get(Space::User, "b", Consistency::Stale)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((record.created, record.modified), (revision, revision));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_transaction_happens_once() {
    let data = directory();
    let node = solo(data.path()).await;
    let create = || {
        Txn::new()
            .guard(Space::System, "k", Revision::ZERO)
            .put(Space::System, "k", "v")
    };
    let revision = node.member.txn(create()).await.unwrap().revision;
    let again = node.member.txn(create()).await;
    let failed = Error::GuardFailed {
        space: Space::System,
        key: "k".into(),
        expected: Revision::ZERO,
        actual: revision,
    };
    assert_eq!(again, Err(failed));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_follows_transactions_and_ends_with_the_member() {
    let data = directory();
    let node = solo(data.path()).await;
    let page = node
        .member
        .scan(Space::User, Scan::prefix("p/"), Consistency::Linearizable);
    let from = page.await.unwrap().revision;
    let mut watch = node.member.watch(Space::User, "p/", from);
    node.put("q", "not watched").await;
    let put = node.put("p/1", "watched").await;
    let event = watch.next().await.unwrap();
    assert_eq!((event.revision, &*event.key), (put, "p/1"));
    node.stop().await;
    let ended = tokio::time::timeout(Duration::from_secs(5), watch.next()).await;
    assert_eq!(ended.expect("must not hang"), Err(WatchError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_kept_to_the_byte() {
    let data = directory();
    let node = solo(data.path()).await;
    let (key, value) = ("k".repeat(4 << 10), "v".repeat(3 << 19));
    node.put(&key, &value).await;
    let long_key = Txn::new().put(Space::User, format!("{key}k"), "v");
    let long_value = Txn::new().put(Space::User, "k", format!("{value}v"));
    let empty = Txn::new().put(Space::User, "", "v");
    assert!(matches!(
        node.member.txn(long_key).await,
        Err(Error::TooLarge { .. })
    ));
    assert!(matches!(
        node.member.txn(long_value).await,
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(node.member.txn(empty).await, Err(Error::EmptyKey));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_member_takes_any_request_and_reads_what_was_acknowledged() {
    let (nodes, _dirs) = trio(RaftOptions::default()).await;
    for (index, writer) in nodes.iter().enumerate() {
        let value = format!("by {index}");
        writer.put("k", &value).await;
        for reader in &nodes {
            assert_eq!(reader.get("k").await.as_deref(), Some(value.as_str()));
        }
    }
    let same = nodes[2]
        .member
        .add_learner(2, nodes[1].member.advertise().to_owned())
        .await;
    same.expect("adding a member again with its own address succeeds");
    let other = nodes[1].member.add_learner(2, "127.0.0.1:1".into()).await;
    assert!(
        matches!(other, Err(Error::IdTaken { id: 2, .. })),
        "{other:?}"
    );
    let unknown = nodes[1]
        .member
        .change_membership(BTreeSet::from([1, 7, 9]))
        .await;
    assert_eq!(unknown.unwrap_err(), Error::NotMembers { ids: vec![7, 9] });
    let nobody = nodes[1].member.change_membership(BTreeSet::new()).await;
    assert_eq!(nobody.unwrap_err(), Error::EmptyMembership);
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_one_key_and_a_leader_that_stops_hands_over() {
    let (mut nodes, _dirs) = trio(RaftOptions::default()).await;
    let sealed = nodes[0]
        .member
        .cluster_key()
        .unwrap()
        .seal("here", b"secret");
    for node in &nodes {
        let key = node.member.cluster_key().unwrap();
        assert_eq!(&*key.open("here", &sealed).unwrap(), b"secret");
    }
    nodes[0].put("k", "v").await;
    nodes.remove(0).stop().await;
    // The rest has a leader and goes on.
    assert_eq!(nodes[0].get("k").await.as_deref(), Some("v"));
    nodes[1].put("k", "w").await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_becomes_a_voter_by_itself() {
    let (dirs, raft) = ([directory(), directory()], RaftOptions::default());
    let first = solo(dirs[0].path()).await;
    first.put("k", "v").await;
    let start = StartMode::Join(vec![first.member.advertise().to_owned()]);
    let second = Node::start(bind().await, None, dirs[1].path(), start, raft)
        .await
        .unwrap();
    assert_eq!(second.member.id(), 2);
    let metrics = || serde_json::to_value(first.member.metrics()).unwrap();
    let voters = || metrics()["membership_config"]["membership"]["configs"].clone();
    for _ in 0..500 {
        if voters() == serde_json::json!([[1, 2]]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(voters(), serde_json::json!([[1, 2]]));
    assert_eq!(second.get("k").await.as_deref(), Some("v"));
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_for_longer_than_the_log_catches_up_by_snapshot() {
    let raft = RaftOptions {
        snapshot_after: 100,
        log_keep: 10,
        log_chunk_bytes: 16 << 10,
        ..RaftOptions::default()
    };
    let (mut nodes, dirs) = trio(raft.clone()).await;
    let away = nodes.pop().unwrap();
    let addr = away.member.advertise().to_owned();
    away.stop().await;
    for round in 0..600 {
        nodes[0]
            .put(&format!("k{}", round % 50), &round.to_string())
            .await;
    }
    // The leader keeps log for a member until it has failed to reach it once more.
    metric_above(&nodes[0], "purged", 100).await;
    let back = Node::start(
        rebind(&addr).await,
        None,
        dirs[2].path(),
        StartMode::Bootstrap,
        raft,
    )
    .await;
    let back = back.unwrap();
    assert_eq!(back.get("k49").await.as_deref(), Some("599"));
    assert_eq!(back.get("k0").await.as_deref(), Some("550"));
    metric_above(&back, "snapshot", 100).await;
    nodes.push(back);
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_reads_say_so_and_stale_reads_go_on() {
    let (mut nodes, _dirs) = trio(RaftOptions::default()).await;
    nodes[0].put("k", "v").await;
    assert_eq!(nodes[2].get("k").await.as_deref(), Some("v"));
    let last = nodes.pop().unwrap();
    for node in nodes {
        node.stop().await;
    }
    let read = last
        .member
        .get(Space::User, "k", Consistency::Linearizable)
        .await;
    assert!(matches!(read, Err(Error::NoLeader { .. })), "{read:?}");
    let stale = last
        .member
        .get(Space::User, "k", Consistency::Stale)
        .await
        .unwrap();
    assert_eq!(&*stale.unwrap().value, b"v");
    assert!(last.member.ready().await.is_err());
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_checkpoint_is_rebuilt_from_the_log_or_from_another_member() {
    let raft = RaftOptions {
        snapshot_after: 100,
        log_keep: 10,
        log_chunk_bytes: 16 << 10,
        ..RaftOptions::default()
    };
    for rounds in [20, 500] {
        let (mut nodes, dirs) = trio(raft.clone()).await;
        for round in 0..rounds {
            nodes[0]
                .put(&format!("k{}", round % 10), &round.to_string())
                .await;
        }
        let victim = nodes.pop().unwrap();
        assert!(victim.get("k9").await.is_some());
        let addr = victim.member.advertise().to_owned();
        victim.stop().await;
        let state = dirs[2].path().join("state");
        std::fs::remove_dir_all(&state).unwrap();

        let listener = rebind(&addr).await;
        let back = Node::start(
            listener,
            None,
            dirs[2].path(),
            StartMode::Bootstrap,
            raft.clone(),
        )
        .await;
        let back = back.unwrap();
        let last = (rounds - 1).to_string();
        assert_eq!(back.get("k9").await, Some(last), "{rounds} rounds");
        nodes.push(back);
        for node in nodes {
            node.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_directory_or_address_is_a_clear_error() {
    let data = directory();
    let node = solo(data.path()).await;
    let raft = RaftOptions::default();
    let held = Node::start(
        bind().await,
        None,
        data.path(),
        StartMode::Bootstrap,
        raft.clone(),
    );
    assert!(matches!(held.await.err(), Some(StartError::Held { .. })));
    node.put("k", "v").await;
    node.stop().await;

    let wrong = Node::start(
        bind().await,
        Some(9),
        data.path(),
        StartMode::Bootstrap,
        raft.clone(),
    );
    let error = wrong.await.err();
    assert!(
        matches!(
            error,
            Some(StartError::WrongId {
                found: 1,
                wanted: 9,
                ..
            })
        ),
        "{error:?}"
    );

    let moved = Node::start(
        bind().await,
        None,
        data.path(),
        StartMode::Bootstrap,
        raft.clone(),
    );
    let error = moved.await.err();
    assert!(
        matches!(error, Some(StartError::WrongAddress { id: 1, .. })),
        "{error:?}"
    );

    let standby = Node::start(
        bind().await,
        None,
        directory().path(),
        StartMode::Standby,
        raft,
    )
    .await;
    assert!(matches!(standby.err(), Some(StartError::StandbyWithoutId)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_with_an_id_that_is_taken_is_refused() {
    let data = [directory(), directory()];
    let first = solo(data[0].path()).await;
    let start = StartMode::Join(vec![first.member.advertise().to_owned()]);
    let raft = RaftOptions::default();
    let second = Node::start(bind().await, Some(1), data[1].path(), start, raft).await;
    let error = second.err();
    let refused = matches!(
        &error,
        Some(StartError::Refused {
            reason: Error::IdTaken { id: 1, .. },
            ..
        })
    );
    assert!(refused, "{error:?}");
    first.stop().await;
}
