//! What the operator reads when something was denied: who asked for what, and the command that would
//! grant it.

use serde_json::{Value, json};
use url::Url;

use super::{
    Guard, HttpError, SignError, resolve::NotPublic, secrets::PlaceholderError, target::origin,
};

impl Guard {
    /// Refuses a URL that no grant covers.
    pub(super) fn check(&self, url: &Url, redirected_by: Option<&Url>) -> Result<(), HttpError> {
        if self.grants.hosts.iter().any(|grant| grant.covers(url)) {
            return Ok(());
        }
        let asked_for = origin(url);
        let how = redirected_by.map(|from| format!("was redirected by {} to", origin(from)));
        let mut hosts: Vec<Value> = self.grants.hosts.iter().map(|grant| json!(grant)).collect();
        hosts.push(json!(asked_for));
        Err(self.denied(
            &format!(
                "{} {asked_for}, which is not granted",
                how.as_deref().unwrap_or("asked for")
            ),
            &json!({ "hosts": hosts }),
        ))
    }

    /// A denial: who, what, and the command that would grant it.
    fn denied(&self, what: &str, patch: &Value) -> HttpError {
        HttpError::Denied(self.denial(what, patch))
    }

    fn denial(&self, what: &str, patch: &Value) -> String {
        let binding = &self.grants.binding;
        let url = format!("{}{binding}", self.setup.grant_url);
        // The text is pasted into a shell.
        let patch = patch.to_string().replace('\'', r"'\''");
        format!(
            "plugin `{}` of binding `{binding}` {what}; to grant it: \
             curl -X PATCH {url} -H 'content-type: application/json' -d '{patch}'",
            self.plugin
        )
    }

    /// What a missing credential means to the operator.
    pub(super) fn explain(&self, error: PlaceholderError) -> SignError {
        match error {
            PlaceholderError::Unclosed => SignError::Invalid(
                "`{{` begins a credential's name but `}}` does not end it".to_owned(),
            ),
            PlaceholderError::Undeclared(name) => SignError::Denied(format!(
                "plugin `{}` asked for the credential `{name}`, which its manifest does not declare \
                 (it declares {:?}); this is the plugin's mistake",
                self.plugin, self.declared
            )),
            PlaceholderError::NotHeld(name) => SignError::Denied(self.denial(
                &format!("asked for the credential `{name}`, which the binding does not hold"),
                &json!({ "credentials": { name: "…" } }),
            )),
        }
    }

    /// A granted name led to an address that is not public.
    pub(super) fn not_public(&self, url: &Url, refused: &NotPublic) -> HttpError {
        let origin = origin(url);
        let mut hosts: Vec<Value> = self
            .grants
            .hosts
            .iter()
            .filter(|grant| grant.is_wildcard() || !grant.covers(url))
            .map(|grant| json!(grant))
            .collect();
        hosts.push(json!({ "url": origin, "private": true }));
        self.denied(
            &format!("asked for {origin}, but {refused}: this is granted only as private"),
            &json!({ "hosts": hosts }),
        )
    }
}
