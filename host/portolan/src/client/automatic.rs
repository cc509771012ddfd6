//! `portolan cluster automatic`: clusters that balance themselves.

use clap::{Args, Subcommand};
use portolan_shards::Hours;
use serde::Serialize;
use serde_json::{Map, Value};

use super::api::Answer;
use super::budget::Budget;
use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::outline::outline;
use super::pairs;
use super::run::Run;

/// Which cluster, and what to do.
#[derive(Debug, Args)]
pub struct Automatic {
    /// The cluster
    #[arg(value_name = "NS/NAME")]
    cluster: ClusterName,
    #[command(subcommand)]
    command: Option<AutomaticCommand>,
}

/// What to do with a cluster that could balance itself.
#[derive(Debug, Subcommand)]
enum AutomaticCommand {
    /// Show whether it balances itself, and how [default]
    Show,
    /// Leave it as it is from now on
    Off,
    /// Let it balance itself; what was said of it before is replaced
    On(On),
}

/// How a cluster is to balance itself.
#[derive(Debug, Args, Serialize)]
struct On {
    /// The policy that says which slots to move
    #[arg(long, value_name = "NAME")]
    policy: String,
    /// One of the policy's settings; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pairs::setting)]
    #[serde(rename = "settings", serialize_with = "as_object")]
    setting: Vec<(String, Value)>,
    /// How often, in seconds
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<u64>,
    /// Only within these hours of the day, in UTC: 22-6 is the night [default: always]
    #[arg(long, value_name = "FROM-TO", value_parser = hours)]
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<Hours>,
    #[command(flatten)]
    #[serde(flatten)]
    budget: Budget,
}

fn as_object<S: serde::Serializer>(
    settings: &[(String, Value)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let settings: Map<String, Value> = settings.iter().cloned().collect();
    settings.serialize(serializer)
}

/// Whether they are part of a day is for the server to say.
fn hours(text: &str) -> Result<Hours, String> {
    let wrong = || "write the hours as FROM-TO, such as 22-6".to_owned();
    let hour = |text: &str| text.parse().map_err(|_| wrong());
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    Ok(Hours {
        from: hour(from)?,
        to: hour(to)?,
    })
}

impl Run for Automatic {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let Self { cluster, command } = self;
        let path = format!("{}/automatic", cluster.path());
        match command.unwrap_or(AutomaticCommand::Show) {
            AutomaticCommand::Show => {
                let answer = session.api.get(&path).await?;
                print(session, &cluster, &answer)
            }
            AutomaticCommand::On(on) => {
                let answer = session.api.put(&path, &on).await?;
                print(session, &cluster, &answer)
            }
            AutomaticCommand::Off => {
                let answer = session.api.delete(&path).await?;
                session.done(&answer, picture(&cluster, &Value::Null))
            }
        }
    }
}

fn print(session: &Session, cluster: &ClusterName, answer: &Answer) -> Result<(), ClientError> {
    session.show(answer, || {
        Ok(picture(cluster, &answer.read::<Value>("automatic")?))
    })
}

fn picture(cluster: &ClusterName, automatic: &Value) -> String {
    match automatic {
        Value::Null => format!("cluster {cluster} does not balance itself"),
        how => format!("cluster {cluster} balances itself\n\n{}", outline(how)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        automatic: Automatic,
    }

    fn sent(line: &str) -> Value {
        let line = Line::try_parse_from(line.split_whitespace()).unwrap();
        match line.automatic.command {
            Some(AutomaticCommand::On(on)) => serde_json::to_value(on).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_not_given_is_for_the_server_to_say() {
        assert_eq!(
            sent("automatic a/b on --policy even-slots"),
            json!({"policy": "even-slots", "settings": {}})
        );
        let all = "automatic a/b on --policy p --setting x=3 --setting y=z --interval-s 60 \
                   --hours 22-6 --max-moves 1 --max-slots 2 --max-bytes 3";
        let body = json!({
            "policy": "p", "settings": {"x": 3, "y": "z"}, "interval_s": 60,
            "hours": {"from": 22, "to": 6}, "max_moves": 1, "max_slots": 2, "max_bytes": 3
        });
        assert_eq!(sent(all), body);
        let read: portolan_shards::Automatic = serde_json::from_value(body).unwrap();
        assert_eq!(read.max_bytes, Some(3));
    }

    #[test]
    fn hours_are_two_numbers() {
        assert_eq!(hours("22-6").unwrap(), Hours { from: 22, to: 6 });
        for wrong in ["22", "22-", "-6", "a-b", "1-300", "22-6-7"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cluster_is_looked_at_if_nothing_else_is_said() {
        let line = Line::try_parse_from(["automatic", "a/b"]).unwrap();
        assert!(line.automatic.command.is_none());
        assert!(Line::try_parse_from(["automatic", "a/b", "on"]).is_err());
        let cluster = "a/b".parse().unwrap();
        assert_eq!(
            picture(&cluster, &json!({"policy": "p", "hours": null})),
            "cluster a/b balances itself\n\nhours: none\npolicy: p"
        );
    }
}
