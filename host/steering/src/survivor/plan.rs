//! What a member acts on while there is no quorum: the last configuration that the group agreed on.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::family::Family;
use crate::names::{DomainName, LineCode, ZoneName};

/// Members compare how long things take by clocks that may run this much apart from true time:
/// between four fifths and six fifths of it.
const FASTEST: (u64, u64) = (6, 5);

/// A site's name: one label of a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteName(Arc<str>);

impl SiteName {
    /// Checks the form; the error is a sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
            return Err(format!(
                "`{}` cannot name a site: use a-z, 0-9 and `-`, at most 63 characters",
                text.escape_debug()
            ));
        }
        // The remaining rule of labels: no hyphen at either end.
        DomainName::parse(text).map(|_| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SiteName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<SiteName> for String {
    fn from(site: SiteName) -> String {
        site.0.as_ref().to_owned()
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record set of a service, its addresses of one family on one line: what moves from site to site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LineKey {
    /// The service's name.
    pub service: Arc<str>,
    /// The line.
    pub line: LineCode,
    /// The family of its addresses.
    pub family: Family,
}

impl fmt::Display for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.service, self.line, self.family)
    }
}

/// Who serves a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRule {
    /// Which line.
    pub key: LineKey,
    /// Whose it is.
    pub home: SiteName,
    /// Who takes it when its home is gone, the first in line first; the home is none of them.
    pub takers: Vec<SiteName>,
}

impl LineRule {
    /// The home, then the takers.
    pub fn sites(&self) -> impl Iterator<Item = &SiteName> {
        std::iter::once(&self.home).chain(&self.takers)
    }

    /// A site's place in line: 0 for the home, then the takers; none for whoever never serves it.
    pub(crate) fn rank(&self, site: &SiteName) -> Option<usize> {
        if *site == self.home {
            return Some(0);
        }
        let place = self.takers.iter().position(|taker| taker == site)?;
        Some(place + 1)
    }
}

/// How long things take. All sites of a zone have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often a site renews its value.
    pub interval: Duration,
    /// How long there must have been no quorum before anything is taken.
    pub quorum_delay: Duration,
    /// How long after a change the provider may still answer a read with what stood before
    /// ([`crate::Caps::settle`]).
    pub settle: Duration,
    /// How long after it was sent a change may still take effect, whatever its caller was told: the
    /// deadline of a call plus what a provider may keep it in a queue.
    pub flight: Duration,
}

/// Why a plan cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Times that do not fit one another.
    #[error(
        "survivor mode in {zone}: the {what} of {found:?} is too long for an interval of {interval:?}; \
         set the interval to {needed:?} or more"
    )]
    Timing {
        /// The zone.
        zone: ZoneName,
        /// `settle time` or `flight time`.
        what: &'static str,
        /// What it is.
        found: Duration,
        /// The interval.
        interval: Duration,
        /// The shortest interval that would do.
        needed: Duration,
    },
    /// Two rules for one line, or a site twice in one.
    #[error("survivor mode in {zone}: {line} is listed with {site} twice")]
    Twice {
        /// The zone.
        zone: ZoneName,
        /// Which line.
        line: LineKey,
        /// Which site.
        site: SiteName,
    },
    /// Signed values are one TXT string each.
    #[error(
        "survivor mode in {zone}: {lines} lines do not fit into the value of site {site}, which is at \
         most 255 bytes; enable it for fewer services of this zone"
    )]
    TooManyLines {
        /// The zone.
        zone: ZoneName,
        /// Whose value.
        site: SiteName,
        /// How many there are.
        lines: usize,
    },
    /// `_portolan.<site>.<zone>` is no name.
    #[error("survivor mode in {zone}: site {site}: {message}")]
    Name {
        /// The zone.
        zone: ZoneName,
        /// Which site.
        site: SiteName,
        /// What is wrong with it.
        message: String,
    },
}

/// One zone's sites and lines, as the group last agreed on them, with survivor mode enabled.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The zone.
    pub zone: ZoneName,
    /// The revision of the configuration that this was made from.
    pub revision: u64,
    /// The highest sequence of the deeds that the group has merged into its history
    /// ([`crate::survivor::Deed::seq`]): what is done from now on comes after it.
    pub floor: u64,
    /// Sorted by key: a line's place is its bit in the values' sets.
    pub(crate) lines: Vec<LineRule>,
    pub(crate) sites: BTreeSet<SiteName>,
    pub(crate) timing: Times,
}

