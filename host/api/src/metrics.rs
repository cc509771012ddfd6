//! Measurements: the KV contract's JSON, Prometheus' text, and how requests are counted.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Body as _;
use portolan_consensus::{Member, MetricsView};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::accept::Accept;
use crate::{ApiError, ApiState, json};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const OPEN_METRICS: &str = "application/openmetrics-text";

/// A body on a GET that is longer than this is not the contract's `null`.
const HINT_LIMIT: usize = 4 << 10;

/// From a local read to a request that waits for an election.
const SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// `GET /metrics`: two contracts share the path. JSON for a request that prefers it in `Accept`, or
/// carries JSON; Prometheus' text for every other.
pub(crate) async fn by_accept(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, ApiError> {
    let wants_json = prefers_json(request.headers()) || carries_json(request).await;
    if wants_json {
        Ok(raft_json(&state.member))
    } else {
        prometheus_text(&state.registry)
    }
}

/// `GET /raft/metrics`: always the JSON.
pub(crate) async fn raft(State(state): State<Arc<ApiState>>) -> Response {
    raft_json(&state.member)
}

/// Whether the headers alone ask for JSON: they declare a JSON body, or accept JSON by name at least
/// as gladly as text.
fn prefers_json(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(JSON));
    let accept = Accept::of(headers);
    let json = accept.named(JSON);
    let text = accept.quality(TEXT).max(accept.quality(OPEN_METRICS));
    declared || (json > 0.0 && json >= text)
}

/// Whether the request has a body, and it is JSON: `curl -X GET -d null` declares a form.
async fn carries_json(request: Request) -> bool {
    if request.body().is_end_stream() {
        return false;
    }
    let body = json::read(request, HINT_LIMIT).await;
    body.is_ok_and(|body| serde_json::from_slice::<IgnoredAny>(&body).is_ok())
}

/// `heartbeat` and `replication` stand beside `Ok` in the contract's example and inside it in its
/// origin: they are in both places.
fn raft_json(member: &Member) -> Response {
    #[derive(Serialize)]
    struct Answer<'a, Heartbeat, Replication> {
        #[serde(rename = "Ok")]
        ok: &'a MetricsView,
        heartbeat: Heartbeat,
        replication: Replication,
    }
    let view = member.metrics();
    let answer = Answer {
        ok: &view,
        heartbeat: view.heartbeat(),
        replication: view.replication(),
    };
    json::answer(StatusCode::OK, &answer)
}

fn prometheus_text(registry: &Registry) -> Result<Response, ApiError> {
    let text = TextEncoder::new()
        .encode_to_string(&registry.gather())
        .map_err(|error| {
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                format!("the measurements could not be written: {error}"),
            )
        })?;
    let mut response = text.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(prometheus::TEXT_FORMAT),
    );
    Ok(response)
}

/// Registers what describes the process itself: its version, CPU time, memory, descriptors.
pub fn register_process(registry: &Registry) -> Result<(), prometheus::Error> {
    let build = Opts::new(
        "portolan_build_info",
        "Constant 1, with the daemon's version.",
    )
    .const_label("version", env!("CARGO_PKG_VERSION"));
    let build = IntGauge::with_opts(build)?;
    build.set(1);
    registry.register(Box::new(build))?;
    #[cfg(target_os = "linux")]
    registry.register(Box::new(
        prometheus::process_collector::ProcessCollector::for_self(),
    ))?;
    Ok(())
}

/// Counts and times requests by route (`/api/v1/plugins/{name}`), never by path.
pub struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl HttpMetrics {
    /// Registers the two families.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("portolan_http_requests_total", "HTTP requests answered."),
            &["method", "route", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "portolan_http_request_duration_seconds",
                "Time from a request's head to its answer's head.",
            )
            .buckets(SECONDS.to_vec()),
            &["method", "route"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { requests, seconds })
    }

    pub(crate) fn route(&self, template: &'static str) -> RouteMetrics {
        RouteMetrics {
            template,
            requests: self.requests.clone(),
            seconds: self.seconds.clone(),
            methods: Default::default(),
        }
    }
}

/// The measurements of one route. What a successful request touches is looked up once.
pub(crate) struct RouteMetrics {
    template: &'static str,
    requests: IntCounterVec,
    seconds: HistogramVec,
    methods: [OnceLock<MethodMetrics>; METHODS.len()],
}

/// Any other method is counted as the last one.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "other"];

