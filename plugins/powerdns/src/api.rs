//! The server's API: requests, replies, and what its errors mean.

use portolan_plugin::{
    Host,
    dns::Error,
    http::{Method, Request, Response, encode},
    names::with_dot,
};
use serde::{Deserialize, Serialize};

/// The server's kinds of zones that it copies from elsewhere and that are thus not changed here.
const COPIED_KINDS: [&str; 3] = ["Slave", "Secondary", "Consumer"];

/// What the server answers to a `PATCH` that it has carried out.
const CHANGED: u16 = 204;

/// A server of the API.
pub(crate) struct Api {
    /// `http://127.0.0.1:8081/api/v1/servers/localhost`.
    base: String,
}

/// A zone in the server's list.
#[derive(Debug, Deserialize)]
pub(crate) struct ZoneEntry {
    pub(crate) name: String,
    kind: String,
}

impl ZoneEntry {
    pub(crate) fn is_writable(&self) -> bool {
        !COPIED_KINDS.contains(&self.kind.as_str())
    }
}

/// A record set, as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct RrSet {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) rtype: String,
    pub(crate) ttl: u32,
    pub(crate) records: Vec<Rr>,
    #[serde(default)]
    pub(crate) comments: Vec<Comment>,
}

/// A record of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rr {
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) disabled: bool,
}

/// A comment on a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Comment {
    pub(crate) content: String,
    pub(crate) account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modified_at: Option<i64>,
}

/// One entry of a `PATCH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Write {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) rtype: String,
    pub(crate) changetype: ChangeType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u32>,
    pub(crate) records: Vec<Rr>,
    /// The server keeps the comments that stand there where this is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comments: Option<Vec<Comment>>,
}

/// What a `PATCH` does with a record set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ChangeType {
    Replace,
    Delete,
}

/// What a `PATCH` came to when it failed.
pub(crate) enum PatchError {
    /// The server refused what one of the entries says; it made none of them.
    Refused(Error),
    /// Any other failure.
    Failed(Error),
}

impl Api {
    pub(crate) fn new(url: &str, server: &str) -> Self {
        Self {
            base: format!(
                "{}/api/v1/servers/{}",
                url.trim_end_matches('/'),
                encode(server)
            ),
        }
    }

    pub(crate) fn zones(&self, host: &dyn Host) -> Result<Vec<ZoneEntry>, Error> {
        let what = "listing the zones";
        let url = format!("{}/zones?dnssec=false", self.base);
        let response = self.request(Method::Get, url).send(host)?;
        checked(&response, what)?.json(what)
    }

    /// All record sets of the zone.
    ///
    /// The server can narrow its reply to one name, but then leaves disabled records out before
    /// version 5.0 (PowerDNS/pdns#11473): to write such a set back would delete them.
    pub(crate) fn read(&self, host: &dyn Host, zone: &str) -> Result<Vec<RrSet>, Error> {
        #[derive(Deserialize)]
        struct Contents {
            rrsets: Vec<RrSet>,
        }

        let what = format!("reading the zone {zone}");
        let response = self.request(Method::Get, self.zone_url(zone)).send(host)?;
        let contents: Contents = checked(&response, &what)?.json(&what)?;
        Ok(contents.rrsets)
    }

    /// Writes record sets of one zone, all of them or none.
    pub(crate) fn patch(
        &self,
        host: &dyn Host,
        zone: &str,
        writes: &[&Write],
    ) -> Result<(), PatchError> {
        #[derive(Serialize)]
        struct Patch<'a> {
            rrsets: &'a [&'a Write],
        }

        let body = Patch { rrsets: writes };
        let request = self.request(Method::Patch, self.zone_url(zone)).json(&body);
        let response = request.send(host).map_err(PatchError::Failed)?;
        let what = format!("changing the zone {zone}");
        match checked(&response, &what) {
            Ok(response) if response.status() == CHANGED => Ok(()),
            // Not the server's answer: the page of something in between.
            Ok(response) => Err(PatchError::Failed(Error::UnknownOutcome(format!(
                "{what}: status {} instead of {CHANGED}",
                response.status()
            )))),
            Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
                Err(PatchError::Refused(error))
            }
            Err(error) => Err(PatchError::Failed(error)),
        }
    }

    fn request(&self, method: Method, url: String) -> Request {
        Request::new(method, url).header("x-api-key", "{{api-key}}")
    }

    fn zone_url(&self, zone: &str) -> String {
        format!("{}/zones/{}", self.base, zone_id(zone))
    }
}

/// The server's id of a zone: its name with the dot, other characters as `=` and two hex digits.
fn zone_id(zone: &str) -> String {
    let mut id = String::new();
    for byte in with_dot(zone).bytes() {
        match byte {
            b'.' | b'-' | b'_' => id.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => id.push(char::from(byte)),
            _ => id.push_str(&format!("={byte:02X}")),
        }
    }
    id
}

/// The response, if the server did what was asked.
fn checked<'a>(response: &'a Response, what: &str) -> Result<&'a Response, Error> {
    #[derive(Deserialize)]
    struct Failure {
        error: String,
    }

    if response.is_success() {
        return Ok(response);
    }
    let text = response.text();
    // 422 and 400 come with JSON; 401, 404 and 409 with plain text, as does a proxy's own error.
    let reason =
        serde_json::from_slice(text.as_bytes()).map_or(text, |failure: Failure| failure.error);
    Err(match response.error(what, &reason) {
        // The server has one status for what is malformed and for what clashes with the zone.
        Error::Invalid(text) if reason.contains("Conflicts with") => Error::Conflict(text),
        Error::Invalid(text) if reason.starts_with("Could not find domain") => {
            Error::NotFound(text)
        }
        error => error,
    })
}

#[cfg(test)]
mod tests {
    use super::zone_id;

    #[test]
    fn a_zone_id_survives_a_path() {
        assert_eq!(zone_id("example.com"), "example.com.");
        assert_eq!(
            zone_id("0/25.2.0.192.in-addr.arpa"),
            "0=2F25.2.0.192.in-addr.arpa."
        );
    }
}
