//! Detection against real sockets: sources and name servers that tell the truth, lie, babble, hang.

mod asking;
mod reflecting;

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{DetectError, DetectOptions, Detection, Detector};
use crate::family::Family;

/// Short enough for tests that wait for it.
const TIMEOUT_MS: u64 = 1_500;

fn detector(commands: Value) -> Detector {
    let options = json!({"commands": commands, "timeout_ms": TIMEOUT_MS});
    let options: DetectOptions = serde_json::from_value(options).unwrap();
    Detector::new(options).unwrap()
}

fn methods(methods: Value) -> Vec<Detection> {
    serde_json::from_value(methods).unwrap()
}

async fn v4(methods: Value) -> Result<Vec<IpAddr>, DetectError> {
    let methods = self::methods(methods);
    detector(json!({})).detect(Family::Ipv4, &methods).await
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
