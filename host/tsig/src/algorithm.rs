//! The hash functions that a signature can be made with.

use hmac::{Hmac, Mac, digest::KeyInit};

/// The hash function of an HMAC, as RFC 8945, section 6, lists them. HMAC-MD5 is left out: it must not
/// be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// For old servers.
    HmacSha1,
    /// For old servers.
    HmacSha224,
    /// What every server knows.
    HmacSha256,
    /// Longer.
    HmacSha384,
    /// The longest.
    HmacSha512,
}

impl Algorithm {
    /// Its name in messages and in servers' configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha224 => "hmac-sha224",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Begins an HMAC.
    pub(crate) fn begin(self, key: &[u8]) -> Running {
        match self {
            Self::HmacSha1 => begin::<Hmac<sha1::Sha1>>(key),
            Self::HmacSha224 => begin::<Hmac<sha2::Sha224>>(key),
            Self::HmacSha256 => begin::<Hmac<sha2::Sha256>>(key),
            Self::HmacSha384 => begin::<Hmac<sha2::Sha384>>(key),
            Self::HmacSha512 => begin::<Hmac<sha2::Sha512>>(key),
        }
    }
}

/// An HMAC under way.
pub(crate) type Running = Box<dyn Digesting + Send + Sync>;

pub(crate) trait Digesting {
    fn add(&mut self, bytes: &[u8]);
    fn finish(self: Box<Self>) -> Vec<u8>;
    /// Is this the whole MAC? Takes the same time whatever the answer.
    fn matches(self: Box<Self>, mac: &[u8]) -> bool;
}

impl<M: Mac> Digesting for M {
    fn add(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.finalize().into_bytes().to_vec()
    }

    fn matches(self: Box<Self>, mac: &[u8]) -> bool {
        self.verify_slice(mac).is_ok()
    }
}

fn begin<M: Mac + KeyInit + Send + Sync + 'static>(key: &[u8]) -> Running {
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes keys of any length (RFC 2104)"
    )]
    let mac = <M as Mac>::new_from_slice(key).expect("any key length");
    Box::new(mac)
}