impl Plan {
    /// Checks and sorts. `lines` are those of the services for which the operator enabled survivor
    /// mode.
    ///
    /// # Errors
    /// [`PlanError`], as the sentence for the operator.
    pub fn new(
        zone: ZoneName,
        revision: u64,
        floor: u64,
        mut lines: Vec<LineRule>,
        timing: Timing,
    ) -> Result<Self, PlanError> {
        let times = Times::new(&zone, timing)?;
        lines.sort_by(|one, other| one.key.cmp(&other.key));
        let mut sites = BTreeSet::new();
        for (at, rule) in lines.iter().enumerate() {
            let mut of_line = BTreeSet::new();
            let twice = |site: &SiteName| PlanError::Twice {
                zone: zone.clone(),
                line: rule.key.clone(),
                site: site.clone(),
            };
            for site in rule.sites() {
                if !of_line.insert(site) {
                    return Err(twice(site));
                }
            }
            if at > 0 && lines[at - 1].key == rule.key {
                return Err(twice(&rule.home));
            }
            sites.extend(of_line.into_iter().cloned());
        }
        for site in &sites {
            value_name(&zone, site).map_err(|message| PlanError::Name {
                zone: zone.clone(),
                site: site.clone(),
                message,
            })?;
            if !super::value::fits(site, sites.len(), lines.len()) {
                return Err(PlanError::TooManyLines {
                    zone: zone.clone(),
                    site: site.clone(),
                    lines: lines.len(),
                });
            }
        }
        Ok(Self {
            zone,
            revision,
            floor,
            lines,
            sites,
            timing: times,
        })
    }

    /// The name of a site's value: `_portolan.<site>.<zone>`.
    pub fn value_name(&self, site: &SiteName) -> DomainName {
        // `new` has made each site's name once.
        value_name(&self.zone, site).unwrap_or_else(|_| DomainName::apex(&self.zone))
    }

    /// The sites whose values are to be read.
    pub fn sites(&self) -> impl Iterator<Item = &SiteName> {
        self.sites.iter()
    }

    /// The lines whose records are to be read.
    pub fn lines(&self) -> impl Iterator<Item = &LineRule> {
        self.lines.iter()
    }

    pub(crate) fn position(&self, line: &LineKey) -> Option<usize> {
        self.lines.binary_search_by(|rule| rule.key.cmp(line)).ok()
    }

    /// What tells two plans apart as far as the sets of lines in values go.
    pub(crate) fn fingerprint(&self) -> String {
        let mut text = String::new();
        for rule in &self.lines {
            text.push_str(&format!(
                "{:?} {} {}",
                rule.key,
                rule.home,
                rule.takers.len()
            ));
            for taker in &rule.takers {
                text.push_str(&format!(" {taker}"));
            }
            text.push('\n');
        }
        text
    }
}

fn value_name(zone: &ZoneName, site: &SiteName) -> Result<DomainName, String> {
    DomainName::parse(&format!("_portolan.{site}.{zone}"))
}

/// [`Timing`] with what follows from it, in milliseconds of a member's own clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) interval: u64,
    pub(crate) quorum_delay: u64,
    /// How long to wait so that `settle` has surely passed, even on a fast clock.
    pub(crate) settle: u64,
    /// Likewise for `flight`.
    pub(crate) flight: u64,
    /// How long after an order it may be sent.
    pub(crate) send_window: u64,
    /// How long a value counts from the order to write it. See the module's documentation.
    pub(crate) lease: u64,
}

impl Times {
    fn new(zone: &ZoneName, timing: Timing) -> Result<Self, PlanError> {
        let check = |what: &'static str, found: Duration, times: u32| {
            let needed = (found * times).max(Duration::from_secs(1));
            if timing.interval >= needed {
                return Ok(());
            }
            Err(PlanError::Timing {
                zone: zone.clone(),
                what,
                found,
                interval: timing.interval,
                needed,
            })
        };
        check("flight time", timing.flight, 8)?;
        check("settle time", timing.settle, 4)?;
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 8);
        let (interval, flight, settle) = (
            ms(timing.interval),
            ms(timing.flight).max(1),
            ms(timing.settle),
        );
        Ok(Self {
            interval,
            quorum_delay: ms(timing.quorum_delay),
            settle: padded(settle),
            flight: padded(flight),
            send_window: flight,
            lease: 2 * interval - 2 * flight - settle,
        })
    }

    /// For how long a value must not have changed before its site counts as gone.
    pub(crate) fn patience(&self) -> u64 {
        3 * self.interval
    }

    /// A member shows itself before it may take anything, so that nobody takes its absence, which
    /// was right as long as there was a quorum, for its end.
    pub(crate) fn announce_delay(&self) -> u64 {
        self.quorum_delay.min(self.interval)
    }
}

fn padded(ms: u64) -> u64 {
    ms * FASTEST.0 / FASTEST.1 + 1
}
