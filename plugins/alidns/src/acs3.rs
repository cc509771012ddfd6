//! Alibaba Cloud's signature version 3, ACS3-HMAC-SHA256, of requests without a body.
//!
//! A request is written down canonically, hashed, and the hash signed with the AccessKey secret:
//! `hex(HMAC-SHA256(secret, "ACS3-HMAC-SHA256\n" + hex(SHA256(canonical request))))`. The secret is the
//! daemon's alone, so this module stops at the string to sign and goes on with the signature.

use portolan_plugin::http::encode;
use sha2::{Digest, Sha256};

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

/// The few pairs of a request, ordered by name: a general sort would double the size of this module.
fn in_order(pairs: Vec<(&str, String)>) -> Vec<(&str, String)> {
    let mut ordered = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let place = ordered.partition_point(|other| *other < pair);
        ordered.insert(place, pair);
    }
    ordered
}

/// The hash of no body, for `x-acs-content-sha256`.
pub fn empty_body() -> String {
    sha256_hex(b"")
}

/// A SHA-256 hash in lower-case hexadecimal digits.
pub fn sha256_hex(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A moment, in seconds since 1970, as `x-acs-date` wants it: `2023-10-26T10:22:32Z`.
pub fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March, so that a leap day is the last of its year; 719,468 days lie
    // between 1 March of year 0 and 1970, and 146,097 in each era of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on take 153 days.
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use portolan_plugin::{Algorithm, HmacChain, Host, testing::TestHost};

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
                ("x-acs-date", timestamp(1_698_315_752)),
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

    #[test]
    fn timestamps_know_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
