//! The files of a plugin directory, and which of them provides which plugin.

use std::{collections::BTreeMap, fs, io, os::unix::fs::MetadataExt, path::Path};

use sha2::{Digest, Sha256};

use crate::{LoadError, Plugin};

/// How a plugin's file ends.
const EXTENSION: &str = "wasm";

/// What is known about one file.
#[derive(Default)]
pub(super) struct File {
    /// How the file looked when it was last read.
    pub(super) seen: Fingerprint,
    /// What it last provided.
    pub(super) loaded: Option<Loaded>,
    /// What is wrong with it as it is now.
    pub(super) error: Option<LoadError>,
}

/// A plugin that a file provides.
pub(super) struct Loaded {
    pub(super) plugin: Plugin,
    /// Of two files with one name, the lower claim has it.
    pub(super) claim: u64,
}

/// Changes whenever a file does: inode, size, and the times of its content and of its metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The plugin files of a directory. A file that goes while we look is not there.
pub(super) fn found(dir: &Path) -> io::Result<BTreeMap<String, Fingerprint>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let is_plugin = path
            .extension()
            .is_some_and(|extension| extension == EXTENSION);
        if !is_plugin || name.starts_with('.') {
            continue;
        }
        // Follows links, whose targets are what may change.
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
        {
            let fingerprint = Fingerprint {
                inode: metadata.ino(),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            };
            found.insert(name, fingerprint);
        }
    }
    Ok(found)
}

/// Reads a component of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, LoadError> {
    let failed = |error: io::Error| LoadError::Read {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let size = usize::try_from(fs::metadata(path).map_err(failed)?.len()).unwrap_or(usize::MAX);
    if size > limit {
        return Err(LoadError::TooLarge { size, limit });
    }
    fs::read(path).map_err(failed)
}

/// Is this the component that the plugin was loaded from?
pub(super) fn is_same(plugin: &Plugin, bytes: &[u8]) -> bool {
    plugin.digest() == hex::encode(Sha256::digest(bytes))
}

/// The claim of the next file that comes.
pub(super) fn next_claim(files: &BTreeMap<String, File>) -> u64 {
    let claims = files
        .values()
        .filter_map(|file| file.loaded.as_ref())
        .map(|loaded| loaded.claim);
    claims.max().map_or(0, |last| last + 1)
}

/// Which file provides each plugin: the first that claimed its name.
pub(super) fn holders(files: &BTreeMap<String, File>) -> BTreeMap<&str, &str> {
    let mut holders: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for (file_name, file) in files {
        if let Some(Loaded { plugin, claim }) = &file.loaded {
            let holder = holders
                .entry(&plugin.manifest().name)
                .or_insert((*claim, file_name));
            *holder = (*holder).min((*claim, file_name));
        }
    }
    holders
        .into_iter()
        .map(|(name, (_, file))| (name, file))
        .collect()
}
