//! The provider.

use portolan_plugin::{
    Host, Provider,
    dns::{Caps, Change, DnsLine, Error, Features, Outcome, RecordPage, RecordSet, Zone, ZonePage},
    http::Effect,
    sets::{self, DEFAULT_LINE, show},
};
use serde::Deserialize;

use crate::{
    apply::Apply,
    client::{Client, Failure, NAMESPACE, lost},
    line::Place,
    list::{PAGE, Start, child, is_truncated, part},
    rrset::{RECORD_TYPES, RrSet, to_service},
    xml::Element,
};

/// The most values of a record set.
const MAX_VALUES: u32 = 400;
/// The most characters of a value.
const MAX_VALUE: usize = 4_000;
/// The most characters in all values of a set: half of what a request may have, so that one request can
/// delete the set and create its successor.
const MAX_CHARACTERS: usize = 16_000;
/// The highest TTL, in seconds.
const MAX_TTL: u32 = i32::MAX as u32;

/// The binding's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API listens.
    #[serde(default = "public_endpoint")]
    pub endpoint: String,
    /// The region that requests are signed for.
    #[serde(default = "public_region")]
    pub region: String,
    /// The hosted zones to use; all public ones where it is empty.
    #[serde(default)]
    pub hosted_zone_ids: Vec<String>,
}

fn public_endpoint() -> String {
    "https://route53.amazonaws.com".to_owned()
}

fn public_region() -> String {
    "us-east-1".to_owned()
}

/// An account of Amazon Route 53.
pub struct Route53 {
    pub(crate) client: Client,
    pub(crate) hosted_zone_ids: Vec<String>,
}

impl Provider for Route53 {
    type Settings = Settings;

