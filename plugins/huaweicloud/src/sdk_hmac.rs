//! Huawei Cloud's signature with an access key, SDK-HMAC-SHA256.
//!
//! A request is written down canonically and hashed, and hash and time are signed with the secret access
//! key: `hex(HMAC-SHA256(secret, "SDK-HMAC-SHA256\n" + time + "\n" + hex(SHA256(canonical request))))`.
//! The secret is the daemon's alone, so this module stops at the string to sign and goes on with the
//! signature.

use portolan_plugin::{
    http::encode,
    signing::{hex, in_order, sha256_hex},
};

/// The signature's name.
pub const ALGORITHM: &str = "SDK-HMAC-SHA256";
/// The header that carries the time; its value is signed on its own, too.
pub const DATE: &str = "x-sdk-date";

/// A request to be signed.
#[derive(Clone, Debug)]
pub struct Unsigned<'a> {
    /// In upper case.
    pub method: &'a str,
    /// The parts of the path between its slashes, as they are, not encoded.
    pub path: Vec<&'a str>,
    /// Names and values as they are, not encoded, in the order of the signature.
    pub query: Vec<(&'a str, String)>,
    /// `host`, [`DATE`] and whichever else shall be signed, names in lower case, in order.
    pub headers: Vec<(&'a str, String)>,
    /// The body, empty for none.
    pub body: &'a [u8],
}

impl<'a> Unsigned<'a> {
    /// A request whose parameters and headers are put in the order in which they are signed.
    pub fn new(
        method: &'a str,
        path: &[&'a str],
        query: Vec<(&'a str, String)>,
        headers: Vec<(&'a str, String)>,
        body: &'a [u8],
    ) -> Self {
        Self {
            method,
            path: path.to_vec(),
            query: in_order(query),
            headers: in_order(headers),
            body,
        }
    }

    /// Path and query, as they must be sent.
    pub fn target(&self) -> String {
        let mut target = self.encoded_path();
        if !self.query.is_empty() {
            target.push('?');
            target.push_str(&self.encoded_query());
        }
        target
    }

    /// The request, written down canonically.
    pub fn canonical_request(&self) -> String {
        let mut path = self.encoded_path();
        if !path.ends_with('/') {
            path.push('/');
        }
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim()))
            .collect();
        format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{}",
            self.method,
            self.encoded_query(),
            self.signed_headers(),
            sha256_hex(self.body)
        )
    }

    /// What is signed with the secret access key.
    pub fn string_to_sign(&self) -> String {
        let date = self.headers.iter().find(|(name, _)| *name == DATE);
        format!(
            "{ALGORITHM}\n{}\n{}",
            date.map_or("", |(_, date)| date),
            sha256_hex(self.canonical_request().as_bytes())
        )
    }

    /// The `Authorization` header that carries a signature.
    pub fn authorization(&self, access_key: &str, signature: &[u8]) -> String {
        format!(
            "{ALGORITHM} Access={access_key}, SignedHeaders={}, Signature={}",
            self.signed_headers(),
            hex(signature)
        )
    }

    fn encoded_path(&self) -> String {
        self.path
            .iter()
            .map(|part| format!("/{}", encode(part)))
            .collect()
    }

    fn encoded_query(&self) -> String {
        let pair = |(name, value): &(&str, String)| format!("{}={}&", encode(name), encode(value));
        let mut query: String = self.query.iter().map(pair).collect();
        query.pop();
        query
    }

    fn signed_headers(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{Algorithm, HmacChain, Host, signing::Moment, testing::TestHost};

    use super::*;

    /// The example of the vendor's guide to signing API requests.
    #[test]
    fn the_published_example_comes_out() {
        let request = Unsigned::new(
            "GET",
            &["v1", "77b6a44cba5143ab91d13ab9a8ff44fd", "vpcs"],
            vec![
                ("marker", "13551d6b-755d-4757-b956-536f674975c0".to_owned()),
                ("limit", "2".to_owned()),
            ],
            vec![
                (DATE, Moment::at(1_573_789_015).basic()),
                ("host", "service.region.example.com".to_owned()),
                ("content-type", "application/json".to_owned()),
            ],
            b"",
        );
        assert_eq!(
            sha256_hex(request.canonical_request().as_bytes()),
            "b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a"
        );

        let secret = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc";
        let host = TestHost::on_loopback().credential("secret", secret);
        let signature = host.hmac(&HmacChain {
            credential: "secret".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: String::new(),
            suffix: String::new(),
            steps: vec![request.string_to_sign().into_bytes()],
        });
        assert_eq!(
            request.authorization("QTWAOYTTINDUT2QVKYUC", &signature.unwrap()),
            "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, \
             SignedHeaders=content-type;host;x-sdk-date, \
             Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
        );
    }
}
