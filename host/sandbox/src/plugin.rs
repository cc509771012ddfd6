//! A loaded plugin: checked, compiled, ready to be called.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::Semaphore;

use crate::{
    BindingError, DnsPlugin, Grants, Limits, Manifest, Sandbox,
    binding::{self, Binding},
    breaker::{Breakers, Open},
    guard::Guard,
    schema::Schema,
    state::State,
    wit::DnsProviderPre,
};

/// One version of a plugin, cheap to clone. It stays usable when its file changes or goes.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) sandbox: Arc<Sandbox>,
    manifest: Manifest,
    imports: Vec<String>,
    digest: String,
    size: usize,
    schema: Schema,
    pub(crate) limits: Limits,
    pub(crate) pre: DnsProviderPre<State>,
    /// Keeps one plugin from taking all slots.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) breakers: Breakers,
    pub(crate) calls: AtomicU64,
    pub(crate) failures: AtomicU64,
    loaded_at: SystemTime,
}

impl Plugin {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        manifest: Manifest,
        imports: Vec<String>,
        digest: String,
        size: usize,
        schema: Schema,
        pre: DnsProviderPre<State>,
    ) -> Self {
        let options = &sandbox.options;
        let inner = Inner {
            limits: options.limits(&manifest.limits),
            slots: Arc::new(Semaphore::new(options.plugin_concurrency)),
            breakers: Breakers::new(
                options.breaker_failures,
                Duration::from_millis(options.breaker_ms),
            ),
            sandbox,
            manifest,
            imports,
            digest,
            size,
            schema,
            pre,
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            loaded_at: SystemTime::now(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What the plugin says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// The component's size in bytes.
    pub fn size(&self) -> usize {
        self.inner.size
    }

    /// The interfaces that the component imports.
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// The limits of each of its calls.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// When it was loaded.
    pub fn loaded_at(&self) -> SystemTime {
        self.inner.loaded_at
    }

    /// How often it was called, and how many of these calls the sandbox had to end.
    pub fn counts(&self) -> (u64, u64) {
        (
            self.inner.calls.load(Ordering::Relaxed),
            self.inner.failures.load(Ordering::Relaxed),
        )
    }

    /// The bindings that it is not called for at the moment.
    pub(crate) fn open_breakers(&self) -> Vec<(String, Open)> {
        self.inner.breakers.open(Instant::now())
    }

    /// Does this binding fit the manifest: are its settings and credentials what the plugin asks for?
    pub fn check(&self, grants: &Grants) -> Result<(), BindingError> {
        self.inner.schema.check(&binding::settings(grants))?;
        for ask in &self.manifest().credentials {
            if ask.required && !grants.credentials.contains_key(&ask.name) {
                return Err(BindingError::MissingCredential {
                    name: ask.name.clone(),
                    description: ask.description.clone(),
                });
            }
        }
        Ok(())
    }

    /// This plugin as the DNS provider of one binding. Keep it while the binding stays the same: it
    /// keeps its HTTP connections.
    pub fn dns(&self, grants: Arc<Grants>) -> DnsPlugin {
        let sandbox = &self.inner.sandbox;
        let guard = Guard::new(
            self.manifest(),
            grants.clone(),
            sandbox.http.clone(),
            sandbox.metrics.clone(),
        );
        let binding = Binding {
            settings: binding::settings(&grants).to_string(),
            fits: self.check(&grants),
            grants,
            guard,
        };
        DnsPlugin {
            plugin: self.clone(),
            binding: Arc::new(binding),
        }
    }
}
