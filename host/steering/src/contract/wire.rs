//! What goes over the wire: the fields and types of the contract, neither more nor fewer.
//!
//! Whatever a sender leaves out has Go's zero value. A list can also be null, which is how Go writes one
//! that nobody has filled: null says nothing, an empty list says "none".

use std::fmt;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands for a secret in answers; in a request it means "the one that stands".
const MASK: &str = "***";

/// `cocoaBasic`: a node and all that it knows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterInfo {
    /// Where it listens.
    pub api_port: i64,
    /// What people call it.
    pub node_name: String,
    /// What programs call it.
    pub node_code: String,
    /// The URL at which others reach it.
    pub node_address: String,
    /// `leader` or `follower`.
    pub work_mode: String,
    /// What others must show to it.
    pub cocoa_secret: Hidden,
    /// Whether it is behind a reverse proxy.
    pub reverse_proxy: bool,
    /// All nodes, this one too.
    pub other_cocoa_syncer: Option<Vec<NodeInfo>>,
    /// All services.
    pub cocoa_managed_service: Option<Vec<ManagedService>>,
    /// The accounts at DNS services.
    pub cloud_platform_info: Option<Vec<CloudPlatform>>,
    /// After how many minutes without a sign of life a node counts as lost.
    pub timeout: i64,
    /// The kind of database.
    #[serde(rename = "DataBaseType")]
    pub data_base_type: String,
    /// How the database is reached: a secret, for passwords stand in it.
    #[serde(rename = "Dsn")]
    pub dsn: Hidden,
    /// When the data came to be.
    pub created_at: Timestamp,
    /// When they last changed.
    pub updated_at: Timestamp,
    /// Whether the node has been set up.
    pub config_imported: bool,
}

impl ClusterInfo {
    /// Tells `secret`, which the request has shown, as this node's own: a command line that takes a new
    /// node in keeps what it reads here, and pushes with it from then on.
    pub fn tell_back(&mut self, secret: &Hidden) {
        let secret = Hidden {
            told_back: true,
            ..secret.clone()
        };
        let own = &self.node_code;
        let nodes = self.other_cocoa_syncer.iter_mut().flatten();
        for node in nodes.filter(|node| node.node_code == *own) {
            node.cocoa_secret = secret.clone();
        }
        self.cocoa_secret = secret;
    }
}

/// A node: a place that serves lines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// What people call it.
    pub node_name: String,
    /// What programs call it.
    pub node_code: String,
    /// The URL at which others reach it.
    pub node_address: String,
    /// `leader` or `follower`.
    pub work_mode: String,
    /// What others must show to it.
    pub cocoa_secret: Hidden,
    /// Its lines: `default`, `CT`, `CU`, `CMCC`, `CNEdu`, `OverSea`, or `None` alone.
    #[serde(rename = "ISPs")]
    pub isps: Option<Vec<String>>,
    /// `IPV4`, `IPV6`, `Both`; empty as long as nobody has said.
    pub network_type: String,
    /// 200: it lives; 504: it does not answer; 0: nobody has looked yet.
    pub status_code: i64,
    /// When it last gave a sign of life.
    pub watch_dog: Timestamp,
    /// The services that run there.
    pub cocoa_managed_service: Option<Vec<ManagedService>>,
}

/// A service: a name whose records follow nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ManagedService {
    /// What people call it.
    pub service_name: String,
    /// The zone.
    pub domain: String,
    /// The name in the zone.
    pub record: String,
    /// The platform that serves the zone.
    pub platform_provider: String,
}

/// An account at a DNS service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CloudPlatform {
    /// `Ali`.
    pub platform_provider: String,
    /// The key's name.
    pub access_key: Hidden,
    /// The key.
    pub access_secret: Hidden,
}

/// A text that is read from requests and not shown: in JSON it is `***`, or empty where there is none.
/// The one exception is what a request has just shown itself ([`ClusterInfo::tell_back`]).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "SecretString")]
pub struct Hidden {
    text: SecretString,
    told_back: bool,
}

impl From<SecretString> for Hidden {
    fn from(text: SecretString) -> Self {
        let told_back = false;
        Self { text, told_back }
    }
}

impl Hidden {
    /// That there is one, which is all that answers say.
    pub(super) fn held() -> Self {
        Self::from(SecretString::from(MASK))
    }

    /// One that stands, or none.
    pub(super) fn held_if(held: bool) -> Self {
        if held { Self::held() } else { Self::default() }
    }

    /// The text, which no answer shows.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Whether it is given as the one that stands.
    pub(super) fn is_masked(&self) -> bool {
        self.expose() == MASK
    }

    /// The text, where there is one and it is not masked.
    pub(super) fn given(&self) -> Option<&str> {
        Some(self.expose()).filter(|text| !text.is_empty() && *text != MASK)
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self.expose() {
            "" => "",
            text if self.told_back => text,
            _ => MASK,
        })
    }
}

/// A time as RFC 3339 with its offset: `2023-09-18T22:54:22.0765568+08:00`. Go's zero time is
/// `0001-01-01T00:00:00Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(DateTime<FixedOffset>);

impl Timestamp {
    /// Of milliseconds since 1970, in UTC.
    pub(super) fn of_ms(ms: u64) -> Self {
        let time = i64::try_from(ms)
            .ok()
            .and_then(DateTime::from_timestamp_millis);
        time.map_or_else(Self::default, |time| Self(time.fixed_offset()))
    }
}

/// Seconds from the year 1 to 1970.
const GO_ZERO: i64 = -62_135_596_800;

impl Default for Timestamp {
    fn default() -> Self {
        let zero: DateTime<Utc> = DateTime::from_timestamp(GO_ZERO, 0).unwrap_or_default();
        Self(zero.fixed_offset())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, false))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is not a time; write RFC 3339 with an offset: 2023-09-18T22:54:22+08:00"
            ))
        })
    }
}
