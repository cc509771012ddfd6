//! Health checks, as flags.

use clap::Args;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::documents::Fields;

/// How something is checked. The check is replaced as a whole.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
pub struct CheckFlags {
    /// Check that a port takes connections
    #[arg(long, value_name = "PORT")]
    check_tcp: Option<u16>,
    /// Check by a request, such as http://shop.example.com/healthz, or :8080/healthz without a Host
    #[arg(long, value_name = "URL", value_parser = http)]
    check_http: Option<Value>,
    /// The check as JSON, such as {"type":"tls","port":443,"min_days":7}
    #[arg(long, value_name = "JSON", value_parser = object)]
    check: Option<Map<String, Value>>,
    /// Check nothing any more
    #[arg(long)]
    no_check: bool,
}

impl CheckFlags {
    /// Adds the check to a document's changes, where one was given.
    pub(super) fn add_to(self, changes: &mut Fields) {
        let check = if self.no_check {
            Some(Value::Null)
        } else if let Some(port) = self.check_tcp {
            Some(json!({"type": "tcp", "port": port}))
        } else {
            self.check_http.or(self.check.map(Value::Object))
        };
        if let Some(check) = check {
            changes.insert("check".to_owned(), check);
        }
    }
}

/// A URL, or `[:PORT]/PATH`, which asks without naming a host. What is dialled is the site's address
/// either way.
fn http(text: &str) -> Result<Value, String> {
    let wrong = |reason: &str| {
        format!("{reason}; write http://HOST/PATH, https://HOST:PORT/PATH or :PORT/PATH")
    };
    let nameless = text.starts_with([':', '/']);
    let url = match nameless {
        // Any host does, for it is left out below.
        true => Url::parse(&format!("http://nameless{text}")),
        false => Url::parse(text),
    };
    let url = url.map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(&format!("{} is not spoken", url.scheme())));
    }
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut check = json!({"type": url.scheme(), "path": path});
    if let Some(port) = url.port_or_known_default() {
        check["port"] = port.into();
    }
    if let Some(host) = url.host_str().filter(|_| !nameless) {
        check["host"] = host.into();
    }
    Ok(check)
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_what_is_asked() {
        for (text, check) in [
            (
                "http://shop.example.com/healthz?deep=1",
                json!({"type": "http", "host": "shop.example.com", "port": 80,
                       "path": "/healthz?deep=1"}),
            ),
            (
                "https://a.example:8443",
                json!({"type": "https", "host": "a.example", "port": 8443, "path": "/"}),
            ),
            (
                ":8080/healthz",
                json!({"type": "http", "port": 8080, "path": "/healthz"}),
            ),
            ("/up", json!({"type": "http", "port": 80, "path": "/up"})),
        ] {
            assert_eq!(http(text), Ok(check), "{text}");
        }
        for wrong in ["", "ftp://a/", "shop.example.com", ":port/"] {
            assert!(http(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_check_is_given_taken_away_or_left_alone() {
        let changes = |flags: CheckFlags| {
            let mut changes = Fields::new();
            flags.add_to(&mut changes);
            Value::from(changes)
        };
        let tcp = CheckFlags {
            check_tcp: Some(443),
            ..CheckFlags::default()
        };
        assert_eq!(changes(tcp), json!({"check": {"type": "tcp", "port": 443}}));
        let none = CheckFlags {
            no_check: true,
            ..CheckFlags::default()
        };
        assert_eq!(changes(none), json!({"check": null}));
        assert_eq!(changes(CheckFlags::default()), json!({}));
    }
}
