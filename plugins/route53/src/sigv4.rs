//! AWS Signature Version 4, AWS4-HMAC-SHA256, of the whole request at once.
//!
//! A request is written down canonically and hashed; the hash is signed with a key that is derived, in
//! four steps, from the secret access key, the day, the region and the service. The secret is the
//! daemon's alone, so this module stops at the steps and goes on with the signature.

use portolan_plugin::{
    http::encode,
    signing::{Moment, hex, sha256_hex},
};

/// The signature's name.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What the secret is prefixed with before the first step.
pub const PREFIX: &str = "AWS4";
/// What ends every scope.
const TERMINATOR: &str = "aws4_request";

/// What a signature is good for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// When the request is signed.
    pub moment: Moment,
    /// `us-east-1`
    pub region: &'a str,
    /// `route53`
    pub service: &'a str,
}

impl Scope<'_> {
    fn text(&self) -> String {
        let day = self.moment.basic_date();
        format!("{day}/{}/{}/{TERMINATOR}", self.region, self.service)
    }

    /// The messages of the chain of HMACs that begins with [`PREFIX`] and the secret.
    pub fn steps(&self, string_to_sign: String) -> Vec<Vec<u8>> {
        let day = self.moment.basic_date();
        [&day, self.region, self.service, TERMINATOR, &string_to_sign]
            .map(|step| step.as_bytes().to_vec())
            .to_vec()
    }
}

/// A request to be signed.
#[derive(Clone, Debug)]
pub struct Unsigned<'a> {
    method: &'a str,
    path: &'a str,
    /// Encoded, in the order in which they are signed.
    query: Vec<(String, String)>,
    /// In the order in which they are signed.
    headers: Vec<(&'a str, String)>,
    body_hash: String,
}

impl<'a> Unsigned<'a> {
    /// A request with the path as it is sent, already encoded and without `.` and `..`; the parameters
    /// of its query as they are, not encoded; and the headers to be signed, with names in lower case.
    /// These are `host`, `x-amz-date` and whichever else shall be signed.
    pub fn new(
        method: &'a str,
        path: &'a str,
        query: &[(&str, String)],
        headers: Vec<(&'a str, String)>,
        body: &[u8],
    ) -> Self {
        let encoded = query
            .iter()
            .map(|(name, value)| (encode(name), encode(value)));
        Self {
            method,
            path,
            query: in_order(encoded),
            headers: in_order(headers),
            body_hash: sha256_hex(body),
        }
    }

    /// The query as it is signed and must be sent.
    pub fn query(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{name}={value}&");
        let mut query: String = self.query.iter().map(pair).collect();
        query.pop();
        query
    }

    fn signed_headers(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }

    /// The request, written down canonically.
    pub fn canonical_request(&self) -> String {
        // The path is encoded once more than it is on the wire.
        let segments: Vec<String> = self.path.split('/').map(encode).collect();
        let mut headers = String::new();
        for (name, value) in &self.headers {
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            headers.push_str(&format!("{name}:{}\n", words.join(" ")));
        }
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.method,
            segments.join("/"),
            self.query(),
            self.signed_headers(),
            self.body_hash
        )
    }

    /// What is signed.
    pub fn string_to_sign(&self, scope: &Scope) -> String {
        format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            scope.moment.basic(),
            scope.text(),
            sha256_hex(self.canonical_request().as_bytes())
        )
    }

    /// The `Authorization` header that carries a signature.
    pub fn authorization(&self, access_key_id: &str, scope: &Scope, signature: &[u8]) -> String {
        format!(
            "{ALGORITHM} Credential={access_key_id}/{}, SignedHeaders={}, Signature={}",
            scope.text(),
            self.signed_headers(),
            hex(signature)
        )
    }
}

/// The few pairs of a request, ordered by name and value: a general sort would double the size of this
/// module.
fn in_order<K: Ord>(pairs: impl IntoIterator<Item = (K, String)>) -> Vec<(K, String)> {
    let mut ordered = Vec::new();
    for pair in pairs {
        let place = ordered.partition_point(|other| *other < pair);
        ordered.insert(place, pair);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{Algorithm, HmacChain, Host, testing::TestHost};

    use super::*;

    /// Signs as the vectors of AWS's test suite of Signature Version 4 do.
    fn signed(method: &str, query: &[(&str, String)]) -> String {
        let headers = vec![
            ("x-amz-date", "20150830T123600Z".to_owned()),
            ("host", "example.amazonaws.com".to_owned()),
        ];
        let request = Unsigned::new(method, "/", query, headers, b"");
        let scope = Scope {
            moment: Moment::at(1_440_938_160),
            region: "us-east-1",
            service: "service",
        };
        let host = TestHost::on_loopback()
            .credential("secret", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let signature = host.hmac(&HmacChain {
            credential: "secret".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: PREFIX.to_owned(),
            suffix: String::new(),
            steps: scope.steps(request.string_to_sign(&scope)),
        });
        request.authorization("AKIDEXAMPLE", &scope, &signature.unwrap())
    }

    fn published(signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        )
    }

    /// `get-vanilla`, `get-vanilla-query-order-key-case` and `post-vanilla` of that suite.
    #[test]
    fn the_published_vectors_come_out() {
        assert_eq!(
            signed("GET", &[]),
            published("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
        );
        let query = [
            ("Param2", "value2".to_owned()),
            ("Param1", "value1".to_owned()),
        ];
        assert_eq!(
            signed("GET", &query),
            published("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
        );
        assert_eq!(
            signed("POST", &[]),
            published("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
        );
    }
}
