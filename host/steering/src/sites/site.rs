//! A site: a place with public addresses that serves lines.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use portolan_consensus::MemberId;
use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::detect::{Detection, validate_methods};
use crate::family::Family;
use crate::names::{LineCode, SiteCode};

/// The priority of a line that was given as its code alone, and of a site's readiness to take other
/// lines.
pub(crate) const STANDARD_PRIORITY: u32 = 100;
/// More addresses would not fit into one answer.
const MAX_ADDRESSES: usize = 16;

/// A site as operators give it and as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub(crate) code: SiteCode,
    /// For people; the code where it is left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// The member of the group that stands there: it says that it is alive, and finds addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<MemberId>,
    /// The lines that it serves.
    #[serde(default)]
    pub(crate) lines: Vec<SiteLine>,
    /// How soon it takes over a line that no site which serves it can: the lowest number first. None
    /// where it never does.
    #[serde(default = "readiness")]
    pub(crate) fallback: Option<u32>,
    /// Its addresses.
    #[serde(default)]
    pub(crate) addresses: BTreeMap<Family, Addresses>,
    /// Where it is checked, if not at the addresses that its records hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check_address: Option<IpAddr>,
    /// How it is checked as a whole. Without one, a site with a member is as alive as that member,
    /// and another is taken to be up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<Check>,
    /// Its share where several sites serve a line at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
    /// What the operator said about its use.
    #[serde(default, skip_serializing_if = "Intent::is_auto")]
    pub(crate) intent: Intent,
}

fn readiness() -> Option<u32> {
    Some(STANDARD_PRIORITY)
}

/// A line that a site serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LineSpec")]
pub(crate) struct SiteLine {
    pub(crate) line: LineCode,
    /// The lowest number first; among equals, the code decides.
    pub(crate) priority: u32,
}

/// A line as a request gives it: `"CT"` or `{"line": "CT", "priority": 10}`.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a line's code, or {\"line\": \"CT\", \"priority\": 10}"
)]
enum LineSpec {
    Code(LineCode),
    Full { line: LineCode, priority: u32 },
}

impl From<LineSpec> for SiteLine {
    fn from(spec: LineSpec) -> Self {
        match spec {
            LineSpec::Code(line) => Self {
                line,
                priority: STANDARD_PRIORITY,
            },
            LineSpec::Full { line, priority } => Self { line, priority },
        }
    }
}

/// Where a site's addresses of one family come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a list of addresses, or {\"detect\": [...]}")]
pub(crate) enum Addresses {
    /// The operator gave them.
    Fixed(Vec<IpAddr>),
    /// The member that stands there finds them.
    Detected(Detected),
}

/// How a site's addresses of one family are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Detected {
    /// Tried in this order, until one finds an address.
    pub(crate) detect: Vec<Detection>,
}

/// What the operator said about a site's use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Its health decides.
    #[default]
    Auto,
    /// It gives its lines away as long as another site can serve them.
    Draining,
    /// It is up, whatever its checks say.
    ForcedUp,
    /// It is down, whatever its checks say.
    ForcedDown,
}

impl Intent {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Draining => "draining",
            Self::ForcedUp => "forced up",
            Self::ForcedDown => "forced down",
        })
    }
}

impl Document for Site {}

impl Site {
    /// The priority at which it serves a line; none where it doesn't.
    pub(crate) fn priority(&self, line: &LineCode) -> Option<u32> {
        let mut lines = self.lines.iter();
        lines.find(|own| own.line == *line).map(|own| own.priority)
    }

    /// Its addresses of a family that the operator gave.
    pub(crate) fn fixed(&self, family: Family) -> &[IpAddr] {
        match self.addresses.get(&family) {
            Some(Addresses::Fixed(addresses)) => addresses,
            Some(Addresses::Detected(_)) | None => &[],
        }
    }

    /// Whether its addresses of a family are to be found.
    pub(crate) fn detects(&self, family: Family) -> bool {
        matches!(self.addresses.get(&family), Some(Addresses::Detected(_)))
    }

    /// The families whose addresses are to be found, and how.
    pub(crate) fn detections(&self) -> impl Iterator<Item = (Family, &[Detection])> {
        let families = self.addresses.iter();
        families.filter_map(|(family, addresses)| match addresses {
            Addresses::Detected(detected) => Some((*family, detected.detect.as_slice())),
            Addresses::Fixed(_) => None,
        })
    }

