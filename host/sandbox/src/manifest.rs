//! What a plugin says about itself, read without running it.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{HostGrant, LoadError};

/// The custom section, of the component or of a core module inside it, that holds the manifest.
pub(crate) const SECTION: &str = "portolan:manifest";

/// A plugin's manifest, version 1: a JSON document in the custom section
/// `portolan:manifest`.
///
/// ```json
/// {
///   "manifest": 1,
///   "name": "alidns",
///   "version": "0.1.0",
///   "description": "Alibaba Cloud DNS",
///   "world": "portolan:dns/dns-provider@0.1.0",
///   "hosts": ["alidns.aliyuncs.com"],
///   "credentials": [{ "name": "secret", "description": "AccessKey secret", "required": true }],
///   "settings": { "type": "object" },
///   "limits": { "memory_bytes": 16777216 },
///   "rates": [{ "requests": 60, "seconds": 1 }]
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version: 1.
    pub manifest: u32,
    /// The plugin's name: lower-case letters, digits and hyphens, at most 63.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// One line for the operator.
    #[serde(default)]
    pub description: String,
    /// The world it implements, such as `portolan:dns/dns-provider@0.1.0`.
    pub world: String,
    /// The hosts it asks for, as host grants; the operator grants them or others.
    #[serde(default)]
    pub hosts: Vec<HostGrant>,
    /// The credentials it uses.
    #[serde(default)]
    pub credentials: Vec<CredentialAsk>,
    /// The JSON Schema of its settings; `{}` accepts anything.
    #[serde(default = "any_object")]
    pub settings: serde_json::Value,
    /// Limits tighter than the daemon's own.
    #[serde(default)]
    pub limits: LimitAsks,
    /// The quotas that the service publishes: the daemon keeps each binding's requests within all of
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<Rate>,
}

/// At most so many requests within so many seconds, in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The number of requests.
    pub requests: NonZeroU32,
    /// The window's length.
    pub seconds: NonZeroU32,
}

/// A credential that a plugin uses by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialAsk {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// What it is and where the operator finds it.
    #[serde(default)]
    pub description: String,
    /// Must a binding hold it?
    #[serde(default = "yes")]
    pub required: bool,
}

/// Limits that a plugin wants for each of its calls. One above the daemon's own has no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitAsks {
    /// See `SandboxOptions::deadline_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// See `SandboxOptions::compute_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_ms: Option<u64>,
    /// See `SandboxOptions::memory_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<usize>,
    /// See `SandboxOptions::requests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// See `SandboxOptions::sent_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_bytes: Option<usize>,
    /// See `SandboxOptions::received_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_bytes: Option<usize>,
}

fn yes() -> bool {
    true
}

fn any_object() -> serde_json::Value {
    serde_json::json!({ "type": "object" })
}

/// The newest manifest version that this daemon reads.
const VERSION: u64 = 1;

/// A manifest is for people to read; whatever is longer is not one.
const MAX_BYTES: usize = 256 << 10;

impl Manifest {
    /// Reads and checks a manifest.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        let wrong = |reason: String| LoadError::Manifest(reason);
        if bytes.len() > MAX_BYTES {
            return Err(wrong(format!(
                "it has {} bytes, more than {MAX_BYTES}",
                bytes.len()
            )));
        }
        let json: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("it is no JSON: {error}")))?;
        let Some(version) = json.get("manifest").and_then(serde_json::Value::as_u64) else {
            return Err(wrong(
                "it is no JSON object with a number `manifest`".to_owned(),
            ));
        };
        if version != VERSION {
            return Err(wrong(format!(
                "it is of version {version}, and this daemon reads version {VERSION}; \
                 use a daemon or a plugin that fits"
            )));
        }
        // From the bytes once more, for errors that name the line.
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        manifest.check().map_err(wrong)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !self.name.starts_with(plain)
            || !self.name.chars().all(|c| plain(c) || c == '-')
            || self.name.len() > 63
        {
            return Err(format!(
                "`name` is {:?}; it has lower-case letters, digits and hyphens, at most 63",
                self.name
            ));
        }
        let version_fits = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
        if self.version.is_empty()
            || self.version.len() > 63
            || !self.version.chars().all(version_fits)
        {
            return Err(format!(
                "`version` is {:?}; write one like `0.1.0`",
                self.version
            ));
        }
        for (index, ask) in self.credentials.iter().enumerate() {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if ask.name.is_empty() || ask.name.len() > 63 || !ask.name.chars().all(fits) {
                return Err(format!(
                    "credential {:?} is named otherwise than with letters, digits, `-` and `_`",
                    ask.name
                ));
            }
            if self.credentials[..index]
                .iter()
                .any(|other| other.name == ask.name)
            {
                return Err(format!("credential `{}` is declared twice", ask.name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(change: impl FnOnce(&mut serde_json::Value)) -> Result<Manifest, String> {
        let mut manifest = json!({
            "manifest": 1, "name": "alidns", "version": "0.1.0",
            "world": "portolan:dns/dns-provider@0.1.0",
            "hosts": ["alidns.aliyuncs.com"],
            "credentials": [{ "name": "secret", "description": "AccessKey secret" }],
        });
        change(&mut manifest);
        Manifest::parse(manifest.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_manifest_is_read_with_its_defaults() {
        let manifest = parse(|_| ()).unwrap();
        assert_eq!(manifest.hosts[0].to_string(), "alidns.aliyuncs.com");
        assert!(manifest.credentials[0].required);
        assert_eq!(manifest.limits, LimitAsks::default());
    }

    #[test]
    fn a_wrong_manifest_says_what_is_wrong() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 7] = [
            (
                |m| m["manifest"] = json!(2),
                "version 2, and this daemon reads version 1",
            ),
            (|m| m["name"] = json!("Ali DNS"), "`name` is \"Ali DNS\""),
            (
                |m| m["hosts"] = json!(["ftp://x"]),
                "none of http, https and dns",
            ),
            (|m| m["credentials"][0]["name"] = json!("a b"), "\"a b\""),
            (|m| m["setings"] = json!({}), "unknown field `setings`"),
            (
                |m| m["rates"] = json!([{"requests": 0, "seconds": 1}]),
                "invalid value: integer `0`, expected a nonzero u32",
            ),
            (|m| *m = json!([1]), "no JSON object"),
        ];
        for (change, expected) in cases {
            let error = parse(change).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
