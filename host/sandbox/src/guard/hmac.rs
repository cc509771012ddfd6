//! HMAC chains: signatures with a credential that stays outside the sandbox.

use hmac::{Hmac, Mac, digest::KeyInit};
use zeroize::Zeroizing;

/// The most steps that a chain may have.
pub(crate) const MAX_STEPS: usize = 8;

/// The hash function of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
}

/// `k0 = key`, then `k(n+1) = HMAC(k(n), steps[n])`; the last one is the answer.
pub(crate) fn chain(algorithm: Algorithm, key: Zeroizing<Vec<u8>>, steps: &[Vec<u8>]) -> Vec<u8> {
    let mut key = key;
    for step in steps {
        key = Zeroizing::new(match algorithm {
            Algorithm::Sha1 => mac::<Hmac<sha1::Sha1>>(&key, step),
            Algorithm::Sha256 => mac::<Hmac<sha2::Sha256>>(&key, step),
        });
    }
    std::mem::take(&mut *key)
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length (RFC 2104), so this never fails.
    <M as Mac>::new_from_slice(key)
        .map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    fn signed(algorithm: Algorithm, key: &str, steps: &[&str]) -> Vec<u8> {
        let steps: Vec<Vec<u8>> = steps.iter().map(|step| step.as_bytes().to_vec()).collect();
        chain(algorithm, Zeroizing::new(key.as_bytes().to_vec()), &steps)
    }

    #[test]
    fn rfc_2202_and_4231() {
        let what = "what do ya want for nothing?";
        assert_eq!(
            hex::encode(signed(Algorithm::Sha1, "Jefe", &[what])),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            hex::encode(signed(Algorithm::Sha256, "Jefe", &[what])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    /// One published example of each signature that the contract lists: credential with its prefix and
    /// suffix, steps, answer.
    #[test]
    fn published_signatures() {
        use Algorithm::{Sha1, Sha256};
        let rpc = "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeDomainRecords%26DomainName%3Dexample.com\
            %26Format%3DXML%26SignatureMethod%3DHMAC-SHA1\
            %26SignatureNonce%3Df59ed6a9-83fc-473b-9cc6-99c95df3856e%26SignatureVersion%3D1.0\
            %26Timestamp%3D2016-03-24T16%253A41%253A54Z%26Version%3D2015-01-09";
        let signature = signed(Sha1, "testsecret&", &[rpc]);
        assert_eq!(
            STANDARD.encode(signature),
            "uRpHwaSEt3J+6KQD//svCh/x+pI=",
            "Alibaba RPC v1"
        );

        let examples: [(&str, &str, &[&str], &str); 4] = [
            (
                "Alibaba ACS3",
                "YourAccessKeySecret",
                &["ACS3-HMAC-SHA256\n\
                   7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"],
                "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
            ),
            (
                "Tencent TC3",
                "TC3Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
                &[
                    "2019-02-25",
                    "cvm",
                    "tc3_request",
                    "TC3-HMAC-SHA256\n1551113065\n2019-02-25/cvm/tc3_request\n\
                     5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031",
                ],
                "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
            ),
            (
                "Huawei SDK-HMAC-SHA256",
                "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
                &["SDK-HMAC-SHA256\n20191115T033655Z\n\
                   b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a"],
                "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
            ),
            (
                "AWS SigV4",
                "AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                &[
                    "20150830",
                    "us-east-1",
                    "iam",
                    "aws4_request",
                    "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                     f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59",
                ],
                "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ];
        for (name, key, steps, expected) in examples {
            assert_eq!(hex::encode(signed(Sha256, key, steps)), expected, "{name}");
        }
    }
}
