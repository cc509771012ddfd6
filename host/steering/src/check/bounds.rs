//! Whether a check can be: its numbers and texts.

use http::uri::{Authority, PathAndQuery};
use rustls::pki_types::ServerName;

use super::spec::{Check, HttpQuestion, Method, Question, TlsQuestion};

const MAX_PATH: usize = 1024;
const MAX_BODY_TEXT: usize = 1024;
const MAX_RANGES: usize = 32;
/// No authority gives a server a certificate for longer, and a year is beyond any renewal.
const MAX_DAYS: u32 = 365;
const MAX_COMMAND: usize = 63;

/// The field and the sentence.
type Wrong = (String, String);

impl Check {
    /// Whether the prober can ask it; the error is the field and what to write instead.
    pub fn validate(&self) -> Result<(), (String, String)> {
        match &self.question {
            Question::Http(http) => check_http(http)?,
            Question::Tcp { port } => check_port(*port)?,
            Question::Tls { port, tls } => {
                check_port(*port)?;
                check_tls(tls)?;
            }
            Question::Icmp => {}
            Question::Command { name } => {
                check_command_name(name).map_err(|why| wrong("command", why))?;
            }
        }
        self.pace.validate()
    }
}

/// A command's name, here and in the configuration.
pub(super) fn check_command_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.is_empty() || name.len() > MAX_COMMAND || !name.chars().all(allowed) {
        return Err(format!(
            "`{}` cannot name a command: use a-z, 0-9, `-`, `_` and `.`, at most {MAX_COMMAND} \
             characters",
            name.escape_debug()
        ));
    }
    Ok(())
}

fn wrong(field: &str, sentence: impl Into<String>) -> Wrong {
    (field.to_owned(), sentence.into())
}

fn check_port(port: u16) -> Result<(), Wrong> {
    match port {
        0 => Err(wrong("port", "is 0; write 1 to 65535")),
        _ => Ok(()),
    }
}

fn check_tls(tls: &TlsQuestion) -> Result<(), Wrong> {
    if let Some(name) = &tls.server_name {
        check_server_name(name).map_err(|why| wrong("server_name", why))?;
    }
    match tls.min_days {
        Some(days) if days > MAX_DAYS => Err(wrong(
            "min_days",
            format!("is {days}; write 0 to {MAX_DAYS} days"),
        )),
        _ => Ok(()),
    }
}

fn check_server_name(name: &str) -> Result<(), String> {
    match ServerName::try_from(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "`{}` is neither a host name nor an address",
            name.escape_debug()
        )),
    }
}

fn check_http(http: &HttpQuestion) -> Result<(), Wrong> {
    check_port(http.port)?;
    check_path(&http.path).map_err(|why| wrong("path", why))?;
    if let Some(host) = &http.host {
        check_host(host).map_err(|why| wrong("host", why))?;
    }
    match http.status.len() {
        0 => return Err(wrong("status", "is empty, so no answer would be good")),
        1..=MAX_RANGES => {}
        many => {
            let sentence = format!("has {many} entries, more than {MAX_RANGES}; join ranges");
            return Err(wrong("status", sentence));
        }
    }
    if let Some(text) = &http.body {
        check_body_text(text, http.method).map_err(|why| wrong("body", why))?;
    }
    http.tls.as_ref().map_or(Ok(()), check_tls)
}

