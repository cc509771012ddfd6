//! What one call's instance has: its budget, its log, its clock, and the host functions.

mod messages;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full, Limited};
use wasmtime::{CallHook, ResourceLimiter, UpdateDeadline, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as WasiHttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};
use wasmtime_wasi_io::IoView;

use crate::{
    Limits,
    binding::Binding,
    guard::{Algorithm, Budget, Connection, HttpError, Request, Response, SignError},
    log::{CallLog, Output},
    wit::portolan::plugin::{clock, credentials, http as wit_http, log, settings},
};

/// Host-side objects (streams, header lists, responses) that one instance may hold. Each may hold up to
/// about 128 KiB, so this bounds what a plugin makes the host allocate.
const MOST_RESOURCES: usize = 256;

/// The chunk in which a guest's `wasi:http` request body is taken over.
const BODY_CHUNK: usize = 64 << 10;

/// The data of one call's store.
pub(crate) struct State {
    wasi: WasiCtx,
    wasi_http: WasiHttpCtx,
    hooks: Outgoing,
    dns: Connection,
    table: ResourceTable,
    pub(crate) log: Arc<CallLog>,
    pub(crate) meter: Meter,
}

/// Why the sandbox ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    #[error("computed too long")]
    Compute,
    #[error("used too much memory")]
    Memory,
    #[error("called the host too often")]
    HostCalls,
}

/// Measures a call and ends it where it goes too far.
pub(crate) struct Meter {
    compute: Duration,
    memory_bytes: usize,
    host_calls: u64,
    /// In the plugin's own code, so far.
    pub(crate) computed: Duration,
    /// Since when the plugin's own code has been running; none while the host's is.
    running_since: Option<Instant>,
    memory_used: usize,
    host_called: u64,
    pub(crate) ended: Option<Ended>,
}

/// `wasi:http` on its way into the guard.
struct Outgoing {
    binding: Arc<Binding>,
    budget: Arc<Budget>,
}

impl State {
    pub(crate) fn new(
        binding: Arc<Binding>,
        budget: Budget,
        log: CallLog,
        limits: &Limits,
    ) -> Self {
        let log = Arc::new(log);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        let wasi = WasiCtxBuilder::new()
            .stdout(Output::stdout(log.clone()))
            .stderr(Output::stderr(log.clone()))
            .build();
        Self {
            wasi,
            wasi_http: WasiHttpCtx::new(),
            hooks: Outgoing {
                binding,
                budget: Arc::new(budget),
            },
            dns: Connection::default(),
            table,
            log,
            meter: Meter {
                compute: Duration::from_millis(limits.compute_ms),
                memory_bytes: limits.memory_bytes,
                host_calls: limits.host_calls,
                computed: Duration::ZERO,
                running_since: None,
                memory_used: 0,
                host_called: 0,
                ended: None,
            },
        }
    }
}

impl Meter {
    fn end(&mut self, why: Ended) -> wasmtime::Error {
        // The first reason is the true one: what follows are its consequences.
        self.ended.get_or_insert(why);
        why.into()
    }

    /// Runs whenever control passes between the plugin's code and the host's.
    pub(crate) fn hook(&mut self, hook: CallHook) -> wasmtime::Result<()> {
        match hook {
            CallHook::CallingWasm | CallHook::ReturningFromHost => {
                self.running_since = Some(Instant::now());
            }
            CallHook::ReturningFromWasm | CallHook::CallingHost => {
                self.computed += self
                    .running_since
                    .take()
                    .map_or(Duration::ZERO, |at| at.elapsed());
            }
        }
        if matches!(hook, CallHook::CallingHost) {
            self.host_called += 1;
            if self.host_called > self.host_calls {
                return Err(self.end(Ended::HostCalls));
            }
        }
        Ok(())
    }

    /// Runs at every tick of the epoch that finds the plugin computing: gives way to others, and ends
    /// the call once it has computed for too long.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let running = self.running_since.map_or(Duration::ZERO, |at| at.elapsed());
        if self.computed + running > self.compute {
            return Err(self.end(Ended::Compute));
        }
        Ok(UpdateDeadline::Yield(1))
    }

    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let used = self
            .memory_used
            .saturating_add(desired.saturating_sub(current));
        if used > self.memory_bytes {
            return Err(self.end(Ended::Memory));
        }
        self.memory_used = used;
        Ok(true)
    }
}

