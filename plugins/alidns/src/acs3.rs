//! Alibaba Cloud's signature version 3, ACS3-HMAC-SHA256, of requests without a body.
//!
//! A request is written down canonically, hashed, and the hash signed with the AccessKey secret:
//! `hex(HMAC-SHA256(secret, "ACS3-HMAC-SHA256\n" + hex(SHA256(canonical request))))`. The secret is the
//! daemon's alone, so this module stops at the string to sign and goes on with the signature.

use portolan_plugin::{
    http::encode,
    signing::{hex, in_order, sha256_hex},
};

/// The signature's name.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// A request to be signed: its method, the parameters of its query, and the headers to be signed, with
/// names in lower case. The path is `/`, the body empty.
#[derive(Clone, Debug)]
pub struct Unsigned<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// Names and values as they are, not encoded.
    pub query: Vec<(&'a str, String)>,
    /// All headers that begin with `x-acs-`, `host`, and whichever else shall be signed.
    pub headers: Vec<(&'a str, String)>,
}

impl<'a> Unsigned<'a> {
    /// A request whose parameters and headers are put in the order in which they are signed.
    pub fn new(
        method: &'a str,
        query: Vec<(&'a str, String)>,
        headers: Vec<(&'a str, String)>,
    ) -> Self {
        Self {
            method,
            query: in_order(query),
            headers: in_order(headers),
        }
    }

    /// The query as it is signed and must be sent.
    pub fn query(&self) -> String {
        let pair = |(name, value): &(&str, String)| format!("{}={}&", encode(name), encode(value));
        let mut query: String = self.query.iter().map(pair).collect();
        query.pop();
        query
    }

    /// The names of the signed headers.
    pub fn signed_headers(&self) -> String {
        self.headers
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(";")
    }

    /// The request, written down canonically.
    pub fn canonical_request(&self) -> String {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim_ascii()))
            .collect();
        format!(
            "{}\n/\n{}\n{headers}\n{}\n{}",
            self.method,
            self.query(),
            self.signed_headers(),
            empty_body()
        )
    }

    /// What is signed with the AccessKey secret.
    pub fn string_to_sign(&self) -> String {
        format!(
            "{ALGORITHM}\n{}",
            sha256_hex(self.canonical_request().as_bytes())
        )
    }

    /// The `Authorization` header that carries a signature.
    pub fn authorization(&self, access_key_id: &str, signature: &[u8]) -> String {
        format!(
            "{ALGORITHM} Credential={access_key_id},SignedHeaders={},Signature={}",
            self.signed_headers(),
            hex(signature)
        )
    }
}

/// The hash of no body, for `x-acs-content-sha256`.
pub fn empty_body() -> String {
    sha256_hex(b"")
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{Algorithm, HmacChain, Host, signing::Moment, testing::TestHost};

    use super::*;

    /// The example of the vendor's documentation, "Request syntax and signature method V3".
    #[test]
    fn the_published_example_comes_out() {
        let request = Unsigned::new(
            "POST",
            vec![
                ("RegionId", "cn-shanghai".to_owned()),
                (
                    "ImageId",
                    "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd".to_owned(),
                ),
            ],
            vec![
                ("x-acs-version", "2014-05-26".to_owned()),
                (
                    "x-acs-signature-nonce",
                    "3156853299f313e23d1673dc12e1703d".to_owned(),
                ),
                ("x-acs-date", Moment::at(1_698_315_752).extended()),
                ("x-acs-content-sha256", empty_body()),
                ("x-acs-action", "RunInstances".to_owned()),
                ("host", "ecs.cn-shanghai.aliyuncs.com".to_owned()),
            ],
        );
        assert_eq!(
            sha256_hex(request.canonical_request().as_bytes()),
            "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
        );

        let host = TestHost::on_loopback().credential("secret", "YourAccessKeySecret");
        let signature = host.hmac(&HmacChain {
            credential: "secret".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: String::new(),
            suffix: String::new(),
            steps: vec![request.string_to_sign().into_bytes()],
        });
        assert_eq!(
            request.authorization("YourAccessKeyId", &signature.unwrap()),
            "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;\
             x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,\
             Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
        );
    }
}
