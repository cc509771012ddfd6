//! The service's resource record sets, and record sets made of them.

use portolan_plugin::{
    content::{canonical, with_dots},
    dns::{RecordKey, RecordSet, RecordValue},
    names::with_dot,
    sets::DEFAULT_LINE,
};

use crate::{
    escape::{name_from_service, strings_from_service, strings_to_service},
    line::Place,
    xml::{Element, escape},
};

/// The types that are managed.
pub(crate) const RECORD_TYPES: [&str; 8] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];

/// By what the service chooses among the sets of a name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Routing {
    /// There is nothing to choose.
    Simple,
    /// By the place of the client: a line here.
    Geo { line: String, id: String },
    /// By something that is not managed: weights, latency, failover, a list of networks.
    Other,
}

/// A resource record set as the service tells of it, or is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RrSet {
    /// As names are written here.
    pub(crate) name: String,
    pub(crate) rtype: String,
    pub(crate) routing: Routing,
    pub(crate) ttl: u32,
    /// As the service spells them: a set is deleted by saying exactly what it holds.
    pub(crate) values: Vec<String>,
    /// Does it consist of these alone? An alias does not, nor one that depends on a health check.
    pub(crate) is_plain: bool,
}

impl Routing {
    /// What makes a new set one for the clients of a line.
    pub(crate) fn by_place(line: &str) -> Self {
        Self::Geo {
            line: line.to_owned(),
            id: line.to_owned(),
        }
    }
}

impl RrSet {
    /// Reads one; none where the element lacks what each has.
    pub(crate) fn parse(element: &Element) -> Option<Self> {
        let (mut id, mut place, mut is_plain, mut is_other) = (None, None, true, false);
        for child in &element.children {
            match child.name.as_str() {
                "Name" | "Type" | "TTL" | "ResourceRecords" => {}
                "SetIdentifier" => id = Some(child.text.clone()),
                "GeoLocation" => place = Place::of(child, "").line(),
                "AliasTarget" | "HealthCheckId" | "TrafficPolicyInstanceId" => is_plain = false,
                // Whatever this is, it is not ours to write back.
                _ => is_other = true,
            }
        }
        let routing = match (is_other, id, place) {
            (false, None, None) => Routing::Simple,
            (false, Some(id), Some(line)) => Routing::Geo { line, id },
            _ => Routing::Other,
        };
        let ttl = element.text_of("TTL").and_then(|ttl| ttl.parse().ok());
        let records = element.child("ResourceRecords");
        let values = records.map_or(&[][..], |records| &records.children);
        let values: Vec<String> = values
            .iter()
            .map(|record| record.text_of("Value").map(str::to_owned))
            .collect::<Option<_>>()?;
        Some(Self {
            name: name_from_service(element.text_of("Name")?),
            rtype: element.text_of("Type")?.to_owned(),
            routing,
            is_plain: is_plain && ttl.is_some() && !values.is_empty(),
            ttl: ttl.unwrap_or_default(),
            values,
        })
    }

    /// What the service shall hold for a wanted set.
    pub(crate) fn of(set: &RecordSet, routing: Routing) -> Self {
        let rtype = &set.key.rtype;
        let content = |value: &RecordValue| to_service(rtype, &value.content);
        Self {
            name: set.key.name.clone(),
            rtype: rtype.clone(),
            routing,
            ttl: set.ttl,
            values: set.values.iter().map(content).collect(),
            is_plain: true,
        }
    }

    /// Its line; none where it is on none.
    pub(crate) fn line(&self) -> Option<&str> {
        match &self.routing {
            Routing::Simple => Some(DEFAULT_LINE),
            Routing::Geo { line, .. } => Some(line),
            Routing::Other => None,
        }
    }

    /// Is it one that is read and written?
    pub(crate) fn is_managed(&self) -> bool {
        self.is_plain
            && self.routing != Routing::Other
            && RECORD_TYPES.contains(&self.rtype.as_str())
            // A name that cannot be written here.
            && !self.name.contains('\\')
    }

    /// Does it stand under this key?
    pub(crate) fn has_key(&self, key: &RecordKey) -> bool {
        self.name == key.name
            && self.rtype == key.rtype
            && self.line() == Some(&key.line)
            && key.set_id.is_empty()
    }

    /// What the daemon is told of it; none where it is not managed.
    pub(crate) fn set(&self) -> Option<RecordSet> {
        if !self.is_managed() {
            return None;
        }
        let value = |value: &String| RecordValue {
            content: from_service(&self.rtype, value),
            weight: None,
            enabled: true,
        };
        Some(RecordSet {
            key: RecordKey {
                name: self.name.clone(),
                rtype: self.rtype.clone(),
                line: self.line()?.to_owned(),
                set_id: String::new(),
            },
            ttl: self.ttl,
            values: self.values.iter().map(value).collect(),
            comment: None,
            handle: String::new(),
            // The identifier that whoever made it gave it stays.
            extras: match &self.routing {
                Routing::Geo { id, .. } => id.clone(),
                Routing::Simple | Routing::Other => String::new(),
            },
        })
    }

    /// How many characters its values have: they count against the limit of a request.
    pub(crate) fn characters(&self) -> usize {
        let lengths = self.values.iter().map(|value| value.chars().count());
        lengths.sum()
    }

