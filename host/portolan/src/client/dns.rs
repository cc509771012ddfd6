//! `portolan dns`: steering, from sites and their lines to what stands in zones.

mod check;
mod documents;
mod events;
mod history;
mod import;
mod picture;
mod plan;
mod provider_changes;
mod providers;
mod records;
mod secrets;
mod service_changes;
mod services;
mod site_changes;
mod sites;
mod survivor;
pub(super) mod views;
mod zones;

use clap::{Args, Subcommand};
use portolan_steering::{SiteCode, ZoneName};

use self::events::DnsEvents;
use self::import::Import;
use self::plan::Apply;
use self::providers::ProviderCommand;
use self::records::Records;
use self::services::ServiceCommand;
use self::sites::SiteCommand;
use super::connection::Session;
use super::error::ClientError;
use super::run::Run;

/// Where the API of steering begins.
pub(super) const DNS: &str = "/api/v1/dns";

/// What to do with DNS steering.
#[derive(Debug, Subcommand)]
pub enum DnsCommand {
    /// Places with public addresses, which serve lines
    #[command(subcommand)]
    Sites(SiteCommand),
    /// Names whose records follow sites or a sharded cluster
    #[command(subcommand)]
    Services(ServiceCommand),
    /// Accounts at DNS providers, and the zones that they serve
    #[command(subcommand)]
    Providers(ProviderCommand),
    /// Show the zones in which something is wanted, and how they stand
    Zones,
    /// Show the records that you want in a zone, or replace them
    Records(Records),
    /// Show what would be changed in a zone, or in all; changes nothing
    Plan(OneZone),
    /// Make a zone, or all, what they shall be now, whatever is waited for
    Apply(Apply),
    /// Give a site's lines to others; short for `dns sites drain`
    Drain {
        /// The site
        #[arg(value_name = "CODE", value_parser = SiteCode::parse)]
        code: SiteCode,
    },
    /// Show the last changes of a zone, or of all, oldest first
    History(OneZone),
    /// Show what happened to sites and lines, oldest first
    Events(DnsEvents),
    /// Show how this member stands with zones in survivor mode, with or without a quorum
    Survivor,
    /// Take over the sites, services and accounts of a CocoaSyncer deployment
    Import(Import),
}

/// A zone, or all of them.
#[derive(Debug, Args)]
pub struct OneZone {
    /// The zone [default: all zones]
    #[arg(value_name = "ZONE", value_parser = ZoneName::parse)]
    zone: Option<ZoneName>,
}

impl OneZone {
    /// A path, asked about this zone alone or about all.
    fn query(&self, path: &str) -> String {
        match &self.zone {
            Some(zone) => format!("{DNS}/{path}?zone={}", segment(zone.as_str())),
            None => format!("{DNS}/{path}"),
        }
    }
}

impl Run for DnsCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::Sites(command) => command.run(session).await,
            Self::Services(command) => command.run(session).await,
            Self::Providers(command) => command.run(session).await,
            Self::Zones => zones::list(session).await,
            Self::Records(records) => records.run(session).await,
            Self::Plan(zone) => plan::show(session, &zone).await,
            Self::Apply(apply) => apply.run(session).await,
            Self::Drain { code } => SiteCommand::Drain { code }.run(session).await,
            Self::History(zone) => history::show(session, &zone).await,
            Self::Events(events) => events.run(session).await,
            Self::Survivor => survivor::show(session).await,
            Self::Import(import) => import.run(session).await,
        }
    }
}

/// A name as one segment of a path, or a value of a query (RFC 3986): services may be named in any
/// language.
fn segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("shop-1.example_~"), "shop-1.example_~");
        assert_eq!(segment("a?b#c%/é"), "a%3Fb%23c%25%2F%C3%A9");
    }

    #[test]
    fn all_zones_are_asked_about_or_one() {
        let zone = ZoneName::parse("example.com").ok();
        assert_eq!(
            OneZone { zone }.query("plan"),
            "/api/v1/dns/plan?zone=example.com"
        );
        assert_eq!(OneZone { zone: None }.query("plan"), "/api/v1/dns/plan");
    }
}
