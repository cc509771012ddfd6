//! Where options come from: flags over `PORTOLAN_*` variables over the file over the defaults.
//!
//! The layers meet as TOML values under dotted paths (`raft.heartbeat_ms`), which are taken from
//! [`Config`] itself: an option that a crate adds to its part has its file key and its variable
//! without a line here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use crate::config::{Config, ConfigError};

/// Variables that mean something else: the configuration file's, and those of the commands that speak to
/// a daemon.
const NOT_OPTIONS: [&str; 3] = [
    crate::cli::CONFIG_VARIABLE,
    crate::client::SERVER_VARIABLE,
    crate::client::PASSWORD_VARIABLE,
];

/// Where an option's value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere.
    Default,
    /// In the file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// In this environment variable.
    Variable(String),
    /// With this flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Variable(name) => f.write_str(name),
            Source::Flag(name) => f.write_str(name),
        }
    }
}

/// An option that the command line sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// The option's path.
    pub path: &'static str,
    /// The flag's name.
    pub name: &'static str,
    /// What it sets.
    pub value: Value,
}

/// A checked configuration that knows where each option comes from.
#[derive(Debug)]
pub struct Loaded {
    /// The options.
    pub config: Config,
    /// What is odd, yet no error.
    pub warnings: Vec<String>,
    sources: BTreeMap<String, Source>,
}

/// Reads all layers and checks the outcome.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Flag>,
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers {
        known: options(),
        ..Layers::default()
    };
    if let Some(path) = file {
        layers.add_file(path)?;
    }
    layers.add_variables(variables)?;
    for flag in flags {
        layers.set(flag.path, flag.value, Source::Flag(flag.name));
    }
    let config = parse(layers.table)?;
    config.check()?;
    Ok(Loaded {
        config,
        warnings: layers.warnings,
        sources: layers.sources,
    })
}

/// The variable that sets an option: `raft.heartbeat_ms` is `PORTOLAN_RAFT_HEARTBEAT_MS`.
pub fn env_name(option: &str) -> String {
    format!("PORTOLAN_{}", option.replace('.', "_").to_uppercase())
}

/// The path of every option with its default; null where that is "none".
fn options() -> BTreeMap<String, Json> {
    fn collect(prefix: &str, value: Json, into: &mut BTreeMap<String, Json>) {
        match value {
            // An empty one is an option whose keys the operator chooses.
            Json::Object(section) if !section.is_empty() => {
                for (key, value) in section {
                    collect(&join(prefix, &key), value, into);
                }
            }
            leaf => {
                into.insert(prefix.to_owned(), leaf);
            }
        }
    }
    let mut known = BTreeMap::new();
    // All of `Config` is numbers, texts, lists and maps: it has a JSON form. Were a part ever to lose it,
    // every test of this module would fail for want of options.
    collect(
        "",
        serde_json::to_value(Config::default()).unwrap_or_default(),
        &mut known,
    );
    known
}

#[derive(Default)]
struct Layers {
    known: BTreeMap<String, Json>,
    table: Table,
    sources: BTreeMap<String, Source>,
    warnings: Vec<String>,
}

impl Layers {
    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let wrong = |error: toml::de::Error| {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            let reason = error.message().to_owned();
            ConfigError::File {
                path: path.to_owned(),
                line,
                column,
                reason,
            }
        };
        let document = DeTable::parse(&text).map_err(wrong)?;
        let mut found = Vec::new();
        keys("", document.get_ref(), &self.known, &mut found);
        for (key, at) in &found {
            if !self.known.contains_key(key) {
                return Err(ConfigError::UnknownKey {
                    path: path.to_owned(),
                    line: position(&text, *at).0,
                    key: key.clone(),
                    nearest: nearest(key, self.known.keys()).to_owned(),
                });
            }
        }
        toml::from_str::<Config>(&text).map_err(wrong)?;
        let mut table: Table = toml::from_str(&text).map_err(wrong)?;
        for (key, at) in found {
            if let Some(value) = take(&mut table, &key) {
                let line = position(&text, at).0;
                self.set(
                    &key,
                    value,
                    Source::File {
                        path: path.to_owned(),
                        line,
                    },
                );
            }
        }
        Ok(())
    }

    fn add_variables(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let by_name: BTreeMap<String, String> = self
            .known
            .keys()
            .map(|path| (env_name(path), path.clone()))
            .collect();
        for (name, text) in variables {
            if !name.starts_with("PORTOLAN_") || NOT_OPTIONS.contains(&name.as_str()) {
                continue;
            }
            let Some(path) = by_name.get(&name) else {
                // No error: orchestrators put variables such as PORTOLAN_SERVICE_HOST there.
                let nearest = nearest(&name, by_name.keys());
                self.warnings.push(format!(
                    "the variable {name} sets no option; the nearest that does is {nearest}"
                ));
                continue;
            };
            // As in most daemons, an empty variable is one that is not set.
            if !text.is_empty() {
                let source = Source::Variable(name);
                let value = read_text(path, &text, &source)?;
                self.set(path, value, source);
            }
        }
        Ok(())
    }

    fn set(&mut self, path: &str, value: Value, source: Source) {
        put(&mut self.table, path, value);
        self.sources.insert(path.to_owned(), source);
    }
}

