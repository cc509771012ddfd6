//! One call: a slot, a fresh instance, its limits, and what became of it.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use crate::{
    CallError, CallSite, Plugin, PolicyError, ProviderError,
    binding::Binding,
    guard::Budget,
    log::CallLog,
    plugin::Inner,
    state::{Ended, State},
};

/// What a call does in its store: it makes the instance and calls one function of its interface.
pub(crate) type Run<T> =
    Box<dyn for<'a> FnOnce(&'a mut Store<State>) -> Running<'a, Result<T, OwnError>> + Send>;

/// A function of an instance that runs.
pub(crate) type Running<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// What a plugin itself says went wrong, in the words of its world.
pub(crate) enum OwnError {
    Provider(ProviderError),
    Policy(PolicyError),
}

/// Bytes that one host call may carry beyond the request body: headers, URL, log fields.
const HOST_CALL_OVERHEAD: usize = 1 << 20;

/// May a function send requests?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    Allowed,
    Refused,
}

/// Calls `function` of a fresh instance of `plugin` and checks its answer with `check`.
pub(crate) async fn call<T: Send + 'static>(
    plugin: &Plugin,
    binding: &Arc<Binding>,
    function: &'static str,
    http: Http,
    run: Run<T>,
    check: impl FnOnce(&T) -> Result<(), String>,
) -> Result<T, CallError> {
    let inner = &plugin.inner;
    let at = CallSite {
        plugin: plugin.manifest().name.clone(),
        binding: binding.grants.binding.clone(),
        function,
    };
    let result = admitted(inner, binding, &at, http, run)
        .await
        .and_then(|value| {
            check(&value).map_err(|reason| CallError::Answer {
                at: at.clone(),
                reason,
            })?;
            Ok(value)
        });
    settle(inner, &at, result.as_ref().err());
    result
}

/// Checks what needs no instance, waits for a slot, and runs on the sandbox's own threads.
async fn admitted<T: Send + 'static>(
    inner: &Arc<Inner>,
    binding: &Arc<Binding>,
    at: &CallSite,
    http: Http,
    run: Run<T>,
) -> Result<T, CallError> {
    if let Err(error) = &binding.fits {
        return Err(CallError::Binding {
            at: at.clone(),
            error: error.clone(),
        });
    }
    let options = &inner.sandbox.options;
    let own = slot(
        inner,
        at,
        &inner.slots,
        "plugin_concurrency",
        options.plugin_concurrency,
    )
    .await?;
    let shared = slot(
        inner,
        at,
        &inner.sandbox.slots,
        "concurrency",
        options.concurrency,
    )
    .await?;
    // Last, because an open breaker lets one trial through: it must not be lost while waiting.
    inner
        .breakers
        .admit(&at.binding, Instant::now())
        .map_err(|open| CallError::Breaker {
            at: at.clone(),
            retry_in: open.retry_in,
            failures: open.failures,
            last: open.last,
        })?;

    let task = {
        let (inner, binding, at) = (inner.clone(), binding.clone(), at.clone());
        inner.sandbox.clone().handle().spawn(async move {
            let result = instance(&inner, binding, at, http, run).await;
            // Only now is the pool's slot free again.
            drop((own, shared));
            result
        })
    };
    // A caller that stops waiting ends the call.
    match AbortOnDropHandle::new(task).await {
        Ok(result) => result,
        Err(error) => Err(CallError::Host {
            at: at.clone(),
            reason: error.to_string(),
        }),
    }
}

/// Waits for a free slot, as long as a call may take.
async fn slot(
    inner: &Inner,
    at: &CallSite,
    slots: &Arc<Semaphore>,
    option: &'static str,
    count: usize,
) -> Result<OwnedSemaphorePermit, CallError> {
    let patience = Duration::from_millis(inner.limits.deadline_ms);
    match tokio::time::timeout(patience, slots.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(CallError::Busy {
            at: at.clone(),
            waited: patience,
            option,
            slots: count,
        }),
    }
}

