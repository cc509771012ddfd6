//! The plugins of a directory, kept up to date while it changes.

mod files;
mod status;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::{sync::Notify, sync::watch, task::AbortHandle};

use self::files::{File, Fingerprint, Loaded};
pub use self::status::{Asks, BreakerStatus, PluginState, PluginStatus};
use crate::{LoadError, Plugin, Sandbox, SetupError};

/// A file is read once the directory has been quiet for this long: copying takes a while.
const SETTLE: Duration = Duration::from_millis(250);

/// The directory is read this often even if nothing was heard: not every file system reports changes.
const RESCAN: Duration = Duration::from_secs(15);

/// The plugins of a directory, cheap to clone. It is followed for as long as a clone exists.
#[derive(Clone)]
pub struct Plugins {
    shared: Arc<Shared>,
    _follower: Arc<Follower>,
}

struct Shared {
    sandbox: Arc<Sandbox>,
    files: Mutex<BTreeMap<String, File>>,
    changes: watch::Sender<u64>,
}

/// Ends the following when dropped.
struct Follower {
    task: Option<AbortHandle>,
    _watcher: Option<RecommendedWatcher>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Plugins {
    /// Loads every `*.wasm` of `dir`, then follows the directory: a file that appears, changes or goes
    /// is a plugin that does. Without a directory there are none.
    ///
    /// Returns when all files have been tried. A broken one is no error here; it is listed with its own.
    pub async fn open(sandbox: Arc<Sandbox>, dir: Option<PathBuf>) -> Result<Self, SetupError> {
        let (changes, _) = watch::channel(0);
        let shared = Arc::new(Shared {
            sandbox,
            files: Mutex::default(),
            changes,
        });
        let follower = match dir {
            None => Follower {
                task: None,
                _watcher: None,
            },
            Some(dir) => {
                // Watch first, so that nothing slips in between.
                let stirred = Arc::new(Notify::new());
                let watcher = watch_directory(&dir, stirred.clone());
                shared
                    .scan(&dir)
                    .await
                    .map_err(|error| SetupError::Directory {
                        path: dir.display().to_string(),
                        reason: error.to_string(),
                    })?;
                let handle = shared.sandbox.handle().clone();
                let task = handle
                    .spawn(shared.clone().follow(dir, stirred))
                    .abort_handle();
                Follower {
                    task: Some(task),
                    _watcher: watcher,
                }
            }
        };
        Ok(Self {
            shared,
            _follower: Arc::new(follower),
        })
    }

    /// Every file of the directory with what became of it, in the order of file names.
    pub fn list(&self) -> Vec<PluginStatus> {
        let files = self.shared.files.lock();
        let holders = files::holders(&files);
        files
            .iter()
            .map(|(name, file)| PluginStatus::of(name, file, &holders))
            .collect()
    }

    /// The running version of a plugin.
    pub fn get(&self, name: &str) -> Option<Plugin> {
        let files = self.shared.files.lock();
        let holder = files::holders(&files).get(name).copied()?.to_owned();
        files
            .get(&holder)?
            .loaded
            .as_ref()
            .map(|loaded| loaded.plugin.clone())
    }

    /// A number that goes up whenever a plugin appears, changes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

/// Hears of changes in `dir`. Where that is not possible, the periodic reading has to do.
fn watch_directory(dir: &Path, stirred: Arc<Notify>) -> Option<RecommendedWatcher> {
    let heard = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            stirred.notify_one();
        }
    };
    let watcher = notify::recommended_watcher(heard).and_then(|mut watcher| {
        watcher.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            tracing::warn!(dir = %dir.display(), %error, every = ?RESCAN, "cannot watch the plugin directory; reading it periodically");
        })
        .ok()
}

impl Shared {
    async fn follow(self: Arc<Self>, dir: PathBuf, stirred: Arc<Notify>) {
        loop {
            if tokio::time::timeout(RESCAN, stirred.notified())
                .await
                .is_ok()
            {
                // Wait until it has been quiet for a while.
                while tokio::time::timeout(SETTLE, stirred.notified())
                    .await
                    .is_ok()
                {}
            }
            if let Err(error) = self.scan(&dir).await {
                tracing::warn!(dir = %dir.display(), %error, "cannot read the plugin directory; its plugins stay as they are");
            }
        }
    }

    /// Brings the plugins in line with the directory.
    async fn scan(&self, dir: &Path) -> std::io::Result<()> {
        let found = files::found(dir)?;
        let mut changed = {
            let mut files = self.files.lock();
            let before = files.len();
            files.retain(|name, _| found.contains_key(name));
            files.len() != before
        };
        for (name, fingerprint) in found {
            let known = self
                .files
                .lock()
                .get(&name)
                .is_some_and(|file| file.seen == fingerprint);
            if !known {
                self.take_in(dir, name, fingerprint).await;
                changed = true;
            }
        }
        if changed {
            self.announce();
        }
        Ok(())
    }

    /// Loads a file that is new or has changed. If it is broken, what ran before goes on running.
    async fn take_in(&self, dir: &Path, name: String, fingerprint: Fingerprint) {
        let path = dir.join(&name);
        let running = self
            .files
            .lock()
            .get(&name)
            .and_then(|file| file.loaded.as_ref().map(|loaded| loaded.plugin.clone()));
        let limit = self.sandbox.options().component_bytes;
        let result = match files::read(&path, limit) {
            Err(error) => Err(error),
            Ok(bytes)
                if running
                    .as_ref()
                    .is_some_and(|plugin| files::is_same(plugin, &bytes)) =>
            {
                Ok(None)
            }
            Ok(bytes) => self.sandbox.load(bytes).await.map(Some),
        };

        let mut files = self.files.lock();
        let next = files::next_claim(&files);
        let file = files.entry(name.clone()).or_default();
        file.seen = fingerprint;
        file.error = None;
        match result {
            Ok(None) => {}
            Ok(Some(plugin)) => {
                let manifest = plugin.manifest();
                tracing::info!(
                    plugin = manifest.name,
                    version = manifest.version,
                    file = name,
                    digest = plugin.digest(),
                    "plugin loaded"
                );
                // A new version keeps its place among files that claim the same name.
                let claim = match &file.loaded {
                    Some(old) if old.plugin.manifest().name == manifest.name => old.claim,
                    _ => next,
                };
                file.loaded = Some(Loaded { plugin, claim });
            }
            Err(error) => {
                let still_running = file.loaded.is_some();
                tracing::warn!(file = name, %error, still_running, "plugin file is broken");
                file.error = Some(error);
            }
        }
    }

    fn announce(&self) {
        let files = self.files.lock();
        let running: Vec<&Plugin> = files::holders(&files)
            .values()
            .filter_map(|file| files.get(*file)?.loaded.as_ref())
            .map(|loaded| &loaded.plugin)
            .collect();
        let versions = running.iter().map(|plugin| plugin.manifest());
        self.sandbox
            .metrics
            .loaded(versions.map(|m| (m.name.as_str(), m.version.as_str())));
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Two files of one name: which one lost, and to whom.
fn name_taken(name: &str, holder: &str) -> LoadError {
    LoadError::NameTaken {
        name: name.to_owned(),
        holder: holder.to_owned(),
    }
}
