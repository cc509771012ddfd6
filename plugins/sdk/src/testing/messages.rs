//! DNS messages to a server on loopback, signed as the daemon signs them.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{SystemTime, UNIX_EPOCH},
};

use portolan_tsig::{Dialogue, Expect, Fault, Key};

use super::host::TIMEOUT;
use crate::message::{Algorithm, MessageError, Refusal, Request};

/// Sends a message and waits for all that answer it. `secret` is the value of the credential that the
/// request names.
pub(super) fn converse(
    request: &Request,
    secret: Option<&str>,
    expect: Expect,
) -> Result<Vec<Vec<u8>>, MessageError> {
    let invalid = |error: &dyn ToString| MessageError::Invalid(error.to_string());
    let key = match (&request.tsig, secret) {
        (None, _) => None,
        (Some(tsig), Some(secret)) => {
            let key = Key::new(&tsig.key_name, algorithm(tsig.algorithm), secret);
            Some(key.map_err(|error| invalid(&error))?)
        }
        (Some(tsig), None) => {
            return Err(MessageError::Denied(format!(
                "the binding holds no credential `{}`",
                tsig.credential
            )));
        }
    };
    // A server checks the time, so it is the true one, whatever the test's clock says.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // Any id that differs from one request to the next will do.
    let id = now.subsec_micros() as u16;
    let (mut dialogue, bytes) = Dialogue::open(&request.message, key, id, now.as_secs(), expect)
        .map_err(|error| invalid(&error))?;

    let server = &request.server;
    let mut stream = TcpStream::connect(server)
        .map_err(|error| MessageError::NotSent(format!("{server}: {error}")))?;
    let lost = |error: io::Error| MessageError::Interrupted(format!("{server}: {error}"));
    stream.set_read_timeout(Some(TIMEOUT)).map_err(lost)?;
    let length = (bytes.len() as u16).to_be_bytes();
    stream
        .write_all(&[&length[..], &bytes].concat())
        .map_err(lost)?;
    let mut messages = Vec::new();
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).map_err(lost)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).map_err(lost)?;
        let heard = dialogue.hear(&answer, now.as_secs());
        let heard = heard.map_err(|fault| match fault {
            Fault::Garbled(text) => MessageError::Interrupted(text),
            Fault::BadSignature(text) => MessageError::BadSignature(text),
            Fault::KeyRefused(text) => MessageError::KeyRefused(text),
            Fault::UnsignedRefusal { code, text } => {
                let message = text;
                MessageError::UnsignedRefusal(Refusal { code, message })
            }
        })?;
        messages.push(heard.message);
        if heard.last {
            return Ok(messages);
        }
    }
}

fn algorithm(algorithm: Algorithm) -> portolan_tsig::Algorithm {
    match algorithm {
        Algorithm::HmacSha1 => portolan_tsig::Algorithm::HmacSha1,
        Algorithm::HmacSha224 => portolan_tsig::Algorithm::HmacSha224,
        Algorithm::HmacSha256 => portolan_tsig::Algorithm::HmacSha256,
        Algorithm::HmacSha384 => portolan_tsig::Algorithm::HmacSha384,
        Algorithm::HmacSha512 => portolan_tsig::Algorithm::HmacSha512,
    }
}
