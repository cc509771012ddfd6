//! The provider `local` among the installed plugins.

use std::sync::Arc;

use portolan_consensus::Member;
use portolan_steering::{Account, ConnectError, DnsProvider, Providers};
use tokio::sync::watch;

use crate::local::Local;
use crate::settings::Settings;

/// The plugin's name in a binding.
pub const PLUGIN: &str = "local";

/// [`Providers`] that connect the plugin `local` to the embedded DNS server's zones, and every other
/// one as before. It works on every member, whether that one answers queries itself or not.
pub struct LocalProviders {
    member: Member,
    next: Arc<dyn Providers>,
}

impl LocalProviders {
    /// Puts `local` in front of `next`.
    pub fn new(member: Member, next: Arc<dyn Providers>) -> Self {
        Self { member, next }
    }
}

impl Providers for LocalProviders {
    fn connect(&self, account: Account) -> Result<Arc<dyn DnsProvider>, ConnectError> {
        if account.plugin != PLUGIN {
            return self.next.connect(account);
        }
        if let Some(name) = account.credentials.keys().next() {
            return Err(ConnectError {
                at: format!("credentials.{name}"),
                message: "the provider local uses no credentials".to_owned(),
            });
        }
        if !account.hosts.is_empty() {
            return Err(ConnectError {
                at: "hosts".to_owned(),
                message: "the provider local sends no requests; leave them out".to_owned(),
            });
        }
        let settings = Settings::parse(account.settings)?;
        Ok(Arc::new(Local::new(self.member.clone(), settings)))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.next.changes()
    }
}
