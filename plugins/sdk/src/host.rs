//! What a plugin may ask of the outside.

use std::time::Duration;

use crate::bindings::portolan::plugin::{clock, credentials, dns_message, http, log};

pub use clock::Datetime as Clock;
pub use credentials::{Algorithm, Error as CredentialError, HmacChain};
pub use log::Level;

/// The host of a plugin: the only way out of the sandbox.
///
/// A trait, so that a plugin's logic runs natively in its tests against a host in memory.
pub trait Host {
    /// Sends one HTTP request and waits for the whole response. [`crate::http::Request::send`] is the
    /// comfortable way to call it.
    fn send(&self, request: &http::Request) -> Result<http::Response, http::Error>;

    /// Sends one DNS message and waits for its answer. [`crate::message::exchange`] is the comfortable way
    /// to call it.
    fn exchange(&self, request: &dns_message::Request) -> Result<Vec<u8>, dns_message::Error>;

    /// Asks for a zone and waits for all of its messages; see [`crate::message::transfer`].
    fn transfer(&self, request: &dns_message::Request) -> Result<Vec<Vec<u8>>, dns_message::Error>;

    /// Computes a chain of HMACs that begins with a credential, which the plugin never sees.
    fn hmac(&self, chain: &HmacChain) -> Result<Vec<u8>, CredentialError>;

    /// The time of day.
    fn now(&self) -> Clock;

    /// Pauses, in whole milliseconds. The call's deadline goes on meanwhile.
    fn sleep(&self, pause: Duration);

    /// Writes one line to the daemon's log: lower-case prose without the varying parts, which go into
    /// `fields` as (name, value).
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);
}

/// The daemon that runs this plugin.
pub struct Daemon;

impl Host for Daemon {
    fn send(&self, request: &http::Request) -> Result<http::Response, http::Error> {
        http::send(request)
    }

    fn exchange(&self, request: &dns_message::Request) -> Result<Vec<u8>, dns_message::Error> {
        dns_message::exchange(request)
    }

    fn transfer(&self, request: &dns_message::Request) -> Result<Vec<Vec<u8>>, dns_message::Error> {
        dns_message::transfer(request)
    }

    fn hmac(&self, chain: &HmacChain) -> Result<Vec<u8>, CredentialError> {
        credentials::hmac(chain)
    }

    fn now(&self) -> Clock {
        clock::now()
    }

    fn sleep(&self, pause: Duration) {
        clock::sleep(u32::try_from(pause.as_millis()).unwrap_or(u32::MAX));
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        log::write(level, message, &fields);
    }
}

impl From<CredentialError> for crate::dns::Error {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Denied(text) => Self::Denied(text),
            CredentialError::Invalid(text) => Self::Invalid(text),
        }
    }
}