struct MethodMetrics {
    ok: IntCounter,
    seconds: Histogram,
}

impl RouteMetrics {
    pub(crate) fn record(&self, method: &Method, status: StatusCode, took: Duration) {
        let index = METHODS
            .iter()
            .position(|name| *name == method.as_str())
            .unwrap_or(METHODS.len() - 1);
        let name = METHODS[index];
        let metrics = self.methods[index].get_or_init(|| MethodMetrics {
            ok: self
                .requests
                .with_label_values(&[name, self.template, "200"]),
            seconds: self.seconds.with_label_values(&[name, self.template]),
        });
        metrics.seconds.observe(took.as_secs_f64());
        if status == StatusCode::OK {
            metrics.ok.inc();
        } else {
            self.requests
                .with_label_values(&[name, self.template, status.as_str()])
                .inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    /// What a client says, and whether it gets JSON.
    #[tokio::test]
    async fn the_two_contracts_of_metrics_are_told_apart() {
        let prometheus_scraper = "application/openmetrics-text;version=1.0.0;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, content_type, body, json) in [
            (None, None, "", false),
            (Some("*/*"), None, "", false),
            (Some(prometheus_scraper), None, "", false),
            (Some("text/plain"), None, "", false),
            (Some("application/*"), None, "", false),
            (Some("application/json"), None, "", true),
            (Some("APPLICATION/JSON; charset=utf-8"), None, "", true),
            (Some("application/json, text/plain, */*"), None, "", true),
            (Some("application/json;q=0.5, text/plain"), None, "", false),
            (Some("application/json;q=0.9, */*;q=0.1"), None, "", true),
            (Some("application/json;q=0"), None, "", false),
            (
                Some("text/html,application/xhtml+xml,*/*;q=0.8"),
                None,
                "",
                false,
            ),
            (Some("*/*"), Some("application/json"), "", true),
            (
                Some("*/*"),
                Some("application/json; charset=utf-8"),
                "null",
                true,
            ),
            (
                Some("*/*"),
                Some("application/x-www-form-urlencoded"),
                "null",
                true,
            ),
            (
                Some("*/*"),
                Some("application/x-www-form-urlencoded"),
                "a=b",
                false,
            ),
            (None, None, "null", true),
        ] {
            let mut request = Request::new(Body::from(body));
            for (name, value) in [
                (header::ACCEPT, accept),
                (header::CONTENT_TYPE, content_type),
            ] {
                if let Some(value) = value {
                    request
                        .headers_mut()
                        .insert(name, HeaderValue::from_static(value));
                }
            }
            let wants = prefers_json(request.headers()) || carries_json(request).await;
            assert_eq!(
                wants, json,
                "accept {accept:?}, type {content_type:?}, body {body:?}"
            );
        }
    }

    #[test]
    fn requests_are_counted_by_route_method_and_status() {
        let registry = Registry::new();
        let route = HttpMetrics::register(&registry)
            .unwrap()
            .route("/things/{name}");
        let took = Duration::from_millis(3);
        route.record(&Method::GET, StatusCode::OK, took);
        route.record(&Method::GET, StatusCode::OK, took);
        route.record(&Method::GET, StatusCode::NOT_FOUND, took);
        route.record(&Method::TRACE, StatusCode::METHOD_NOT_ALLOWED, took);

        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let counted = |method: &str, status: u16| {
            format!(
                "portolan_http_requests_total{{method=\"{method}\",route=\"/things/{{name}}\",\
                 status=\"{status}\"}}"
            )
        };
        assert!(
            text.contains(&format!("{} 2\n", counted("GET", 200))),
            "{text}"
        );
        assert!(
            text.contains(&format!("{} 1\n", counted("GET", 404))),
            "{text}"
        );
        assert!(
            text.contains(&format!("{} 1\n", counted("other", 405))),
            "{text}"
        );
        assert!(
            text.contains("le=\"0.0025\"} 0\n") && text.contains("le=\"0.005\"} 3\n"),
            "{text}"
        );
    }

    #[test]
    fn the_process_describes_itself() {
        let registry = Registry::new();
        register_process(&registry).unwrap();
        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for family in [
            "portolan_build_info",
            "process_resident_memory_bytes",
            "process_open_fds",
        ] {
            assert!(
                text.contains(&format!("# HELP {family} ")),
                "{family} in {text}"
            );
        }
    }
}
