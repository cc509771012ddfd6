//! Checking a binding's settings against the JSON Schema that a plugin brings.
//!
//! The schema is as little trusted as the plugin: it is compiled without any network or file access,
//! and its patterns run on an engine whose time is linear.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::{BindingError, LoadError};

/// A compiled settings schema.
pub(crate) struct Schema(Validator);

impl Schema {
    pub(crate) fn compile(schema: &Value) -> Result<Self, LoadError> {
        jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map(Self)
            .map_err(|error| LoadError::Manifest(format!("`settings` is no JSON Schema: {error}")))
    }

    /// The first thing that does not fit.
    pub(crate) fn check(&self, settings: &Value) -> Result<(), BindingError> {
        if !settings.is_object() {
            let reason = "must be a JSON object".to_owned();
            return Err(BindingError::Settings {
                path: String::new(),
                reason,
            });
        }
        self.0.validate(settings).map_err(|error| {
            let path = error.instance_path().to_string();
            let path = if path.is_empty() {
                path
            } else {
                format!(" {path}")
            };
            BindingError::Settings {
                path,
                reason: error.to_string(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_checked_with_the_place_that_is_wrong() {
        let schema = json!({
            "type": "object",
            "properties": { "server": { "type": "string", "pattern": "^[a-z]+$" } },
            "required": ["server"],
            "additionalProperties": false,
        });
        let schema = Schema::compile(&schema).unwrap();
        assert!(schema.check(&json!({ "server": "localhost" })).is_ok());
        let error = schema
            .check(&json!({ "server": 7 }))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("settings /server") && error.contains("string"),
            "{error}"
        );
        assert!(
            schema
                .check(&json!({}))
                .unwrap_err()
                .to_string()
                .contains("server")
        );
        assert!(schema.check(&json!([])).is_err());
    }

    #[test]
    fn a_schema_reaches_for_nothing_outside() {
        let remote = json!({ "$ref": "http://127.0.0.1:9/schema.json" });
        assert!(Schema::compile(&remote).is_err());
        let file = json!({ "$ref": "file:///etc/hostname" });
        assert!(Schema::compile(&file).is_err());
        let backtracking = json!({ "properties": { "a": { "pattern": "(?=a)b" } } });
        assert!(Schema::compile(&backtracking).is_err());
    }

    #[test]
    fn a_schema_that_refers_to_itself_does_no_harm() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } },
                    "$ref": "#/$defs/a" }),
            json!({ "properties": { "a": { "$dynamicRef": "#" } }, "not": { "$ref": "#" } }),
        ] {
            if let Ok(schema) = Schema::compile(&schema) {
                let _ = schema.check(&json!({ "a": { "a": {} } }));
            }
        }
    }
}
