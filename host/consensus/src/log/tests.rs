//! What the log does about damage: cut a torn tail off, refuse anything else, serve nothing wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::vote::RaftLeaderId;

use super::LogStore;
use crate::error::StartError;
use crate::raft::{Command, Entry, LogId, Payload, TypeConfig};
use crate::telemetry::Telemetry;
use crate::types::{Space, Txn};

const ENTRIES: u64 = 12;

fn open(dir: &Path) -> Result<LogStore, StartError> {
    let telemetry = Telemetry::register(&prometheus::Registry::new()).unwrap();
    LogStore::open(dir, dir, 1 << 20, Arc::new(telemetry))
}

fn entry(index: u64) -> Entry {
    let leader = openraft::alias::LeaderIdOf::<TypeConfig>::new(1, 1);
    let txn = Txn::new().put(
        Space::User,
        format!("key-{index}"),
        format!("value-{index}"),
    );
    Entry {
        log_id: LogId::new(leader, index),
        payload: Payload::Normal(Command(Arc::new(txn))),
    }
}

async fn append(log: &mut LogStore, index: u64) {
    log.append([entry(index)], IOFlushed::noop()).await.unwrap();
    log.flush().await.unwrap();
}

/// Writes entries, one fsync each, and answers the log's only file.
async fn written(dir: &Path) -> PathBuf {
    let mut log = open(dir).unwrap();
    for index in 0..ENTRIES {
        append(&mut log, index).await;
    }
    drop(log);
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "wal"))
        .unwrap()
}

async fn entries(log: &mut LogStore) -> Vec<Entry> {
    log.try_get_log_entries(..).await.unwrap()
}

#[tokio::test]
async fn entries_are_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let mut log = open(dir.path()).unwrap();
    assert_eq!(
        entries(&mut log).await,
        (0..ENTRIES).map(entry).collect::<Vec<_>>()
    );
    assert_eq!(
        log.get_log_state().await.unwrap().last_log_id,
        Some(entry(ENTRIES - 1).log_id)
    );
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_at_the_last_whole_entry() {
    for cut in [1, 3, 20, 60, 200] {
        let dir = tempfile::tempdir().unwrap();
        let file = written(dir.path()).await;
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        let mut log = open(dir.path()).unwrap();
        let left = entries(&mut log).await;
        assert!(
            !left.is_empty() && left.len() < ENTRIES as usize,
            "cut {cut}"
        );
        assert_eq!(
            left,
            (0..left.len() as u64).map(entry).collect::<Vec<_>>(),
            "cut {cut}"
        );
        // And the log goes on from there.
        let next = left.len() as u64;
        append(&mut log, next).await;
        assert_eq!(entries(&mut log).await.len() as u64, next + 1);
    }
}

#[tokio::test]
async fn zeros_behind_the_last_entry_are_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path()).await;
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(&[0; 4_096]);
    std::fs::write(&file, bytes).unwrap();
    let mut log = open(dir.path()).unwrap();
    assert_eq!(entries(&mut log).await.len() as u64, ENTRIES);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_refused_with_the_file_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path()).await;
    let whole = std::fs::read(&file).unwrap();
    for byte in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        std::fs::write(&file, bytes).unwrap();
        match open(dir.path()) {
            Err(error @ StartError::DamagedLog { .. }) => {
                let text = error.to_string();
                assert!(text.contains(file.to_str().unwrap()), "byte {byte}: {text}");
                assert!(text.contains("--join"), "byte {byte}: {text}");
            }
            Err(other) => panic!("byte {byte}: {other}"),
            Ok(_) => panic!("byte {byte}: a damaged log was opened"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_who_waits_for_the_disk_is_answered_and_a_drop_waits_for_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let log = open(dir.path()).unwrap();
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                let log = log.clone();
                tokio::spawn(async move {
                    for _ in 0..50 {
                        log.flush().await.unwrap();
                        log.disk_bytes();
                    }
                })
            })
            .collect();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        // Nobody waits for the answer to this one.
        let _ = log.flush().now_or_never();
        drop(log);
    }
}
