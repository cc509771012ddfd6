//! The engines pass their suite on the stand-in for Kvrocks, on Redis 7 and on Valkey 9.

use std::collections::HashMap;

use async_trait::async_trait;
use portolan_shards::EngineKind;
use portolan_shards::engine::{Access, Engine};
use portolan_shards::suite::Stage;
use portolan_tests::{
    Flavour, Kvrocks, KvrocksNode, KvrocksOptions, RedisOptions, RedisServer, Resp, RespClient,
};
use tokio::sync::Mutex;

const PASSWORD: &str = "a password";

/// One command on a connection of its own; an error where that is the answer.
async fn ask(node: &Access, command: &[&str]) -> Result<Resp, String> {
    let client = RespClient::connect(node.addr.as_str()).await;
    let mut client = client.map_err(|error| error.to_string())?;
    client.call(&["AUTH", PASSWORD]).await;
    let reply = client.try_call(command).await;
    let reply = reply.map_err(|error| error.to_string())?;
    match reply.error() {
        Some(error) => Err(error.to_owned()),
        None => Ok(reply),
    }
}

async fn write(node: &Access, key: &str, value: &str) -> Result<(), String> {
    ask(node, &["SET", key, value]).await.map(drop)
}

async fn read(node: &Access, key: &str) -> Result<Option<String>, String> {
    let reply = ask(node, &["GET", key]).await?;
    Ok((reply != Resp::Nil).then(|| reply.text()))
}

fn access(addr: &str) -> Access {
    Access {
        addr: addr.parse().unwrap(),
        password: Some(PASSWORD.to_owned().into()),
    }
}

struct StandIns {
    engine: portolan_shards::engine::kvrocks::Kvrocks,
    net: Kvrocks,
    nodes: Mutex<HashMap<String, KvrocksNode>>,
}

impl StandIns {
    fn new() -> Self {
        let net = Kvrocks::network();
        // So that a migration lasts for longer than one look at it.
        net.pace_migrations(100, std::time::Duration::from_millis(5));
        Self {
            engine: portolan_shards::engine::kvrocks::Kvrocks::new("suite"),
            net,
            nodes: Mutex::default(),
        }
    }
}

#[async_trait(?Send)]
impl Stage for StandIns {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn kind(&self) -> EngineKind {
        EngineKind::Kvrocks
    }

    async fn node(&self) -> Access {
        let options = KvrocksOptions {
            password: PASSWORD.to_owned(),
            rsid_psync: true,
            ..KvrocksOptions::default()
        };
        let node = self.net.start_with(options).await;
        let access = access(&node.addr());
        self.nodes.lock().await.insert(node.addr(), node);
        access
    }

    async fn write(&self, node: &Access, key: &str, value: &str) -> Result<(), String> {
        write(node, key, value).await
    }

    async fn read(&self, node: &Access, key: &str) -> Result<Option<String>, String> {
        read(node, key).await
    }

    async fn kill(&self, node: &Access) {
        self.nodes.lock().await[node.addr.as_str()].kill();
    }

    async fn restart(&self, node: &Access) {
        self.nodes.lock().await[node.addr.as_str()].restart().await;
    }
}

struct Servers {
    engine: portolan_shards::engine::redis::Redis,
    flavour: Flavour,
    nodes: Mutex<HashMap<String, RedisServer>>,
}

impl Servers {
    fn new(flavour: Flavour) -> Self {
        Self {
            engine: portolan_shards::engine::redis::Redis::new("suite"),
            flavour,
            nodes: Mutex::default(),
        }
    }
}

#[async_trait(?Send)]
impl Stage for Servers {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn kind(&self) -> EngineKind {
        EngineKind::Redis
    }

    async fn node(&self) -> Access {
        let options = RedisOptions {
            password: Some(PASSWORD.to_owned()),
            ..RedisOptions::new(self.flavour)
        };
        let node = RedisServer::start(options).await;
        let access = access(&node.addr());
        self.nodes.lock().await.insert(node.addr(), node);
        access
    }

    async fn write(&self, node: &Access, key: &str, value: &str) -> Result<(), String> {
        write(node, key, value).await
    }

    async fn read(&self, node: &Access, key: &str) -> Result<Option<String>, String> {
        read(node, key).await
    }

    async fn kill(&self, node: &Access) {
        let mut nodes = self.nodes.lock().await;
        nodes.get_mut(node.addr.as_str()).unwrap().kill();
    }

    async fn restart(&self, node: &Access) {
        let mut nodes = self.nodes.lock().await;
        nodes.get_mut(node.addr.as_str()).unwrap().restart().await;
    }
}

mod stand_in {
    portolan_shards::engine_suite!(super::StandIns::new());
}

mod redis {
    portolan_shards::engine_suite!(super::Servers::new(portolan_tests::Flavour::Redis7));
}

mod valkey {
    portolan_shards::engine_suite!(super::Servers::new(portolan_tests::Flavour::Valkey9));
}
