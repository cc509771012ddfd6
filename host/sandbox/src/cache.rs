//! Compiled plugins on disk, so that a restart takes milliseconds instead of seconds.
//!
//! A file is named after the component it was compiled from and the engine it was compiled for, and
//! begins with the digest of its content: a damaged file is compiled again, never loaded.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use crate::{SetupError, native};

/// How a file of the cache ends.
const EXTENSION: &str = "cwasm";

/// A directory of compiled components.
pub(crate) struct CodeCache {
    dir: PathBuf,
    /// Tells apart code of engines that cannot run each other's.
    engine: String,
    max_bytes: u64,
}

/// Code from the cache whose digest has been checked.
pub(crate) struct OwnCode(Vec<u8>);

impl OwnCode {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0[DIGEST_BYTES..]
    }
}

const DIGEST_BYTES: usize = 32;

impl CodeCache {
    /// Opens `dir`, which nobody but this user may write to, and makes it if it is not there.
    pub(crate) fn open(dir: &Path, engine: &Engine, max_bytes: u64) -> Result<Self, SetupError> {
        let refused = |reason: String| SetupError::Cache {
            path: dir.display().to_string(),
            reason,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| refused(error.to_string()))?;
        let mode = fs::metadata(dir)
            .map_err(|error| refused(error.to_string()))?
            .permissions()
            .mode();
        if mode & 0o022 != 0 {
            let text =
                "others may write to it, and its files are run as code; do `chmod 700` on it";
            return Err(refused(text.to_owned()));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = format!("{:016x}", hasher.finish());
        Ok(Self {
            dir: dir.to_owned(),
            engine,
            max_bytes,
        })
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir
            .join(format!("{digest}-{}.{EXTENSION}", self.engine))
    }

    /// The compiled form of the component with this digest, if there is a sound one.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read a compiled plugin");
                return None;
            }
        };
        let loaded = match checked(bytes) {
            Some(code) => native::load(engine, &code).map_err(|error| format!("{error:#}")),
            None => Err("its digest does not match its content".to_owned()),
        };
        match loaded {
            Ok(component) => {
                // Eviction goes by this time; failing to set it only makes eviction less clever.
                let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), error, "a compiled plugin is unusable; compiling again");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps a compiled component. A failure is logged and costs nothing but time later.
    pub(crate) fn store(&self, digest: &str, component: &Component) {
        let path = self.path(digest);
        let stored = component
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))
            .and_then(|code| self.write(&path, &code))
            .and_then(|()| self.evict());
        if let Err(error) = stored {
            tracing::warn!(path = %path.display(), %error, "cannot keep a compiled plugin");
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes what was used longest ago until the rest fits.
    fn evict(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == EXTENSION)
            {
                let metadata = entry.metadata()?;
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= self.max_bytes {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

fn checked(bytes: Vec<u8>) -> Option<OwnCode> {
    let (digest, code) = bytes.split_at_checked(DIGEST_BYTES)?;
    (Sha256::digest(code).as_slice() == digest).then_some(OwnCode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "(component)";

    fn only_file(dir: &Path) -> PathBuf {
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    #[test]
    fn what_was_stored_is_loaded_and_what_is_damaged_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::open(&dir.path().join("code"), &engine, 1 << 20).unwrap();
        assert!(cache.load(&engine, "aa").is_none());
        cache.store("aa", &Component::new(&engine, EMPTY).unwrap());
        assert!(cache.load(&engine, "aa").is_some());
        assert!(cache.load(&engine, "bb").is_none());

        let path = only_file(&cache.dir);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(cache.load(&engine, "aa").is_none());
        assert!(!path.exists());

        fs::write(&path, b"short").unwrap();
        assert!(cache.load(&engine, "aa").is_none());
    }

    #[test]
    fn an_engine_set_up_otherwise_finds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::open(dir.path(), &engine, 1 << 20).unwrap();
        cache.store("aa", &Component::new(&engine, EMPTY).unwrap());
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let cache = CodeCache::open(dir.path(), &other, 1 << 20).unwrap();
        assert!(cache.load(&other, "aa").is_none());
    }

    #[test]
    fn the_cache_stays_within_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::open(dir.path(), &engine, 0).unwrap();
        cache.store("aa", &Component::new(&engine, EMPTY).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_others_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = CodeCache::open(dir.path(), &Engine::default(), 0)
            .err()
            .unwrap();
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}