    fn describe() -> Caps {
        Caps {
            // No `atomic-zone`: the changes leave in transactions, but where the service refuses one,
            // the good ones are made without the bad ones.
            features: Features::LINES | Features::ATOMIC_RRSET,
            record_types: RECORD_TYPES.map(str::to_owned).to_vec(),
            max_values: MAX_VALUES,
            changes_per_call: 1_000,
            // A list tells of changes that the service's name servers do not have yet.
            settle_ms: 0,
            hosts: vec!["route53.amazonaws.com".to_owned()],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(&settings.endpoint, &settings.region)?,
            hosted_zone_ids: settings.hosted_zone_ids,
        })
    }

    fn zones(&self, host: &dyn Host, cursor: Option<&str>) -> Result<ZonePage, Error> {
        let what = "listing the hosted zones";
        let mut query = vec![("maxitems", PAGE.to_owned())];
        query.extend(cursor.map(|marker| ("marker", marker.to_owned())));
        let reply = self
            .client
            .get(host, "hostedzone", &query, "ListHostedZones", what)?;
        let zones = self.hosted_zones(&reply, what)?;
        let next = match is_truncated(&reply, what)? {
            true => Some(part(&reply, "NextMarker", what)?.to_owned()),
            false => None,
        };
        Ok(ZonePage {
            zones: zones
                .into_iter()
                .map(|(_, name)| Zone {
                    name,
                    min_ttl: None,
                })
                .collect(),
            next,
        })
    }

    fn lines(&self, host: &dyn Host, _: &str) -> Result<Vec<DnsLine>, Error> {
        let what = "listing the geographic locations";
        let mut lines = vec![DnsLine {
            code: DEFAULT_LINE.to_owned(),
            label: "Everyone else".to_owned(),
        }];
        let mut query = vec![("maxitems", PAGE.to_owned())];
        loop {
            let reply = self
                .client
                .get(host, "geolocations", &query, "ListGeoLocations", what)?;
            let details = child(&reply, "GeoLocationDetailsList", what)?;
            lines.extend(
                details
                    .children
                    .iter()
                    .filter_map(line)
                    .filter(|line| line.code != DEFAULT_LINE),
            );
            if !is_truncated(&reply, what)? {
                return Ok(lines);
            }
            let next = Place::of(&reply, "Next");
            let start = [
                ("startcontinentcode", next.continent),
                ("startcountrycode", next.country),
                ("startsubdivisioncode", next.subdivision),
            ];
            let before = query.split_off(1);
            query.extend(
                start
                    .into_iter()
                    .filter_map(|(name, code)| Some((name, code?.to_owned()))),
            );
            if query[1..] == before {
                return Err(lost(Effect::Read, what, "no next page"));
            }
        }
    }

    fn read(
        &self,
        host: &dyn Host,
        zone: &str,
        name: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<RecordPage, Error> {
        let managed = |sets: Vec<RrSet>| sets.iter().filter_map(RrSet::set).collect();
        if let Some(name) = name {
            let zone_id = self.zone_id(host, zone)?;
            return Ok(RecordPage {
                sets: managed(self.name_sets(host, &zone_id, name)?),
                next: None,
            });
        }
        // A page begins at a place in the order of names, not at a number: what comes or goes meanwhile
        // does not move the others.
        let (zone_id, start) = match cursor {
            None => (self.zone_id(host, zone)?, None),
            Some(cursor) => {
                let (zone_id, start) = cursor
                    .split_once(' ')
                    .and_then(|(zone_id, start)| Some((zone_id, Start::parse(start)?)))
                    .ok_or_else(|| {
                        Error::Invalid(format!("`{cursor}` is no cursor of this list"))
                    })?;
                (zone_id.to_owned(), Some(start))
            }
        };
        let what = format!("reading the record sets of {zone}");
        let (sets, next) = self.page(host, &zone_id, start.as_ref(), &what)?;
        Ok(RecordPage {
            sets: managed(sets),
            next: next.map(|start| format!("{zone_id} {}", start.text())),
        })
    }

    fn normalize(
        &self,
        _: &dyn Host,
        zone: &str,
        wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        Ok(wanted.into_iter().map(|set| normalize(zone, set)).collect())
    }

    fn apply(
        &self,
        host: &dyn Host,
        zone: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Outcome, Error>>, Error> {
        Apply::all(self, host, zone, changes)
    }
}

/// How a wanted set will read back.
pub(crate) fn normalize(zone: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
    let ttl = wanted.ttl.min(MAX_TTL);
    let set = sets::normalize(zone, RecordSet { ttl, ..wanted }, &Route53::describe())?;
    let (line, rtype) = (&set.key.line, set.key.rtype.as_str());
    let unsupported = |reason: &str| Err(Error::Unsupported(format!("{}: {reason}", show(&set))));
    let invalid = |reason: String| Err(Error::Invalid(format!("{}: {reason}", show(&set))));

    if Place::of_line(line).is_none() {
        return unsupported(
            "Route 53 knows continents, countries and states, not networks: use `continent-AS`, \
             `country-CN`, `country-US-WA`; `default` is everyone who is nowhere else",
        );
    }
    if rtype == "NS" && line != DEFAULT_LINE {
        return unsupported("Route 53 delegates alike everywhere");
    }
    if rtype == "NS" && set.key.name.starts_with("*.") {
        return unsupported("Route 53 has no wildcards that delegate");
    }
    if rtype == "CNAME" && set.key.name == zone {
        return invalid("a CNAME cannot stand at the zone's own name".to_owned());
    }
    let mut characters = 0;
    for value in &set.values {
        let length = to_service(rtype, &value.content).len();
        if length > MAX_VALUE {
            return invalid(format!(
                "a value has {length} characters and may have {MAX_VALUE}"
            ));
        }
        characters += length;
    }
    if characters > MAX_CHARACTERS {
        return invalid(format!(
            "its values have {characters} characters together and may have {MAX_CHARACTERS}"
        ));
    }
    Ok(set)
}

impl Route53 {
    /// Has the service make a batch of changes, all or none.
    pub(crate) fn change(
        &self,
        host: &dyn Host,
        zone_id: &str,
        zone: &str,
        changes: &str,
    ) -> Result<(), Failure> {
        let root = "ChangeResourceRecordSets";
        let body = format!(
            "<{root}Request xmlns=\"{NAMESPACE}\"><ChangeBatch><Changes>{changes}</Changes></ChangeBatch>\
             </{root}Request>"
        );
        let path = format!("hostedzone/{zone_id}/rrset/");
        let what = format!("changing record sets of {zone}");
        self.client.post(host, &path, body, root, &what).map(drop)
    }
}

/// A place in the service's list as a line.
fn line(details: &Element) -> Option<DnsLine> {
    let names = ["ContinentName", "CountryName", "SubdivisionName"];
    let names: Vec<&str> = names
        .iter()
        .filter_map(|name| details.text_of(name))
        .collect();
    Some(DnsLine {
        code: Place::of(details, "").line()?,
        label: names.join(", "),
    })
}
