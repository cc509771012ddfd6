//! The twin's faults: each does what it says, and ends when it is told to.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use portolan_shards::engine::{
    Access, Engine, Member, NodeError, Probe, Pushed, Standing, Topology,
};
use portolan_shards::twin::{ClientError, Lost, Twin};
use portolan_shards::{NodeAddr, NodeId, Role, SlotSet};
use tokio::time::{sleep, timeout};

const SHORT: Duration = Duration::from_millis(20);

/// A master of all slots and its replica.
struct Pair {
    twin: Arc<Twin>,
    nodes: [Access; 2],
    ids: [NodeId; 2],
}

impl Pair {
    async fn new() -> Self {
        let twin = Twin::network();
        let nodes = [twin.start(""), twin.start("")];
        let ids = [NodeId::random(), NodeId::random()];
        let pair = Self { twin, nodes, ids };
        for place in 0..2 {
            assert_eq!(pair.push(place, 1).await, Ok(Pushed::Changed));
        }
        pair
    }

    fn master(&self) -> &NodeAddr {
        &self.nodes[0].addr
    }

    fn replica(&self) -> &NodeAddr {
        &self.nodes[1].addr
    }

    async fn push(&self, place: usize, version: u64) -> Result<Pushed, NodeError> {
        let member = |place: usize| Member {
            id: self.ids[place].clone(),
            addr: self.nodes[place].addr.clone(),
            role: [Role::Master, Role::Slave][place],
            master: (place == 1).then(|| self.ids[0].clone()),
            slots: [SlotSet::all(), SlotSet::default()][place].clone(),
        };
        let topology = Topology {
            version,
            members: vec![member(0), member(1)],
            removed: vec![],
            in_motion: SlotSet::default(),
            appointed: vec![],
        };
        let (node, id) = (&self.nodes[place], &self.ids[place]);
        self.twin.push(node, id, &topology, false).await
    }

    async fn probe(&self, place: usize) -> Result<Probe, NodeError> {
        self.twin.probe(&self.nodes[place]).await
    }

    async fn standing(&self, place: usize) -> Standing {
        self.probe(place).await.unwrap().standing
    }
}

#[tokio::test]
async fn a_node_that_hangs_answers_when_it_goes_on() {
    let pair = Pair::new().await;
    pair.twin.set_hung(pair.master(), true);
    assert!(
        timeout(SHORT, pair.probe(0)).await.is_err(),
        "the caller's patience ends first"
    );
    assert_eq!(
        pair.twin.write(pair.master(), "k", "v"),
        Err(ClientError::NoAnswer)
    );
    let asked = async {
        let probe = pair.probe(0);
        let release = async {
            sleep(SHORT).await;
            pair.twin.set_hung(pair.master(), false);
        };
        tokio::join!(probe, release).0
    };
    assert_eq!(asked.await.unwrap().standing, Standing::At(1));

    let impatient = Twin::patient(SHORT);
    let node = impatient.start("");
    impatient.set_hung(&node.addr, true);
    let probe = impatient.probe(&node).await;
    assert!(matches!(probe, Err(NodeError::Unreachable(_))), "{probe:?}");
}

#[tokio::test]
async fn a_node_that_loads_says_so() {
    let pair = Pair::new().await;
    pair.twin.set_loading(pair.master(), true);
    assert_eq!(pair.probe(0).await, Err(NodeError::Loading));
    pair.twin.set_loading(pair.master(), false);
    assert_eq!(pair.standing(0).await, Standing::At(1));
}

#[tokio::test]
async fn a_lost_push_was_made_or_not() {
    let pair = Pair::new().await;
    for (lost, then) in [(Lost::Request, 1), (Lost::Answer, 2)] {
        pair.twin.lose_pushes(pair.master(), lost, 1);
        let pushed = pair.push(0, 2).await;
        assert!(
            matches!(pushed, Err(NodeError::Unreachable(_))),
            "{pushed:?}"
        );
        assert_eq!(pair.standing(0).await, Standing::At(then));
    }
    assert_eq!(pair.push(0, 2).await, Ok(Pushed::Unchanged));

    pair.twin.refuse_pushes(pair.master(), true);
    assert!(matches!(pair.push(0, 3).await, Err(NodeError::Refused(_))));
    pair.twin.heal();
    assert_eq!(pair.push(0, 3).await, Ok(Pushed::Changed));
}

#[tokio::test]
async fn a_killed_node_comes_back_with_what_it_had() {
    let pair = Pair::new().await;
    pair.twin.write(pair.master(), "k", "v").unwrap();
    pair.twin.kill(pair.master());
    assert!(matches!(
        pair.push(0, 2).await,
        Err(NodeError::Unreachable(_))
    ));
    assert_eq!(
        pair.twin.value(pair.replica(), "k").as_deref(),
        Some("v"),
        "it had arrived"
    );
    pair.twin.restart(pair.master());
    assert_eq!(pair.standing(0).await, Standing::At(1), "the old topology");
    assert_eq!(
        pair.twin.get(pair.replica(), "k"),
        Ok(Some("v".to_owned())),
        "sent on"
    );

    pair.twin.restart_without_topology(pair.master());
    assert_eq!(pair.standing(0).await, Standing::Outside);
    assert_eq!(
        pair.twin.read(pair.master(), "k"),
        Err(ClientError::NotServed)
    );
    pair.push(0, 1).await.unwrap();
    assert_eq!(pair.twin.read(pair.master(), "k"), Ok(Some("v".to_owned())));
}

#[tokio::test]
async fn a_replica_lags_as_it_is_told() {
    let pair = Pair::new().await;
    let lag = Duration::from_millis(50);
    pair.probe(1).await.unwrap();
    pair.twin.set_lag(pair.replica(), lag);
    let start = Instant::now();
    pair.twin.write(pair.master(), "k", "v").unwrap();
    let goal = pair.probe(0).await.unwrap().sequence;
    while pair.probe(1).await.unwrap().sequence < goal {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(start.elapsed() >= lag);
    assert!(
        pair.twin
            .agree(&[pair.master().clone(), pair.replica().clone()])
    );
}

#[tokio::test]
async fn paused_writes_wait() {
    let pair = Pair::new().await;
    pair.twin
        .pause(&pair.nodes[0], Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(
        pair.twin.write(pair.master(), "k", "v"),
        Err(ClientError::Paused)
    );
    pair.twin.resume(&pair.nodes[0]).await.unwrap();
    assert_eq!(
        pair.twin.set(pair.replica(), "k", "v").as_ref(),
        Ok(pair.master())
    );
}
