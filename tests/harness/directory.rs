//! What a member keeps on disk, as the fault tests need to see and spoil it.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// All files below `directory`, in the order of their paths.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        // A directory may go while a live daemon is being looked at.
        let Ok(entries) = fs::read_dir(&next) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// The total size of the files below `directory`.
pub fn bytes_on_disk(directory: &Path) -> u64 {
    files(directory)
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|meta| meta.len())
        .sum()
}

/// The files below `directory` that contain `needle`.
pub fn files_containing(directory: &Path, needle: &str) -> Vec<PathBuf> {
    let contains = |file: &PathBuf| {
        let bytes = fs::read(file).unwrap_or_default();
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    };
    files(directory).into_iter().filter(contains).collect()
}

/// The files of the Raft log, oldest first.
pub fn log_files(data: &Path) -> Vec<PathBuf> {
    let found: Vec<PathBuf> = files(data)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    assert!(
        !found.is_empty(),
        "no log file (*.wal) below {}",
        data.display()
    );
    found
}

/// The main file of the checkpoint's store.
pub fn checkpoint_file(data: &Path) -> PathBuf {
    files(data)
        .into_iter()
        .find(|file| file.file_name().is_some_and(|name| name == "db"))
        .unwrap_or_else(|| panic!("no checkpoint (a sled `db` file) below {}", data.display()))
}

/// Cuts `bytes` off the end of a file.
pub fn truncate(file: &Path, bytes: u64) {
    let handle = OpenOptions::new()
        .write(true)
        .open(file)
        .expect("open for truncation");
    let length = handle.metadata().expect("metadata").len();
    assert!(length > bytes, "{} has only {length} bytes", file.display());
    handle.set_len(length - bytes).expect("truncate");
}

/// Flips the lowest bit of the byte at `offset`.
pub fn flip_bit(file: &Path, offset: u64) {
    let mut content = fs::read(file).expect("read");
    let at = usize::try_from(offset).expect("an offset in memory");
    content[at] ^= 1;
    fs::write(file, content).expect("write back");
}
