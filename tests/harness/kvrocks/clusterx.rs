//! CLUSTERX: what a controller changes.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    commands::{Reply, Session, Step, err},
    process::Process,
    resp::Resp,
    slots::SlotRange,
    topology::{ID_LENGTH, Listed},
};

const USAGE: &str = "CLUSTERX command, CLUSTERX VERSION|MYID|SETNODEID|SETNODES|SETSLOT|MIGRATE";

/// A `CLUSTERX MIGRATE … sync` that waits for its end.
#[derive(Debug)]
pub(super) struct Waiting {
    deadline: Option<Instant>,
}

impl Process {
    pub(super) fn clusterx(&mut self, session: &mut Session, arguments: &[String]) -> Step {
        let Some((subcommand, arguments)) = arguments.split_first() else {
            return err("wrong number of arguments").into();
        };
        let topology = &self.memory.topology;
        match (subcommand.to_ascii_lowercase().as_str(), arguments) {
            ("version", []) => Resp::bulk(topology.version.to_string()).into(),
            ("myid", []) => Resp::bulk(topology.id.clone()).into(),
            ("setnodeid", [id]) if id.len() == ID_LENGTH => self.set_node_id(id).into(),
            ("setnodes", [text, version, options @ ..]) => {
                let reply = self.set_nodes(text, version, options);
                if std::mem::take(&mut self.faults.drop_setnodes_reply) {
                    return Step::Close;
                }
                reply.into()
            }
            ("setslot", [slots, node, id, version]) => {
                self.set_slot(slots, node, id, version).into()
            }
            ("migrate", [slots, id, options @ ..]) if options.len() <= 2 => {
                self.migrate_or_wait(session, slots, id, options)
            }
            ("migrate", _) => err("wrong number of arguments").into(),
            _ => err(USAGE).into(),
        }
    }

    fn set_node_id(&mut self, id: &str) -> Reply {
        let topology = &mut self.memory.topology;
        topology.id = id.to_owned();
        topology.find_me();
        self.follow_topology();
        self.persist_topology();
        Ok(Resp::ok())
    }

    fn set_nodes(&mut self, text: &str, version: &str, options: &[String]) -> Reply {
        let Ok(version) = version.parse::<i64>() else {
            return err("Invalid version");
        };
        let force = match options {
            [] => false,
            [option] if option.eq_ignore_ascii_case("force") => true,
            _ => return err("Invalid setnodes options"),
        };
        let topology = &mut self.memory.topology;
        if version < 0 || (!force && version < topology.version) {
            return err("Invalid cluster version");
        }
        if !force && version == topology.version {
            return Ok(Resp::ok());
        }
        topology.replace(Listed::parse(text)?, version, force, self.port);
        self.follow_topology();
        let migrated = std::mem::take(&mut self.memory.migration.migrated);
        for slot in migrated.into_keys() {
            // Only what was migrated is cleared: trap 6.
            if !self.memory.topology.is_mine(slot) {
                self.clear_slot(slot);
            }
        }
        self.memory.import.imported.clear();
        self.persist_topology();
        Ok(Resp::ok())
    }

    fn set_slot(&mut self, slots: &str, node: &str, id: &str, version: &str) -> Reply {
        let ranges = SlotRange::parse_many(slots)?;
        if !node.eq_ignore_ascii_case("node") {
            return err("Invalid setslot options");
        }
        if id.len() != ID_LENGTH {
            return err("Invalid node id");
        }
        let Ok(version) = version.parse::<i64>() else {
            return err("value is not an integer or out of range");
        };
        let topology = &mut self.memory.topology;
        if version <= 0 || version != topology.version + 1 {
            return err("Invalid cluster version");
        }
        let Some(owner) = topology.peers.get(id).cloned() else {
            topology.poisoned = true;
            return err("No this node in the cluster");
        };
        if owner.master.is_some() {
            return err("The node isn't a master");
        }
        topology.version = version;
        for slot in ranges.into_iter().flat_map(SlotRange::iter) {
            let topology = &mut self.memory.topology;
            let was_mine = topology.is_mine(slot);
            topology.owners[usize::from(slot)] = Some(owner.clone());
            if was_mine && !topology.is_mine(slot) {
                self.memory.import.imported.remove(&slot);
                if self.memory.migration.migrated.remove(&slot).is_some() {
                    self.clear_slot(slot);
                }
            }
        }
        self.persist_topology();
        Ok(Resp::ok())
    }

