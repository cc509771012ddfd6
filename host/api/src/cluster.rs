//! The KV contract's membership calls: `/add-learner` and `/change-membership`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portolan_consensus::{MemberId, MembershipChange};
use serde::Serialize;

use crate::{ApiError, ApiState, check_address, json};

/// Larger than any list of members.
const BODY_LIMIT: usize = 64 << 10;

/// `POST /add-learner`: `[2, "127.0.0.1:21002"]`
pub(crate) async fn add_learner(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, ClusterError> {
    let body = json::read(request, BODY_LIMIT).await?;
    let (id, address): (MemberId, String) = json::parse(&body, r#"[<id>, "<host>:<port>"]"#)?;
    check_address(&address).map_err(|error| ApiError::invalid(error.to_string()).at("[1]"))?;
    let change = state.member.add_learner(id, address).await?;
    Ok(changed(change))
}

/// `POST /change-membership`: `[1, 2]`
pub(crate) async fn change_membership(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, ClusterError> {
    let body = json::read(request, BODY_LIMIT).await?;
    let ids: BTreeSet<MemberId> = json::parse(&body, "the voters' ids: [<id>, ...]")?;
    let change = state.member.change_membership(ids).await?;
    Ok(changed(change))
}

fn changed(change: MembershipChange) -> Response {
    #[derive(Serialize)]
    struct Answer {
        #[serde(rename = "Ok")]
        ok: MembershipChange,
    }
    json::answer(StatusCode::OK, &Answer { ok: change })
}

/// A failed membership call: `{"Err":{"code","message","at"?}}`.
pub(crate) struct ClusterError(ApiError);

impl<E: Into<ApiError>> From<E> for ClusterError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ClusterError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Answer<'a> {
            #[serde(rename = "Err")]
            err: &'a ApiError,
        }
        self.0.respond_with(&Answer { err: &self.0 })
    }
}
