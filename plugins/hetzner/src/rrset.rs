//! The service's record sets in our terms, and back. Pure.

use portolan_plugin::{
    content::{canonical, with_dots},
    dns::{RecordKey, RecordSet, RecordValue},
    names::{APEX, absolute},
    sets::DEFAULT_LINE,
};

use crate::api::{Record, RrSet};

/// The types whose contents have one spelling here. The service's others (SOA, DS, HTTPS, …) are left
/// alone.
pub(crate) const RECORD_TYPES: [&str; 9] =
    ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];

/// What the daemon is told of a set; none for sets that it does not handle. `default_ttl` is the zone's.
pub(crate) fn read(zone: &str, rrset: &RrSet, default_ttl: u32) -> Option<RecordSet> {
    if !RECORD_TYPES.contains(&rrset.rtype.as_str()) || rrset.records.is_empty() {
        return None;
    }
    let mut values: Vec<RecordValue> = Vec::with_capacity(rrset.records.len());
    for record in &rrset.records {
        let value = RecordValue {
            content: content(zone, &rrset.rtype, &record.value),
            weight: None,
            enabled: true,
        };
        // The service tells spellings apart that say the same.
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Some(RecordSet {
        key: RecordKey {
            name: absolute(&rrset.name, zone),
            rtype: rrset.rtype.clone(),
            line: DEFAULT_LINE.to_owned(),
            set_id: String::new(),
        },
        ttl: rrset.ttl.unwrap_or(default_ttl),
        values,
        comment: None,
        handle: String::new(),
        extras: String::new(),
    })
}

/// Is this the set of that key?
pub(crate) fn is(zone: &str, rrset: &RrSet, key: &RecordKey) -> bool {
    rrset.rtype == key.rtype && absolute(&rrset.name, zone) == key.name
}

/// The records to write for a wanted set, where `standing` stands now.
///
/// A write replaces comments, too. A value that stays keeps its own; one that comes takes over that of
/// one that goes, since an address that changes is for people still the same record.
pub(crate) fn records(zone: &str, wanted: &RecordSet, standing: &[Record]) -> Vec<Record> {
    let rtype = &wanted.key.rtype;
    let mut left: Vec<(String, &Record)> = standing
        .iter()
        .map(|record| (content(zone, rtype, &record.value), record))
        .collect();
    let staying: Vec<Option<&Record>> = wanted
        .values
        .iter()
        .map(|value| {
            let place = left.iter().position(|(known, _)| *known == value.content)?;
            Some(left.remove(place).1)
        })
        .collect();
    let comment = |record: &Record| record.comment.clone().filter(|text| !text.is_empty());
    let mut going = left.into_iter().filter_map(|(_, record)| comment(record));
    let written = wanted.values.iter().zip(staying);
    written
        .map(|(value, staying)| Record {
            value: with_dots(rtype, &value.content),
            comment: match staying {
                Some(record) => comment(record),
                None => going.next(),
            },
        })
        .collect()
}

/// A value in our spelling. Names without the trailing dot are relative to the zone, as in zone files.
fn content(zone: &str, rtype: &str, value: &str) -> String {
    let mut value = value.trim_ascii().to_owned();
    if matches!(rtype, "CNAME" | "MX" | "NS" | "PTR" | "SRV") && !value.ends_with('.') {
        let start = value.rfind([' ', '\t']).map_or(0, |space| space + 1);
        let host = value.split_off(start);
        value.push_str(&absolute(if host.is_empty() { APEX } else { &host }, zone));
    }
    canonical(rtype, &value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use portolan_plugin::testing;

    use super::*;
    use crate::api::Protection;

    const ZONE: &str = "example.com";

    fn record(value: &str, comment: Option<&str>) -> Record {
        Record {
            value: value.to_owned(),
            comment: comment.map(str::to_owned),
        }
    }

    fn rrset(name: &str, rtype: &str, values: &[&str]) -> RrSet {
        RrSet {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            ttl: None,
            protection: Protection::default(),
            records: values.iter().map(|value| record(value, None)).collect(),
        }
    }

    #[test]
    fn names_become_absolute_and_a_missing_ttl_is_the_zones() {
        let set = read(
            ZONE,
            &rrset("@", "MX", &["10 mail", "20 @", "30 Mx.Example.NET."]),
            3600,
        );
        let set = set.unwrap();
        assert_eq!((set.key.name.as_str(), set.ttl), ("example.com", 3600));
        let contents: Vec<&str> = set.values.iter().map(|v| v.content.as_str()).collect();
        assert_eq!(
            contents,
            ["10 mail.example.com", "20 example.com", "30 mx.example.net"]
        );
        let alias = read(ZONE, &rrset("www", "CNAME", &["web"]), 60).unwrap();
        assert_eq!(alias.values[0].content, "web.example.com");
        assert!(is(ZONE, &rrset("www", "CNAME", &["web"]), &alias.key));
    }

    #[test]
    fn other_types_are_left_out_and_equal_values_count_once() {
        assert_eq!(
            read(ZONE, &rrset("@", "SOA", &["a. b. 1 2 3 4 5"]), 60),
            None
        );
        assert_eq!(read(ZONE, &rrset("www", "A", &[]), 60), None);
        let twice = rrset("www", "AAAA", &["2001:db8::1", "2001:DB8:0::1"]);
        assert_eq!(read(ZONE, &twice, 60).unwrap().values.len(), 1);
    }

    #[test]
    fn comments_stay_with_their_values_or_go_to_the_ones_that_come() {
        let standing = [
            record("192.0.2.1", Some("first")),
            record("192.0.2.2", Some("second")),
        ];
        let written = |contents: &[&str]| {
            let wanted = testing::set("www.example.com", "A", contents);
            let comment = |record: Record| record.comment.unwrap_or_default();
            let records = records(ZONE, &wanted, &standing);
            records.into_iter().map(comment).collect::<Vec<String>>()
        };
        assert_eq!(written(&["192.0.2.2", "192.0.2.1"]), ["second", "first"]);
        assert_eq!(written(&["192.0.2.9", "192.0.2.2"]), ["first", "second"]);
        assert_eq!(written(&["192.0.2.2"]), ["second"]);
        assert_eq!(
            written(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
            ["first", "second", ""]
        );
    }

    #[test]
    fn dots_go_out_with_host_names() {
        let wanted = testing::set("www.example.com", "CNAME", &["web.example.net"]);
        assert_eq!(records(ZONE, &wanted, &[])[0].value, "web.example.net.");
    }
}
