//! Addresses by line: one Lua record of the server for all lines of a name and type.
//!
//! The server has no lines, but records that are computed for each query (type LUA), from the address that
//! asks among other things. A remark at the beginning of ours says what stands on each line, and is what is
//! read; the code behind it follows from the remark and the settings:
//!
//! ```text
//! ;--[[portolan: CT 60 192.0.2.1; default 300 192.0.2.9 -192.0.2.8]] if netmask({'10.0.0.0/8'}) then return
//! {'192.0.2.1'} end return {'192.0.2.9'}
//! ```

use std::collections::BTreeMap;

use portolan_plugin::{
    dns::{DnsLine, Error, RecordKey, RecordSet, RecordValue},
    sets::DEFAULT_LINE,
};

/// The server's type of records that are computed.
pub(crate) const LUA: &str = "LUA";
/// The types that can stand on lines: their contents need no quotation marks, and nothing else is steered.
pub(crate) const SPLIT_TYPES: [&str; 2] = ["A", "AAAA"];

const OPENING: &str = ";--[[portolan: ";
const CLOSING: &str = "]]";
/// Before a value that is kept and not served.
const DISABLED: char = '-';

/// The lines of the settings: their networks by their codes.
#[derive(Debug, Default)]
pub(crate) struct Lines(BTreeMap<String, Vec<String>>);

impl Lines {
    /// The settings' own, checked.
    pub(crate) fn new(lines: BTreeMap<String, Vec<String>>) -> Result<Self, Error> {
        for (code, networks) in &lines {
            let invalid = |reason: &str| Err(Error::Invalid(format!("`lines.{code}`: {reason}")));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if code.is_empty() || !code.chars().all(is_plain) {
                return invalid("a line's code has letters, digits, `-`, `_` and `.`");
            }
            if code == DEFAULT_LINE {
                return invalid("the line `default` is whatever is on no other line");
            }
            if networks.is_empty() {
                return invalid("it names no network");
            }
            if let Some(network) = networks.iter().find(|network| !is_network(network)) {
                let reason = format!("`{network}` is no network: write one as `192.0.2.0/24`");
                return invalid(&reason);
            }
        }
        Ok(Self(lines))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, `default` first.
    pub(crate) fn list(&self) -> Vec<DnsLine> {
        let default = DnsLine {
            code: DEFAULT_LINE.to_owned(),
            label: "Default".to_owned(),
        };
        let line = |(code, networks): (&String, &Vec<String>)| DnsLine {
            code: code.clone(),
            label: format!("Queries from {}", networks.join(", ")),
        };
        let others = self.0.iter().map(line);
        std::iter::once(default).chain(others).collect()
    }

    /// Refuses a wanted set that cannot stand on its line.
    pub(crate) fn check(&self, set: &RecordSet, shown: &str) -> Result<(), Error> {
        let key = &set.key;
        if key.line == DEFAULT_LINE {
            return Ok(());
        }
        if !self.0.contains_key(&key.line) {
            return Err(Error::Invalid(format!(
                "{shown}: the settings have no networks for this line: name them in `lines`"
            )));
        }
        if !SPLIT_TYPES.contains(&key.rtype.as_str()) {
            return Err(Error::Unsupported(format!(
                "{shown}: only {} can stand on lines",
                SPLIT_TYPES.join(" and ")
            )));
        }
        if set.comment.is_some() {
            return Err(Error::Unsupported(format!(
                "{shown}: a set on a line has no comment"
            )));
        }
        Ok(())
    }

    /// The content of the Lua record that answers with these sets, all of one name and type.
    pub(crate) fn render(&self, sets: &[RecordSet]) -> String {
        let Some(first) = sets.first() else {
            return String::new();
        };
        let remark: Vec<String> = sets.iter().map(remark).collect();
        let mut code = format!("{OPENING}{}{CLOSING}", remark.join("; "));
        let mut default = "{}".to_owned();
        for set in sets {
            let served = set.values.iter().filter(|value| value.enabled);
            let contents: Vec<&str> = served.map(|value| value.content.as_str()).collect();
            let answer = list(&contents);
            match self.0.get(&set.key.line) {
                Some(networks) => {
                    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
                    let networks = list(&networks);
                    code.push_str(&format!(" if netmask({networks}) then return {answer} end"));
                }
                None if set.key.line == DEFAULT_LINE => default = answer,
                // A line that the settings have no more: it is kept, and answers nobody.
                None => {}
            }
        }
        format!("{} \"{code} return {default}\"", first.key.rtype)
    }

    /// The sets that a Lua record answers with; none for one that is not ours. Where the code does not fit
    /// the remark and the networks of today, values are not served as they should be, and said to be not
    /// served, so that they are written again.
    pub(crate) fn read(&self, name: &str, content: &str) -> Option<Vec<RecordSet>> {
        let (rtype, code) = content.split_once(' ')?;
        let code = code.strip_prefix('"')?.strip_suffix('"')?;
        let (remark, _) = code.strip_prefix(OPENING)?.split_once(CLOSING)?;
        let set = |text: &str| read_remark(name, rtype, text);
        let mut sets: Vec<RecordSet> = remark.split("; ").map(set).collect::<Option<_>>()?;
        if self.render(&sets) != content {
            let values = sets.iter_mut().flat_map(|set| &mut set.values);
            values.for_each(|value| value.enabled = false);
        }
        Some(sets)
    }
}

/// The type whose queries a Lua record answers.
pub(crate) fn answered_type(content: &str) -> &str {
    content.split(' ').next().unwrap_or_default()
}

/// The TTL with which sets of one name are served together.
pub(crate) fn shared_ttl(sets: &[RecordSet]) -> u32 {
    sets.iter().map(|set| set.ttl).min().unwrap_or_default()
}

/// `CT 60 192.0.2.1 -192.0.2.2`.
fn remark(set: &RecordSet) -> String {
    let mut text = format!("{} {}", set.key.line, set.ttl);
    for value in &set.values {
        text.push(' ');
        if !value.enabled {
            text.push(DISABLED);
        }
        text.push_str(&value.content);
    }
    text
}

fn read_remark(name: &str, rtype: &str, text: &str) -> Option<RecordSet> {
    let mut words = text.split(' ');
    let (line, ttl) = (words.next()?, words.next()?.parse().ok()?);
    let value = |word: &str| {
        let kept = word.strip_prefix(DISABLED);
        RecordValue {
            content: kept.unwrap_or(word).to_owned(),
            weight: None,
            enabled: kept.is_none(),
        }
    };
    Some(RecordSet {
        key: RecordKey {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            line: line.to_owned(),
            set_id: String::new(),
        },
        ttl,
        values: words.map(value).collect(),
        comment: None,
        handle: String::new(),
        extras: String::new(),
    })
}

/// A Lua list of texts that need no escapes.
fn list(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
    format!("{{{}}}", quoted.join(","))
}

/// `192.0.2.0/24` or `2001:db8::/32`.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_plugin::testing;

