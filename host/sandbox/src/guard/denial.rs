//! What the operator reads when something was denied: who asked for what, and the command that would
//! grant it.

use serde_json::{Value, json};
use url::Url;

use super::{
    DnsError, Guard, HttpError, SignError, resolve::NotPublic, secrets::PlaceholderError,
    target::origin,
};
use crate::{HostGrant, server::DnsServer};

impl Guard {
    /// Refuses a URL that no grant covers.
    pub(super) fn check(&self, url: &Url, redirected_by: Option<&Url>) -> Result<(), HttpError> {
        if self.grants.hosts.iter().any(|grant| grant.covers(url)) {
            return Ok(());
        }
        let how = match redirected_by {
            Some(from) => format!("was redirected by {} to", origin(from)),
            None => "asked for".to_owned(),
        };
        Err(HttpError::Denied(self.not_granted(&how, &origin(url))))
    }

    /// Refuses a DNS server that no grant covers.
    pub(super) fn check_server(&self, server: &DnsServer) -> Result<(), DnsError> {
        let mut grants = self.grants.hosts.iter();
        if grants.any(|grant| grant.covers_server(server)) {
            return Ok(());
        }
        let denial = self.not_granted("asked for", &server.to_string());
        Err(DnsError::Denied(denial))
    }

    fn not_granted(&self, how: &str, origin: &str) -> String {
        let mut hosts: Vec<Value> = self.grants.hosts.iter().map(|grant| json!(grant)).collect();
        hosts.push(json!(origin));
        self.denial(
            &format!("{how} {origin}, which is not granted"),
            &json!({ "hosts": hosts }),
        )
    }

    /// A denial: who, what, and the command that would grant it.
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

    /// A granted name in a URL led to an address that is not public.
    pub(super) fn not_public(&self, url: &Url, refused: &NotPublic) -> HttpError {
        let covers = |grant: &HostGrant| grant.covers(url);
        HttpError::Denied(self.only_private(&origin(url), covers, refused))
    }

    /// A granted name of a DNS server did.
    pub(super) fn server_not_public(&self, server: &DnsServer, refused: &NotPublic) -> DnsError {
        let covers = |grant: &HostGrant| grant.covers_server(server);
        DnsError::Denied(self.only_private(&server.to_string(), covers, refused))
    }

    /// The grants that `covers` finds are replaced by one that opens the address.
    fn only_private(
        &self,
        origin: &str,
        covers: impl Fn(&HostGrant) -> bool,
        refused: &NotPublic,
    ) -> String {
        let mut hosts: Vec<Value> = self
            .grants
            .hosts
            .iter()
            .filter(|grant| grant.is_wildcard() || !covers(grant))
            .map(|grant| json!(grant))
            .collect();
        hosts.push(json!({ "url": origin, "private": true }));
        self.denial(
            &format!("asked for {origin}, but {refused}: this is granted only as private"),
            &json!({ "hosts": hosts }),
        )
    }
}
