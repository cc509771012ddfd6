//! The group: who leads, and whether the members are there.
//!
//! Two voices are heard for each member: the leader's, of when it last heard it, and its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::api::{Api, Asked};
use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::table::{count, table};
use super::{Section, headed};

const RAFT: &str = "/raft/metrics";
const READY: &str = "/readyz";

/// Members stand in one's own network; one that takes longer is as good as gone.
const MEMBER_ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// Many times a heartbeat, over any distance.
const SILENT_AFTER_MS: u64 = 10_000;

/// What `/raft/metrics` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Raft {
    id: u64,
    current_term: u64,
    #[serde(default)]
    current_leader: Option<u64>,
    #[serde(default)]
    millis_since_quorum_ack: Option<u64>,
    /// In nanoseconds since the epoch, by the leader's clock, as are those of `heartbeat`.
    #[serde(default)]
    last_quorum_acked: Option<u64>,
    membership_config: Stored,
    #[serde(default)]
    heartbeat: Option<BTreeMap<u64, Option<u64>>>,
}

#[derive(Debug, Deserialize)]
struct Stored {
    membership: Membership,
}

#[derive(Debug, Deserialize)]
struct Membership {
    /// More than one while the membership changes.
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    addr: String,
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Ready,
    NotReady(String),
    /// It cannot be asked from here, which need not mean that it is gone.
    None(String),
}

/// A member, by both voices.
#[derive(Debug)]
struct Row {
    id: u64,
    address: String,
    role: &'static str,
    /// How long ago the leader heard it, in milliseconds; none where that is not known.
    heard_ms: Option<u64>,
    /// Whether the leader tells of the members that it hears.
    leader_tells: bool,
    word: Word,
}

/// Asks the member, its leader, and then every member.
pub(super) async fn section(session: &Session) -> Result<Section, ClientError> {
    let own = raft(&session.api).await?;
    let leader = match own.current_leader.filter(|leader| *leader != own.id) {
        Some(leader) => leader_metrics(session, &own, leader).await,
        None => None,
    };
    let words = words(session, &own).await?;
    let rows = rows(&own, leader.as_ref().unwrap_or(&own), &words);
    let leader = leader.as_ref().unwrap_or(&own);
    Ok(Section {
        name: "group",
        text: text(&own, &rows, session.width()),
        json: as_json(&own, &rows),
        troubles: troubles(&own, leader, &rows),
    })
}

async fn raft(api: &Api) -> Result<Raft, ClientError> {
    let asked = Asked::new(Method::GET, RAFT);
    api.native(asked).await?.read("Ok")
}

/// None where the leader cannot be asked from here.
async fn leader_metrics(session: &Session, own: &Raft, leader: u64) -> Option<Raft> {
    let node = own.membership_config.membership.nodes.get(&leader)?;
    let api = Api::new(member_url(session, &node.addr)?).ok()?;
    timeout(MEMBER_ANSWERS_WITHIN, raft(&api)).await.ok()?.ok()
}

/// What every member says of itself.
async fn words(session: &Session, own: &Raft) -> Result<BTreeMap<u64, Word>, ClientError> {
    let mut words = BTreeMap::from([(own.id, ready(&session.api).await)]);
    let mut asking = JoinSet::new();
    for (id, node) in &own.membership_config.membership.nodes {
        let Some(url) = member_url(session, &node.addr).filter(|_| *id != own.id) else {
            continue;
        };
        let (id, api) = (*id, Api::new(url)?);
        asking.spawn(async move { (id, ready(&api).await) });
    }
    while let Some(told) = asking.join_next().await {
        words.extend(told.ok());
    }
    Ok(words)
}

async fn ready(api: &Api) -> Word {
    let asked = api.native(Asked::new(Method::GET, READY));
    match timeout(MEMBER_ANSWERS_WITHIN, asked).await {
        Ok(Ok(_)) => Word::Ready,
        Ok(Err(ClientError::Refused { message, .. })) => Word::NotReady(message),
        Ok(Err(error)) => Word::None(error.to_string()),
        Err(_) => Word::None("no answer in time".to_owned()),
    }
}

/// Members speak as the one does that was asked.
fn member_url(session: &Session, address: &str) -> Option<Url> {
    let scheme = session.api.scheme();
    Url::parse(&format!("{scheme}://{address}")).ok()
}

fn rows(own: &Raft, leader: &Raft, words: &BTreeMap<u64, Word>) -> Vec<Row> {
    let Membership { configs, nodes } = &own.membership_config.membership;
    let is_voter = |id: &u64| configs.iter().any(|voters| voters.contains(id));
    let unasked = Word::None("not asked".to_owned());
    let row = |(id, node): (&u64, &Node)| Row {
        id: *id,
        address: node.addr.clone(),
        role: match is_voter(id) {
            _ if own.current_leader == Some(*id) => "leader",
            true => "voter",
            false => "learner",
        },
        heard_ms: heard_ms(leader, *id),
        leader_tells: leader.heartbeat.is_some(),
        word: words.get(id).unwrap_or(&unasked).clone(),
    };
    nodes.iter().map(row).collect()
}

/// How long ago a leader heard a member, by the leader's clock alone.
fn heard_ms(leader: &Raft, id: u64) -> Option<u64> {
    let heard = leader.heartbeat.as_ref()?.get(&id).copied().flatten()?;
    let now = leader.last_quorum_acked? + leader.millis_since_quorum_ack? * 1_000_000;
    Some(now.saturating_sub(heard) / 1_000_000)
}

impl Row {
    fn is_leader(&self) -> bool {
        self.role == "leader"
    }

    fn heard(&self) -> String {
        match self.heard_ms {
            _ if self.is_leader() => String::new(),
            Some(ms) => format!("{}s ago", ms / 1_000),
            None if self.leader_tells => "never".to_owned(),
            None => String::new(),
        }
    }

