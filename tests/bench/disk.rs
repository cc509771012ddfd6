//! The disk's own rate: what a log with one writer and no batching could do at best.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::median;

const APPENDED_BYTES: usize = 512;
const MEASURED: Duration = Duration::from_secs(3);

/// Appends of 512 bytes to a growing file, each followed by `fdatasync`.
#[derive(Debug, Serialize)]
pub(crate) struct Disk {
    /// Appends per second.
    pub(crate) per_second: f64,
    /// Median time of one, in milliseconds.
    pub(crate) p50_ms: f64,
}

pub(crate) fn measure(directory: &Path) -> Disk {
    let path = directory.join("fdatasync");
    let mut file = File::create(&path).expect("create a file on the benchmark's disk");
    let mut times = vec![];
    let start = Instant::now();
    while start.elapsed() < MEASURED {
        let one = Instant::now();
        file.write_all(&[0x5a; APPENDED_BYTES]).expect("append");
        file.sync_data().expect("fdatasync");
        times.push(one.elapsed().as_secs_f64() * 1e3);
    }
    let per_second = times.len() as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(&path).expect("remove the file");
    Disk {
        per_second,
        p50_ms: median(times),
    }
}
