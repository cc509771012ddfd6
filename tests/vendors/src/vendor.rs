//! What a test of conformance asks of whatever stands behind a provider, beside its API.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;

use crate::front::{Answer, Fault, Front, Seen, Service, When};

/// How a provider is bound to a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The plugin's name.
    pub plugin: &'static str,
    /// Its settings: a JSON object.
    pub settings: Value,
    /// Credentials by name.
    pub credentials: BTreeMap<String, String>,
    /// What has to be granted, as `PATCH …/providers/{name}` takes it: `http://127.0.0.1:4711`.
    pub hosts: Vec<String>,
}

impl Binding {
    /// The same account with another value of one credential.
    #[must_use]
    pub fn with_credential(mut self, name: &str, value: &str) -> Self {
        self.credentials.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// What goes wrong, whatever the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The service wants fewer requests; it may say for how many seconds. Nothing is carried out.
    Throttled(Option<u32>),
    /// The request is carried out, and no answer comes.
    Silence,
    /// The request is carried out, and the answer breaks off in the middle.
    Cut,
    /// The request is carried out, and the answer is nothing that the API ever says: the page of a
    /// proxy.
    Nonsense,
}

/// A service behind a provider: a stand-in, or a real server behind a [`Front`].
#[async_trait]
pub trait Vendor: Send + Sync {
    /// How a provider is bound to it, with the right credentials.
    fn binding(&self) -> Binding;

    /// The same with a credential that the service does not accept.
    fn wrong_binding(&self) -> Binding;

    /// The zone to be changed: everything in it may be.
    fn zone(&self) -> &str;

    /// Has this go wrong with the next request that it is for. False where this service cannot have
    /// such trouble; nothing happens then.
    fn trouble(&self, when: When, trouble: Trouble) -> bool;

    /// Forgets troubles that no request met, and answers how many there were.
    fn clear_troubles(&self) -> usize;

    /// The requests so far.
    fn seen(&self) -> Vec<Seen>;

    /// Puts, past the provider, a record set of one address in the zone that carries what the daemon
    /// does not manage (a proxy switch, a remark). Answers false where this service has no such thing.
    async fn insert_with_extras(&self, name: &str, address: &str) -> bool;

    /// What [`Self::insert_with_extras`] gave the records of this name, as the service keeps it now;
    /// equal texts mean that nothing of it has changed.
    async fn extras(&self, name: &str) -> String;

    /// The addresses (of type A) that stand at the service under a name, on a line as the daemon calls
    /// it; read past the provider, in order.
    async fn addresses(&self, name: &str, line: &str) -> Vec<String>;

    /// A line beside `default` that its records can stand on, where it has lines.
    fn line(&self) -> Option<&'static str> {
        None
    }

    /// Gives, past the provider, the set of this name and type on the line `default` another content,
    /// as a colleague does in the vendor's console.
    async fn meddle(&self, name: &str, rtype: &str, content: &str);
}

impl<S: Service> Front<S> {
    /// [`Vendor::trouble`] of a service over HTTP; `throttled` is its answer to too many requests.
    pub fn trouble(
        &self,
        when: When,
        trouble: Trouble,
        throttled: impl FnOnce(Option<u32>) -> Option<Answer>,
    ) -> bool {
        const PAGE: &str = "<html><body><h1>It works!</h1></body></html>";
        let fault = match trouble {
            Trouble::Throttled(seconds) => match throttled(seconds) {
                Some(answer) => Fault::Refuse(answer),
                None => return false,
            },
            Trouble::Silence => Fault::Silence,
            Trouble::Cut => Fault::Cut,
            Trouble::Nonsense => Fault::Disguise(Answer::new(200, "text/html", PAGE)),
        };
        self.next(when, fault);
        true
    }
}
