//! Tencent Cloud's signature version 3, TC3-HMAC-SHA256, of requests that post a body to `/`.
//!
//! A request is written down canonically and hashed; the hash, with the moment and the scope, is signed
//! by a chain of HMACs that begins with `TC3` and the SecretKey: date, service, `tc3_request`, string to
//! sign. The secret is the daemon's alone, so this module stops at the chain and goes on with the
//! signature.

use portolan_plugin::{
    Algorithm, HmacChain,
    signing::{Moment, hex, sha256_hex},
};

const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// The headers that are signed: those that the service demands.
const SIGNED_HEADERS: &str = "content-type;host";

/// A request to be signed.
#[derive(Clone, Debug)]
pub struct Unsigned<'a> {
    /// The `content-type` header.
    pub content_type: &'a str,
    /// The `host` header.
    pub authority: &'a str,
    /// The first label of the service's host: `dnspod`.
    pub service: &'a str,
    /// What `x-tc-timestamp` says.
    pub seconds: u64,
    /// The body.
    pub body: &'a [u8],
}

impl Unsigned<'_> {
    /// The request, written down canonically.
    pub fn canonical_request(&self) -> String {
        let Self {
            content_type,
            authority,
            ..
        } = self;
        format!(
            "POST\n/\n\ncontent-type:{content_type}\nhost:{authority}\n\n{SIGNED_HEADERS}\n{}",
            sha256_hex(self.body)
        )
    }

    /// What is signed at the end of the chain.
    pub fn string_to_sign(&self) -> String {
        format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            self.seconds,
            self.scope(),
            sha256_hex(self.canonical_request().as_bytes())
        )
    }

    /// The chain of HMACs whose outcome is the signature. `credential` is the name of the SecretKey.
    pub fn chain(&self, credential: &str) -> HmacChain {
        HmacChain {
            credential: credential.to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: "TC3".to_owned(),
            suffix: String::new(),
            steps: vec![
                self.date().into_bytes(),
                self.service.as_bytes().to_vec(),
                b"tc3_request".to_vec(),
                self.string_to_sign().into_bytes(),
            ],
        }
    }

    /// The `authorization` header that carries a signature.
    pub fn authorization(&self, secret_id: &str, signature: &[u8]) -> String {
        format!(
            "{ALGORITHM} Credential={secret_id}/{}, SignedHeaders={SIGNED_HEADERS}, Signature={}",
            self.scope(),
            hex(signature)
        )
    }

    fn date(&self) -> String {
        Moment::at(self.seconds).date()
    }

    fn scope(&self) -> String {
        format!("{}/{}/tc3_request", self.date(), self.service)
    }
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{Host, testing::TestHost};

    use super::*;

    /// The example of the vendor's documentation, "Signature v3".
    #[test]
    fn the_published_example_comes_out() {
        let body = br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
        let request = Unsigned {
            content_type: "application/json; charset=utf-8",
            authority: "cvm.tencentcloudapi.com",
            service: "cvm",
            seconds: 1_551_113_065,
            body,
        };
        assert_eq!(
            request.string_to_sign(),
            "TC3-HMAC-SHA256\n1551113065\n2019-02-25/cvm/tc3_request\n\
             5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031"
        );
        let host = TestHost::on_loopback().credential("key", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE");
        let signature = host.hmac(&request.chain("key")).unwrap();
        assert_eq!(
            request.authorization("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", &signature),
            "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/\
             tc3_request, SignedHeaders=content-type;host, \
             Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
        );
    }
}
