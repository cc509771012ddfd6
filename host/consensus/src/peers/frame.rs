//! Frames: `length u32, crc32 u32, id u64, kind u8, version u8, direction u8, 0` (big endian), then the
//! body in postcard.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// postcard is positional, so a change of any message is a new version.
const VERSION: u8 = 1;
const HEADER: usize = 20;
/// Far above what is ever sent; a length beyond it is not one of ours.
const MAX_BODY: usize = 256 << 20;

/// Whether a frame asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Reply,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Chosen by who asks; the reply carries the same.
    pub id: u64,
    /// Which message it is ([`super::message`]).
    pub kind: u8,
    pub direction: Direction,
    pub body: Bytes,
}

impl Frame {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEADER + self.body.len());
        // A body is at most `MAX_BODY` long, which fits.
        bytes.put_u32(self.body.len() as u32);
        bytes.put_u32(crc32fast::hash(&self.body));
        bytes.put_u64(self.id);
        bytes.put_u8(self.kind);
        bytes.put_u8(VERSION);
        bytes.put_u8(match self.direction {
            Direction::Request => 0,
            Direction::Reply => 1,
        });
        bytes.put_u8(0);
        bytes.put_slice(&self.body);
        bytes.freeze()
    }

    /// Reads one frame; none at a clean end.
    pub(crate) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER];
        match io.read_exact(&mut header).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        };
        let mut fields = header.as_slice();
        let (length, crc, id) = (
            take_u32(&mut fields),
            take_u32(&mut fields),
            take_u64(&mut fields),
        );
        let [kind, version, direction, _] = [fields[0], fields[1], fields[2], fields[3]];
        if version != VERSION {
            return Err(invalid(format!(
                "the other member speaks version {version} of the peers' protocol, this daemon \
                 speaks version {VERSION}"
            )));
        }
        if length as usize > MAX_BODY {
            return Err(invalid(format!("a frame of {length} bytes")));
        }
        let direction = match direction {
            0 => Direction::Request,
            1 => Direction::Reply,
            other => return Err(invalid(format!("a frame of direction {other}"))),
        };
        let mut body = BytesMut::zeroed(length as usize);
        io.read_exact(&mut body).await?;
        if crc32fast::hash(&body) != crc {
            return Err(invalid("a frame whose checksum is wrong".into()));
        }
        Ok(Some(Self {
            id,
            kind,
            direction,
            body: body.freeze(),
        }))
    }
}

fn take_u32(bytes: &mut &[u8]) -> u32 {
    bytes::Buf::get_u32(bytes)
}

fn take_u64(bytes: &mut &[u8]) -> u64 {
    bytes::Buf::get_u64(bytes)
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Writes what is queued until the queue's senders are gone; what is queued together is flushed
/// together.
pub(crate) async fn write_queue(
    io: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let mut io = tokio::io::BufWriter::with_capacity(64 << 10, io);
    while let Some(frame) = queue.recv().await {
        io.write_all(&frame).await?;
        while let Ok(frame) = queue.try_recv() {
            io.write_all(&frame).await?;
        }
        io.flush().await?;
    }
    io.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            id: 7,
            kind: 3,
            direction: Direction::Reply,
            body: Bytes::from_static(b"body"),
        }
    }

    #[tokio::test]
    async fn a_frame_reads_back_and_the_end_is_clean() {
        let bytes = [frame().encode(), frame().encode()].concat();
        let mut reader = bytes.as_slice();
        assert_eq!(Frame::read(&mut reader).await.unwrap(), Some(frame()));
        assert_eq!(Frame::read(&mut reader).await.unwrap(), Some(frame()));
        assert_eq!(Frame::read(&mut reader).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_flipped_bit_in_length_checksum_version_or_body_is_refused() {
        for byte in (0..8).chain([17, 20, 23]) {
            let mut bytes = frame().encode().to_vec();
            bytes[byte] ^= 0x40;
            let result = Frame::read(&mut bytes.as_slice()).await;
            assert!(result.is_err(), "byte {byte}: {result:?}");
        }
    }
}
