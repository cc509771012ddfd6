//! One server process with temporary data.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::ports::Port;
use crate::process::Process;
use crate::resp::{Resp, RespClient};
use crate::wait::eventually;

/// Where Debian's `redis-server` is found.
const REDIS: &str = "redis-server";

/// Prints where Valkey's server is, and installs it where it is missing.
const VALKEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/valkey/install.sh");

/// The cluster bus listens this far above the port, as every client and tool expects.
const BUS_OFFSET: u16 = 10_000;

/// The bus stays below the range from which the kernel picks source ports.
const HIGHEST_PORT: u16 = 22_000;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavour {
    /// Debian's Redis 7.0.
    #[default]
    Redis7,
    /// Valkey 9, with atomic slot migration.
    Valkey9,
}

impl Flavour {
    fn program(self) -> PathBuf {
        static VALKEY_SERVER: OnceLock<PathBuf> = OnceLock::new();
        match self {
            Self::Redis7 => PathBuf::from(REDIS),
            Self::Valkey9 => VALKEY_SERVER.get_or_init(installed_valkey).clone(),
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis7 => "Redis 7",
            Self::Valkey9 => "Valkey 9",
        })
    }
}

fn installed_valkey() -> PathBuf {
    let output = Command::new(VALKEY)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {VALKEY}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{VALKEY} failed (it needs python3 with venv): {said}"
    );
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Which server.
    pub flavour: Flavour,
    /// Whether in cluster mode.
    pub cluster: bool,
    /// What clients, replicas and masters must say.
    pub password: Option<String>,
    /// After how many milliseconds of silence the servers themselves call another one down.
    pub node_timeout_ms: u64,
    /// Where it listens: 127.0.0.1, or another address of loopback, as on a machine of its own.
    pub host: Ipv4Addr,
    /// Which port; a free one unless given.
    pub port: Option<u16>,
}

impl RedisOptions {
    /// A server in cluster mode on a free port, without a password.
    pub fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            cluster: true,
            password: None,
            node_timeout_ms: 15_000,
            host: Ipv4Addr::LOCALHOST,
            port: None,
        }
    }
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self::new(Flavour::default())
    }
}

/// A server on loopback. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    is_running: bool,
    options: RedisOptions,
    // After the process: it ends before its files go.
    home: TempDir,
    port: Port,
    _bus: Port,
}

impl RedisServer {
    /// Starts an empty server and waits until it answers.
    pub async fn start(options: RedisOptions) -> Self {
        let (port, bus) = match options.port {
            Some(number) => with_bus(number)
                .unwrap_or_else(|| panic!("port {number} or its cluster bus is taken")),
            None => reserve_with_bus(),
        };
        let home = TempDir::new().expect("create a temporary directory");
        let process = launch(&options, home.path(), &port);
        let mut server = Self {
            process,
            is_running: true,
            options,
            home,
            port,
            _bus: bus,
        };
        server.answering().await;
        server
    }

    /// Starts `count` equal servers.
    pub async fn start_many(count: usize, options: &RedisOptions) -> Vec<Self> {
        let mut servers = Vec::new();
        for _ in 0..count {
            servers.push(Self::start(options.clone()).await);
        }
        servers
    }

