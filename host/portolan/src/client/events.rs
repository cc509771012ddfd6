//! `portolan events`.

use clap::Args;

use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::follow;
use super::run::Run;

/// What happened to a cluster.
#[derive(Debug, Args)]
pub struct Events {
    /// The cluster
    #[arg(value_name = "NS/NAME")]
    cluster: ClusterName,
    /// Go on with what happens from now on, until Ctrl-C; with --json one object per line
    #[arg(long, short)]
    follow: bool,
}

impl Run for Events {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let path = format!("{}/events", self.cluster.path());
        let answer = session.api.get(&path).await?;
        let watch = self.follow.then(|| format!("{path}?watch=true"));
        follow::print(session, &answer, watch.as_deref()).await
    }
}
