//! GET, SET, DEL, DBSIZE and RANDOMKEY, and who serves a key.

use super::{
    commands::{Reply, Session, err},
    process::Process,
    resp::Resp,
    slots::hash_slot,
    store::Change,
};

impl Process {
    pub(super) fn get(&self, session: &Session, arguments: &[Vec<u8>]) -> Reply {
        let [key] = arguments else {
            return err("wrong number of arguments");
        };
        self.serve(session, std::slice::from_ref(key), false)?;
        let value = self.store.get(key);
        Ok(value.map_or(Resp::Nil, |value| Resp::Bulk(value.clone())))
    }

    pub(super) fn set(&mut self, session: &Session, arguments: &[Vec<u8>]) -> Reply {
        let [key, value] = arguments else {
            return err("syntax error");
        };
        self.serve(session, std::slice::from_ref(key), true)?;
        self.store.write(Change::Set(key.clone(), value.clone()));
        Ok(Resp::ok())
    }

    pub(super) fn del(&mut self, session: &Session, keys: &[Vec<u8>]) -> Reply {
        if keys.is_empty() {
            return err("wrong number of arguments");
        }
        self.serve(session, keys, true)?;
        let mut deleted = 0;
        for key in keys {
            if self.store.get(key).is_some() {
                self.store.write(Change::Del(key.clone()));
                deleted += 1;
            }
        }
        Ok(Resp::Integer(deleted))
    }

    pub(super) fn dbsize(&self) -> Reply {
        Ok(Resp::Integer(self.store.len() as i64))
    }

    pub(super) fn random_key(&self) -> Reply {
        let key = self.store.keys().next();
        Ok(key.map_or(Resp::Nil, |key| Resp::Bulk(key.clone())))
    }

    /// Does this node serve these keys? There is no fencing (trap 3): it asks its own topology only,
    /// however old that is.
    fn serve(&self, session: &Session, keys: &[Vec<u8>], write: bool) -> Result<(), String> {
        let slot = hash_slot(&keys[0]);
        if keys.iter().any(|key| hash_slot(key) != slot) {
            let sentence = "Attempted to access keys that don't hash to the same slot";
            return Err(format!("CROSSSLOT {sentence}"));
        }
        let topology = &self.memory.topology;
        let Some(owner) = topology.owner(slot) else {
            return Err("CLUSTERDOWN Hash slot not served".to_owned());
        };
        if topology.is_mine(slot) {
            return self.serve_own(slot, write);
        }
        let me = topology.me.as_ref();
        if me.is_some() && self.memory.import.imported.contains(&slot) {
            return Ok(());
        }
        let of_my_master = me.is_some_and(|me| me.master.as_ref() == Some(&owner.id));
        if of_my_master && session.readonly && !write {
            return Ok(());
        }
        Err(format!("MOVED {slot} {}", owner.address()))
    }

    fn serve_own(&self, slot: u16, write: bool) -> Result<(), String> {
        let migration = &self.memory.migration;
        if let Some(address) = migration.migrated.get(&slot) {
            return Err(format!("MOVED {slot} {address}"));
        }
        if write && self.memory.upstream.is_some() {
            return Err("READONLY You can't write against a read only slave.".to_owned());
        }
        let forbidden = migration.forbidden.is_some_and(|last| last.contains(slot));
        if write && forbidden {
            let sentence = "Can't write to slot being migrated which is in write forbidden phase";
            return Err(format!("TRYAGAIN {sentence}"));
        }
        Ok(())
    }
}
