//! Slots with their keys from one master to another.
//!
//! Where the source can move slots by itself (`CLUSTER MIGRATESLOTS`, Valkey 9) it is asked to, and the
//! slots go all at once. Elsewhere, and where that has failed again and again (it does under many writes
//! to the slots), this module moves the keys, slot by slot: the target *imports*, the source *migrates*
//! (it answers for the keys that it still has, and sends clients to the target for others), `MIGRATE`
//! carries keys over, and at last the target and then the source are told who has the slot. Every step
//! may be taken twice, so it can be taken up from wherever it stopped. Where both have a key, the
//! source's counts: as long as it has one, it is the source that answers for it.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::Redis;
use super::topology::resolve;
use super::view::View;
use crate::engine::{Migration, MigrationState, NodeError, Started, Stopped, Transfer};
use crate::names::NodeId;
use crate::slots::{SlotRange, SlotSet};

/// How long keys are moved before somebody else has a turn.
const SLICE: Duration = Duration::from_millis(300);
/// How many keys one command carries. The source does nothing else meanwhile.
const KEYS_AT_ONCE: usize = 100;
/// How long the two servers may be silent to one another while keys are carried over.
const SILENCE_MS: u64 = 5_000;
/// After so many failures of a server's own migration, the keys are carried by hand.
const OWN_ATTEMPTS: u32 = 3;

/// Part of what a server answers that does not know a subcommand.
const UNKNOWN: &str = "unknown subcommand";
/// Part of what a source answers that still has keys of a slot that it shall give up.
const HAS_KEYS: &str = "still hold keys";

/// A row of `CLUSTER GETSLOTMIGRATIONS`.
#[derive(Debug, Default, PartialEq, Eq)]
struct OwnMigration {
    is_export: bool,
    slots: SlotSet,
    target: Option<NodeId>,
    state: String,
    message: String,
    bytes_left: Option<u64>,
}

impl OwnMigration {
    fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "success" | "failed" | "cancelled")
    }
}

impl Redis {
    pub(super) async fn start_transfer(&self, transfer: &Transfer) -> Result<Started, NodeError> {
        self.both_views(transfer).await?;
        let Some(own) = self.own_migrations(transfer).await? else {
            return Ok(Started::Accepted);
        };
        match own.iter().find(|own| own.is_export && !own.is_over()) {
            Some(running) if ours(running, transfer) => return Ok(Started::Accepted),
            Some(_) => return Ok(Started::Busy),
            None => {}
        }
        let (first, last) = (transfer.slots.first(), transfer.slots.last());
        let mut command = Cmd::new();
        command.arg("CLUSTER").arg("MIGRATESLOTS");
        command.arg("SLOTSRANGE").arg(first).arg(last);
        command.arg("NODE").arg(transfer.target_id.as_str());
        let answer: Result<Value, _> = self.links.ask(&transfer.source, &command).await;
        answer.map(|_| Started::Accepted)
    }

    pub(super) async fn carry_transfer_on(
        &self,
        transfer: &Transfer,
    ) -> Result<Option<Migration>, NodeError> {
        match self.own_migrations(transfer).await? {
            Some(own) => self.look_at_own(transfer, &own).await,
            None => self.carry(transfer).await.map(Some),
        }
    }

    pub(super) async fn stop_transfer(&self, transfer: &Transfer) -> Result<Stopped, NodeError> {
        if let Some(own) = self.own_migrations(transfer).await? {
            let mut running = own.iter().filter(|own| !own.is_over());
            if running.any(|own| ours(own, transfer)) {
                self.tell(&transfer.source, &["CLUSTER", "CANCELSLOTMIGRATIONS"])
                    .await?;
                return Ok(Stopped::NotYet);
            }
            return Ok(Stopped::Yes);
        }
        // A slot that is on its way goes there whole: half of its keys are there already.
        let (source, target) = self.both_views(transfer).await?;
        let open = [&source.me().migrating, &target.me().importing];
        let open: SlotSet = open
            .into_iter()
            .flat_map(|slots| slots.ranges().iter().copied())
            .collect::<Vec<_>>()
            .into();
        let open = open.common(&transfer.slots.into());
        let deadline = Instant::now() + SLICE;
        for slot in open.iter() {
            self.carry_slot(transfer, slot, &source, &target, deadline)
                .await?;
            if Instant::now() > deadline {
                return Ok(Stopped::NotYet);
            }
        }
        Ok(Stopped::Yes)
    }