    fn clear_slot(&mut self, slot: u16) {
        self.store.clear(SlotRange {
            first: slot,
            last: slot,
        });
    }

    /// The second and later calls of one command look whether the job has ended.
    fn migrate_or_wait(
        &mut self,
        session: &mut Session,
        slots: &str,
        id: &str,
        options: &[String],
    ) -> Step {
        if let Some(waiting) = &session.migration {
            let late = waiting.deadline.is_some_and(|end| end <= Instant::now());
            let migration = &self.memory.migration;
            if migration.job.is_some() && !late {
                return Step::Wait;
            }
            session.migration = None;
            return match &migration.failure {
                _ if late => Resp::Nil.into(),
                Some(reason) => Err(reason.clone()).into(),
                None => Resp::ok().into(),
            };
        }
        let sync = match sync_timeout(options) {
            Ok(sync) => sync,
            Err(error) => return Err(error).into(),
        };
        let begun = self.migrate_slots(slots, id);
        match (begun, sync) {
            (Ok(_), Some(milliseconds)) => {
                let timeout = (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
                let deadline = timeout.map(|timeout| Instant::now() + timeout);
                session.migration = Some(Waiting { deadline });
                Step::Wait
            }
            (reply, _) => reply.into(),
        }
    }

    fn migrate_slots(&mut self, slots: &str, id: &str) -> Reply {
        // Of several ranges only the first is used.
        let range = SlotRange::parse_many(slots)?[0];
        let topology = &self.memory.topology;
        let Some(destination) = topology.peers.get(id) else {
            return err("Can't find the destination node id");
        };
        let migration = &self.memory.migration;
        if migration.forbidden.is_some_and(|last| last.overlaps(range)) && migration.job.is_none() {
            return err("Can't migrate slot which has been migrated");
        }
        let all_mine = range.iter().all(|slot| topology.is_mine(slot));
        if !all_mine || self.is_not_master() {
            return err("Can't migrate slot which doesn't belong to me");
        }
        if destination.master.is_some() {
            return err("Can't migrate slot to a slave");
        }
        if destination.id == topology.id {
            return err("Can't migrate slot to myself");
        }
        if migration.job.is_some() {
            return err("There is already a migrating job");
        }
        let destination = destination.as_ref().clone();
        self.begin_migration(range, destination);
        Ok(Resp::ok())
    }
}

/// `None` for async; for sync the milliseconds, 0 for no limit.
fn sync_timeout(options: &[String]) -> Result<Option<u64>, String> {
    let refuse = |sentence: &str| Err(format!("ERR {sentence}"));
    let Some((flag, timeout)) = options.split_first() else {
        return Ok(None);
    };
    let timeout = timeout.first().map(|text| text.parse::<i64>());
    match (flag.to_ascii_lowercase().as_str(), timeout) {
        ("async", None) => Ok(None),
        ("async", Some(_)) => refuse("Async migration does not support timeout"),
        ("sync", None) => Ok(Some(0)),
        ("sync", Some(Err(_))) => refuse("timeout is not an integer or out of range"),
        ("sync", Some(Ok(timeout))) => match u64::try_from(timeout) {
            Err(_) => refuse("timeout is negative"),
            Ok(timeout) => Ok(Some(timeout)),
        },
        _ => refuse("Invalid sync flag"),
    }
}
