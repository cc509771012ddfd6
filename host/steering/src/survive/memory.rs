//! What a survivor must find again after a restart: a small file of this member alone, for there is no
//! quorum to keep it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portolan_consensus::files::write_atomically;

use crate::names::ZoneName;
use crate::survivor::Memory;

/// Where it is kept, in the data directory.
const FOLDER: &str = "survivor";

/// One zone's file.
#[derive(Debug, Clone)]
pub(super) struct MemoryFile(PathBuf);

impl MemoryFile {
    pub(super) fn of(data: &Path, zone: &ZoneName) -> Self {
        // The one character of a zone's name that a file's name cannot have (RFC 2317).
        let name = zone.as_str().replace('/', "%2F");
        Self(data.join(FOLDER).join(format!("{name}.json")))
    }

    /// What was written last. What cannot be read is as good as lost, which the zone makes good.
    pub(super) fn read(&self) -> Memory {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Memory::default(),
            Err(error) => {
                tracing::warn!(file = %self.0.display(), %error, "survivor memory cannot be read");
                return Memory::default();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %self.0.display(), %error, "survivor memory is damaged");
            Memory::default()
        })
    }

    /// Writes it durably: after this, a restart finds it, whatever happens.
    pub(super) async fn write(&self, memory: Memory) -> io::Result<()> {
        let path = self.0.clone();
        let written = tokio::task::spawn_blocking(move || replace(&path, &memory)).await;
        written.map_err(io::Error::other)?
    }
}

fn replace(path: &Path, memory: &Memory) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("a file without a directory"))?;
    fs::create_dir_all(folder)?;
    write_atomically(path, &serde_json::to_vec(memory)?, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_last_is_found_again() {
        let data = tempfile::tempdir().unwrap();
        let zone = ZoneName::parse("0/25.2.0.192.in-addr.arpa").unwrap();
        let file = MemoryFile::of(data.path(), &zone);
        assert_eq!(file.read(), Memory::default());
        for seq in [7, 8] {
            let memory = Memory {
                seq,
                ..Memory::default()
            };
            file.write(memory.clone()).await.unwrap();
            assert_eq!(MemoryFile::of(data.path(), &zone).read(), memory);
        }
        fs::write(&file.0, b"{").unwrap();
        assert_eq!(file.read(), Memory::default());
    }
}
