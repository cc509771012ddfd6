//! One member: the real binary, its data directory, its configuration, its port.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::network::Network;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually_within};

/// Longer than the ten seconds that the daemon gives running requests when it stops.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// Nobody else listens there: the API takes the port's TCP on 127.0.0.1, and DNS needs TCP too.
const DNS_HOST: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);

/// A member with a home of its own. It keeps port, data and configuration over restarts.
#[derive(Debug)]
pub struct Daemon {
    id: u64,
    tells_id: bool,
    host: String,
    port: Port,
    home: PathBuf,
    data: PathBuf,
    config: String,
    arguments: Vec<String>,
    /// Where it runs, if not on this host.
    at: Option<(Arc<Network>, u8)>,
    process: Option<Process>,
}

impl Daemon {
    /// Member `id`, not started, that would bootstrap a group of its own; its files go below
    /// `home/member-<id>`.
    pub fn new(home: &Path, id: u64) -> Self {
        let home = home.join(format!("member-{id}"));
        fs::create_dir_all(&home).expect("create the member's home");
        let data = home.join("data");
        Self {
            id,
            tells_id: true,
            host: "127.0.0.1".to_owned(),
            port: Port::reserve(),
            home,
            data,
            config: String::new(),
            arguments: vec![],
            at: None,
            process: None,
        }
    }

    /// Uses this configuration file (TOML).
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }

    /// Uses another data directory.
    #[must_use]
    pub fn data_at(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// Listens on another host's address than loopback's.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Runs on a host of a network, and listens at its address.
    #[must_use]
    pub fn at(mut self, network: &Arc<Network>, host: u8) -> Self {
        self.host = network.address(host).to_string();
        self.at = Some((Arc::clone(network), host));
        self.argument("--insecure")
    }

    /// Does not say its id, so that it has to get one.
    #[must_use]
    pub fn without_id(mut self) -> Self {
        self.tells_id = false;
        self
    }

    /// Joins the group of the member at `address`.
    #[must_use]
    pub fn join(self, address: &str) -> Self {
        self.argument("--join").argument(address)
    }

    /// Starts empty and waits to be added.
    #[must_use]
    pub fn standby(self) -> Self {
        self.argument("--standby")
    }

    /// Loads the plugins of a directory.
    #[must_use]
    pub fn plugins(self, directory: &Path) -> Self {
        self.argument("--plugins")
            .argument(directory.to_str().expect("a UTF-8 path"))
    }

    /// Answers DNS queries at [`Daemon::dns_address`].
    #[must_use]
    pub fn with_dns(self) -> Self {
        let address = self.dns_address().to_string();
        self.argument("--dns-listen").argument(&address)
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The member's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The address that it listens on.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port.number())
    }

    /// Where it answers DNS queries, if it was told to: at its port, on another address of loopback.
    pub fn dns_address(&self) -> SocketAddr {
        (DNS_HOST, self.port.number()).into()
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A client of this member.
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// Starts the process.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "member {} runs already", self.id);
        let mut command = command();
        // Plugins are compiled once for all daemons of all tests.
        command.env(
            "PORTOLAN_SANDBOX_CACHE_DIR",
            binary().with_file_name("compiled-plugins"),
        );
        command.arg("serve");
        command.args(["--listen", &self.address()]);
        if self.tells_id {
            command.args(["--id", &self.id.to_string()]);
        }
        command.arg("--data").arg(&self.data);
        if !self.config.is_empty() {
            command.arg("--config").arg(self.write_config());
        }
        command.args(&self.arguments);
        if let Some((network, host)) = &self.at {
            command = network.on(*host, &command);
        }
        let name = format!("member {} at {}", self.id, self.address());
        self.process = Some(Process::start(&name, command, &self.home.join("log")));
    }

    /// Starts the process and waits until it is ready.
    pub async fn start_ready(&mut self) {
        self.start();
        self.ready().await;
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&mut self) {
        let client = self.client();
        let id = self.id;
        let process = self.running_mut();
        eventually_within(PATIENCE, &format!("member {id} is ready"), async || {
            if let Some(status) = process.ended() {
                panic!("member {id} ended with {status} instead of getting ready");
            }
            match client.send("GET", "/readyz", &[], "").await? {
                reply if reply.status == 200 => Ok(()),
                reply => Err(format!("{} {}", reply.status, reply.body)),
            }
        })
        .await;
    }

    /// Waits until it has loaded its data and answers requests, ready or not.
    pub async fn listening(&mut self) {
        let client = self.client();
        let what = format!("member {} listens", self.id);
        eventually_within(PATIENCE, &what, async || {
            let ready = client.send("GET", "/readyz", &[], "").await?;
            if ready.body.contains("\"starting\"") {
                Err(ready.body)
            } else {
                Ok(())
            }
        })
        .await;
    }

    /// Starts a process that is expected to end by itself; returns how it ended and what it said.
    pub async fn start_and_fail(&mut self) -> (ExitStatus, String) {
        let said_before = self.log().len();
        self.start();
        let mut process = self.process.take().expect("it was just started");
        let status = process.exit(STOPS_WITHIN).await;
        let said = process.log()[said_before..].to_owned();
        (status, said)
    }

    /// Runs `portolan config <subcommand>` on its configuration file.
    pub fn config_command(&self, subcommand: &str) -> Output {
        let mut command = command();
        command
            .args(["config", subcommand, "--config"])
            .arg(self.write_config());
        command.output().expect("run the daemon's binary")
    }

    fn write_config(&self) -> PathBuf {
        let file = self.home.join("portolan.toml");
        fs::write(&file, &self.config).expect("write the configuration");
        file
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        self.process.take().expect("it runs").kill9();
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        process.sigterm();
        process.exit(STOPS_WITHIN).await
    }

    /// The running process.
    pub fn running(&self) -> &Process {
        self.process.as_ref().expect("the member runs")
    }

    fn running_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("the member runs")
    }

    /// Whether the process was started and not stopped by the harness.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Everything that it has logged over all of its starts.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.home.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The inside of `Ok` of the KV contract's metrics.
    pub async fn metrics(&self) -> Result<Value, String> {
        Ok(self.client().raft_metrics().await?["Ok"].take())
    }
}

/// The real binary, with nothing of the caller's configuration.
fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in env::vars() {
        if name.starts_with("PORTOLAN_") {
            command.env_remove(name);
        }
    }
    command
}

/// The daemon's binary: `PORTOLAN_BIN`, or what cargo built into the directory of this executable.
fn binary() -> PathBuf {
    if let Some(path) = env::var_os("PORTOLAN_BIN") {
        return PathBuf::from(path);
    }
    let this = env::current_exe().expect("this executable's path");
    // Test executables stand one directory deeper, in `deps`.
    let beside = this
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("portolan"));
    beside
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "no `portolan` binary near {}: build it first with `cargo build -p portolan` (with \
             `--release` for the benchmark), or name one in PORTOLAN_BIN",
                this.display()
            )
        })
}

/// The directory that `make plugins` fills.
pub fn built_plugins() -> PathBuf {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/dist");
    for name in ["powerdns.wasm", "alidns.wasm", "even-slots.wasm"] {
        assert!(
            dist.join(name).is_file(),
            "no {name} in {}: run `make plugins`",
            dist.display()
        );
    }
    dist.canonicalize().expect("it exists")
}
