//! A record's value, as operators write it.

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::provider::RecordValue;

/// A value: its content alone, or an object with weight and switch.
#[derive(Debug)]
pub(super) struct ValueSpec(pub(super) RecordValue);

impl Serialize for ValueSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            RecordValue {
                content,
                weight: None,
                enabled: true,
            } => serializer.serialize_str(content),
            value => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            content: String,
            #[serde(default)]
            weight: Option<u32>,
            #[serde(default = "enabled")]
            enabled: bool,
        }
        fn enabled() -> bool {
            true
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ValueSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or an object with `content`, `weight` and `enabled`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ValueSpec, E> {
                Ok(ValueSpec(RecordValue::plain(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueSpec, A::Error> {
                let full = Full::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let Full {
                    content,
                    weight,
                    enabled,
                } = full;
                Ok(ValueSpec(RecordValue {
                    content,
                    weight,
                    enabled,
                }))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
