//! The client: the commands that manage a running group, its sharded clusters and its DNS steering, over
//! any member's API.
//!
//! Each noun is a module with its commands, which [`run::Run`] through a [`connection::Session`]: the
//! server to ask ([`api`]) and the way to print what it says.

mod api;
mod automatic;
mod budget;
mod cluster;
mod cluster_name;
mod connection;
mod dns;
mod error;
mod events;
mod failover;
mod follow;
mod migrate;
mod namespace;
mod node;
mod outline;
mod pairs;
mod password;
mod plan;
mod progress;
mod rebalance;
mod run;
mod settings;
mod shard;
mod slot_map;
mod sse;
mod status;
mod table;
mod views;

use std::io;

use clap::{Args, Subcommand};

use self::cluster::ClusterCommand;
pub use self::connection::SERVER_VARIABLE;
use self::connection::{Connection, Session};
use self::dns::DnsCommand;
pub use self::error::{ClientError, EXIT_CODES};
use self::events::Events;
use self::failover::Failover;
use self::migrate::Migrate;
use self::namespace::NamespaceCommand;
use self::node::NodeCommand;
pub use self::password::PASSWORD_VARIABLE;
use self::plan::PlanCommand;
use self::rebalance::Rebalance;
use self::run::Run;
use self::shard::ShardCommand;
use self::status::{Status, TROUBLE_CODES};

/// The commands that ask a server.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Namespaces, which hold clusters
    #[command(after_help = EXIT_CODES)]
    Namespace(Noun<NamespaceCommand>),
    /// Sharded clusters
    #[command(after_help = EXIT_CODES)]
    Cluster(Noun<ClusterCommand>),
    /// The shards of a cluster
    #[command(after_help = EXIT_CODES)]
    Shard(Noun<ShardCommand>),
    /// The nodes of a shard
    #[command(after_help = EXIT_CODES)]
    Node(Noun<NodeCommand>),
    /// Move slots to another shard, or look after such migrations
    #[command(after_help = EXIT_CODES)]
    Migrate(Verb<Migrate>),
    /// Make a replica the master of its shard
    #[command(after_help = EXIT_CODES)]
    Failover(Verb<Failover>),
    /// Ask a policy which slots to move, and move them with --apply
    #[command(after_help = EXIT_CODES)]
    Rebalance(Verb<Rebalance>),
    /// What policies would move, or have moved
    #[command(after_help = EXIT_CODES)]
    Plan(Noun<PlanCommand>),
    /// Show what happened to a cluster, oldest first
    #[command(after_help = EXIT_CODES)]
    Events(Verb<Events>),
    /// DNS steering: sites, lines, services, providers and zones
    #[command(after_help = EXIT_CODES)]
    Dns(Noun<DnsCommand>),
    /// Show on one screen how the group, its sites, zones and clusters are
    #[command(after_help = TROUBLE_CODES)]
    Status(Verb<Status>),
}

/// A noun, whose verbs are subcommands.
#[derive(Debug, Args)]
pub struct Noun<C: Subcommand> {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: C,
}

/// A verb that stands alone.
#[derive(Debug, Args)]
pub struct Verb<A: Args> {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    arguments: A,
}

impl ClientCommand {
    /// Asks the server and prints what it says.
    ///
    /// # Errors
    /// What went wrong, with its [`ClientError::exit_code`].
    pub fn run(self) -> Result<(), ClientError> {
        match self {
            Self::Namespace(noun) => run(noun.connection, noun.command),
            Self::Cluster(noun) => run(noun.connection, noun.command),
            Self::Shard(noun) => run(noun.connection, noun.command),
            Self::Node(noun) => run(noun.connection, noun.command),
            Self::Migrate(verb) => run(verb.connection, verb.arguments),
            Self::Failover(verb) => run(verb.connection, verb.arguments),
            Self::Rebalance(verb) => run(verb.connection, verb.arguments),
            Self::Plan(noun) => run(noun.connection, noun.command),
            Self::Events(verb) => run(verb.connection, verb.arguments),
            Self::Dns(noun) => run(noun.connection, noun.command),
            Self::Status(verb) => run(verb.connection, verb.arguments),
        }
    }
}

fn run(connection: Connection, command: impl Run) -> Result<(), ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ClientError::Failed(format!("cannot start the runtime: {error}")))?;
    let session = Session::new(connection)?;
    match runtime.block_on(command.run(&session)) {
        // Whoever reads has seen enough, as `head` has.
        Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
