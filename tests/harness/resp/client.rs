//! A RESP2 client, as small as the tests need it.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Resp;

/// One connection.
#[derive(Debug)]
pub struct RespClient {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl RespClient {
    /// Connects to `host:port`.
    pub async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Sends a command and waits for its reply; an error where the connection ends first.
    pub async fn try_call(&mut self, command: &[&str]) -> io::Result<Resp> {
        self.send(command).await?;
        self.receive().await
    }

    /// [`Self::try_call`] on a connection that is expected to hold.
    pub async fn call(&mut self, command: &[&str]) -> Resp {
        self.try_call(command)
            .await
            .unwrap_or_else(|error| panic!("{command:?} got no reply: {error}"))
    }

    /// Sends a command without waiting.
    pub async fn send(&mut self, command: &[&str]) -> io::Result<()> {
        self.send_all(&[command]).await
    }

    /// Sends commands in one piece, without waiting; their replies come in the same order.
    pub async fn send_all(&mut self, commands: &[&[&str]]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for command in commands {
            let items = command.iter().map(|part| Resp::bulk(*part)).collect();
            Resp::Array(items).encode(&mut bytes);
        }
        self.stream.write_all(&bytes).await
    }

    /// The next reply.
    pub async fn receive(&mut self) -> io::Result<Resp> {
        loop {
            if let Some((reply, length)) = Resp::decode(&self.unread)? {
                self.unread.drain(..length);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
