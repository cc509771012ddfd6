//! The vendors' own packages as oracles of signatures.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::de::DeserializeOwned;

/// Fewer would not be worth the name.
const FEWEST: usize = 200;
/// What canonical forms of requests get wrong, beside empty values and other scripts.
const MARKS: [char; 5] = [' ', '+', '~', '*', '%'];

/// Has the package of a vendor sign generated requests (`tests/oracle/{vendor}.py`), and reads what it wrote
/// down about each.
pub fn vectors<V: DeserializeOwned>(vendor: &str, directory: impl AsRef<Path>) -> Vec<V> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oracle/run.sh");
    let file = directory.as_ref().join(format!("{vendor}-vectors.jsonl"));
    let mut command = Command::new(&script);
    let output = command.arg(vendor).arg(&file).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} failed (it needs python3 with venv): {said}",
        script.display()
    );
    let text = fs::read_to_string(&file).expect("read the vectors");
    let vector = |line| serde_json::from_str(line).expect("a vector");
    let vectors: Vec<V> = text.lines().map(vector).collect();
    assert!(vectors.len() >= FEWEST, "only {} vectors", vectors.len());
    vectors
}

/// Panics if the values of all requests together are too tame to prove anything.
pub fn assert_odd<'a>(values: impl IntoIterator<Item = &'a String>) {
    let values: Vec<&String> = values.into_iter().collect();
    let any = |has: &dyn Fn(&str) -> bool| values.iter().any(|value| has(value));
    assert!(any(&str::is_empty), "no empty value");
    assert!(any(&|value| !value.is_ascii()), "nothing but ASCII");
    for mark in MARKS {
        assert!(any(&|value| value.contains(mark)), "no `{mark}`");
    }
}
