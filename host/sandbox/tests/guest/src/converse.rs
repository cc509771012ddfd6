//! DNS messages.

use crate::bindings::{
    exports::portolan::dns::provider::Error,
    portolan::plugin::dns_message::{self, Algorithm, Request, Tsig},
};

/// `SERVER KEY CREDENTIAL NAME`: a query for an address. The answer's length, and it in hexadecimal
/// digits.
pub(crate) fn exchange(text: &str) -> Result<(String, String), Error> {
    let answer = dns_message::exchange(&request(text, 1)).map_err(failed)?;
    Ok((answer.len().to_string(), crate::hex(&answer)))
}

/// The same over and over, until it fails.
pub(crate) fn exchange_many(text: &str) -> Result<(String, String), Error> {
    loop {
        exchange(text)?;
    }
}

/// `SERVER`: a request that is no message.
pub(crate) fn noise(server: &str) -> Result<(String, String), Error> {
    let request = Request {
        server: server.into(),
        message: b"no message".to_vec(),
        tsig: None,
    };
    dns_message::exchange(&request).map_err(failed)?;
    Ok((String::new(), String::new()))
}

/// The same for a zone: the number of its messages, and the last one.
pub(crate) fn transfer(text: &str) -> Result<(String, String), Error> {
    let messages = dns_message::transfer(&request(text, 252)).map_err(failed)?;
    let last = messages.last().map(|last| crate::hex(last));
    Ok((messages.len().to_string(), last.unwrap_or_default()))
}

fn request(text: &str, qtype: u8) -> Request {
    let parts: Vec<&str> = text.split(' ').collect();
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in parts[3].split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 0, qtype, 0, 1]);
    let tsig = (parts[1] != "-").then(|| Tsig {
        key_name: parts[1].into(),
        algorithm: Algorithm::HmacSha256,
        credential: parts[2].into(),
    });
    Request {
        server: parts[0].into(),
        message,
        tsig,
    }
}

fn failed(error: dns_message::Error) -> Error {
    match error {
        dns_message::Error::Denied(text) => Error::Denied(text),
        dns_message::Error::Invalid(text) => Error::Invalid(text),
        dns_message::Error::Limit(text) => Error::Quota(text),
        dns_message::Error::NotSent(text) => Error::Transient(text),
        dns_message::Error::Interrupted(text) => Error::UnknownOutcome(text),
        dns_message::Error::KeyRefused(text) => Error::Auth(text),
        dns_message::Error::UnsignedRefusal(refusal) => {
            Error::NotFound(format!("{}: {}", refusal.code, refusal.message))
        }
        dns_message::Error::BadSignature(text) => Error::Conflict(text),
    }
}
