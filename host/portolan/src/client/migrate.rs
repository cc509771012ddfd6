//! `portolan migrate`.

use clap::{Args, Subcommand};
use portolan_shards::{SlotRange, parse_ranges};
use serde_json::json;

use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::progress;
use super::run::Run;
use super::shard::shards_path;
use super::table::{decimal, maybe, table, time};
use super::views::{Migration, Shard};

/// Slots on their way from shard to shard.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Migrate {
    #[command(flatten)]
    start: Option<Start>,
    #[command(subcommand)]
    command: Option<MigrateCommand>,
}

#[derive(Debug, Args)]
struct Start {
    /// The cluster
    #[arg(value_name = "NS/NAME")]
    cluster: ClusterName,
    /// Which slots: 5, 0-99, or a list such as 5,7-9
    #[arg(value_parser = Slots::parse)]
    slots: Slots,
    /// The shard that they go to, by its place in the cluster
    #[arg(long, value_name = "SHARD")]
    to: usize,
    /// Move the ownership and leave the keys where they are
    #[arg(long)]
    slot_only: bool,
    /// Wait for the end and show how far it is; the migration does not depend on it
    #[arg(long)]
    wait: bool,
}

/// What to do with migrations that there are.
#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Show a cluster's migrations, those that have ended too
    List {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
    },
    /// Take a migration back; slots that have moved already stay where they are
    Cancel(Which),
    /// Keep a migration from beginning or, where the nodes can stop, from going on
    Pause(Which),
    /// Let a migration that is paused, or has failed, go on
    Resume(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// The cluster
    #[arg(value_name = "NS/NAME")]
    cluster: ClusterName,
    /// The migration
    id: u64,
}

/// A list of ranges, as it is sent.
#[derive(Debug, Clone)]
struct Slots(String);

impl Slots {
    fn parse(text: &str) -> Result<Self, String> {
        let ranges = parse_ranges(text).map_err(|error| error.to_string())?;
        let texts: Vec<String> = ranges.iter().map(SlotRange::to_string).collect();
        Ok(Self(texts.join(",")))
    }
}

impl Run for Migrate {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match (self.command, self.start) {
            (Some(MigrateCommand::List { cluster }), _) => list(session, &cluster).await,
            (Some(MigrateCommand::Cancel(which)), _) => which.change(session, "cancel").await,
            (Some(MigrateCommand::Pause(which)), _) => which.change(session, "pause").await,
            (Some(MigrateCommand::Resume(which)), _) => which.change(session, "resume").await,
            (None, Some(start)) => start.run(session).await,
            (None, None) => Err(ClientError::Usage(
                "say which slots of which cluster to move: see `portolan migrate --help`".into(),
            )),
        }
    }
}

impl Run for Start {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let Self {
            cluster, slots, to, ..
        } = &self;
        let path = format!("{}/migrate", cluster.path());
        let body = json!({"target": to, "slot": slots.0, "slot_only": self.slot_only});
        let answer = session.api.post(&path, &body).await?;
        if self.wait {
            return progress::wait(session, cluster, answer.migrations()).await;
        }
        let ids: Vec<String> = answer.migrations().iter().map(u64::to_string).collect();
        let sentence = format!("queued as migration {}", ids.join(", "));
        session.done(&answer, sentence)
    }
}

impl Which {
    async fn change(&self, session: &Session, action: &str) -> Result<(), ClientError> {
        let Self { cluster, id } = self;
        let path = format!("{}/migrations/{id}/{action}", cluster.path());
        let answer = session.api.act(&path).await?;
        session.show(&answer, || {
            let migration: Migration = answer.read("migration")?;
            Ok(format!("migration {id} is {}", migration.state.word()))
        })
    }
}

async fn list(session: &Session, cluster: &ClusterName) -> Result<(), ClientError> {
    let path = format!("{}/migrations", cluster.path());
    let answer = session.api.get(&path).await?;
    if session.json() {
        return session.show_json(&answer.json());
    }
    // A migration names its target by the id that stays; people know shards by their place.
    let shards = session.api.get(&shards_path(cluster)).await?;
    session.show(&answer, || {
        let migrations: Vec<Migration> = answer.read("migrations")?;
        let shards: Vec<Shard> = shards.read("shards")?;
        Ok(migrations_table(&migrations, &shards, session.width()))
    })
}

fn migrations_table(migrations: &[Migration], shards: &[Shard], width: Option<u16>) -> String {
    let place = |id| shards.iter().position(|shard| shard.id == Some(id));
    let rows = migrations.iter().map(|migration| {
        [
            migration.id.to_string(),
            migration.slots.to_string(),
            place(migration.target).map_or("gone".to_owned(), |place| place.to_string()),
            migration.state.word().to_owned(),
            format!("{}/{}", migration.done(), migration.total()),
            maybe(migration.keys_moved),
            maybe(migration.rate_slots_per_s.map(decimal)),
            maybe(migration.expected_end_ms.map(time)),
            migration.attempts.to_string(),
            maybe(migration.reason.as_deref()),
        ]
    });
    let header = [
        "ID", "SLOTS", "TO", "STATE", "DONE", "KEYS", "SLOTS/S", "ENDS", "FAILED", "REASON",
    ];
    table(header, rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value};

    use super::*;

    #[test]
    fn a_target_is_shown_by_its_place() {
        let migration = |id: u64, target: u64, state: &str, more: Value| {
            let mut value = json!({"id": id, "slots": "0-9", "target": target, "state": state});
            let fields = value.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            from_value::<Migration>(value).unwrap()
        };
        let migrations = [
            migration(1, 7, "done", json!({})),
            migration(2, 9, "running", json!({"slots_done": 4, "keys_moved": 90})),
        ];
        let shards: Vec<Shard> = from_value(json!([{"id": 3}, {"id": 9}])).unwrap();
        assert_eq!(
            migrations_table(&migrations, &shards, None),
            "ID  SLOTS  TO    STATE    DONE   KEYS  FAILED\n\
             1   0-9    gone  done     10/10        0\n\
             2   0-9    1     running  4/10   90    0"
        );
    }
}