fn check_path(path: &str) -> Result<(), String> {
    let shown = path.escape_debug();
    if path.len() > MAX_PATH {
        return Err(format!("has {} bytes, more than {MAX_PATH}", path.len()));
    }
    if !path.starts_with('/') {
        return Err(format!("`{shown}` does not begin with `/`"));
    }
    // The parser would cut off a fragment, which is never sent.
    let sendable = path.is_ascii() && !path.contains('#') && path.parse::<PathAndQuery>().is_ok();
    match sendable {
        true => Ok(()),
        false => Err(format!(
            "`{shown}` cannot be asked for; write what is not a plain character as `%20`, and no `#`"
        )),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let authority = host.parse::<Authority>().ok();
    match authority.filter(|it| !it.as_str().contains('@') && !it.host().is_empty()) {
        Some(_) => Ok(()),
        None => Err(format!(
            "`{}` is not a host; write `shop.example.com` or `shop.example.com:8080`",
            host.escape_debug()
        )),
    }
}

fn check_body_text(text: &str, method: Method) -> Result<(), String> {
    if method == Method::Head {
        return Err("an answer to HEAD has no body; use GET, or leave `body` out".to_owned());
    }
    match text.len() {
        0 => Err("is empty, and every body holds that; leave it out".to_owned()),
        1..=MAX_BODY_TEXT => Ok(()),
        many => Err(format!("has {many} bytes, more than {MAX_BODY_TEXT}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::Pace;
    use crate::input;

    fn read(check: Value) -> Check {
        input::parse(check).unwrap()
    }

    #[test]
    fn the_examples_are_what_they_say() {
        let in_words: Vec<String> = Check::EXAMPLES
            .iter()
            .map(|example| read(serde_json::from_str(example).unwrap()))
            .inspect(|check| assert_eq!(check.validate(), Ok(()), "{check}"))
            .map(|check| check.to_string())
            .collect();
        assert_eq!(
            in_words,
            [
                "http :80 /healthz",
                "https :443 /",
                "tls :443",
                "icmp",
                "command replica-lag",
                "tcp :443"
            ]
        );
    }

    #[test]
    fn what_is_left_out_has_the_defaults_that_the_examples_show() {
        let spelled_out: Value = serde_json::from_str(Check::EXAMPLES[5]).unwrap();
        let check = read(json!({"type": "tcp", "port": 443}));
        let timeout = check.pace.timeout_ms;
        let spelled = read(spelled_out.clone()).pace;
        assert_eq!(spelled.down_timeout_ms, Some(timeout));
        assert_eq!(
            Pace {
                down_interval_ms: None,
                down_timeout_ms: None,
                ..spelled
            },
            Pace::default()
        );
        let https = read(json!({"type": "https"}));
        assert_eq!(
            serde_json::to_value(https).unwrap(),
            json!({"type": "https", "port": 443, "path": "/", "method": "GET",
                   "status": ["200-299"], "danger_accept_any_certificate": false,
                   "interval_ms": 1000, "timeout_ms": 1500, "down_after": 3, "up_after": 5,
                   "stable_ms": 60000})
        );
    }

    #[test]
    fn an_answer_can_be_sent_back() {
        let mut all: Vec<Value> = Check::EXAMPLES
            .iter()
            .map(|example| serde_json::from_str(example).unwrap())
            .collect();
        all.push(json!({"type": "http", "status": [204, "301-308"], "down_timeout_ms": 100}));
        for given in all {
            let check = read(given);
            let shown = serde_json::to_value(&check).unwrap();
            assert_eq!(read(shown), check);
        }
    }

    #[test]
    fn a_target_that_is_down_may_have_a_pace_of_its_own() {
        use crate::check::Sight::{Down, Unknown, Up};
        let pace = read(
            json!({"type": "icmp", "interval_ms": 2000, "timeout_ms": 300,
                               "down_interval_ms": 9000, "down_timeout_ms": 4000}),
        )
        .pace;
        for sight in [Up, Unknown] {
            assert_eq!(pace.interval_ms(sight), 2000);
            assert_eq!(pace.timeout(sight).as_millis(), 300);
        }
        assert_eq!(pace.interval_ms(Down), 9000);
        assert_eq!(pace.timeout(Down).as_millis(), 4000);
        assert_eq!(Pace::default().interval_ms(Down), 1000);
        assert_eq!(Pace::default().timeout(Down).as_millis(), 1500);
    }

    #[test]
    fn what_has_no_shape_is_refused_where_it_stands() {
        let cases = [
            (json!({"port": 80}), "", "missing field `type`"),
            (json!({"type": "udp"}), "type", "unknown variant `udp`"),
            (json!({"type": "tcp"}), "", "a tcp check needs a `port`"),
            (json!({"type": "command"}), "", "needs `command`"),
            (json!({"type": "tcp", "port": 70000}), "port", "70000"),
            (json!({"type": "icmp", "prot": 1}), "prot", "unknown field"),
            (
                json!({"type": "tcp", "port": 1, "path": "/"}),
                "",
                "`path` means nothing in a check of type tcp",
            ),
            (
                json!({"type": "http", "server_name": "a.example"}),
                "",
                "`server_name` means nothing in a check of type http",
            ),
            (
                json!({"type": "http", "method": "POST"}),
                "method",
                "unknown variant `POST`",
            ),
            (
                json!({"type": "http", "status": ["200", "2xx"]}),
                "status[1]",
                "`2xx` is not a status",
            ),
            (
                json!({"type": "http", "status": ["299-200"]}),
                "status[0]",
                "the smaller one first",
            ),
            (json!({"type": "http", "status": [42]}), "status[0]", "100"),
        ];
        for (given, path, words) in cases {
            let error = input::parse::<Check>(given.clone()).unwrap_err();
            assert_eq!(error.at().unwrap_or_default(), path, "{given}: {error}");
            assert!(error.message().contains(words), "{given}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_its_field() {
        let http = |field: &str, value: Value| {
            let mut check = json!({"type": "https"});
            check[field] = value;
            check
        };
        let long = "x".repeat(2000);
        let cases = [
            (http("port", json!(0)), "port", "1 to 65535"),
            (http("path", json!("healthz")), "path", "begin with `/`"),
            (http("path", json!("/a b")), "path", "%20"),
            (http("path", json!("/a#b")), "path", "no `#`"),
            (http("path", json!("/ä")), "path", "%20"),
            (http("path", json!(format!("/{long}"))), "path", "1024"),
            (http("host", json!("a b")), "host", "not a host"),
            (http("host", json!("me@a.example")), "host", "not a host"),
            (http("host", json!("a\r\nb: c")), "host", "not a host"),
            (http("status", json!([])), "status", "empty"),
            (http("status", json!(vec!["200"; 33])), "status", "33"),
            (http("body", json!("")), "body", "leave it out"),
            (http("body", json!(long)), "body", "1024"),
            (
                json!({"type": "http", "method": "HEAD", "body": "ok"}),
                "body",
                "HEAD",
            ),
            (http("server_name", json!("a b")), "server_name", "neither"),
            (http("min_days", json!(366)), "min_days", "365"),
            (json!({"type": "tls", "port": 0}), "port", "1 to 65535"),
            (json!({"type": "tcp", "port": 0}), "port", "1 to 65535"),
            (json!({"type": "tls", "min_days": 1000}), "min_days", "365"),
            (
                json!({"type": "command", "command": "rm -rf /"}),
                "command",
                "cannot name a command",
            ),
        ];
        for (given, path, words) in cases {
            let (field, sentence) = read(given.clone()).validate().unwrap_err();
            assert_eq!(field, path, "{given}: {sentence}");
            assert!(sentence.contains(words), "{given}: {sentence}");
        }
    }

    #[test]
    fn every_number_of_the_pace_has_bounds() {
        let bounds = [
            ("interval_ms", 200, 3_600_000),
            ("timeout_ms", 50, 60_000),
            ("down_interval_ms", 200, 3_600_000),
            ("down_timeout_ms", 50, 60_000),
            ("down_after", 1, 100),
            ("up_after", 1, 100),
            ("stable_ms", 0, 3_600_000),
        ];
        let with = |field: &str, number: u64| {
            let mut check = json!({"type": "icmp"});
            check[field] = json!(number);
            read(check).validate()
        };
        for (field, least, most) in bounds {
            assert_eq!(with(field, least), Ok(()), "{field}");
            assert_eq!(with(field, most), Ok(()), "{field}");
            for beyond in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
                let (at, sentence) = with(field, beyond).unwrap_err();
                assert_eq!(at, field);
                assert!(sentence.contains(&format!("write {least} to {most}")));
            }
        }
    }

    #[test]
    fn names_and_addresses_of_servers_may_be_written_as_they_are() {
        for host in ["shop.example.com", "shop.example.com:8080", "[2001:db8::1]"] {
            let check = read(json!({"type": "http", "host": host}));
            assert_eq!(check.validate(), Ok(()), "{host}");
        }
        for name in [
            "shop.example.com",
            "_a.example.com",
            "192.0.2.1",
            "2001:db8::1",
        ] {
            let check = read(json!({"type": "tls", "server_name": name}));
            assert_eq!(check.validate(), Ok(()), "{name}");
        }
    }
}
