//! `portolan dns services`.

use std::path::PathBuf;

use clap::Subcommand;
use portolan_steering::ServiceName;
use serde_json::json;

use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::outline::outline;
use super::super::run::Run;
use super::super::table::{brief, maybe, table, time};
use super::check::CheckFlags;
use super::documents::{self, Given};
use super::service_changes::ServiceChanges;
use super::views::{Owner, Service};
use super::{DNS, segment};

/// What to do with services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Show all services
    List,
    /// Show a service, and which site serves which of its lines
    Show {
        /// The service
        #[arg(value_name = "NAME", value_parser = ServiceName::parse)]
        name: ServiceName,
    },
    /// Make a service or change it; what is not given stays as it is
    Set {
        /// The service
        #[arg(value_name = "NAME", value_parser = ServiceName::parse)]
        name: ServiceName,
        #[command(flatten)]
        #[allow(missing_docs)]
        changes: Box<ServiceChanges>,
        #[command(flatten)]
        #[allow(missing_docs)]
        check: CheckFlags,
        /// All of it as JSON, from a file or, with -, from stdin; what it leaves out gets its default
        #[arg(
            long,
            value_name = "FILE|-",
            conflicts_with_all = ["ServiceChanges", "Switches", "CheckFlags"]
        )]
        file: Option<PathBuf>,
    },
    /// Delete a service, and the records that are ours of it
    Delete {
        /// The service
        #[arg(value_name = "NAME", value_parser = ServiceName::parse)]
        name: ServiceName,
    },
}

impl Run for ServiceCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List => {
                let answer = documents::get(session, &format!("{DNS}/services")).await?;
                session.show(&answer, || {
                    let services: Vec<Service> = answer.read("services")?;
                    Ok(services_table(&services, session.width()))
                })
            }
            Self::Show { name } => {
                let answer = documents::get(session, &path(&name)).await?;
                session.show(&answer, || Ok(picture(&answer.whole()?, session.width())))
            }
            Self::Set {
                name,
                changes,
                check,
                file,
            } => {
                let given = Given {
                    file: file.as_ref(),
                    changes: changes.fields(check),
                    flags: "--zone, --record, --sites",
                };
                let answer = documents::set(session, &path(&name), "", given).await?;
                session.done(&answer, format!("service {name} is set"))
            }
            Self::Delete { name } => {
                let answer = documents::delete(session, &path(&name)).await?;
                session.done(&answer, format!("service {name} is deleted"))
            }
        }
    }
}

pub(super) fn path(name: &ServiceName) -> String {
    format!("{DNS}/services/{}", segment(name.as_str()))
}

fn services_table(services: &[Service], width: Option<u16>) -> String {
    let rows = services.iter().map(|service| {
        [
            service.name.clone(),
            maybe(service.domain.as_deref()),
            service.types.join(", "),
            brief(&service.ttl),
            service.target.to_string(),
            maybe(service.provider.as_deref()),
            owners_in_short(service),
        ]
    });
    let header = [
        "NAME",
        "DOMAIN",
        "TYPES",
        "TTL",
        "FOLLOWS",
        "PROVIDER",
        "SERVED BY",
    ];
    table(header, rows, width)
}

/// `CT bj, default sh`: by line, whatever the family.
fn owners_in_short(service: &Service) -> String {
    let lines = service.served_by.iter().map(|(line, families)| {
        let mut sites: Vec<&str> = families
            .values()
            .flat_map(|owner| owner.sites.iter().map(String::as_str))
            .collect();
        sites.sort_unstable();
        sites.dedup();
        format!("{line} {}", or_nobody(&sites.join("+")))
    });
    lines.collect::<Vec<_>>().join(", ")
}

/// The service in an outline, and a row for each line and family.
fn picture(service: &Service, width: Option<u16>) -> String {
    let Service {
        name,
        zone,
        target,
        types,
        ..
    } = service;
    let domain = service.domain.as_deref().unwrap_or("?");
    let provider = service.provider.as_deref().unwrap_or("nobody");
    let title = format!(
        "{name}: {domain} {} in {zone} at {provider}, TTL {}s, follows {target}",
        types.join("+"),
        brief(&service.ttl),
    );
    let check = service.check.as_ref().map_or_else(String::new, |check| {
        let text = outline(&json!({ "check": check }));
        format!("\n{text}")
    });
    let rows = service.served_by.iter().flat_map(|(line, families)| {
        families
            .iter()
            .map(move |(family, owner)| owner_row(line, family, owner))
    });
    let header = ["LINE", "FAMILY", "SITES", "SINCE", "WHY"];
    match table(header, rows, width) {
        none if none.is_empty() => format!("{title}{check}"),
        owners => format!("{title}{check}\n\n{owners}"),
    }
}

fn owner_row(line: &str, family: &str, owner: &Owner) -> [String; 5] {
    [
        line.to_owned(),
        family.to_owned(),
        or_nobody(&owner.sites.join(", ")).to_owned(),
        maybe(owner.since_ms.map(time)),
        owner.why.clone(),
    ]
}

fn or_nobody(sites: &str) -> &str {
    match sites {
        "" => "nobody",
        sites => sites,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn shop() -> Service {
        let owner = |sites: &[&str], why: &str| json!({"sites": sites, "since_ms": 1_795_292_134_123_u64, "why": why});
        from_value(json!({
            "name": "shop", "zone": "example.com", "domain": "www.example.com",
            "types": ["A", "AAAA"], "ttl": 60, "provider": "ali", "target": {"sites": "all"},
            "check": {"type": "tcp", "port": 443},
            "served_by": {
                "CT": {"ipv4": owner(&["bj"], "sh is down"), "ipv6": owner(&[], "nobody is up")},
                "default": {"ipv4": owner(&["bj", "sh"], "first by priority")}
            }
        }))
        .unwrap()
    }

    #[test]
    fn a_service_shows_who_serves_which_line_and_why() {
        let expected = "\
shop: www.example.com A+AAAA in example.com at ali, TTL 60s, follows all sites
check:
  port: 443
  type: tcp

LINE     FAMILY  SITES   SINCE                     WHY
CT       ipv4    bj      2026-11-21T20:15:34.123Z  sh is down
CT       ipv6    nobody  2026-11-21T20:15:34.123Z  nobody is up
default  ipv4    bj, sh  2026-11-21T20:15:34.123Z  first by priority";
        assert_eq!(picture(&shop(), None), expected);
    }

    #[test]
    fn services_are_listed_in_a_row_each() {
        let expected = "\
NAME  DOMAIN           TYPES    TTL  FOLLOWS    PROVIDER  SERVED BY
shop  www.example.com  A, AAAA  60   all sites  ali       CT bj, default bj+sh";
        assert_eq!(services_table(&[shop()], None), expected);
    }

    #[test]
    fn a_name_in_any_language_has_a_path() {
        let name = ServiceName::parse("测?").unwrap();
        assert_eq!(path(&name), "/api/v1/dns/services/%E6%B5%8B%3F");
    }
}
