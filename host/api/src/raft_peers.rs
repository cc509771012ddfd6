//! `/api/v1/raft/peers`: the members of the group, as clients of the sharded-clusters contract's
//! reference know them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use portolan_consensus::{Member, MemberId};
use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::shards::data;
use crate::{ApiError, ApiState, check_address};

#[derive(Serialize)]
struct Peers {
    /// None while no leader is known.
    leader: Option<MemberId>,
    /// Where each member is reached.
    peers: BTreeMap<MemberId, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    id: MemberId,
    operation: Operation,
    /// Where the member is reached; for `add`.
    #[serde(default)]
    peer: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Add,
    Remove,
}

/// `GET /api/v1/raft/peers`
pub(crate) async fn list(State(state): State<Arc<ApiState>>) -> Response {
    data(Peers {
        leader: state.member.leadership().borrow().leader,
        peers: state.member.addresses(),
    })
}

/// `POST /api/v1/raft/peers`: adds a member that stands by, or removes one.
pub(crate) async fn change(
    State(state): State<Arc<ApiState>>,
    Json(change): Json<Change>,
) -> Result<Response, ApiError> {
    let member = &state.member;
    let mut voters: BTreeSet<MemberId> = member.voters().into_iter().collect();
    match change.operation {
        Operation::Add => {
            check_address(&change.peer)
                .map_err(|error| ApiError::invalid(error.to_string()).at("peer"))?;
            member.add_learner(change.id, change.peer).await?;
            voters.insert(change.id);
        }
        Operation::Remove if voters.remove(&change.id) => {}
        Operation::Remove => return Err(no_such_voter(member, change.id)),
    }
    member.change_membership(voters).await?;
    Ok(data("ok"))
}

fn no_such_voter(member: &Member, id: MemberId) -> ApiError {
    ApiError::not_found(format!(
        "member {id} is not a voter; the voters are {:?}",
        member.voters()
    ))
}
