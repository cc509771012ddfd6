//! Snapshots: the state at one entry, carried to a member in checked pieces.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::raft::SnapshotMeta;
use crate::state::State;
use crate::types::{Key, Record, Space};

/// About how many bytes of rows go into one piece.
const PIECE_BYTES: usize = 1 << 20;

/// The whole state at one entry: what a Raft snapshot is here. It is a clone that shares its structure
/// with the living state, so making one costs nothing.
#[derive(Clone)]
pub(crate) struct Image(pub Arc<State>);

impl Image {
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.0.applied,
            last_membership: self.0.membership.clone(),
        }
    }
}

/// One piece of an image: rows in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    rows: Vec<(Space, Key, Record)>,
    /// Whether this is the last one; it then carries the sums of all.
    end: Option<Sums>,
}

/// What a whole image must come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    rows: u64,
    hash: u64,
}

impl Sums {
    fn add(&mut self, space: Space, key: &Key, record: &Record) {
        self.rows += 1;
        self.hash = self.hash.wrapping_add(row_hash(space, key, record));
    }
}

/// The hash of one row. The checksum of a snapshot is the wrapping sum of its rows' hashes.
fn row_hash(space: Space, key: &Key, record: &Record) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&[space as u8]);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key.as_bytes());
    hasher.update(&record.created.0.to_le_bytes());
    hasher.update(&record.modified.0.to_le_bytes());
    hasher.update(&record.value);
    hasher.digest()
}

/// Takes an image apart.
pub(crate) struct Disassembler {
    image: Image,
    after: Option<(Space, Key)>,
    sums: Sums,
    ended: bool,
}

impl Disassembler {
    pub(crate) fn new(image: Image) -> Self {
        Self {
            image,
            after: None,
            sums: Sums::default(),
            ended: false,
        }
    }
}

impl Iterator for Disassembler {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.ended {
            return None;
        }
        let mut piece = Piece::default();
        let mut bytes = 0;
        let mut rows = self.image.0.iter_after(self.after.as_ref());
        for (space, key, record) in rows.by_ref() {
            self.sums.add(space, key, record);
            bytes += key.len() + record.value.len() + 32;
            piece.rows.push((space, key.clone(), record.clone()));
            if bytes >= PIECE_BYTES {
                break;
            }
        }
        let full = bytes >= PIECE_BYTES;
        drop(rows);
        if full {
            self.after = piece
                .rows
                .last()
                .map(|(space, key, _)| (*space, key.clone()));
        } else {
            piece.end = Some(self.sums);
            self.ended = true;
        }
        Some(piece)
    }
}

/// Puts an image together.
#[derive(Default)]
pub(crate) struct Assembler {
    state: State,
    sums: Sums,
    complete: bool,
}

impl Assembler {
    /// Adds a piece.
    ///
    /// # Errors
    /// The reason, when the rows do not come to what the sender counted.
    pub(crate) fn push(&mut self, piece: Piece) -> Result<(), String> {
        for (space, key, record) in piece.rows {
            self.sums.add(space, &key, &record);
            // Own the bytes: a slice of the received frame would keep all of the frame alive.
            let record = Record {
                value: Bytes::copy_from_slice(&record.value),
                ..record
            };
            self.state.set(space, key, Some(record));
        }
        let Some(sums) = piece.end else { return Ok(()) };
        self.complete = sums == self.sums && sums.rows == self.state.rows();
        if self.complete {
            Ok(())
        } else {
            Err(format!(
                "its checksum is wrong: {} rows came, {} were sent",
                self.sums.rows, sums.rows
            ))
        }
    }

    /// The image, when all of it has come.
    ///
    /// # Errors
    /// When the last piece has not come.
    pub(crate) fn finish(mut self, meta: &SnapshotMeta) -> Result<Image, String> {
        if !self.complete {
            return Err("its last piece is missing".into());
        }
        self.state.applied = meta.last_log_id;
        self.state.membership = meta.last_membership.clone();
        Ok(Image(Arc::new(self.state)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Revision, Txn};

    fn image(keys: usize, value: usize) -> Image {
        let mut state = State::default();
        for key in 0..keys {
            let txn = Txn::new().put(Space::ALL[key % 5], format!("k{key}"), vec![7; value]);
            state.apply(Revision(key as u64), &txn, |_| ());
        }
        Image(Arc::new(state))
    }

    #[test]
    fn an_image_arrives_as_it_left_however_large_its_rows() {
        for (keys, value) in [(0, 0), (1, 10), (5_000, 1_000), (3, PIECE_BYTES)] {
            let image = image(keys, value);
            let mut assembler = Assembler::default();
            for piece in Disassembler::new(image.clone()) {
                assert!(!assembler.complete, "nothing may follow the last piece");
                assembler.push(piece).unwrap();
            }
            let arrived = assembler.finish(&image.meta()).unwrap();
            let rows = |image: &Image| {
                image
                    .0
                    .iter()
                    .map(|(s, k, r)| (s, k.clone(), r.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(rows(&arrived), rows(&image), "{keys} keys of {value} bytes");
            assert_eq!(arrived.0.live_bytes(), image.0.live_bytes());
        }
    }

    #[test]
    fn a_lost_or_changed_piece_is_noticed() {
        let pieces: Vec<_> = Disassembler::new(image(5_000, 1_000)).collect();
        assert!(pieces.len() > 2);

        let mut lost = Assembler::default();
        assert!(
            pieces[1..]
                .iter()
                .cloned()
                .try_for_each(|piece| lost.push(piece))
                .is_err()
        );

        let mut short = Assembler::default();
        pieces[..2]
            .iter()
            .cloned()
            .try_for_each(|piece| short.push(piece))
            .unwrap();
        assert!(short.finish(&SnapshotMeta::default()).is_err());

        let mut changed = Assembler::default();
        let mut pieces = pieces;
        pieces[0].rows[0].2.value = Bytes::from_static(b"flipped");
        assert!(
            pieces
                .into_iter()
                .try_for_each(|piece| changed.push(piece))
                .is_err()
        );
    }
}