    /// The migrations that the source carries out by itself; none where it cannot, or where that is not
    /// tried any more.
    async fn own_migrations(
        &self,
        transfer: &Transfer,
    ) -> Result<Option<Vec<OwnMigration>>, NodeError> {
        if transfer.attempts >= OWN_ATTEMPTS {
            return Ok(None);
        }
        let words = ["CLUSTER", "GETSLOTMIGRATIONS"];
        match self.ask::<Value>(&transfer.source, &words).await {
            Ok(answer) => Ok(Some(own_migrations(&answer))),
            Err(NodeError::Refused(reason)) if reason.to_lowercase().contains(UNKNOWN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn look_at_own(
        &self,
        transfer: &Transfer,
        own: &[OwnMigration],
    ) -> Result<Option<Migration>, NodeError> {
        let (slots, to) = (transfer.slots, transfer.target_id.clone());
        let source = self.view_of(&transfer.source, &transfer.source_id).await?;
        let there = source.get(&transfer.target_id);
        if there.is_some_and(|target| target.slots.contains(slots)) {
            return Ok(Some(Migration::new(slots, to, MigrationState::Succeeded)));
        }
        // The newest comes first.
        let newest = own.iter().find(|own| ours(own, transfer));
        Ok(newest.map(|own| Migration {
            bytes_left: own.bytes_left,
            reason: Some(format!("{}: {}", own.state, own.message)),
            ..Migration::new(
                slots,
                to,
                match own.state.as_str() {
                    "failed" | "cancelled" => MigrationState::Failed,
                    // Done, and the source is about to hear of it.
                    _ => MigrationState::Running,
                },
            )
        }))
    }

    /// Both masters' views, if each takes the other for a master.
    async fn both_views(&self, transfer: &Transfer) -> Result<(View, View), NodeError> {
        let source = self.view_of(&transfer.source, &transfer.source_id);
        let target = self.view_of(&transfer.target, &transfer.target_id);
        let (source, target) = tokio::try_join!(source, target)?;
        for (view, other, addr) in [
            (&source, &transfer.target_id, &transfer.source.addr),
            (&target, &transfer.source_id, &transfer.target.addr),
        ] {
            if view.get(other).is_none() {
                return Err(NodeError::Refused(format!(
                    "{addr} does not know the node {other} yet"
                )));
            }
        }
        Ok((source, target))
    }

    /// Carries keys for a while.
    async fn carry(&self, transfer: &Transfer) -> Result<Migration, NodeError> {
        let (source, target) = self.both_views(transfer).await?;
        let deadline = Instant::now() + SLICE;
        let (mut moved, mut keys) = (SlotSet::default(), 0);
        let mut state = MigrationState::Succeeded;
        for slot in transfer.slots.first()..=transfer.slots.last() {
            if Instant::now() > deadline {
                state = MigrationState::Running;
                break;
            }
            let carried = self
                .carry_slot(transfer, slot, &source, &target, deadline)
                .await?;
            keys += carried.keys;
            if !carried.is_whole {
                state = MigrationState::Running;
                break;
            }
            if let Some(slot) = SlotRange::single(slot) {
                moved.insert(slot);
            }
        }
        Ok(Migration {
            moved,
            keys: Some(keys),
            ..Migration::new(transfer.slots, transfer.target_id.clone(), state)
        })
    }

    /// Brings one slot over, as far as time allows.
    async fn carry_slot(
        &self,
        transfer: &Transfer,
        slot: u16,
        source: &View,
        target: &View,
        deadline: Instant,
    ) -> Result<Carried, NodeError> {
        let (from, to) = (transfer.source_id.as_str(), transfer.target_id.as_str());
        let number = slot.to_string();
        let at_source = source.owner(slot) == Some(&transfer.source_id);
        let at_target = target.owner(slot) == Some(&transfer.target_id);
        if !at_source && source.owner(slot) != Some(&transfer.target_id) {
            return Err(NodeError::Refused(format!(
                "slot {slot} belongs to {} there",
                source.owner(slot).map_or("nobody", NodeId::as_str)
            )));
        }
        let mut keys = 0;
        if !at_target {
            let words = ["CLUSTER", "SETSLOT", &number, "IMPORTING", from];
            self.tell(&transfer.target, &words).await?;
        }
        if at_source {
            let words = ["CLUSTER", "SETSLOT", &number, "MIGRATING", to];
            self.tell(&transfer.source, &words).await?;
            loop {
                let carried = self.carry_keys(transfer, slot).await?;
                keys += carried;
                if carried == 0 {
                    break;
                }
                if Instant::now() > deadline {
                    let is_whole = false;
                    return Ok(Carried { keys, is_whole });
                }
            }
        }
        let words = ["CLUSTER", "SETSLOT", &number, "NODE", to];
        if !at_target {
            self.tell(&transfer.target, &words).await?;
        }
        match self.tell(&transfer.source, &words).await {
            Err(NodeError::Refused(reason)) if reason.contains(HAS_KEYS) => {
                // The next turn takes them along.
                let is_whole = false;
                return Ok(Carried { keys, is_whole });
            }
            answer => answer?,
        }
        let is_whole = true;
        Ok(Carried { keys, is_whole })
    }

    /// Carries some keys of a slot, and says how many; 0 when there are none.
    async fn carry_keys(&self, transfer: &Transfer, slot: u16) -> Result<u64, NodeError> {
        let mut list = Cmd::new();
        list.arg("CLUSTER")
            .arg("GETKEYSINSLOT")
            .arg(slot)
            .arg(KEYS_AT_ONCE);
        let keys: Vec<Vec<u8>> = self.links.ask(&transfer.source, &list).await?;
        if keys.is_empty() {
            return Ok(0);
        }
        let mut migrate = Cmd::new();
        migrate
            .arg("MIGRATE")
            .arg(resolve(&transfer.target.addr).await?)
            .arg(transfer.target.addr.port())
            .arg("")
            .arg(0)
            .arg(SILENCE_MS)
            .arg("REPLACE");
        if let Some(password) = &transfer.target.password {
            migrate.arg("AUTH").arg(password.as_str());
        }
        migrate.arg("KEYS").arg(&keys);
        self.slow_links
            .ask::<Value>(&transfer.source, &migrate)
            .await?;
        Ok(keys.len() as u64)
    }
}

/// What became of a slot in one turn.
struct Carried {
    keys: u64,
    /// Whether the target has all of it, and both know that.
    is_whole: bool,
}

fn ours(own: &OwnMigration, transfer: &Transfer) -> bool {
    own.is_export
        && own.slots == SlotSet::from(transfer.slots)
        && own.target.as_ref() == Some(&transfer.target_id)
}

/// Reads `CLUSTER GETSLOTMIGRATIONS`: a list of lists of names and values. What is not understood is
/// left out.
fn own_migrations(answer: &Value) -> Vec<OwnMigration> {
    let Ok(rows) = redis::from_redis_value_ref::<Vec<HashMap<String, Value>>>(answer) else {
        return vec![];
    };
    rows.iter().map(own_migration).collect()
}

fn own_migration(row: &HashMap<String, Value>) -> OwnMigration {
    let text = |name: &str| -> String {
        let value = row.get(name);
        let text = value.and_then(|value| redis::from_redis_value_ref(value).ok());
        text.unwrap_or_default()
    };
    let ranges = text("slot_ranges");
    let ranges = ranges.split(' ').filter_map(|range| range.parse().ok());
    OwnMigration {
        is_export: text("operation").eq_ignore_ascii_case("export"),
        slots: ranges.collect::<Vec<SlotRange>>().into(),
        target: text("target_node").parse().ok(),
        state: text("state"),
        message: text("message"),
        bytes_left: text("remaining_repl_size").parse().ok(),
    }
}