    fn state(&self) -> String {
        match &self.word {
            Word::Ready => "ready".to_owned(),
            Word::NotReady(reason) => format!("not ready: {reason}"),
            Word::None(reason) => format!("does not answer here: {reason}"),
        }
    }

    /// Whether the leader has heard it lately.
    fn is_heard(&self) -> bool {
        self.heard_ms.is_some_and(|ms| ms < SILENT_AFTER_MS)
    }

    fn trouble(&self) -> Option<String> {
        let Self { id, address, .. } = self;
        let silent = self.leader_tells && !self.is_leader() && !self.is_heard();
        match &self.word {
            Word::NotReady(reason) => Some(format!("member {id} is not ready: {reason}")),
            _ if silent => Some(format!("the leader does not hear member {id} at {address}")),
            Word::None(reason) if !self.is_heard() => {
                Some(format!("member {id} does not answer: {reason}"))
            }
            _ => None,
        }
    }
}

fn troubles(own: &Raft, leader: &Raft, rows: &[Row]) -> Vec<String> {
    let mut troubles = Vec::new();
    if own.current_leader.is_none() {
        troubles.push("the group has no leader, so nothing can be changed".to_owned());
    }
    let lonely = leader.millis_since_quorum_ack;
    if let Some(ms) = lonely.filter(|ms| *ms >= SILENT_AFTER_MS) {
        let seconds = ms / 1_000;
        troubles.push(format!(
            "no majority has answered the leader for {seconds}s"
        ));
    }
    troubles.extend(rows.iter().filter_map(Row::trouble));
    troubles
}

fn text(own: &Raft, rows: &[Row], width: Option<u16>) -> String {
    let voters = rows.iter().filter(|row| row.role != "learner").count();
    let leader = match own.current_leader {
        Some(leader) => format!("member {leader} leads"),
        None => "nobody leads".to_owned(),
    };
    let headline = format!(
        "Group: member {} answers, {leader}, {}, term {}",
        own.id,
        count(voters, "voter"),
        own.current_term,
    );
    let rows = rows.iter().map(|row| {
        [
            row.id.to_string(),
            row.address.clone(),
            row.role.to_owned(),
            row.heard(),
            row.state(),
        ]
    });
    let header = ["MEMBER", "ADDRESS", "ROLE", "HEARD", "STATE"];
    headed(headline, &table(header, rows, width))
}

fn as_json(own: &Raft, rows: &[Row]) -> Value {
    let members: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({"id": row.id, "address": row.address, "role": row.role,
                   "heard_ms": row.heard_ms, "ready": row.word == Word::Ready,
                   "state": row.state()})
        })
        .collect();
    json!({"asked": own.id, "leader": own.current_leader, "term": own.current_term,
           "members": members})
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn metrics(change: &[(&str, Value)]) -> Raft {
        let second = 1_000_000_000_u64;
        let mut metrics = json!({
            "id": 1, "current_term": 4, "current_leader": 1, "millis_since_quorum_ack": 500,
            "last_quorum_acked": 100 * second,
            "membership_config": {"membership": {
                "configs": [[1, 2, 3]],
                "nodes": {"1": {"addr": "a:1"}, "2": {"addr": "a:2"}, "3": {"addr": "a:3"},
                          "4": {"addr": "a:4"}}
            }},
            "heartbeat": {"1": 100 * second, "2": 99 * second, "3": 50 * second, "4": null}
        });
        for (field, value) in change {
            metrics[field] = value.clone();
        }
        from_value(metrics).unwrap()
    }

    fn words(words: [Word; 4]) -> BTreeMap<u64, Word> {
        (1..).zip(words).collect()
    }

    #[test]
    fn members_are_judged_by_the_leader_and_by_themselves() {
        let leader = metrics(&[]);
        let gone = Word::None("no answer".into());
        let lagging = Word::NotReady("it catches up".into());
        let words = words([Word::Ready, gone.clone(), gone, lagging]);
        let rows = rows(&leader, &leader, &words);
        let expected = "\
Group: member 1 answers, member 1 leads, 3 voters, term 4
MEMBER  ADDRESS  ROLE     HEARD    STATE
1       a:1      leader            ready
2       a:2      voter    1s ago   does not answer here: no answer
3       a:3      voter    50s ago  does not answer here: no answer
4       a:4      learner  never    not ready: it catches up";
        assert_eq!(text(&leader, &rows, None), expected);
        // The second is heard by the leader: that it cannot be asked from here is no trouble.
        let expected = [
            "the leader does not hear member 3 at a:3",
            "member 4 is not ready: it catches up",
        ];
        assert_eq!(troubles(&leader, &leader, &rows), expected);
    }

    #[test]
    fn without_a_leader_the_group_is_in_trouble() {
        let follower = [
            ("current_leader", Value::Null),
            ("heartbeat", Value::Null),
            ("millis_since_quorum_ack", Value::Null),
        ];
        let own = metrics(&follower);
        let gone = Word::None("no answer".into());
        let words = words([
            Word::NotReady("no leader".into()),
            gone,
            Word::Ready,
            Word::Ready,
        ]);
        let rows = rows(&own, &own, &words);
        let expected = [
            "the group has no leader, so nothing can be changed",
            "member 1 is not ready: no leader",
            "member 2 does not answer: no answer",
        ];
        assert_eq!(troubles(&own, &own, &rows), expected);
    }

    #[test]
    fn a_leader_that_nobody_answers_is_trouble() {
        let own = metrics(&[("millis_since_quorum_ack", json!(12_000))]);
        let expected = "no majority has answered the leader for 12s";
        assert_eq!(troubles(&own, &own, &[])[0], expected);
    }
}
