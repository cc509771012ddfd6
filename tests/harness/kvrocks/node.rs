//! The handle of one node.

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;

use super::{
    KvrocksOptions, RespClient, network::Shared, process::Process, server, store::Change,
    world::World,
};
use crate::Port;

/// How long the port of an ended start may take to become free.
const BIND_ATTEMPTS: u32 = 200;
const BIND_PAUSE: Duration = Duration::from_millis(10);

/// A running or killed stand-in. Dropping it ends it and removes it from its network.
#[derive(Debug)]
pub struct KvrocksNode {
    shared: Arc<Shared>,
    port: u16,
    /// Keeps the port for restarts, unless the test chose one.
    _reservation: Option<Port>,
}

impl KvrocksNode {
    pub(super) async fn start(shared: Arc<Shared>, options: KvrocksOptions) -> Self {
        let reservation = options.port.is_none().then(Port::reserve);
        let reserved = reservation.as_ref().map(Port::number);
        let port = options.port.or(reserved).expect("one of the two");
        let process = Process::new(port, options);
        let before = shared.lock().nodes.insert(port, process);
        assert!(before.is_none(), "two stand-ins want the port {port}");
        let node = Self {
            shared,
            port,
            _reservation: reservation,
        };
        node.restart().await;
        node
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new connection to it, unauthenticated.
    pub async fn client(&self) -> RespClient {
        let client = RespClient::connect(&self.addr()).await;
        client.unwrap_or_else(|error| panic!("{} takes no connection: {error}", self.addr()))
    }

    /// Ends it at once, as by SIGKILL: nothing that arrives from now on is executed.
    pub fn kill(&self) {
        self.with(Process::kill);
    }

    /// Starts it again on its port, with what its disk remembers; kills it first where it runs.
    /// It neither hangs nor refuses then; the other faults stay.
    pub async fn restart(&self) {
        self.kill();
        let listener = self.bind().await;
        let generation = self.with(|process| {
            process.faults.refusing = false;
            process.faults.hung = false;
            process.boot();
            process.generation
        });
        self.listen(listener, generation);
    }

    /// Is it running, whether or not it answers?
    pub fn is_running(&self) -> bool {
        self.with(|process| process.running)
    }

    /// How often it has crashed (trap 1), which [`Self::kill`] does not count.
    pub fn crashes(&self) -> u32 {
        self.with(|process| process.crashes)
    }

    /// Refuses connections and closes those that are open; the node's links to others stay.
    pub async fn refuse_connections(&self) {
        let server = self.with(|process| {
            process.faults.refusing = true;
            process.server.take()
        });
        if let Some(server) = server {
            server.abort();
            let _ = server.await;
        }
    }

    /// Ends [`Self::refuse_connections`] of a node that runs.
    pub async fn accept_connections(&self) {
        assert!(self.is_running(), "{} was killed: restart it", self.addr());
        let listener = self.bind().await;
        let generation = self.with(|process| {
            process.faults.refusing = false;
            process.generation
        });
        self.listen(listener, generation);
    }

    /// Stops it as by SIGSTOP, or lets it go on: it takes connections and answers nothing.
    pub fn set_hung(&self, hung: bool) {
        self.with(|process| process.faults.hung = hung);
    }

    /// Closes the connections of a client that names itself so (CLIENT SETNAME): a network that is
    /// broken for this one alone.
    pub fn hide_from(&self, client_name: &str) {
        self.with(|process| process.faults.hidden_from.insert(client_name.to_owned()));
    }

    /// Lets it answer `LOADING …` to all but AUTH, HELLO, INFO and ROLE.
    pub fn set_loading(&self, loading: bool) {
        self.with(|process| process.faults.loading = loading);
    }

    /// The next CLUSTERX SETNODES is carried out, and its connection closed without a reply.
    pub fn drop_next_setnodes_reply(&self) {
        self.with(|process| process.faults.drop_setnodes_reply = true);
    }

    /// The commands received since the first start, arguments joined by spaces.
    pub fn commands(&self) -> Vec<String> {
        self.with(|process| process.commands.clone())
    }

    /// Empties [`Self::commands`].
    pub fn forget_commands(&self) {
        self.with(|process| process.commands.clear());
    }

    /// What it holds under a key, also where the topology hides it.
    pub fn value(&self, key: &str) -> Option<String> {
        self.with(|process| {
            let value = process.store.get(key.as_bytes());
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        })
    }

    /// Writes a key past the topology.
    pub fn put(&self, key: &str, value: &str) {
        self.with(|process| {
            let change = Change::Set(key.into(), value.into());
            process.store.write(change);
        });
    }

    /// All keys, hidden ones too.
    pub fn keys(&self) -> Vec<String> {
        self.with(|process| {
            let keys = process.store.keys();
            keys.map(|key| String::from_utf8_lossy(key).into_owned())
                .collect()
        })
    }

    /// Its replication sequence number: how many writes made its data.
    pub fn sequence(&self) -> u64 {
        self.with(|process| process.store.sequence() as u64)
    }

    /// The version of its topology; `-1` for none.
    pub fn topology_version(&self) -> i64 {
        self.with(|process| process.memory.topology.version)
    }

    /// Its id; empty for none.
    pub fn node_id(&self) -> String {
        self.with(|process| process.memory.topology.id.clone())
    }

    /// The port of the master that it replicates from, in the topology or not.
    pub fn follows(&self) -> Option<u16> {
        self.with(|process| process.memory.upstream.as_ref().map(|up| up.port))
    }

    /// Waits until the listener of before is gone, and takes its port.
    async fn bind(&self) -> TcpListener {
        let before = self.with(|process| process.server.take());
        if let Some(before) = before {
            before.abort();
            let _ = before.await;
        }
        for _ in 0..BIND_ATTEMPTS {
            match TcpListener::bind(self.addr()).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(BIND_PAUSE).await,
            }
        }
        panic!("{} stays taken", self.addr());
    }

    fn listen(&self, listener: TcpListener, generation: u64) {
        let serving = server::serve(self.shared.clone(), listener, self.port, generation);
        let server = tokio::spawn(serving);
        self.with(|process| process.server = Some(server));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Process) -> T) -> T {
        let mut world = self.shared.lock();
        let process = world.nodes.get_mut(&self.port);
        look(process.expect("a node is in its network until its handle is dropped"))
    }
}

impl Drop for KvrocksNode {
    fn drop(&mut self) {
        self.kill();
        self.shared.lock().nodes.remove(&self.port);
    }
}

impl World {
    /// Notes a command; `false` while the node hangs.
    pub(super) fn receive(&mut self, port: u16, generation: u64, command: &[Vec<u8>]) -> bool {
        let Some(process) = self.nodes.get_mut(&port) else {
            return true;
        };
        if process.running && process.generation == generation {
            if process.faults.hung {
                return false;
            }
            let parts = command.iter().map(|part| String::from_utf8_lossy(part));
            process.commands.push(parts.collect::<Vec<_>>().join(" "));
        }
        true
    }
}
