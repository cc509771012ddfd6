//! A site's value in the zone: one TXT string, signed, that says that the site lives and which lines
//! it claims.
//!
//! ```text
//! v=portolan1 site=sh rev=1042 seq=57 tag=9f31c0de plan=5d0c11ab saw=56.0 want=Ag mac=…
//! ```
//!
//! | word | meaning |
//! |---|---|
//! | `site` | whose it is |
//! | `rev` | the revision of the configuration that the site acts on |
//! | `seq` | moves up with every value; above all values that its writer had read (a Lamport clock) |
//! | `tag` | drawn by each start of the writer: tells two writers of one name apart |
//! | `at` | for people: the provider's time of its last reply, in seconds since 1970; decides nothing |
//! | `plan` | a fingerprint of the lines and their order, without which the sets cannot be read |
//! | `saw` | the last sequence that it had read of each site, in the order of their names; tells a reader that the value is later than its own |
//! | `group` | stands there when the writer has a quorum: then the group moves lines, and nobody else |
//! | `want`, `hold` | the lines that it claims, and those that it holds; base64 of their bits |
//! | `mac` | HMAC-SHA256 of all before it, under the cluster key, for this zone, site and name alone |

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use portolan_consensus::ClusterKey;

use super::lines::Lines;
use super::plan::{Plan, SiteName};

/// RFC 1035 §3.3: the most that one character-string holds.
const MAX_BYTES: usize = 255;
const MAC_BYTES: usize = 32;

/// What a value says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) revision: u64,
    pub(crate) seq: u64,
    pub(crate) tag: u32,
    pub(crate) at: Option<u64>,
    pub(crate) plan: u32,
    /// By site, in the order of their names, the last sequence that the writer had read.
    pub(crate) saw: Vec<u64>,
    pub(crate) face: Face,
}

/// The part of a value that a site wants to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) group: bool,
    pub(crate) want: Lines,
    pub(crate) hold: Lines,
}

impl Face {
    pub(crate) fn claims_nothing(&self) -> bool {
        self.want.is_empty() && self.hold.is_empty()
    }
}

impl Value {
    /// The signed text.
    pub(crate) fn write(&self, key: &ClusterKey, plan: &Plan, site: &SiteName) -> String {
        let mut text = self.unsigned(site);
        let mac = key.sign(&context(plan, site), text.as_bytes());
        text.push_str(" mac=");
        text.push_str(&BASE64.encode(mac));
        text
    }

    fn unsigned(&self, site: &SiteName) -> String {
        let Self {
            revision,
            seq,
            tag,
            at,
            plan,
            saw,
            face,
        } = self;
        let mut text = format!("v=portolan1 site={site} rev={revision} seq={seq} tag={tag:08x}");
        if let Some(at) = at {
            // Writing to a string never fails.
            let _ = write!(text, " at={at}");
        }
        let saw: Vec<String> = saw.iter().map(u64::to_string).collect();
        let _ = write!(text, " plan={plan:08x} saw={}", saw.join("."));
        if face.group {
            text.push_str(" group");
        }
        for (word, lines) in [("want", &face.want), ("hold", &face.hold)] {
            if !lines.is_empty() {
                let _ = write!(text, " {word}={}", lines.to_text());
            }
        }
        text
    }

    /// Reads what [`Value::write`] wrote for this site; nothing else is a value: not another site's,
    /// not another zone's, not one that was changed or signed with another key.
    pub(crate) fn read(key: &ClusterKey, plan: &Plan, site: &SiteName, text: &str) -> Option<Self> {
        let (signed, mac) = text.rsplit_once(" mac=")?;
        let mac = BASE64.decode(mac).ok()?;
        if text.len() > MAX_BYTES || !key.verify(&context(plan, site), signed.as_bytes(), &mac) {
            return None;
        }
        Self::parse(signed, site)
    }

    pub(crate) fn parse(signed: &str, site: &SiteName) -> Option<Self> {
        let mut words = Words(signed.split(' ').peekable());
        words.exactly("v=portolan1")?;
        words.exactly(&format!("site={site}"))?;
        let value = Self {
            revision: words.required("rev=")?.parse().ok()?,
            seq: words.required("seq=")?.parse().ok()?,
            tag: u32::from_str_radix(words.required("tag=")?, 16).ok()?,
            at: match words.optional("at=") {
                Some(at) => Some(at.parse().ok()?),
                None => None,
            },
            plan: u32::from_str_radix(words.required("plan=")?, 16).ok()?,
            saw: {
                let saw = words.required("saw=")?.split('.');
                saw.map(|seq| seq.parse().ok()).collect::<Option<_>>()?
            },
            face: Face {
                group: words.optional("group").is_some(),
                want: words.lines("want=")?,
                hold: words.lines("hold=")?,
            },
        };
        words.0.next().is_none().then_some(value)
    }
}

