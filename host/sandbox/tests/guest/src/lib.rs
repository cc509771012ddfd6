//! The plugin that the sandbox's tests call. The name of the zone in `lines` is a command: most of them
//! do what no plugin should. It has no manifest; the tests put one in.

#![allow(unsafe_code, clippy::unwrap_used, clippy::panic)]

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wit_bindgen::generate!({
        path: ["../../../../wit/plugin-0.1.0", "../../../../wit/dns-0.1.0"],
        world: "portolan:dns/dns-provider",
        generate_all,
    });
}
mod converse;
#[cfg(target_family = "wasm")]
mod fetch;

use std::hint::black_box;

use bindings::{
    exports::portolan::dns::provider::{
        Caps, Change, DnsLine, Error, Features, Guest, Outcome, RecordKey, RecordPage, RecordSet,
        Zone, ZonePage,
    },
    portolan::plugin::{
        clock, credentials,
        http::{self, Method, Request},
        log, settings,
    },
};

struct Fixture;

impl Guest for Fixture {
    fn describe() -> Caps {
        // Not allowed here: the host refuses, and describing goes on.
        let _ = get("http://127.0.0.1:9/describe");
        let _ = converse::exchange("127.0.0.1:9 - - describe");
        Caps {
            features: Features::LINES | Features::ATOMIC_RRSET,
            record_types: vec!["A".into(), "TXT".into()],
            max_values: 10,
            changes_per_call: 20,
            settle_ms: 1500,
            hosts: vec!["api.example.com".into()],
        }
    }

    fn validate(settings: String) -> Result<(), Error> {
        if settings.contains("wrong") {
            Err(Error::Invalid(settings))
        } else {
            Ok(())
        }
    }

    fn zones(cursor: Option<String>) -> Result<ZonePage, Error> {
        let page = |name: &str, next: Option<&str>| ZonePage {
            zones: vec![Zone {
                name: name.into(),
                min_ttl: Some(60),
            }],
            next: next.map(Into::into),
        };
        match cursor.as_deref() {
            None => Ok(page("one.example", Some("2"))),
            Some("2") => Ok(page("two.example", None)),
            Some("circle") => Ok(page("one.example", Some("circle"))),
            Some(other) => Err(Error::Invalid(format!("no page {other}"))),
        }
    }

    fn lines(command: String) -> Result<Vec<DnsLine>, Error> {
        let (verb, rest) = command.split_once(' ').unwrap_or((&command, ""));
        run(verb, rest).map(|(code, label)| vec![DnsLine { code, label }])
    }

    fn read(zone: String, name: Option<String>, _: Option<String>) -> Result<RecordPage, Error> {
        let name = match zone.as_str() {
            "astray.example" => "www.elsewhere.example".into(),
            "deaf.example" => format!("other.{zone}"),
            _ => name.unwrap_or_else(|| format!("www.{zone}")),
        };
        let key = RecordKey {
            name,
            rtype: "A".into(),
            line: "default".into(),
            set_id: String::new(),
        };
        let set = RecordSet {
            key,
            ttl: 600,
            values: vec![],
            comment: None,
            handle: "h1".into(),
            extras: String::new(),
        };
        let sets = if zone == "twice.example" {
            vec![set.clone(), set]
        } else {
            vec![set]
        };
        Ok(RecordPage { sets, next: None })
    }

    fn normalize(
        zone: String,
        mut wanted: Vec<RecordSet>,
    ) -> Result<Vec<Result<RecordSet, Error>>, Error> {
        match zone.as_str() {
            "short.example" => drop(wanted.pop()),
            "renamed.example" => wanted[0].key.name.insert_str(0, "x."),
            _ => wanted[0].ttl = 600,
        }
        Ok(wanted.into_iter().map(Ok).collect())
    }

    fn apply(zone: String, changes: Vec<Change>) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let mut answers: Vec<_> = changes
            .iter()
            .map(|change| match (&change.before, &change.after) {
                (None, Some(_)) => Ok(Outcome::Applied),
                (Some(_), None) => Ok(Outcome::Stale),
                _ => Err(Error::Conflict(change.key.name.clone())),
            })
            .collect();
        if zone == "short.example" {
            answers.pop();
        }
        Ok(answers)
    }
}