/// A variable's text as the option's type: the first reading that [`Config`] accepts of a TOML value,
/// a plain text, and a list with commas.
fn read_text(path: &str, text: &str, source: &Source) -> Result<Value, ConfigError> {
    let plain = Value::String(text.to_owned());
    let toml = |text: &str| text.parse::<Value>().ok();
    let list = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let texts = Value::Array(
        list.clone()
            .map(|item| Value::String(item.to_owned()))
            .collect(),
    );
    let values = Value::Array(list.filter_map(toml).collect());
    for reading in [toml(text), Some(plain.clone()), Some(texts), Some(values)]
        .into_iter()
        .flatten()
    {
        if fits(path, reading.clone()).is_ok() {
            return Ok(reading);
        }
    }
    let reason = fits(path, plain).err().unwrap_or_default();
    Err(ConfigError::Value {
        source_: source.clone(),
        reason,
    })
}

/// Whether the option takes the value; otherwise what it expects.
fn fits(path: &str, value: Value) -> Result<(), String> {
    let mut table = Table::new();
    put(&mut table, path, value);
    match table.try_into::<Config>() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.message().to_owned()),
    }
}

fn parse(table: Table) -> Result<Config, ConfigError> {
    // Every layer was checked against `Config` when it came in.
    table
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Value {
            source_: Source::Default,
            reason: error.message().to_owned(),
        })
}

/// Every key of a document that is not a section, with the offset where it stands.
fn keys(
    prefix: &str,
    table: &DeTable<'_>,
    known: &BTreeMap<String, Json>,
    into: &mut Vec<(String, usize)>,
) {
    for (key, value) in table {
        let path = join(prefix, key.get_ref());
        match Spanned::get_ref(value) {
            DeValue::Table(section) if !section.is_empty() && !known.contains_key(&path) => {
                keys(&path, section, known, into);
            }
            // A section without keys says nothing.
            DeValue::Table(section) if section.is_empty() => {}
            _ => into.push((path, key.span().start)),
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}

fn put(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let section = table
                .entry(section.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                put(section, rest, value);
            }
        }
    }
}

fn take(table: &mut Table, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((section, rest)) => take(table.get_mut(section)?.as_table_mut()?, rest),
    }
}

/// Line and column, both from 1, of an offset in bytes.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |rest| rest.chars().count())
        + 1;
    (line, column)
}

/// The name that is fewest edits away, by its whole or by its last part.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> &'a str {
    let last = |path: &'_ str| {
        path.rsplit('.')
            .next()
            .map(str::to_owned)
            .unwrap_or_default()
    };
    known
        .min_by_key(|candidate| {
            let whole = strsim::damerau_levenshtein(name, candidate);
            let by_last = strsim::damerau_levenshtein(&last(name), &last(candidate));
            (whole.min(by_last), whole)
        })
        .map_or("", String::as_str)
}

/// The effective configuration as TOML, each option with its source. Secrets are masked.
impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = Table::try_from(&self.config).map_err(|_| fmt::Error)?;
        let known = options();
        let split = |path: &'_ String| match path.rsplit_once('.') {
            Some((section, key)) => (section.to_owned(), key.to_owned()),
            None => (String::new(), path.clone()),
        };
        // What is in no section comes first, and each section once.
        let mut paths: Vec<(String, String)> = known.keys().map(split).collect();
        paths.sort();
        let mut section = String::new();
        for (of, key) in paths {
            let path = join(&of, &key);
            if of != section {
                write!(f, "\n[{of}]\n")?;
                section = of;
            }
            let source = self.sources.get(&path).unwrap_or(&Source::Default);
            match find(&values, &path) {
                Some(value) => writeln!(f, "{key} = {}  # {source}", shown(&key, value))?,
                None => writeln!(f, "# {key}: not set")?,
            }
        }
        Ok(())
    }
}

/// A value as TOML. An option with a secret's name is masked, whatever crate it belongs to.
fn shown(key: &str, value: &Value) -> String {
    const SECRETS: [&str; 5] = ["secret", "password", "token", "credential", "private_key"];
    if SECRETS.iter().any(|word| key.ends_with(word)) {
        return r#""***""#.to_owned();
    }
    value.to_string()
}

fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}

#[cfg(test)]
mod tests;
