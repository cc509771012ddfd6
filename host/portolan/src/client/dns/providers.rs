//! `portolan dns providers`.

use std::path::PathBuf;

use clap::Subcommand;
use portolan_steering::BindingName;
use serde_json::Value;

use super::super::api::{Answer, Standing};
use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::outline::outline;
use super::super::run::Run;
use super::super::table::{brief, table};
use super::DNS;
use super::documents::{self, Fields, Given};
use super::provider_changes::{ProviderChanges, host};
use super::secrets::CredentialFlags;
use super::views::Provider;

/// What to do with provider accounts.
#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// Show all accounts; of credentials only the names
    List,
    /// Show all of an account, without its credentials
    Show {
        /// The account
        #[arg(value_name = "NAME", value_parser = BindingName::parse)]
        name: BindingName,
    },
    /// Make an account or change it; what is not given stays as it is
    Set {
        /// The account
        #[arg(value_name = "NAME", value_parser = BindingName::parse)]
        name: BindingName,
        #[command(flatten)]
        #[allow(missing_docs)]
        changes: Box<ProviderChanges>,
        #[command(flatten)]
        #[allow(missing_docs)]
        credentials: CredentialFlags,
        /// All of it as JSON, from a file or, with -, from stdin; without "credentials" they stay
        #[arg(
            long,
            value_name = "FILE|-",
            conflicts_with_all = ["ProviderChanges", "CredentialFlags"]
        )]
        file: Option<PathBuf>,
        /// Let go of zones that still have records
        #[arg(long)]
        force: bool,
    },
    /// Delete an account
    Delete {
        /// The account
        #[arg(value_name = "NAME", value_parser = BindingName::parse)]
        name: BindingName,
        /// Even if its zones still have records, which then stay as they are
        #[arg(long)]
        force: bool,
    },
    /// Let an account's plugin ask more hosts
    Grant {
        /// The account
        #[arg(value_name = "NAME", value_parser = BindingName::parse)]
        name: BindingName,
        /// The hosts; as {"url":...,"private":true} where they have private addresses
        #[arg(value_name = "[https://]HOST[:PORT]|JSON", required = true, value_parser = host)]
        hosts: Vec<Value>,
    },
}

impl Run for ProviderCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List => {
                let answer = documents::get(session, &format!("{DNS}/providers")).await?;
                session.show(&answer, || {
                    let providers: Vec<Provider> = answer.read("providers")?;
                    Ok(providers_table(&providers, session.width()))
                })
            }
            Self::Show { name } => {
                let answer = documents::get(session, &path(&name)).await?;
                session.show(&answer, || Ok(outline(&answer.whole::<Value>()?)))
            }
            Self::Set {
                name,
                changes,
                credentials,
                file,
                force,
            } => {
                let given = Given {
                    file: file.as_ref(),
                    changes: changes.fields(credentials)?,
                    flags: "--plugin, --zone, --credential-file",
                };
                let answer = documents::set(session, &path(&name), forced(force), given).await?;
                session.done(&answer, format!("provider {name} is set"))
            }
            Self::Delete { name, force } => {
                let path = format!("{}{}", path(&name), forced(force));
                let answer = documents::delete(session, &path).await?;
                session.done(&answer, format!("provider {name} is deleted"))
            }
            Self::Grant { name, hosts } => {
                let answer = grant(session, &path(&name), hosts).await?;
                session.show(&answer, || {
                    let provider: Provider = answer.whole()?;
                    let hosts: Vec<String> = provider.hosts.iter().map(brief).collect();
                    Ok(format!("provider {name} may ask {}", hosts.join(", ")))
                })
            }
        }
    }
}

async fn grant(session: &Session, path: &str, more: Vec<Value>) -> Result<Answer, ClientError> {
    let standing = documents::get(session, path).await?;
    let mut document: Fields = standing.whole()?;
    let mut hosts = standing.read::<Option<Vec<Value>>>("hosts")?;
    let granted = hosts.get_or_insert_default();
    for host in more {
        if !granted.contains(&host) {
            granted.push(host);
        }
    }
    document.insert("hosts".to_owned(), hosts.into());
    let precondition = standing.tag().map_or(Standing::Any, Standing::At);
    documents::put(session, path, &document.into(), precondition).await
}

pub(super) fn path(name: &BindingName) -> String {
    format!("{DNS}/providers/{name}")
}

fn forced(force: bool) -> &'static str {
    match force {
        true => "?force=true",
        false => "",
    }
}

fn providers_table(providers: &[Provider], width: Option<u16>) -> String {
    let rows = providers.iter().map(|provider| {
        let hosts: Vec<String> = provider.hosts.iter().map(brief).collect();
        let credentials: Vec<&str> = provider.credentials.keys().map(String::as_str).collect();
        let settings = provider.settings.iter();
        let settings: Vec<String> = settings
            .map(|(name, value)| format!("{name}={}", brief(value)))
            .collect();
        [
            provider.name.clone(),
            provider.plugin.clone(),
            provider.zones.join(", "),
            hosts.join(", "),
            credentials.join(", "),
            settings.join(", "),
        ]
    });
    let header = [
        "NAME",
        "PLUGIN",
        "ZONES",
        "HOSTS",
        "CREDENTIALS",
        "SETTINGS",
    ];
    table(header, rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn an_account_is_a_row_without_its_secrets() {
        let providers: Vec<Provider> = from_value(json!([{
            "name": "ali", "plugin": "alidns", "zones": ["a.example", "b.example"],
            "hosts": ["https://dns.example", {"url": "h", "private": true}],
            "credentials": {"key": "set"}, "settings": {"region": "x", "n": 1}
        }]))
        .unwrap();
        let table = providers_table(&providers, None);
        let row = table.lines().nth(1).unwrap().split_whitespace();
        let expected = "ali alidns a.example, b.example https://dns.example, \
                        {\"private\":true,\"url\":\"h\"} key n=1, region=x";
        assert_eq!(row.collect::<Vec<_>>().join(" "), expected);
    }
}