    /// The field that is wrong, and the sentence.
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        for (index, own) in self.lines.iter().enumerate() {
            if self.lines[..index]
                .iter()
                .any(|other| other.line == own.line)
            {
                let sentence = format!("the line {} stands there twice", own.line);
                return Err((format!("lines[{index}]"), sentence));
            }
        }
        for (family, addresses) in &self.addresses {
            check_addresses(*family, addresses)
                .map_err(|(at, sentence)| (format!("addresses.{family}{at}"), sentence))?;
        }
        if self.member.is_none() && self.detections().next().is_some() {
            let sentence =
                "are to be found, and only the member that stands there can; give `member`";
            return Err(("addresses".to_owned(), sentence.to_owned()));
        }
        if self.weight == Some(0) {
            let sentence = "is 0, which would serve nobody; drain the site instead";
            return Err(("weight".to_owned(), sentence.to_owned()));
        }
        if let Some(check) = &self.check {
            check
                .validate()
                .map_err(|(at, sentence)| (format!("check.{at}"), sentence))?;
            let nowhere = self.check_address.is_none() && self.addresses.is_empty();
            if nowhere {
                let sentence = "has no address to go to; give `addresses` or `check_address`";
                return Err(("check".to_owned(), sentence.to_owned()));
            }
        }
        Ok(())
    }
}

fn check_addresses(family: Family, addresses: &Addresses) -> Result<(), (String, String)> {
    let addresses = match addresses {
        Addresses::Fixed(addresses) => addresses,
        Addresses::Detected(Detected { detect }) => {
            return validate_methods(family, detect)
                .map_err(|(at, sentence)| (format!(".detect{at}"), sentence));
        }
    };
    if addresses.len() > MAX_ADDRESSES {
        let sentence = format!("has more than {MAX_ADDRESSES} addresses");
        return Err((String::new(), sentence));
    }
    for (index, address) in addresses.iter().enumerate() {
        let wrong = if Family::of(*address) != family {
            format!("{address} is not an {family} address")
        } else if address.is_unspecified() || address.is_multicast() {
            format!("{address} is not the address of a server")
        } else if addresses[..index].contains(address) {
            format!("{address} stands there twice")
        } else {
            continue;
        };
        return Err((format!("[{index}]"), wrong));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn site(body: Value) -> Result<Site, (String, String)> {
        let site: Site =
            serde_json::from_value(body).map_err(|e| (String::new(), e.to_string()))?;
        site.check().map(|()| site)
    }

    #[test]
    fn a_site_is_read_in_both_spellings_of_lines() {
        let site = site(json!({
            "code": "sh", "name": "Shanghai", "member": 1,
            "lines": ["default", {"line": "CT", "priority": 10}],
            "addresses": {"ipv4": ["203.0.113.10"], "ipv6": ["2001:db8::1"]},
        }))
        .unwrap();
        let line = |code| LineCode::parse(code).unwrap();
        assert_eq!(site.priority(&line("CT")), Some(10));
        assert_eq!(site.priority(&line("default")), Some(STANDARD_PRIORITY));
        assert_eq!(site.priority(&line("CU")), None);
        assert_eq!(site.fallback, Some(STANDARD_PRIORITY));
        let kept = serde_json::to_value(&site).unwrap();
        assert_eq!(serde_json::from_value::<Site>(kept).unwrap(), site);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (json!({"code": "a b"}), "", "cannot be a site's code"),
            (
                json!({"code": "a", "lines": ["CT", "CT"]}),
                "lines[1]",
                "twice",
            ),
            (
                json!({"code": "a", "addresses": {"ipv4": ["::1"]}}),
                "addresses.ipv4[0]",
                "not an ipv4",
            ),
            (
                json!({"code": "a", "addresses": {"ipv4": ["0.0.0.0"]}}),
                "addresses.ipv4[0]",
                "not the address of a server",
            ),
            (json!({"code": "a", "weight": 0}), "weight", "drain"),
            (json!({"code": "a", "colour": "red"}), "", "colour"),
        ];
        for (body, at, words) in cases {
            let (found, sentence) = site(body.clone()).unwrap_err();
            assert_eq!(found, at, "{body}");
            assert!(sentence.contains(words), "{body}: {sentence}");
        }
    }
}