    fn lines(networks: &[&str]) -> Lines {
        let networks = networks.iter().map(|network| (*network).to_owned());
        Lines::new(BTreeMap::from([("CT".to_owned(), networks.collect())])).unwrap()
    }

    fn set(line: &str, ttl: u32, contents: &[&str]) -> RecordSet {
        let set = testing::set("www.example.com", "A", contents);
        let key = RecordKey {
            line: line.to_owned(),
            ..set.key
        };
        RecordSet { key, ttl, ..set }
    }

    #[test]
    fn what_is_written_is_read() {
        let lines = lines(&["10.0.0.0/8", "2001:db8::/32"]);
        let mut default = set(DEFAULT_LINE, 300, &["192.0.2.8", "192.0.2.9"]);
        default.values[0].enabled = false;
        let sets = [set("CT", 60, &["192.0.2.1"]), default];
        let content = lines.render(&sets);
        assert_eq!(
            content,
            "A \";--[[portolan: CT 60 192.0.2.1; default 300 -192.0.2.8 192.0.2.9]] \
             if netmask({'10.0.0.0/8','2001:db8::/32'}) then return {'192.0.2.1'} end \
             return {'192.0.2.9'}\""
        );
        assert_eq!(lines.read("www.example.com", &content).unwrap(), sets);
        assert_eq!(shared_ttl(&sets), 60);
        assert_eq!(answered_type(&content), "A");
    }

    #[test]
    fn other_networks_than_those_of_today_do_not_serve() {
        let sets = [set("CT", 60, &["192.0.2.1"])];
        let old = lines(&["10.0.0.0/8"]).render(&sets);
        let read = lines(&["10.0.0.0/9"]).read("www.example.com", &old);
        assert!(!read.unwrap()[0].values[0].enabled);
        assert!(old.ends_with("end return {}\""), "{old}");
    }

    #[test]
    fn the_code_of_others_is_not_ours() {
        let lines = lines(&["10.0.0.0/8"]);
        for content in [
            "A \"ifportup(443, {'192.0.2.1'})\"",
            "A \";--[[mine]] return {'192.0.2.1'}\"",
            "A \";--[[portolan: CT]] return {}\"",
            "A",
            "",
        ] {
            assert_eq!(lines.read("www.example.com", content), None, "{content}");
        }
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        for (code, network, reason) in [
            ("default", "10.0.0.0/8", "on no other line"),
            ("C T", "10.0.0.0/8", "letters, digits"),
            ("CT", "10.0.0.0", "`10.0.0.0` is no network"),
            ("CT", "10.0.0.0/33", "is no network"),
            ("CT", "'/8", "is no network"),
        ] {
            let lines = BTreeMap::from([(code.to_owned(), vec![network.to_owned()])]);
            let Err(Error::Invalid(text)) = Lines::new(lines) else {
                panic!("{code} {network}")
            };
            assert!(text.contains(reason), "{text}");
        }
        let none = BTreeMap::from([("CT".to_owned(), vec![])]);
        assert!(matches!(Lines::new(none), Err(Error::Invalid(_))));
    }
}
