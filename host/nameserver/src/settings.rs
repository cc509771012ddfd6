//! The settings of a binding of the provider `local`: what its zones' SOA and NS say.

use hickory_proto::rr::Name;
use portolan_steering::{ConnectError, DomainName, ZoneName};
use serde::Deserialize;
use serde_json::Value;

use crate::documents::Authority;

/// The settings; all have defaults. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The zones' name servers, the primary first. A name without a dot is relative to the zone.
    ns: Vec<String>,
    /// Who answers for the zones: a mail address, or as the SOA spells it.
    contact: Option<String>,
    /// How often a secondary looks for a new serial.
    refresh: u32,
    /// How soon a secondary that got no answer looks again.
    retry: u32,
    /// How long a secondary serves a zone unseen.
    expire: u32,
    /// How long a resolver remembers that something is not there.
    minimum: u32,
    /// Of the SOA and the NS.
    ttl: u32,
}

impl Default for Settings {
    /// RIPE-203's advice, with shorter negative answers: a record that steering adds shall be seen.
    fn default() -> Self {
        Self {
            ns: vec!["ns".to_owned()],
            contact: None,
            refresh: 3_600,
            retry: 600,
            expire: 1_209_600,
            minimum: 60,
            ttl: 3_600,
        }
    }
}

impl Settings {
    /// Reads and checks settings; an error names the path of what is wrong.
    pub(crate) fn parse(settings: Value) -> Result<Self, ConnectError> {
        let settings: Self = serde_path_to_error::deserialize(settings).map_err(|error| {
            let at = match error.path().to_string() {
                root if root == "." => "settings".to_owned(),
                path => format!("settings.{path}"),
            };
            wrong(at, error.into_inner().to_string())
        })?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), ConnectError> {
        if self.ns.is_empty() {
            let message = "is empty; name at least one name server, such as `ns1.example.com`";
            return Err(wrong("settings.ns".to_owned(), message.to_owned()));
        }
        for (index, server) in self.ns.iter().enumerate() {
            let at = format!("settings.ns[{index}]");
            let name = DomainName::parse(server).map_err(|reason| wrong(at.clone(), reason))?;
            if name.as_str().starts_with('*') {
                return Err(wrong(at, format!("`{server}` is a wildcard, not a host")));
            }
        }
        if let Some(contact) = &self.contact {
            rname(contact).map_err(|reason| wrong("settings.contact".to_owned(), reason))?;
        }
        let times = [
            ("refresh", self.refresh),
            ("retry", self.retry),
            ("expire", self.expire),
            ("minimum", self.minimum),
            ("ttl", self.ttl),
        ];
        match times.iter().find(|(_, time)| !(1..1 << 31).contains(time)) {
            Some((name, time)) => Err(wrong(
                format!("settings.{name}"),
                format!("is {time}; write 1 to 2147483647 seconds"),
            )),
            None => Ok(()),
        }
    }

    /// What they say of one zone.
    pub(crate) fn authority(&self, zone: &ZoneName) -> Result<Authority, String> {
        let server = |written: &String| match written.contains('.') {
            true => DomainName::parse(written),
            false => DomainName::parse(&format!("{written}.{zone}")),
        };
        let contact = match &self.contact {
            Some(contact) => rname(contact)?,
            None => format!("hostmaster.{zone}"),
        };
        Ok(Authority {
            ns: self.ns.iter().map(server).collect::<Result<_, _>>()?,
            contact,
            refresh: self.refresh,
            retry: self.retry,
            expire: self.expire,
            minimum: self.minimum,
            ttl: self.ttl,
        })
    }
}

/// A mail address as a SOA spells it: the dots before the `@` are escaped (RFC 1035 §8).
fn rname(contact: &str) -> Result<String, String> {
    let spelled = match contact.split_once('@') {
        Some((person, domain)) => {
            format!(
                "{}.{}",
                person.replace('.', "\\."),
                DomainName::parse(domain)?
            )
        }
        None => contact.trim_end_matches('.').to_owned(),
    };
    match Name::from_ascii(format!("{spelled}.")) {
        Ok(name) if name.iter().count() > 1 => Ok(spelled),
        _ => Err(format!(
            "`{contact}` is not a mail address; write `hostmaster@example.com`"
        )),
    }
}

fn wrong(at: String, message: String) -> ConnectError {
    ConnectError { at, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_say_what_soa_and_ns_are() {
        let zone = ZoneName::parse("example.com").unwrap();
        let authority = |settings| Settings::parse(settings).unwrap().authority(&zone).unwrap();
        let plain = authority(json!({}));
        assert_eq!(plain.ns[0].as_str(), "ns.example.com");
        assert_eq!(plain.contact, "hostmaster.example.com");

        let full = authority(json!({
            "ns": ["ns1", "NS.example.net."], "contact": "first.last@example.org", "minimum": 5
        }));
        let servers: Vec<&str> = full.ns.iter().map(DomainName::as_str).collect();
        assert_eq!(servers, ["ns1.example.com", "ns.example.net"]);
        assert_eq!(full.contact, "first\\.last.example.org");
        assert_eq!((full.minimum, full.refresh), (5, 3_600));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let cases = [
            (json!({"ns": []}), "settings.ns: is empty"),
            (json!({"ns": ["a", "b c"]}), "settings.ns[1]: `b c`"),
            (json!({"ns": ["*.example.com"]}), "settings.ns[0]: "),
            (json!({"ns": [1]}), "settings.ns[0]: invalid type"),
            (json!({"contact": "nobody"}), "settings.contact: `nobody`"),
            (json!({"contact": "a@b c"}), "settings.contact: `b c`"),
            (json!({"retry": 0}), "settings.retry: is 0"),
            (
                json!({"ttl": 2_147_483_648_u32}),
                "settings.ttl: is 2147483648",
            ),
            (json!({"serial": 1}), "settings.serial: unknown field"),
        ];
        for (settings, words) in cases {
            let error = Settings::parse(settings.clone()).unwrap_err().to_string();
            assert!(error.starts_with(words), "{settings}: {error}");
        }
    }
}