    /// Until it serves: one that still loads its data answers errors.
    async fn answering(&mut self) {
        let (addr, password) = (self.addr(), self.options.password.clone());
        let process = &mut self.process;
        eventually(&format!("the server at {addr} answers"), async || {
            if let Some(status) = process.ended() {
                panic!("the server ended with {status}: {}", process.log());
            }
            let mut client = authenticated(&addr, password.as_deref()).await?;
            match client.try_call(&["PING"]).await {
                Ok(reply) if reply.text() == "PONG" => Ok(()),
                Ok(reply) => Err(reply.text()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// `ip:port`.
    pub fn addr(&self) -> String {
        format!("{}:{}", self.options.host, self.port.number())
    }

    /// The address without the port.
    pub fn host(&self) -> Ipv4Addr {
        self.options.host
    }

    /// The port's number.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The process id; another one after a restart.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Which server it is.
    pub fn flavour(&self) -> Flavour {
        self.options.flavour
    }

    /// `kill -9`, and waits until it is gone. The data stays.
    pub fn kill(&mut self) {
        self.process.kill9();
        self.is_running = false;
    }

    /// Whether it was not killed.
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// Starts it again on its data and port, killing it first if it runs.
    pub async fn restart(&mut self) {
        if self.process.ended().is_none() {
            self.process.kill9();
        }
        self.process = launch(&self.options, self.home.path(), &self.port);
        self.is_running = true;
        self.answering().await;
    }

    /// Starts it again on its data and another port, as after a move to another machine.
    pub async fn restart_elsewhere(&mut self) {
        self.process.kill9();
        (self.port, self._bus) = reserve_with_bus();
        self.restart().await;
    }

    /// Holds it where it stands: its connections stay open, and nothing answers.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// A new connection that has said the password.
    pub async fn client(&self) -> RespClient {
        authenticated(&self.addr(), self.options.password.as_deref())
            .await
            .unwrap_or_else(|error| panic!("cannot reach {}: {error}", self.addr()))
    }

    /// The reply to a command on a connection of its own.
    pub async fn call(&self, command: &[&str]) -> Resp {
        self.client().await.call(command).await
    }

    /// The node's id in its cluster.
    pub async fn id(&self) -> String {
        self.call(&["CLUSTER", "MYID"]).await.text()
    }

    /// Everything that it has logged so far, over all of its starts.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Connects to `addr` and says the password.
pub(super) async fn authenticated(
    addr: &str,
    password: Option<&str>,
) -> Result<RespClient, String> {
    let connected = RespClient::connect(addr).await;
    let mut client = connected.map_err(|error| format!("no connection to {addr}: {error}"))?;
    if let Some(password) = password {
        let reply = client.try_call(&["AUTH", password]).await;
        let reply = reply.map_err(|error| format!("no answer of {addr} to AUTH: {error}"))?;
        if let Some(error) = reply.error() {
            return Err(format!("{addr} refused the password: {error}"));
        }
    }
    Ok(client)
}

fn reserve_with_bus() -> (Port, Port) {
    for _ in 0..1_000 {
        let port = Port::reserve();
        if port.number() < HIGHEST_PORT
            && let Some(bus) = Port::take(port.number() + BUS_OFFSET)
        {
            return (port, bus);
        }
    }
    panic!("no free port with a free cluster bus found");
}

fn with_bus(number: u16) -> Option<(Port, Port)> {
    let bus = number.checked_add(BUS_OFFSET)?;
    Some((Port::take(number)?, Port::take(bus)?))
}

/// What is acknowledged survives `kill -9` (it is in the log file, if not on the disk), and replicas
/// join without the delay that saves a busy master from several of them.
fn launch(options: &RedisOptions, home: &Path, port: &Port) -> Process {
    let number = port.number().to_string();
    let node_timeout = options.node_timeout_ms.to_string();
    let mut command = Command::new(options.flavour.program());
    command.arg("--dir").arg(home);
    let mut set = |name: &str, value: &str| {
        command.args([&format!("--{name}"), value]);
    };
    let host = options.host.to_string();
    set("bind", &host);
    // The others know a node by the address that it comes from.
    set("bind-source-addr", &host);
    set("port", &number);
    set("appendonly", "yes");
    set("appendfsync", "no");
    set("save", "");
    set("repl-diskless-sync-delay", "0");
    set("enable-debug-command", "yes");
    if options.cluster {
        set("cluster-enabled", "yes");
        set("cluster-config-file", "nodes.conf");
        set("cluster-node-timeout", &node_timeout);
    }
    if let Some(password) = &options.password {
        set("requirepass", password);
        set("masterauth", password);
    }
    let name = format!("{} on port {number}", options.flavour);
    Process::start(&name, command, &home.join("log"))
}
