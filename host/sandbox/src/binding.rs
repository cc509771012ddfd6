//! A plugin together with what one operator granted it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{BindingError, Grants, guard::Guard};

/// What all calls of one binding share.
pub(crate) struct Binding {
    pub(crate) grants: Arc<Grants>,
    /// The settings as the text that the plugin gets.
    pub(crate) settings: String,
    /// Whether the binding fits the manifest; checked once.
    pub(crate) fits: Result<(), BindingError>,
    pub(crate) guard: Guard,
}

/// A binding's settings, where nothing stands for an empty object.
pub(crate) fn settings(grants: &Grants) -> Value {
    match &grants.settings {
        Value::Null => json!({}),
        settings => settings.clone(),
    }
}
