//! The leanest HTTP/1.1 connection that can load two servers alike.
//!
//! The benchmark shares two cores with the servers that it measures: what the client side costs is
//! missing on the other side. So requests are ready-made bytes and a response is scanned for its status
//! and its end, nothing else. Everything but load uses [`crate::Client`].

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The bytes of a JSON request.
pub fn request(method: &str, path: &str, host: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends a whole request and reads the whole response: its status and its body (as chunks, where
    /// the server sent chunks).
    pub async fn round_trip(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let head = Head::parse(&self.buffer[..head_end])?;
        match head.length {
            Some(length) => {
                while self.buffer.len() < head_end + length {
                    self.read_more().await?;
                }
            }
            None => {
                while !self.buffer[head_end..].ends_with(b"0\r\n\r\n") {
                    self.read_more().await?;
                }
            }
        }
        Ok((head.status, &self.buffer[head_end..]))
    }

    async fn read_more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )),
            _ => Ok(()),
        }
    }
}

/// What a response's head says: status, and length where the body is not chunked.
struct Head {
    status: u16,
    length: Option<usize>,
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self> {
        let malformed = || Error::new(ErrorKind::InvalidData, "malformed response head");
        let text = std::str::from_utf8(head).map_err(|_| malformed())?;
        let status = text
            .get(9..12)
            .and_then(|code| code.parse().ok())
            .ok_or_else(malformed)?;
        for line in text.lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.trim().parse().map_err(|_| malformed())?;
                return Ok(Self {
                    status,
                    length: Some(length),
                });
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok(Self {
                    status,
                    length: None,
                });
            }
        }
        Err(malformed())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
