//! A DNS server on loopback that signs, or does not, by the name that it is asked for. Its signatures
//! are written down once more here, as RFC 8945 has them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The secret of the key `lab.key`, as the credential holds it.
pub fn secret() -> String {
    STANDARD.encode(SECRET)
}

const SECRET: &[u8] = b"another s3cret of 32 octets here";
const KEY_NAME: &[u8] = b"\x03lab\x03key\x00";
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\x00";
/// Name, type, class, TTL, length of data; algorithm, time, fudge, length of MAC, MAC, id, error, other.
const TSIG: usize = 9 + 10 + 13 + 8 + 2 + 32 + 6;

pub struct DnsStub {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<AtomicUsize>,
}

impl DnsStub {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            connections: Arc::default(),
        };
        let (received, connections) = (stub.received.clone(), stub.connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, received.clone()));
            }
        });
        stub
    }

    pub fn grant(&self) -> String {
        format!("dns://{}", self.address)
    }

    /// The messages that arrived, as they were.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Answers by the first label of the name.
async fn serve(mut stream: TcpStream, received: Arc<Mutex<Vec<Vec<u8>>>>) -> Option<()> {
    loop {
        let length = stream.read_u16().await.ok()?;
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await.ok()?;
        received.lock().unwrap().push(request.clone());
        let first = usize::from(request[12]);
        let what = String::from_utf8_lossy(&request[13..13 + first]).into_owned();
        let mut chain = Chain::of(&request);
        let send = match what.as_str() {
            "plain" => vec![answer(&request, 0, &[1])],
            "refused" => vec![answer(&request, 5, &[])],
            "badkey" => vec![sealed(&answer(&request, 9, &[]), 17, &[])],
            "unsigned" => vec![answer(&request, 0, &[1])],
            "forged" => {
                let mut forged = chain.sign(&answer(&request, 0, &[1]));
                forged[3] ^= 3;
                vec![forged]
            }
            "other" => {
                let mut other = chain.sign(&answer(&request, 0, &[1]));
                other[0] ^= 1;
                vec![other]
            }
            "noise" => vec![b"noise".to_vec()],
            "zone" => vec![
                chain.sign(&answer(&request, 0, &[6, 1])),
                chain.leave(answer(&request, 0, &[1])),
                chain.sign(&answer(&request, 0, &[1, 6])),
            ],
            "torn" => vec![chain.sign(&answer(&request, 0, &[6, 1]))],
            "bomb" => {
                let bomb = framed(&chain.sign(&answer(&request, 0, &[6])));
                stream.write_all(&bomb).await.ok()?;
                let records = vec![1; 3_000];
                loop {
                    let more = framed(&chain.sign(&answer(&request, 0, &records)));
                    stream.write_all(&more).await.ok()?;
                }
            }
            "silent" => std::future::pending().await,
            "hangup" => return None,
            "cut" => {
                let whole = framed(&chain.sign(&answer(&request, 0, &[1])));
                stream.write_all(&whole[..whole.len() / 2]).await.ok()?;
                return None;
            }
            _ => vec![chain.sign(&answer(&request, 0, &[1]))],
        };
        for message in send {
            stream.write_all(&framed(&message)).await.ok()?;
        }
        if what == "torn" || what == "last" {
            return None;
        }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// An answer without a question, and with records of these types.
fn answer(request: &[u8], rcode: u8, types: &[u8]) -> Vec<u8> {
    let mut message = request[..2].to_vec();
    message.extend([0x84, rcode, 0, 0]);
    message.extend((types.len() as u16).to_be_bytes());
    message.extend([0; 4]);
    for rtype in types {
        message.extend(b"\x01x\x00");
        message.extend([0, *rtype, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    }
    message
}

/// The chain of signatures, from the request's on.
struct Chain {
    mac: Vec<u8>,
    unsigned: Vec<u8>,
    time: Vec<u8>,
    first: bool,
}

impl Chain {
    fn of(request: &[u8]) -> Self {
        let signed = request.len() > TSIG && request[11] == 1;
        let end = request.len() - 6;
        let mut chain = Self {
            mac: Vec::new(),
            unsigned: Vec::new(),
            time: Vec::new(),
            first: true,
        };
        if signed {
            chain.mac = request[end - 32..end].to_vec();
            chain.time = request[end - 42..end - 36].to_vec();
            let mut plain = request[..request.len() - TSIG].to_vec();
            plain[11] = 0;
            let mut mac = begin();
            mac.update(&plain);
            mac.update(&variables(&chain.time));
            assert_eq!(
                mac.finalize().into_bytes().to_vec(),
                chain.mac,
                "the request's MAC"
            );
        }
        chain
    }

    fn sign(&mut self, message: &[u8]) -> Vec<u8> {
        if self.time.is_empty() {
            return message.to_vec();
        }
        let mut mac = begin();
        mac.update(&32_u16.to_be_bytes());
        mac.update(&self.mac);
        mac.update(&self.unsigned);
        mac.update(message);
        if self.first {
            mac.update(&variables(&self.time));
        } else {
            mac.update(&[&self.time[..], &[1, 44]].concat());
        }
        self.first = false;
        self.unsigned.clear();
        self.mac = mac.finalize().into_bytes().to_vec();
        sealed_at(message, &self.time, 0, &self.mac)
    }

    fn leave(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.unsigned.extend(&message);
        message
    }
}

fn begin() -> Hmac<Sha256> {
    Hmac::new_from_slice(SECRET).unwrap()
}

fn variables(time: &[u8]) -> Vec<u8> {
    [
        KEY_NAME,
        &[0, 255, 0, 0, 0, 0],
        ALGORITHM,
        time,
        &[1, 44, 0, 0, 0, 0],
    ]
    .concat()
}

fn sealed(message: &[u8], error: u8, mac: &[u8]) -> Vec<u8> {
    sealed_at(message, &[0; 6], error, mac)
}

fn sealed_at(message: &[u8], time: &[u8], error: u8, mac: &[u8]) -> Vec<u8> {
    let mut data = [ALGORITHM, time, &[1, 44, 0, mac.len() as u8], mac].concat();
    data.extend_from_slice(&message[..2]);
    data.extend([0, error, 0, 0]);
    let mut sealed = message.to_vec();
    sealed[11] += 1;
    sealed.extend(KEY_NAME);
    sealed.extend([0, 250, 0, 255, 0, 0, 0, 0, 0, data.len() as u8]);
    sealed.extend(data);
    sealed
}
