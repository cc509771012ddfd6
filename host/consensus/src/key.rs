//! The cluster key: what secrets in the store are sealed with, and what members sign for one another
//! where they meet outside of the group.
//!
//! Every member holds it, in `cluster.key` (mode 0600); it is drawn when the group is founded and
//! handed to members that join. Who has a member's store without this file reads no secret.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// The first byte of what [`ClusterKey::seal`] makes.
const VERSION: u8 = 1;
/// What the key for signatures is derived for, so that no key serves two algorithms.
const SIGNING: &[u8] = b"portolan signatures, version 1";

/// The group's key. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct ClusterKey(Arc<Zeroizing<[u8; KEY_BYTES]>>);

/// A sealed value that does not open: another key, another context, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed secret does not open with this member's cluster.key: it was sealed with another key, or \
     changed since; set the secret again"
)]
pub struct SealError;

impl ClusterKey {
    pub(crate) fn random() -> Self {
        Self(Arc::new(Zeroizing::new(rand::random())))
    }

    /// A key that is already known: 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Arc::new(Zeroizing::new(bytes.try_into().ok()?))))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text, key.as_mut()).ok()?;
        Some(Self(Arc::new(key)))
    }

    pub(crate) fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.as_bytes()))
    }

    /// Encrypts and authenticates `plain` (XChaCha20-Poly1305). It opens only with the same `context`,
    /// so a sealed value cannot be moved to another place.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), payload);
        #[expect(
            clippy::expect_used,
            reason = "encrypting to memory fails only beyond 256 GiB"
        )]
        let sealed = sealed.expect("a secret fits in memory");
        [&[VERSION], nonce.as_slice(), sealed.as_slice()].concat()
    }

    /// Opens what [`ClusterKey::seal`] made.
    ///
    /// # Errors
    /// [`SealError`] when key or context are others, or the bytes were changed.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (&version, rest) = sealed.split_first().ok_or(SealError)?;
        let (nonce, msg) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError)?;
        if version != VERSION {
            return Err(SealError);
        }
        let payload = Payload {
            msg,
            aad: context.as_bytes(),
        };
        let plain = self
            .cipher()
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| SealError)?;
        Ok(Zeroizing::new(plain))
    }

    /// Signs `bytes` (HMAC-SHA256). The signature holds only with the same `context`, so what is signed
    /// cannot be moved to another place.
    pub fn sign(&self, context: &str, bytes: &[u8]) -> [u8; 32] {
        self.signature(context, bytes)
            .finalize()
            .into_bytes()
            .into()
    }

    /// Whether [`ClusterKey::sign`] made this signature, compared in constant time.
    pub fn verify(&self, context: &str, bytes: &[u8], signature: &[u8]) -> bool {
        let expected = self.signature(context, bytes);
        expected.verify_slice(signature).is_ok()
    }

    fn signature(&self, context: &str, bytes: &[u8]) -> Hmac<Sha256> {
        let derived = keyed(self.as_bytes()).chain_update(SIGNING).finalize();
        // The length tells where the context ends.
        keyed(&derived.into_bytes().into())
            .chain_update((context.len() as u64).to_be_bytes())
            .chain_update(context)
            .chain_update(bytes)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.as_bytes().into())
    }
}

fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    // A key as long as HMAC's block is used as it is; a shorter one is filled up with zeros
    // (RFC 2104 §2), which `new` leaves to its caller.
    let mut block = Zeroizing::new([0; 64]);
    block[..KEY_BYTES].copy_from_slice(key);
    <Hmac<Sha256> as hmac::digest::KeyInit>::new((&*block).into())
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_with_its_key_in_its_place_and_nowhere_else() {
        let key = ClusterKey::random();
        let sealed = key.seal("provider/home/api-key", b"secret");
        assert_eq!(
            &*key.open("provider/home/api-key", &sealed).unwrap(),
            b"secret"
        );
        assert_eq!(key.open("provider/other/api-key", &sealed), Err(SealError));
        assert_eq!(
            ClusterKey::random().open("provider/home/api-key", &sealed),
            Err(SealError)
        );
    }

    #[test]
    fn changed_bytes_do_not_open() {
        let key = ClusterKey::random();
        let sealed = key.seal("here", b"secret");
        for byte in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[byte] ^= 1;
            assert_eq!(key.open("here", &changed), Err(SealError), "byte {byte}");
        }
        assert_eq!(key.open("here", &[]), Err(SealError));
    }

    #[test]
    fn a_signature_holds_for_its_key_its_context_and_its_bytes_alone() {
        let key = ClusterKey::random();
        let mut signature = key.sign("zone/a", b"value");
        assert!(key.verify("zone/a", b"value", &signature));
        assert!(!key.verify("zone/b", b"value", &signature));
        assert!(!key.verify("zone/", b"avalue", &signature));
        assert!(!key.verify("zone/a", b"valuE", &signature));
        assert!(!ClusterKey::random().verify("zone/a", b"value", &signature));
        assert!(!key.verify("zone/a", b"value", &signature[..16]));
        signature[31] ^= 1;
        assert!(!key.verify("zone/a", b"value", &signature));
    }

    #[test]
    fn signatures_are_those_of_rfc_2104_under_a_derived_key() {
        // Computed with Python's hmac: new(new(bytes(32), SIGNING).digest(), len("c") + "c" + "b").
        let signature = ClusterKey::from_bytes(&[0; 32]).unwrap().sign("c", b"b");
        assert_eq!(
            hex::encode(signature),
            "458b308283ce84b32379eecdb2ddb6eefa5dbc2ed470dd1d75580ac46dbdcbc7"
        );
    }

    #[test]
    fn the_same_secret_never_seals_to_the_same_bytes() {
        let key = ClusterKey::random();
        assert_ne!(key.seal("here", b"secret"), key.seal("here", b"secret"));
    }
}
