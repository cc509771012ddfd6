//! The contract `/v1` of DNS nodes: what monitors and other nodes ask, and what they push.
//!
//! The two calls of programs always answer HTTP 200 and say in `statusCode` how it went, and both show the
//! secret of this member. The two pages are for everybody, so nothing secret stands on them.

mod badge;
mod escape;
mod page;
mod secret;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use portolan_steering::{ClusterInfo, Hidden};
use serde::{Deserialize, Serialize};

pub use self::secret::ContractSecret;
use crate::{ApiError, ApiState, json};

/// Larger than any list of nodes and services.
const BODY_LIMIT: usize = 4 << 20;
const EXPECTED: &str = r#"{"cocoaSecret":"<secret>","cocoaBasic":{...}}"#;

type Shared = State<Arc<ApiState>>;

/// What both calls take. A bare node with its `cocoaSecret` is one too.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    cocoa_secret: Hidden,
    cocoa_basic: ClusterInfo,
}

/// What both calls answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    status_string: String,
    cocoa_basic: ClusterInfo,
}

impl Answer {
    fn new(status_code: u16, status_string: impl Into<String>) -> Self {
        Self {
            status_code,
            status_string: status_string.into(),
            cocoa_basic: ClusterInfo::default(),
        }
    }

    fn done() -> Self {
        Self::new(200, "MafuMafu~")
    }

    /// A follower that knows nobody but itself waits to be told of the others.
    fn waiting() -> Self {
        Self::new(201, "Mafu?")
    }

    fn unauthorised() -> Self {
        Self::new(401, "Unauthorized! You are not Cocoa!")
    }

    fn leader() -> Self {
        Self::new(
            405,
            "Not Allowed! Cocoa is soooo kawaii, Do you still sure you really want to eat Cocoa???",
        )
    }

    fn knowing(self, cocoa_basic: ClusterInfo) -> Self {
        Self {
            cocoa_basic,
            ..self
        }
    }
}

/// The contract has no codes for what else can be wrong: HTTP's stand for it, with our sentence.
impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self::new(error.status.as_u16(), error.sentence())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        json::answer(StatusCode::OK, &self)
    }
}

/// `POST /v1/getClusterInfo`: all that this member knows.
pub(crate) async fn get_cluster_info(State(state): Shared, request: Request) -> Response {
    let answer = tell(&state, request).await;
    answer.unwrap_or_else(Answer::from).into_response()
}

async fn tell(state: &ApiState, request: Request) -> Result<Answer, ApiError> {
    let Some(said) = admitted(state, request).await? else {
        return Ok(Answer::unauthorised());
    };
    let mut info = state.steering.contract_info().await?;
    let nodes = info.other_cocoa_syncer.as_ref().map_or(0, Vec::len);
    if is_leader(state) || nodes > 1 {
        return Ok(Answer::done().knowing(info));
    }
    info.tell_back(&said.cocoa_secret);
    Ok(Answer::waiting().knowing(info))
}

/// `POST /v1/updateClusterInfo`: takes over nodes, services and platforms. The leader takes none: here as
/// there, who leads is not told by others.
pub(crate) async fn update_cluster_info(State(state): Shared, request: Request) -> Response {
    let answer = take_over(&state, request).await;
    answer.unwrap_or_else(Answer::from).into_response()
}

async fn take_over(state: &ApiState, request: Request) -> Result<Answer, ApiError> {
    if state.contract.is_set() && is_leader(state) {
        return Ok(Answer::leader());
    }
    match admitted(state, request).await? {
        None => Ok(Answer::unauthorised()),
        Some(said) => {
            let info = &said.cocoa_basic;
            state.steering.take_over_contract(info).await?;
            Ok(Answer::done())
        }
    }
}

/// What the request says, if it shows the secret. Where none is set, nobody can.
async fn admitted(state: &ApiState, request: Request) -> Result<Option<Said>, ApiError> {
    if !state.contract.is_set() {
        return Ok(None);
    }
    let body = json::read(request, BODY_LIMIT).await?;
    let said: Said = json::parse(&body, EXPECTED)?;
    let is_admitted = state.contract.admits(said.cocoa_secret.expose());
    Ok(is_admitted.then_some(said))
}

fn is_leader(state: &ApiState) -> bool {
    state.member.leadership().borrow().is_self
}

/// `GET /v1/badge`: this member's name and how many sites live, as a picture.
pub(crate) async fn badge(State(state): Shared) -> Result<Response, ApiError> {
    let overview = state.steering.overview().await?;
    let mut response =
        badge::draw(&overview.name, overview.live(), overview.sites.len()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("image/svg+xml;charset=utf-8"),
    );
    // Pages that show it shall not show an old one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `GET /v1/status`: how it stands with sites and services, for people.
pub(crate) async fn status(State(state): Shared) -> Result<Html<String>, ApiError> {
    let overview = state.steering.overview().await?;
    let part = if is_leader(&state) {
        "leader"
    } else {
        "follower"
    };
    Ok(Html(page::write(&overview, part)))
}
