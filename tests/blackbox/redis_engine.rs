//! What the engine for Redis and Valkey does where the nodes have decided something by themselves: it
//! makes nobody the master who was not appointed.

use std::time::Duration;

use portolan_shards::engine::redis::Redis;
use portolan_shards::engine::{Access, Engine, NodeError, Pushed, Topology};
use portolan_shards::{NodeId, Role};
use portolan_tests::{
    Flavour, RedisOptions, RedisServer, Resp, eventually, eventually_within, redis_cluster_by_hand,
};

/// After which silence the servers call another one down. Milliseconds.
const NODE_TIMEOUT_MS: u64 = 2_000;

/// One shard of a master and two replicas, and the topology that it has.
struct Shard {
    servers: Vec<RedisServer>,
    ids: Vec<NodeId>,
    engine: Redis,
    before: Topology,
}

impl Shard {
    async fn new(flavour: Flavour) -> Self {
        let options = RedisOptions {
            node_timeout_ms: NODE_TIMEOUT_MS,
            ..RedisOptions::new(flavour)
        };
        let servers = RedisServer::start_many(3, &options).await;
        redis_cluster_by_hand(&servers, 2).await;
        let engine = Redis::new("test");
        let before = engine.topology(&access(&servers[0])).await.unwrap();
        let mut ids = vec![];
        for server in &servers {
            ids.push(server.id().await.parse().unwrap());
        }
        Self {
            servers,
            ids,
            engine,
            before: before.unwrap(),
        }
    }

    /// Past the engine: a replica takes over, and all nodes know it.
    async fn fail_over_by_hand(&self, to: usize) {
        // Without a vote, which masters give but once in a while.
        let take_over = ["CLUSTER", "FAILOVER", "TAKEOVER"];
        assert_eq!(self.servers[to].call(&take_over).await, Resp::ok());
        eventually("the replica takes over", async || self.master_is(to).await).await;
    }

    /// Every node that runs says so.
    async fn master_is(&self, place: usize) -> Result<(), String> {
        for server in self.servers.iter().filter(|server| server.is_running()) {
            let topology = self.engine.topology(&access(server)).await;
            let topology = topology.map_err(|error| error.to_string())?;
            let members = topology.ok_or("no topology")?.members;
            let mut masters = members.iter().filter(|member| !member.slots.is_empty());
            let master = masters.next().filter(|member| member.role == Role::Master);
            if master.map(|member| &member.id) != Some(&self.ids[place]) {
                return Err(format!("{} says {members:?}", server.addr()));
            }
        }
        Ok(())
    }

    async fn push(
        &self,
        place: usize,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let (node, id) = (access(&self.servers[place]), &self.ids[place]);
        self.engine.push(&node, id, topology, force).await
    }

    /// Waits until the first node is the master again: nodes that have failed over a moment ago may take
    /// more than one request.
    async fn gets_its_place_back(&self, topology: &Topology, force: bool) {
        eventually("it is the master again", async || {
            let pushed = self.push(0, topology, force).await;
            let is_master = self.master_is(0).await;
            is_master.map_err(|error| format!("{error}; the push came to {pushed:?}"))
        })
        .await;
    }

    /// The topology from before, with its master appointed.
    fn appointed(&self) -> Topology {
        Topology {
            appointed: vec![self.ids[0].clone()],
            ..self.before.clone()
        }
    }
}

fn access(server: &RedisServer) -> Access {
    Access {
        addr: server.addr().parse().unwrap(),
        password: None,
    }
}

async fn what_the_nodes_decided_stays(flavour: Flavour) {
    let shard = Shard::new(flavour).await;

    // The nodes fail over between the look at them and the push of what was true then.
    shard.fail_over_by_hand(1).await;
    let push = |place| shard.push(place, &shard.before, false);
    let (old, new, other) = tokio::join!(push(0), push(1), push(2));
    shard.master_is(1).await.unwrap();
    let master = shard.servers[1].addr();
    match old {
        Err(NodeError::Refused(why)) => assert!(why.contains(&master), "{why}"),
        answer => panic!("the old master says {answer:?}"),
    }
    for answer in [new, other] {
        assert!(matches!(answer, Err(NodeError::Refused(_))), "{answer:?}");
    }

    // Nor does it matter whether somebody added the new master here.
    let mut smaller = shard.before.clone();
    smaller.members.retain(|member| member.id != shard.ids[1]);
    let answer = shard.push(0, &smaller, false).await;
    assert!(matches!(answer, Err(NodeError::Refused(_))), "{answer:?}");
    let probe = shard.engine.probe(&access(&shard.servers[0])).await;
    assert_eq!(probe.unwrap().role, Role::Slave, "it was not reset");
    shard.master_is(1).await.unwrap();

    // Who is appointed, or forced, gets its place back.
    shard.gets_its_place_back(&shard.appointed(), false).await;
    shard.fail_over_by_hand(2).await;
    shard.gets_its_place_back(&shard.before, true).await;
}

#[tokio::test]
async fn redis_engine_what_redis_nodes_decided_stays() {
    what_the_nodes_decided_stays(Flavour::Redis7).await;
}

#[tokio::test]
async fn redis_engine_what_valkey_nodes_decided_stays() {
    what_the_nodes_decided_stays(Flavour::Valkey9).await;
}

/// Who took over by itself and is gone then is replaced, though nobody was appointed: with one shard no
/// other master is there to vote.
#[tokio::test]
async fn redis_engine_a_master_of_the_nodes_own_choice_that_is_gone_is_replaced() {
    let mut shard = Shard::new(Flavour::Valkey9).await;
    shard.fail_over_by_hand(1).await;
    shard.servers[1].kill();
    let within = Duration::from_millis(NODE_TIMEOUT_MS) + portolan_tests::PATIENCE;
    eventually_within(within, "its replica takes over", async || {
        match shard.push(0, &shard.before, false).await {
            Ok(_) => shard.master_is(0).await,
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}
