//! The secret of this member that other nodes show to it.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What `POST /v1/…` must show; without one, nothing is admitted.
#[derive(Clone, Default)]
pub struct ContractSecret(Option<[u8; 32]>);

impl ContractSecret {
    /// An empty text is none.
    pub fn new(secret: Option<&str>) -> Self {
        let secret = secret.filter(|secret| !secret.is_empty());
        Self(secret.map(digest))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this is the secret. How long the answer takes says nothing on it, not even its length.
    pub(crate) fn admits(&self, shown: &str) -> bool {
        let shown = digest(shown);
        self.0.is_some_and(|secret| secret.ct_eq(&shown).into())
    }
}

impl fmt::Debug for ContractSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "set" } else { "not set" })
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_is_admitted() {
        let secret = ContractSecret::new(Some("cocoa"));
        assert!(secret.admits("cocoa"));
        for wrong in ["", "Cocoa", "cocoa ", "coco", "***"] {
            assert!(!secret.admits(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn where_none_is_set_nothing_is_admitted() {
        for none in [ContractSecret::new(None), ContractSecret::new(Some(""))] {
            assert!(!none.admits("") && !none.is_set());
        }
    }
}
