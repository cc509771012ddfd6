//! How log ids, votes and entries are written inside `raft-log`'s records.
//!
//! `raft-log` puts a CRC32 behind every record, truncates a last record that ends too early (a torn,
//! hence unacknowledged write) and refuses a record whose checksum is wrong. A flipped bit in a
//! *length* would look like the former and silently take every later record with it, so a length is
//! stored together with its complement here: a length that does not match is damage, never a torn
//! write.

use std::io::{self, Read, Write};

use openraft::vote::{RaftLeaderId, RaftVote};
use raft_log::codeq::{Decode, Encode};

use crate::raft::{LogId, Payload, TypeConfig, Vote};

/// Version of [`StoredPayload`]'s encoding.
const PAYLOAD_VERSION: u8 = 1;

/// The types that `raft-log` works with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogTypes;

impl raft_log::Types for LogTypes {
    type LogId = StoredLogId;
    type LogPayload = StoredPayload;
    type Vote = StoredVote;
    type Callback = super::flush::UnderWay;
    type UserData = u8;

    fn log_index(log_id: &StoredLogId) -> u64 {
        log_id.0.index
    }

    fn payload_size(payload: &StoredPayload) -> u64 {
        payload.size()
    }
}

/// A log id: term, leader and index, 8 bytes each, big endian.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredLogId(pub LogId);

impl Encode for StoredLogId {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let leader = self.0.committed_leader_id();
        let mut n = leader.term.encode(&mut w)?;
        n += leader.node_id.encode(&mut w)?;
        n += self.0.index.encode(&mut w)?;
        Ok(n)
    }
}

impl Decode for StoredLogId {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let term = u64::decode(&mut r)?;
        let node_id = u64::decode(&mut r)?;
        let index = u64::decode(&mut r)?;
        let leader = openraft::alias::LeaderIdOf::<TypeConfig>::new(term, node_id);
        Ok(Self(LogId::new(leader, index)))
    }
}

/// A vote: term, candidate, and whether a quorum granted it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd)]
pub(crate) struct StoredVote(pub Vote);

impl Encode for StoredVote {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let leader = self.0.leader_id();
        let mut n = leader.term.encode(&mut w)?;
        n += leader.node_id.encode(&mut w)?;
        n += u8::from(self.0.is_committed()).encode(&mut w)?;
        Ok(n)
    }
}

impl Decode for StoredVote {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let term = u64::decode(&mut r)?;
        let node_id = u64::decode(&mut r)?;
        let committed = u8::decode(&mut r)? != 0;
        let leader = openraft::alias::LeaderIdOf::<TypeConfig>::new(term, node_id);
        Ok(Self(Vote::from_leader_id(leader, committed)))
    }
}

/// An entry's payload: `version, length, !length` and the payload in postcard.
#[derive(Debug, Clone)]
pub(crate) struct StoredPayload(pub Payload);

impl StoredPayload {
    /// About how many bytes it holds in memory, for the log's cache.
    pub(crate) fn size(&self) -> u64 {
        const OVERHEAD: u64 = 128;
        match &self.0 {
            Payload::Normal(command) => OVERHEAD + command.0.bytes(),
            Payload::Blank | Payload::Membership(_) => OVERHEAD,
        }
    }
}

impl Encode for StoredPayload {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let body = postcard::to_stdvec(&self.0).map_err(io::Error::other)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut n = PAYLOAD_VERSION.encode(&mut w)?;
        n += length.encode(&mut w)?;
        n += (!length).encode(&mut w)?;
        w.write_all(&body)?;
        Ok(n + body.len())
    }
}

impl Decode for StoredPayload {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let version = u8::decode(&mut r)?;
        if version != PAYLOAD_VERSION {
            return Err(damaged(format!(
                "entry of version {version}, this daemon reads version {PAYLOAD_VERSION}"
            )));
        }
        let length = u32::decode(&mut r)?;
        if u32::decode(&mut r)? != !length {
            return Err(damaged("the length of an entry is damaged".into()));
        }
        let mut body = vec![0; length as usize];
        r.read_exact(&mut body)?;
        postcard::from_bytes(&body)
            .map(Self)
            .map_err(|error| damaged(error.to_string()))
    }
}

fn damaged(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Command;
    use crate::types::{Space, Txn};
    use std::sync::Arc;

    fn payload() -> StoredPayload {
        let txn = Txn::new().put(Space::User, "key", "value");
        StoredPayload(Payload::Normal(Command(Arc::new(txn))))
    }

    fn encoded() -> Vec<u8> {
        let mut bytes = Vec::new();
        payload().encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let decoded = StoredPayload::decode(encoded().as_slice()).unwrap();
        assert_eq!(decoded.0, payload().0);
    }

    #[test]
    fn an_entry_that_ends_early_is_torn() {
        let bytes = encoded();
        for end in 0..bytes.len() {
            let error = StoredPayload::decode(&bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
        }
    }

    #[test]
    fn a_flipped_bit_in_version_or_length_is_damage_and_never_torn() {
        for byte in 0..9 {
            for bit in 0..8 {
                let mut bytes = encoded();
                bytes[byte] ^= 1 << bit;
                let error = StoredPayload::decode(bytes.as_slice()).unwrap_err();
                assert_eq!(
                    error.kind(),
                    io::ErrorKind::InvalidData,
                    "byte {byte} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn log_ids_and_votes_read_back() {
        let leader = openraft::alias::LeaderIdOf::<TypeConfig>::new(7, 3);
        let id = StoredLogId(LogId::new(leader, 42));
        let vote = StoredVote(Vote::from_leader_id(leader, true));
        let mut bytes = Vec::new();
        id.encode(&mut bytes).unwrap();
        vote.encode(&mut bytes).unwrap();
        let mut reader = bytes.as_slice();
        assert_eq!(StoredLogId::decode(&mut reader).unwrap(), id);
        assert_eq!(StoredVote::decode(&mut reader).unwrap(), vote);
    }
}