/// Runs the call in an instance of its own. A fresh instance each time is what keeps one call's fault,
/// secret or leak from the next: nothing a plugin does to its memory outlives the call.
async fn instance<T>(
    inner: &Arc<Inner>,
    binding: Arc<Binding>,
    at: CallSite,
    http: Http,
    run: Run<T>,
) -> Result<T, CallError> {
    let limits = &inner.limits;
    let _ticking = inner.sandbox.ticker.tick();
    let budget = match http {
        Http::Allowed => Budget::new(limits),
        Http::Refused => Budget::none(),
    };
    let log = CallLog::new(at.clone(), limits);
    let mut store = Store::new(
        inner.sandbox.engine(),
        State::new(binding, budget, log, limits),
    );
    store.limiter(|state| &mut state.meter);
    store.call_hook(|mut store, hook| store.data_mut().meter.hook(hook));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| store.data_mut().meter.tick());
    store.set_hostcall_fuel(limits.sent_bytes.saturating_add(HOST_CALL_OVERHEAD));

    let deadline = Duration::from_millis(limits.deadline_ms);
    let started = Instant::now();
    let called = tokio::time::timeout(deadline, run(&mut store)).await;
    let metrics = &inner.sandbox.metrics;
    metrics.duration(&at.plugin, at.function, started.elapsed().as_secs_f64());
    metrics.computed(&at.plugin, at.function, store.data().meter.computed);

    match called {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(OwnError::Provider(error)))) => Err(CallError::Provider { at, error }),
        Ok(Ok(Err(OwnError::Policy(error)))) => Err(CallError::Policy { at, error }),
        Ok(Err(error)) => Err(ended(inner, at, store.data(), &error)),
        Err(_) => Err(CallError::Deadline {
            at,
            limit: deadline,
        }),
    }
}

/// Why a call was ended.
fn ended(inner: &Inner, at: CallSite, state: &State, error: &wasmtime::Error) -> CallError {
    let limits = &inner.limits;
    match state.meter.ended {
        Some(Ended::Compute) => {
            return CallError::Compute {
                at,
                limit: Duration::from_millis(limits.compute_ms),
            };
        }
        Some(Ended::Memory) => {
            return CallError::Memory {
                at,
                limit: limits.memory_bytes,
            };
        }
        Some(Ended::HostCalls) => {
            return CallError::HostCalls {
                at,
                limit: limits.host_calls,
            };
        }
        None => {}
    }
    if let Some(Trap::StackOverflow) = error.downcast_ref() {
        return CallError::Stack {
            at,
            limit: limits.stack_bytes,
        };
    }
    tracing::debug!(
        plugin = at.plugin,
        binding = at.binding,
        function = at.function,
        ?error,
        "plugin crashed"
    );
    let cause = match (
        error.downcast_ref::<I32Exit>(),
        error.downcast_ref::<Trap>(),
    ) {
        (Some(I32Exit(status)), _) => format!("it called exit({status})"),
        // Compilers keep a second stack in the plugin's memory, and its end lies out of bounds.
        (_, Some(trap @ Trap::MemoryOutOfBounds)) => {
            format!("{trap} (too deep a recursion looks the same)")
        }
        _ => error.root_cause().to_string(),
    };
    let reason = match state.log.last_words() {
        Some(words) => format!("{cause}; its last words: {words}"),
        None => cause,
    };
    CallError::Trap { at, reason }
}

/// Counts what became of a call.
fn settle(inner: &Inner, at: &CallSite, error: Option<&CallError>) {
    let metrics = &inner.sandbox.metrics;
    metrics.call(&at.plugin, at.function, error.map_or("ok", CallError::kind));
    inner.calls.fetch_add(1, Ordering::Relaxed);
    match error {
        Some(error) if error.counts_against_plugin() => {
            inner.failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(plugin = at.plugin, binding = at.binding, %error, "plugin call ended");
            let open = inner
                .breakers
                .failed(&at.binding, Instant::now(), error.to_string());
            metrics.breaker(&at.plugin, &at.binding, open);
        }
        None | Some(CallError::Provider { .. } | CallError::Policy { .. }) => {
            inner.breakers.succeeded(&at.binding);
            metrics.breaker(&at.plugin, &at.binding, false);
        }
        // Nothing was called.
        Some(_) => {}
    }
}
