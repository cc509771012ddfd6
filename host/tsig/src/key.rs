//! A key that a client and a server share.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{Algorithm, algorithm::Running, walk};

/// A TSIG key: name, hash function and secret.
pub struct Key {
    /// In wire format and lower case.
    pub(crate) name: Vec<u8>,
    /// The algorithm's name in wire format.
    pub(crate) algorithm_name: Vec<u8>,
    shown: String,
    algorithm: Algorithm,
    secret: Zeroizing<Vec<u8>>,
}

/// Why there is no such key. The text never holds the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is not one.
    #[error("`{0}` is not the name of a TSIG key: it is written like a host name")]
    Name(String),
    /// The secret is not one.
    #[error(
        "it is not the base64 of a TSIG secret: take the text behind `secret` in the server's \
         configuration"
    )]
    Secret,
}

impl Key {
    /// A key as servers' configurations write it: a name and the secret in base64.
    pub fn new(name: &str, algorithm: Algorithm, secret: &str) -> Result<Self, KeyError> {
        let wire = |name: &str| walk::to_wire(name).ok_or_else(|| KeyError::Name(name.to_owned()));
        let secret = STANDARD
            .decode(secret.trim_ascii())
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Secret)?;
        if secret.is_empty() {
            return Err(KeyError::Secret);
        }
        Ok(Self {
            name: wire(name)?,
            algorithm_name: wire(algorithm.name())?,
            shown: name.to_owned(),
            algorithm,
            secret,
        })
    }

    pub(crate) fn begin(&self) -> Running {
        self.algorithm.begin(&self.secret)
    }
}

impl fmt::Display for Key {
    /// Its name and algorithm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.shown, self.algorithm.name())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}