    /// The change of a batch that creates or deletes it. The order of the elements is the API's.
    pub(crate) fn change(&self, action: &str) -> String {
        let mut change = format!(
            "<Change><Action>{action}</Action><ResourceRecordSet><Name>{}</Name><Type>{}</Type>",
            escape(&with_dot(&self.name)),
            self.rtype
        );
        let mut put = |name: &str, text: &str| {
            change.push_str(&format!("<{name}>{}</{name}>", escape(text)));
        };
        if let Routing::Geo { line, id } = &self.routing {
            put("SetIdentifier", id);
            change.push_str("<GeoLocation>");
            let place = Place::of_line(line);
            let part = |name: &str, code: Option<&str>| {
                code.map_or(String::new(), |code| format!("<{name}>{code}</{name}>"))
            };
            if let Some(place) = place {
                change.push_str(&part("ContinentCode", place.continent));
                change.push_str(&part("CountryCode", place.country));
                change.push_str(&part("SubdivisionCode", place.subdivision));
            }
            change.push_str("</GeoLocation>");
        }
        change.push_str(&format!("<TTL>{}</TTL><ResourceRecords>", self.ttl));
        for value in &self.values {
            change.push_str(&format!(
                "<ResourceRecord><Value>{}</Value></ResourceRecord>",
                escape(value)
            ));
        }
        change.push_str("</ResourceRecords></ResourceRecordSet></Change>");
        change
    }
}

/// A value in our spelling.
fn from_service(rtype: &str, value: &str) -> String {
    let value = match rtype {
        "TXT" | "CAA" => strings_from_service(value),
        _ => value.to_owned(),
    };
    canonical(rtype, &value).unwrap_or(value)
}

/// A canonical content in the service's spelling.
pub(crate) fn to_service(rtype: &str, content: &str) -> String {
    match rtype {
        "TXT" | "CAA" => strings_to_service(content),
        _ => with_dots(rtype, content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;

    fn read(inside: &str) -> RrSet {
        let text = format!(
            "<ResourceRecordSet><Name>\\052.Example.com.</Name>{inside}</ResourceRecordSet>"
        );
        RrSet::parse(&parse(&text).unwrap()).unwrap()
    }

    const VALUE: &str = "<TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>";

    #[test]
    fn simple_sets_and_those_of_places_are_sets_on_lines() {
        let simple = read(&format!("<Type>A</Type>{VALUE}")).set().unwrap();
        assert_eq!(
            (simple.key.name.as_str(), simple.key.line.as_str()),
            ("*.example.com", "default")
        );
        assert_eq!((simple.ttl, simple.extras.as_str()), (60, ""));

        let place = "<SetIdentifier>a&amp;b</SetIdentifier><GeoLocation><CountryCode>CN</CountryCode></GeoLocation>";
        let geo = read(&format!("<Type>A</Type>{place}{VALUE}"));
        let set = geo.set().unwrap();
        assert_eq!(
            (set.key.line.as_str(), set.extras.as_str()),
            ("country-CN", "a&b")
        );
        assert_eq!(
            geo.change("DELETE"),
            format!(
                "<Change><Action>DELETE</Action><ResourceRecordSet><Name>*.example.com.</Name><Type>A</Type>\
                 {place}{VALUE}</ResourceRecordSet></Change>"
            )
        );
    }

    #[test]
    fn what_carries_more_than_is_managed_is_left_out() {
        let id = "<SetIdentifier>x</SetIdentifier>";
        let geo = "<GeoLocation><CountryCode>CN</CountryCode></GeoLocation>";
        for inside in [
            format!("<Type>A</Type>{id}<Weight>1</Weight>{VALUE}"),
            format!("<Type>A</Type>{id}<Region>eu-west-1</Region>{VALUE}"),
            format!("<Type>A</Type>{id}<Failover>PRIMARY</Failover>{VALUE}"),
            format!("<Type>A</Type>{id}<MultiValueAnswer>true</MultiValueAnswer>{VALUE}"),
            format!("<Type>A</Type>{id}<SomethingNew/>{VALUE}"),
            format!("<Type>A</Type>{id}{geo}{VALUE}<HealthCheckId>h</HealthCheckId>"),
            format!("<Type>A</Type>{VALUE}<TrafficPolicyInstanceId>t</TrafficPolicyInstanceId>"),
            "<Type>A</Type><AliasTarget><DNSName>a</DNSName></AliasTarget>".to_owned(),
            format!("<Type>SOA</Type>{VALUE}"),
        ] {
            assert_eq!(read(&inside).set(), None, "{inside}");
        }
    }

    #[test]
    fn contents_survive_the_way_there_and_back() {
        for (rtype, ours, theirs) in [
            ("A", "192.0.2.1", "192.0.2.1"),
            ("CNAME", "a.example.net", "a.example.net."),
            ("MX", "10 mail.example.com", "10 mail.example.com."),
            (
                "CAA",
                "0 issue \"ca.example\\009\"",
                "0 issue \"ca.example\\011\"",
            ),
            ("TXT", r#""\195\169" "b""#, r#""\303\251" "b""#),
        ] {
            assert_eq!(to_service(rtype, ours), theirs);
            assert_eq!(from_service(rtype, theirs), ours);
        }
        assert_eq!(from_service("CNAME", "A.example.net"), "a.example.net");
    }
}
