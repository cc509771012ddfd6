//! The engine, and everything that plugins share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    runtime::{Handle, Runtime},
    sync::Semaphore,
};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, HasSelf, Linker},
};
use wasmtime_wasi::{
    cli::{WasiCli, WasiCliView},
    p2::bindings::cli,
};

use crate::{
    LoadError, Plugin, PluginKind, SandboxOptions, SetupError,
    cache::CodeCache,
    guard::{ClientSetup, Lookup, SystemLookup},
    inspect::{Inspected, inspect},
    metrics::Metrics,
    plugin::World,
    schema::Schema,
    state::State,
    wit::{
        DnsProvider, DnsProviderPre,
        migration::{MigrationPolicy, MigrationPolicyPre},
    },
};

/// How often a computing plugin is interrupted to see whether it may go on.
const TICK: Duration = Duration::from_millis(10);

/// Room that host functions need on a plugin's stack, beyond `stack_bytes`.
const HOST_STACK: usize = 512 << 10;

/// What one component may consist of. The largest known guests, Python's, have 38 core instances.
const CORE_INSTANCES: u32 = 64;
const MEMORIES: u32 = 4;
const TABLES: u32 = 8;
const TABLE_ELEMENTS: usize = 100_000;

/// The plugin host. It has its own threads, so that no plugin can slow the daemon's other work.
pub struct Sandbox {
    pub(crate) options: SandboxOptions,
    engine: Engine,
    /// What a DNS provider finds.
    full: Linker<State>,
    /// What a pure component finds.
    pure: Linker<State>,
    cache: Option<CodeCache>,
    pub(crate) ticker: Ticker,
    /// Taken only when dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) http: Arc<ClientSetup>,
    pub(crate) metrics: Metrics,
}

impl Sandbox {
    /// Sets the sandbox up: reserves its pool, starts its threads, registers its metrics.
    pub fn new(
        options: SandboxOptions,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, SetupError> {
        Self::with_lookup(options, registry, Arc::new(SystemLookup))
    }

    /// Like [`Sandbox::new`], with another way to find the addresses of host names.
    pub fn with_lookup(
        options: SandboxOptions,
        registry: &prometheus::Registry,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Arc<Self>, SetupError> {
        options.check()?;
        let engine = engine(&options).map_err(engine_error)?;
        let full = full(&engine).map_err(engine_error)?;
        let pure = pure(&engine).map_err(engine_error)?;
        let cache = match &options.cache_dir {
            Some(dir) => Some(CodeCache::open(dir, &engine, options.cache_bytes)?),
            None => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .thread_name("plugin")
            .enable_all()
            .build()
            .map_err(|error| SetupError::Engine(error.to_string()))?;
        Ok(Arc::new(Self {
            ticker: Ticker::start(&engine)
                .map_err(|error| SetupError::Engine(error.to_string()))?,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            slots: Arc::new(Semaphore::new(options.concurrency)),
            http: Arc::new(ClientSetup::new(&options, lookup)?),
            metrics: Metrics::new(registry)?,
            engine,
            full,
            pure,
            cache,
            options,
        }))
    }

    /// The options in force.
    pub fn options(&self) -> &SandboxOptions {
        &self.options
    }

    /// Checks a component and compiles it, or finds it compiled already. The component does not run.
    pub async fn load(self: &Arc<Self>, component: Vec<u8>) -> Result<Plugin, LoadError> {
        let sandbox = self.clone();
        self.handle
            .spawn_blocking(move || sandbox.load_blocking(&component))
            .await
            .unwrap_or_else(|error| {
                Err(LoadError::Compile(format!("the compiler failed: {error}")))
            })
    }

    fn load_blocking(self: Arc<Self>, bytes: &[u8]) -> Result<Plugin, LoadError> {
        let limit = self.options.component_bytes;
        if bytes.len() > limit {
            return Err(LoadError::TooLarge {
                size: bytes.len(),
                limit,
            });
        }
        let Inspected {
            kind,
            manifest,
            imports,
        } = inspect(bytes)?;
        let schema = Schema::compile(&manifest.settings)?;
        let digest = hex::encode(Sha256::digest(bytes));
        let component = self.compile(&digest, bytes)?;
        let world = self
            .link(kind, &component)
            .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        Ok(Plugin::new(
            self,
            manifest,
            imports,
            digest,
            bytes.len(),
            schema,
            world,
        ))
    }

    fn link(&self, kind: PluginKind, component: &Component) -> wasmtime::Result<World> {
        Ok(match kind {
            PluginKind::DnsProvider => {
                let pre = self.full.instantiate_pre(component)?;
                World::DnsProvider(DnsProviderPre::new(pre)?)
            }
            PluginKind::MigrationPolicy => {
                let pre = self.pure.instantiate_pre(component)?;
                World::MigrationPolicy(MigrationPolicyPre::new(pre)?)
            }
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Component, LoadError> {
        let kept = self
            .cache
            .as_ref()
            .and_then(|cache| cache.load(&self.engine, digest));
        if let Some(component) = kept {
            return Ok(component);
        }
        let component = Component::from_binary(&self.engine, bytes)
            .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        if let Some(cache) = &self.cache {
            cache.store(digest, &component);
        }
        Ok(component)
    }

    /// The runtime that plugins run on.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The last owner may itself be a task, where waiting for threads is forbidden.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn engine_error(error: wasmtime::Error) -> SetupError {
    SetupError::Engine(format!("{error:#}"))
}

fn engine(options: &SandboxOptions) -> wasmtime::Result<Engine> {
    let slots = u32::try_from(options.concurrency)?;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES))
        .total_memories(slots.saturating_mul(MEMORIES))
        .total_tables(slots.saturating_mul(TABLES))
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(options.memory_bytes)
        .table_elements(TABLE_ELEMENTS);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(options.memory_bytes.next_multiple_of(64 << 10) as u64)
        .epoch_interruption(true)
        .max_wasm_stack(options.stack_bytes)
        .async_stack_size(options.stack_bytes + HOST_STACK)
        // Shared memories escape the memory limit; and no plugin needs what comes after WASI 0.2.
        .wasm_threads(false)
        .concurrency_support(false)
        // A policy's answer is the same on every machine: these two are all that WebAssembly leaves
        // open.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    Engine::new(&config)
}

/// What [`crate::inspect`] offers.
fn full(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    DnsProvider::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// What [`PluginKind::refusal`] lets through: no network, clock, randomness or files.
fn pure(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut pure = Linker::new(engine);
    let linker = &mut pure;
    wasmtime_wasi_io::add_to_linker_async(linker)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    MigrationPolicy::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    Ok(pure)
}

/// A thread of its own that interrupts computing plugins: were it a task, plugins could starve it. It
/// sleeps while no plugin runs.
pub(crate) struct Ticker {
    shared: Arc<TickerState>,
    thread: thread::Thread,
}

#[derive(Default)]
struct TickerState {
    running: AtomicUsize,
    stop: AtomicBool,
}

/// Keeps the ticker going.
pub(crate) struct Ticking(Arc<TickerState>);

impl Ticker {
    fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(TickerState::default());
        let (state, engine) = (shared.clone(), engine.clone());
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || {
                while !state.stop.load(Ordering::Acquire) {
                    if state.running.load(Ordering::Acquire) == 0 {
                        thread::park();
                    } else {
                        thread::sleep(TICK);
                        engine.increment_epoch();
                    }
                }
            })?;
        Ok(Self {
            shared,
            thread: thread.thread().clone(),
        })
    }

    /// Ticks until what it returns is dropped.
    pub(crate) fn tick(&self) -> Ticking {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Ticking(self.shared.clone())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