struct Words<'a>(std::iter::Peekable<std::str::Split<'a, char>>);

impl<'a> Words<'a> {
    fn exactly(&mut self, word: &str) -> Option<()> {
        (self.0.next()? == word).then_some(())
    }

    fn required(&mut self, start: &str) -> Option<&'a str> {
        self.0.next()?.strip_prefix(start)
    }

    fn optional(&mut self, start: &str) -> Option<&'a str> {
        let word = self.0.peek()?.strip_prefix(start)?;
        self.0.next();
        Some(word)
    }

    fn lines(&mut self, start: &str) -> Option<Lines> {
        match self.optional(start) {
            Some(text) => Lines::from_text(text),
            None => Some(Lines::default()),
        }
    }
}

/// What a signature is bound to beside the text.
fn context(plan: &Plan, site: &SiteName) -> String {
    format!(
        "steering/survivor/zone/{}/site/{site}/name/{}",
        plan.zone,
        plan.value_name(site)
    )
}

/// Whether the longest value of a site fits when there are this many lines.
pub(crate) fn fits(site: &SiteName, sites: usize, lines: usize) -> bool {
    // A line is wanted or held, but the last of each set decides how long it is written.
    let all = Lines::all(lines);
    let longest = Value {
        revision: u64::MAX,
        // Ten values a second for 300 years.
        seq: 99_999_999_999,
        tag: u32::MAX,
        at: Some(99_999_999_999),
        plan: u32::MAX,
        saw: vec![99_999_999; sites],
        face: Face {
            group: true,
            want: all.clone(),
            hold: all,
        },
    };
    let mac = " mac=".len() + (MAC_BYTES * 4).div_ceil(3);
    longest.unsigned(site).len() + mac <= MAX_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survivor::simulation::setup::Setup;

    fn value() -> Value {
        Value {
            revision: 1042,
            seq: 57,
            tag: 0x9f31_c0de,
            at: Some(1_764_000_000),
            plan: 0x5d0c_11ab,
            saw: vec![0, 56],
            face: Face {
                group: true,
                want: [1].into_iter().collect(),
                hold: [0].into_iter().collect(),
            },
        }
    }

    #[test]
    fn a_value_is_read_back_as_it_was_written_and_is_one_txt_string() {
        let setup = Setup::of_two();
        let (plan, site) = (setup.plan(0), &setup.sites[0]);
        for at in [None, Some(1_764_000_000)] {
            let value = Value { at, ..value() };
            let text = value.write(&setup.key, &plan, site);
            assert!(text.len() <= MAX_BYTES && text.is_ascii(), "{text}");
            assert_eq!(Value::read(&setup.key, &plan, site, &text), Some(value));
        }
        let plain = Value {
            face: Face::default(),
            ..value()
        };
        let text = plain.write(&setup.key, &plan, site);
        assert!(!text.contains("group") && !text.contains("want") && !text.contains("hold"));
        assert_eq!(Value::read(&setup.key, &plan, site, &text), Some(plain));
    }

    #[test]
    fn a_value_counts_under_its_own_name_with_its_own_key_and_unchanged_alone() {
        let setup = Setup::of_two();
        let (plan, site) = (setup.plan(0), &setup.sites[0]);
        let text = value().write(&setup.key, &plan, site);
        let other_key = ClusterKey::from_bytes(&[8; 32]).unwrap();
        assert_eq!(Value::read(&other_key, &plan, site, &text), None);
        assert_eq!(Value::read(&setup.key, &plan, &setup.sites[1], &text), None);
        let elsewhere = crate::survivor::Plan {
            zone: crate::names::ZoneName::parse("example.org").unwrap(),
            ..(*plan).clone()
        };
        assert_eq!(Value::read(&setup.key, &elsewhere, site, &text), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Value::read(&setup.key, &plan, site, &changed), None, "{at}");
            assert_eq!(Value::read(&setup.key, &plan, site, &text[..at]), None);
        }
    }

    #[test]
    fn as_many_lines_as_a_plan_allows_fit() {
        let site = crate::survivor::SiteName::parse("shanghai").unwrap();
        assert!(fits(&site, 2, 60));
        assert!(!fits(&site, 2, 500));
    }
}