/// Counts all memories and tables of an instance together; wasmtime's own limits are for each of them.
impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let element = size_of::<usize>();
        self.grow(
            current.saturating_mul(element),
            desired.saturating_mul(element),
        )
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl IoView for State {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.wasi_http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

impl wit_http::Host for State {
    async fn send(
        &mut self,
        request: wit_http::Request,
    ) -> Result<wit_http::Response, wit_http::Error> {
        let method = match request.method {
            wit_http::Method::Get => Method::GET,
            wit_http::Method::Head => Method::HEAD,
            wit_http::Method::Post => Method::POST,
            wit_http::Method::Put => Method::PUT,
            wit_http::Method::Patch => Method::PATCH,
            wit_http::Method::Delete => Method::DELETE,
        };
        let headers = request
            .headers
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes()));
        let request = Request {
            method,
            url: request.url,
            headers: headers.collect(),
            body: request.body.into(),
        };
        let response = self
            .hooks
            .binding
            .guard
            .send(&self.hooks.budget, request)
            .await?;
        let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        };
        Ok(wit_http::Response {
            status: response.status.as_u16(),
            headers: response.headers.iter().filter_map(text).collect(),
            body: response.body,
        })
    }
}

impl From<HttpError> for wit_http::Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(text) => Self::Denied(text),
            HttpError::Invalid(text) => Self::Invalid(text),
            HttpError::Limit(text) => Self::Limit(text),
            HttpError::NotSent(text) => Self::NotSent(text),
            HttpError::Interrupted(text) => Self::Interrupted(text),
        }
    }
}

impl credentials::Host for State {
    fn names(&mut self) -> Vec<String> {
        self.hooks.binding.guard.credentials()
    }

    fn hmac(&mut self, chain: credentials::HmacChain) -> Result<Vec<u8>, credentials::Error> {
        let algorithm = match chain.algorithm {
            credentials::Algorithm::HmacSha1 => Algorithm::Sha1,
            credentials::Algorithm::HmacSha256 => Algorithm::Sha256,
        };
        let guard = &self.hooks.binding.guard;
        guard
            .sign(
                &chain.credential,
                algorithm,
                &chain.prefix,
                &chain.suffix,
                &chain.steps,
            )
            .map_err(|error| match error {
                SignError::Denied(text) => credentials::Error::Denied(text),
                SignError::Invalid(text) => credentials::Error::Invalid(text),
            })
    }
}

impl settings::Host for State {
    fn json(&mut self) -> String {
        self.hooks.binding.settings.clone()
    }
}

impl clock::Host for State {
    fn now(&mut self) -> clock::Datetime {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        clock::Datetime {
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
        }
    }

    async fn sleep(&mut self, milliseconds: u32) {
        tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        self.log.write(level, &message, &fields);
    }
}

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
    ),
    WasiHttpError,
>;

impl WasiHttpHooks for Outgoing {
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (binding, budget) = (self.binding.clone(), self.budget.clone());
        Box::new(async move {
            let (parts, body) = request.into_parts();
            // The whole body first: streaming it while the guest still writes makes guests fail with a
            // reset connection now and then.
            let body = Limited::new(body, budget.sendable())
                .collect()
                .await
                .map_err(|error| refused(format!("the request's body: {error}")))?
                .to_bytes();
            let headers = parts
                .headers
                .iter()
                .filter(|(name, _)| **name != http::header::CONTENT_LENGTH)
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect();
            let request = Request {
                method: parts.method,
                url: parts.uri.to_string(),
                headers,
                body,
            };
            let response =
                binding
                    .guard
                    .send(&budget, request)
                    .await
                    .map_err(|error| match error {
                        HttpError::NotSent(_) => WasiHttpError::DestinationUnavailable,
                        HttpError::Interrupted(_) => WasiHttpError::ConnectionTerminated,
                        // Only this error carries a text, and the text is what the operator needs.
                        HttpError::Denied(text)
                        | HttpError::Invalid(text)
                        | HttpError::Limit(text) => refused(text),
                    })?;
            let nothing_left: Box<dyn Future<Output = Result<(), WasiHttpError>> + Send> =
                Box::new(async { Ok(()) });
            Ok((whole(response), nothing_left))
        })
    }
}

fn refused(text: String) -> WasiHttpError {
    WasiHttpError::InternalError(Some(text))
}

fn whole(response: Response) -> http::Response<WasiBody> {
    let body = Full::new(Bytes::from(response.body))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut whole = http::Response::new(body);
    *whole.status_mut() = response.status;
    *whole.headers_mut() = response.headers;
    whole
}
