//! `portolan namespace`.

use clap::Subcommand;
use portolan_shards::Name;
use serde_json::json;

use super::connection::Session;
use super::error::ClientError;
use super::run::Run;

const NAMESPACES: &str = "/api/v1/namespaces";

/// What to do with namespaces.
#[derive(Debug, Subcommand)]
pub enum NamespaceCommand {
    /// Name all namespaces
    List,
    /// Create a namespace
    Create {
        /// Its name
        name: Name,
    },
    /// Delete a namespace that holds no cluster
    Delete {
        /// Its name
        name: Name,
    },
}

impl Run for NamespaceCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List => {
                let answer = session.api.get(NAMESPACES).await?;
                session.show(&answer, || {
                    Ok(answer.read::<Vec<String>>("namespaces")?.join("\n"))
                })
            }
            Self::Create { name } => {
                let body = json!({"namespace": name});
                let answer = session.api.post(NAMESPACES, &body).await?;
                session.done(&answer, format!("namespace {name} is created"))
            }
            Self::Delete { name } => {
                let answer = session.api.delete(&format!("{NAMESPACES}/{name}")).await?;
                session.done(&answer, format!("namespace {name} is deleted"))
            }
        }
    }
}
