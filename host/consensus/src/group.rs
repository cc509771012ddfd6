//! What this member knows of its group: the group's id and key, and its own file about them.

use parking_lot::RwLock;

use crate::error::StartError;
use crate::identity::{ClusterId, DataDir, MemberFile};
use crate::key::ClusterKey;
use crate::types::MemberId;

/// This member's place in a group. A standby gets one when the group takes it in.
pub(crate) struct Group {
    pub id: MemberId,
    /// `host:port` where the others reach this member.
    pub advertise: String,
    pub dir: DataDir,
    state: RwLock<(MemberFile, Option<ClusterKey>)>,
}

impl Group {
    pub(crate) fn new(
        dir: DataDir,
        advertise: String,
        file: MemberFile,
        key: Option<ClusterKey>,
    ) -> Self {
        Self {
            id: file.id,
            advertise,
            dir,
            state: RwLock::new((file, key)),
        }
    }

    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.state.read().0.cluster
    }

    pub(crate) fn key(&self) -> Option<ClusterKey> {
        self.state.read().1.clone()
    }

    pub(crate) fn file(&self) -> MemberFile {
        self.state.read().0.clone()
    }

    /// Changes `member.json`; nothing is changed in memory unless it is on disk.
    pub(crate) fn update(&self, change: impl FnOnce(&mut MemberFile)) -> Result<(), StartError> {
        let mut state = self.state.write();
        let mut file = state.0.clone();
        change(&mut file);
        if file != state.0 {
            self.dir.write_member(&file)?;
            state.0 = file;
        }
        Ok(())
    }

    /// Takes this member into a group: the key first, so that whoever has the group has its key.
    pub(crate) fn enter(&self, cluster: ClusterId, key: ClusterKey) -> Result<(), StartError> {
        self.dir.write_key(&key)?;
        self.state.write().1 = Some(key);
        self.update(|file| file.cluster = Some(cluster))
    }
}
