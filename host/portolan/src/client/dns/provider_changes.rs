//! What `portolan dns providers set` changes, and how its flags say it.

use clap::Args;
use portolan_steering::ZoneName;
use serde_json::{Map, Value, json};

use super::super::error::ClientError;
use super::super::pairs;
use super::documents::Fields;
use super::secrets::CredentialFlags;

/// A provider account's fields. What is not given stays as it is.
#[derive(Debug, Default, Args)]
pub struct ProviderChanges {
    /// The plugin that knows the provider
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// A zone that it serves; all of them, one flag for each
    #[arg(long = "zone", value_name = "ZONE", value_delimiter = ',', value_parser = ZoneName::parse)]
    zones: Vec<ZoneName>,
    /// One of the plugin's settings, KEY=null to take it away; may be given several times
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = pairs::setting)]
    settings: Vec<(String, Value)>,
    /// A host that the plugin may ask; all of them, one flag for each (see also `grant`)
    #[arg(long = "host", value_name = "[https://]HOST[:PORT]|JSON", value_parser = host)]
    hosts: Vec<Value>,
    /// Calls that may leave within a second; 0: as many as the members are configured for
    #[arg(long, value_name = "NUMBER")]
    calls_per_second: Option<u32>,
}

impl ProviderChanges {
    /// The changes by field.
    pub(super) fn fields(self, credentials: CredentialFlags) -> Result<Fields, ClientError> {
        let mut changes = Fields::new();
        let mut set = |field: &str, is_given: bool, value: Value| {
            if is_given {
                changes.insert(field.to_owned(), value);
            }
        };
        set("plugin", self.plugin.is_some(), json!(self.plugin));
        set("zones", !self.zones.is_empty(), json!(self.zones));
        set("hosts", !self.hosts.is_empty(), json!(self.hosts));
        let calls = self.calls_per_second.filter(|calls| *calls > 0);
        let is_given = self.calls_per_second.is_some();
        set("calls_per_second", is_given, json!(calls));
        let is_given = !self.settings.is_empty();
        let settings: Map<String, Value> = self.settings.into_iter().collect();
        set("settings", is_given, settings.into());
        let credentials = credentials.read()?;
        set("credentials", !credentials.is_empty(), credentials.into());
        Ok(changes)
    }
}

/// A host as text, or `{"url": …, "private": true}`.
pub(super) fn host(text: &str) -> Result<Value, String> {
    match text {
        "" => Err("name a host".to_owned()),
        json if json.starts_with('{') => {
            serde_json::from_str(json).map_err(|error| format!("not JSON: {error}"))
        }
        host => Ok(host.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_changed() {
        let fields = |changes: ProviderChanges| {
            let fields = changes.fields(CredentialFlags::default());
            Value::from(fields.unwrap())
        };
        assert_eq!(fields(ProviderChanges::default()), json!({}));
        let changes = ProviderChanges {
            plugin: Some("alidns".into()),
            zones: vec![ZoneName::parse("Example.com").unwrap()],
            settings: vec![("a".into(), json!(1)), ("b".into(), Value::Null)],
            hosts: vec![
                host("a.example").unwrap(),
                host(r#"{"url": "b.example", "private": true}"#).unwrap(),
            ],
            calls_per_second: Some(50),
        };
        let hosts = json!(["a.example", {"url": "b.example", "private": true}]);
        let expected = json!({"plugin": "alidns", "zones": ["example.com"], "hosts": hosts,
                              "settings": {"a": 1, "b": null}, "calls_per_second": 50});
        assert_eq!(fields(changes), expected);
        let as_configured = ProviderChanges {
            calls_per_second: Some(0),
            ..ProviderChanges::default()
        };
        assert_eq!(fields(as_configured), json!({"calls_per_second": null}));
        assert!(host("").is_err() && host("{").is_err());
    }
}