fn run(verb: &str, rest: &str) -> Result<(String, String), Error> {
    match verb {
        "hello" => Ok(("hello".into(), rest.into())),
        "loop" => loop {
            black_box(());
        },
        "memory" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1u8; 1 << 20]));
            }
        }
        "recurse" => Ok((recurse(1).to_string(), String::new())),
        "recurse-with-frames" => Ok((recurse_with_frames(1).to_string(), String::new())),
        "host-calls" => loop {
            black_box(clock::now());
        },
        "wasi-calls" => loop {
            black_box(std::time::Instant::now());
        },
        "pause" => {
            let before = clock::now();
            clock::sleep(rest.parse().unwrap_or(0));
            let after = clock::now();
            let seconds = after.seconds - before.seconds;
            let elapsed = seconds * 1_000_000_000 + u64::from(after.nanoseconds);
            let elapsed = elapsed - u64::from(before.nanoseconds);
            Ok(((elapsed / 1_000_000).to_string(), String::new()))
        }
        "sleep" => loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        },
        "panic" => panic!("I {rest}"),
        "exit" => std::process::exit(7),
        "big-call" => {
            let message = "x".repeat(rest.parse().unwrap());
            log::write(log::Level::Info, &message, &[]);
            Ok((String::new(), String::new()))
        }
        "log" => {
            for line in 0..rest.parse().unwrap() {
                log::write(
                    log::Level::Info,
                    "line",
                    &[("number".into(), format!("{line}"))],
                );
                println!("also on stdout");
            }
            Ok((String::new(), String::new()))
        }
        "around" => {
            let env: Vec<_> = std::env::vars()
                .chain(std::env::args().map(|a| (a, String::new())))
                .collect();
            let files =
                std::fs::read_to_string("/etc/hostname").is_ok() || std::fs::read_dir("/").is_ok();
            let socket = std::net::TcpStream::connect("127.0.0.1:1").unwrap_err();
            let resolved = std::net::ToSocketAddrs::to_socket_addrs("localhost:1").is_ok();
            Ok((
                format!("env={env:?} files={files} resolved={resolved}"),
                format!("{:?}", socket.kind()),
            ))
        }
        "settings" => Ok((settings::json(), credentials::names().join(","))),
        "sign" => {
            let chain = credentials::HmacChain {
                credential: rest.into(),
                algorithm: credentials::Algorithm::HmacSha256,
                prefix: "a".into(),
                suffix: "b".into(),
                steps: vec![b"one".to_vec(), b"two".to_vec()],
            };
            credentials::hmac(&chain)
                .map(|mac| (hex(&mac), String::new()))
                .map_err(|error| match error {
                    credentials::Error::Denied(text) => Error::Denied(text),
                    credentials::Error::Invalid(text) => Error::Invalid(text),
                })
        }
        // METHOD URL, then a header in each further line, then an empty line and the body.
        "send" => send(rest),
        "get-many" => {
            let mut last = Ok((String::new(), String::new()));
            loop {
                last = match get(rest) {
                    Ok(response) => Ok(response),
                    Err(error) => return last.and(Err(error)),
                };
            }
        }
        // SERVER KEY CREDENTIAL NAME, `-` for no key.
        "exchange" => converse::exchange(rest),
        "exchange-many" => converse::exchange_many(rest),
        "exchange-noise" => converse::noise(rest),
        "transfer" => converse::transfer(rest),
        #[cfg(target_family = "wasm")]
        "fetch" => fetch::fetch(rest),
        _ => Err(Error::Unsupported(verb.into())),
    }
}

/// Fills the stack that the sandbox gives. What it does with the result keeps it from becoming a loop.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX {
        0
    } else {
        recurse(depth + 1).rotate_left(depth as u32 % 64) ^ depth
    }
}

/// Fills the stack that Rust keeps in the plugin's own memory.
#[inline(never)]
fn recurse_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if depth == u64::MAX {
        0
    } else {
        black_box(recurse_with_frames(depth + 1)) + frame[3]
    }
}

fn get(url: &str) -> Result<(String, String), Error> {
    send(&format!("GET {url}"))
}

fn send(text: &str) -> Result<(String, String), Error> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, url) = lines.next().unwrap().split_once(' ').unwrap();
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        _ => Method::Delete,
    };
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    });
    let request = Request {
        method,
        url: url.into(),
        headers: headers.collect(),
        body: body.into(),
    };
    let response = http::send(&request).map_err(|error| match error {
        http::Error::Denied(text) => Error::Denied(text),
        http::Error::Invalid(text) => Error::Invalid(text),
        http::Error::Limit(text) => Error::Quota(text),
        http::Error::NotSent(text) => Error::Transient(text),
        http::Error::Interrupted(text) => Error::UnknownOutcome(text),
    })?;
    let headers: String = response
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    let body = String::from_utf8_lossy(&response.body);
    Ok((response.status.to_string(), format!("{headers}\n{body}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

bindings::export!(Fixture with_types_in bindings);
