//! The file of the lines: read at the start, and again whenever it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::error::StartError;
use crate::lines::Lines;

/// How often it is looked at. Its time stamp is asked for and nothing is read, so this costs little;
/// and unlike a notification it works on every file system and through every kind of replacement.
const LOOK: Duration = Duration::from_secs(1);

/// The lists in force, and the file that they come from.
pub(crate) struct LinesFile {
    path: Option<PathBuf>,
    lines: RwLock<Arc<Lines>>,
}

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

impl LinesFile {
    /// Reads the file; without one everybody is on the line `default`.
    pub(crate) fn open(path: Option<PathBuf>) -> Result<Self, StartError> {
        let lines = match &path {
            None => Lines::default(),
            Some(path) => read(path).map_err(|reason| StartError::Lines {
                path: path.clone(),
                reason,
            })?,
        };
        Ok(Self {
            path,
            lines: RwLock::new(Arc::new(lines)),
        })
    }

    /// The lists in force.
    pub(crate) fn current(&self) -> Arc<Lines> {
        Arc::clone(&self.lines.read())
    }

    /// Follows the file until `shutdown`. One that cannot be read changes nothing.
    pub(crate) async fn follow(&self, shutdown: &CancellationToken) {
        let Some(path) = &self.path else {
            return;
        };
        // What changed between the start and now is read again.
        let mut seen: Stamp = None;
        loop {
            let stamp = stamp(path).await;
            if stamp != seen {
                seen = stamp;
                self.reload(path).await;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn reload(&self, path: &Path) {
        let owned = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read(&owned)).await;
        match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(lines) if lines == *self.current() => {}
            Ok(lines) => {
                tracing::info!(path = %path.display(), ranges = lines.len(), "lines read again");
                *self.lines.write() = Arc::new(lines);
            }
            Err(reason) => tracing::error!(
                path = %path.display(),
                reason,
                "the lines file cannot be used; the lists before stay in force"
            ),
        }
    }
}

fn read(path: &Path) -> Result<Lines, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Lines::parse(&text).map_err(|error| error.to_string())
}

async fn stamp(path: &Path) -> Stamp {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_file_leaves_the_lists_before_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines.txt");
        std::fs::write(&path, "CT 10.0.0.0/8").unwrap();
        let file = LinesFile::open(Some(path.clone())).unwrap();
        let line = || {
            let lines = file.current();
            lines.locate([10, 0, 0, 1].into()).line.to_string()
        };
        assert_eq!(line(), "CT");
        for broken in ["CU", "CU 10.0.0.0/99"] {
            std::fs::write(&path, broken).unwrap();
            file.reload(&path).await;
            assert_eq!(line(), "CT", "{broken}");
        }
        std::fs::remove_file(&path).unwrap();
        file.reload(&path).await;
        assert_eq!(line(), "CT", "the file is gone");
        std::fs::write(&path, "CU 10.0.0.0/8").unwrap();
        file.reload(&path).await;
        assert_eq!(line(), "CU");
    }
}
