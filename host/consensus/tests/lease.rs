//! Linearizable reads that trust the leader's lease.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::{Node, bind, directory, trio, with_two_more};
use portolan_consensus::{Consistency, Error, RaftOptions, ReadMode, Space, StartMode};
use tokio::runtime::Runtime;

fn by_lease() -> RaftOptions {
    RaftOptions {
        read: ReadMode::Lease,
        ..RaftOptions::default()
    }
}

/// Longer than any lease lasts: that is the election timeout's upper bound.
fn beyond_the_lease() -> Duration {
    let (_, (_, election_max_ms)) = by_lease().timing();
    2 * Duration::from_millis(election_max_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_reads_what_was_acknowledged_and_the_leader_asks_nobody_for_it() {
    let (nodes, _dirs) = trio(by_lease()).await;
    for (index, writer) in nodes.iter().enumerate() {
        let value = format!("by {index}");
        writer.put("k", &value).await;
        for reader in &nodes {
            assert_eq!(reader.get("k").await.as_deref(), Some(value.as_str()));
        }
    }

    let (reads, before) = (1_000, nodes[0].asked_peers("append"));
    for _ in 0..reads {
        assert_eq!(nodes[0].get("k").await.as_deref(), Some("by 2"));
    }
    // Heartbeats go on meanwhile; a quorum for each read would be two requests for each.
    let asked = nodes[0].asked_peers("append") - before;
    assert!(asked < reads / 2, "{asked} requests for {reads} reads");
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_followers_refuses_once_its_lease_has_run_out() {
    let (mut nodes, _dirs) = trio(by_lease()).await;
    nodes[0].put("k", "v").await;
    assert_eq!(nodes[0].get("k").await.as_deref(), Some("v"));
    let leader = nodes.remove(0);
    for follower in nodes {
        follower.stop().await;
    }
    tokio::time::sleep(beyond_the_lease()).await;
    let read = leader
        .member
        .get(Space::User, "k", Consistency::Linearizable)
        .await;
    assert!(matches!(read, Err(Error::NoLeader { .. })), "{read:?}");
    leader.stop().await;
}

/// A runtime that the test can halt, as a machine is halted that its host pauses.
struct Machine(Option<Runtime>);

impl Machine {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self(Some(runtime))
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().unwrap()
    }

    /// Nothing runs on it from when this returns until what it returns is dropped.
    fn pause(&self) -> mpsc::Sender<()> {
        let (paused, is_paused) = mpsc::channel();
        let (resume, is_resumed) = mpsc::channel();
        self.runtime().spawn(async move {
            paused.send(()).unwrap();
            // Its one thread waits here, for the sender's end.
            let _ = is_resumed.recv();
        });
        is_paused.recv().unwrap();
        resume
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A runtime must not be waited for inside another.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_cut_off_does_not_answer_from_before_its_successor() {
    // Given a leader that is halted, with no lease any more, and a successor that has overwritten.
    let (machine, dir) = (Machine::start(), directory());
    let data = dir.path().to_owned();
    let start = async move {
        let listener = bind().await;
        Node::start(listener, Some(1), &data, StartMode::Bootstrap, by_lease()).await
    };
    let first = machine.runtime().spawn(start).await.unwrap().unwrap();
    let (mut nodes, _dirs) = with_two_more(first, by_lease()).await;
    let old_leader = nodes.remove(0);
    old_leader.put("k", "old").await;
    assert_eq!(old_leader.get("k").await.as_deref(), Some("old"));
    let resume = machine.pause();
    let successor = tokio::select! {
        () = nodes[0].leads() => &nodes[0],
        () = nodes[1].leads() => &nodes[1],
    };
    successor.put("k", "new").await;

    // When it is asked, and goes on with that, still believing that it leads, the old value at hand.
    let member = old_leader.member.clone();
    assert!(member.leadership().borrow().is_self);
    let held = member.get(Space::User, "k", Consistency::Stale).await;
    assert_eq!(&*held.unwrap().unwrap().value, b"old");
    let asked = tokio::spawn(async move {
        member
            .get(Space::User, "k", Consistency::Linearizable)
            .await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(resume);

    // Then it has the new value from its successor, or nothing to say.
    if let Ok(record) = asked.await.unwrap() {
        let value = record.expect("the key was never deleted").value;
        assert_eq!(&*value, b"new");
    }
    for node in nodes {
        node.stop().await;
    }
    old_leader.stop().await;
}
