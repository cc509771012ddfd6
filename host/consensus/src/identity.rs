//! Who this member is: `member.json` and `cluster.key` in its data directory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::files::write_atomically;
use crate::key::ClusterKey;
use crate::types::MemberId;

/// The version of `member.json`.
const FORMAT: u32 = 1;

/// A group's identity, drawn when it is founded: members of two groups never mix.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterId([u8; 16]);

impl ClusterId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The content of `member.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberFile {
    format: u32,
    pub id: MemberId,
    /// The group, in hex; none while no group has taken the member in.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex_cluster")]
    pub cluster: Option<ClusterId>,
    /// True until the founded group has its first membership.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub founding: bool,
    /// Whom to ask until the group has made this member a voter; empty afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joining: Vec<String>,
    /// Where the members were last seen, to find them when the checkpoint is lost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<MemberId, String>,
}

impl MemberFile {
    pub(crate) fn new(id: MemberId, cluster: Option<ClusterId>) -> Self {
        Self {
            format: FORMAT,
            id,
            cluster,
            founding: false,
            joining: Vec::new(),
            peers: BTreeMap::new(),
        }
    }
}

mod hex_cluster {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::ClusterId;

    pub(super) fn serialize<S: Serializer>(
        id: &Option<ClusterId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => serializer.collect_str(id),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ClusterId>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let mut id = [0; 16];
        hex::decode_to_slice(&text, &mut id)
            .map_err(|_| D::Error::custom("`cluster` must be 32 hexadecimal digits"))?;
        Ok(Some(ClusterId(id)))
    }
}

/// The data directory, held by this process until dropped.
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where it does not exist, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StartError::io("create the data directory", path))?;
        let lock_path = path.join("LOCK");
        let lock =
            File::create(&lock_path).map_err(StartError::io("create the lock file", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_path_buf(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StartError::Held {
                path: path.to_path_buf(),
            }),
            Err(TryLockError::Error(error)) => Err(StartError::io("lock", lock_path)(error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    fn member_path(&self) -> PathBuf {
        self.path.join("member.json")
    }

    fn key_path(&self) -> PathBuf {
        self.path.join("cluster.key")
    }

    pub(crate) fn read_member(&self) -> Result<Option<MemberFile>, StartError> {
        let path = self.member_path();
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(StartError::io("read", &path))?,
        };
        let bad = |reason: String| StartError::BadMemberFile {
            path: path.clone(),
            reason,
        };
        let member: MemberFile =
            serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if member.format > FORMAT {
            return Err(bad(format!(
                "it has format {}, this daemon knows up to {FORMAT}: use a newer daemon",
                member.format
            )));
        }
        Ok(Some(member))
    }

    pub(crate) fn write_member(&self, member: &MemberFile) -> Result<(), StartError> {
        let path = self.member_path();
        let mut json = serde_json::to_vec_pretty(member)
            .map_err(|error| StartError::io("write", &path)(error.into()))?;
        json.push(b'\n');
        write_atomically(&path, &json, 0o600).map_err(StartError::io("write", path))
    }

    pub(crate) fn read_key(&self) -> Result<ClusterKey, StartError> {
        let path = self.key_path();
        let bad = |reason: String| StartError::BadKeyFile {
            path: path.clone(),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
        ClusterKey::from_hex(text.trim())
            .ok_or_else(|| bad("it must hold 64 hexadecimal digits".into()))
    }

    pub(crate) fn write_key(&self, key: &ClusterKey) -> Result<(), StartError> {
        let path = self.key_path();
        write_atomically(&path, format!("{}\n", &*key.to_hex()).as_bytes(), 0o600)
            .map_err(StartError::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_file_reads_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        assert_eq!(dir.read_member().unwrap(), None);
        let mut member = MemberFile::new(3, Some(ClusterId::random()));
        member.peers.insert(1, "127.0.0.1:1".into());
        dir.write_member(&member).unwrap();
        assert_eq!(dir.read_member().unwrap(), Some(member));
    }

    #[test]
    fn a_data_directory_is_held_by_one() {
        let temp = tempfile::tempdir().unwrap();
        let held = DataDir::open(temp.path()).unwrap();
        assert!(matches!(
            DataDir::open(temp.path()),
            Err(StartError::Held { .. })
        ));
        drop(held);
        DataDir::open(temp.path()).unwrap();
    }

    #[test]
    fn the_key_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let key = ClusterKey::random();
        dir.write_key(&key).unwrap();
        let mode = std::fs::metadata(dir.key_path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let sealed = key.seal("here", b"secret");
        assert_eq!(
            &*dir.read_key().unwrap().open("here", &sealed).unwrap(),
            b"secret"
        );
    }

    #[test]
    fn a_damaged_member_file_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        std::fs::write(dir.member_path(), "{").unwrap();
        let error = dir.read_member().unwrap_err().to_string();
        assert!(error.contains("member.json"), "{error}");
    }
}
