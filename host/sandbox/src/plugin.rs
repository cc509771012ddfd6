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
    BindingError, DnsPlugin, Grants, Limits, Manifest, MigrationPolicy, PluginKind, Sandbox,
    binding::{self, Binding},
    breaker::{Breakers, Open},
    guard::Guard,
    schema::Schema,
    state::State,
    wit::{DnsProviderPre, migration::MigrationPolicyPre},
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
    world: World,
    /// Keeps one plugin from taking all slots.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) breakers: Breakers,
    pub(crate) calls: AtomicU64,
    pub(crate) failures: AtomicU64,
    loaded_at: SystemTime,
}

/// A component that is linked and ready to become an instance, by its kind.
pub(crate) enum World {
    DnsProvider(DnsProviderPre<State>),
    MigrationPolicy(MigrationPolicyPre<State>),
}

impl Plugin {
    pub(crate) fn new(
        sandbox: Arc<Sandbox>,
        manifest: Manifest,
        imports: Vec<String>,
        digest: String,
        size: usize,
        schema: Schema,
        world: World,
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
            world,
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

    /// What it is.
    pub fn kind(&self) -> PluginKind {
        match self.inner.world {
            World::DnsProvider(_) => PluginKind::DnsProvider,
            World::MigrationPolicy(_) => PluginKind::MigrationPolicy,
        }
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

    pub(crate) fn world(&self) -> &World {
        &self.inner.world
    }

    /// Does this DNS account fit the plugin: is that a DNS provider, and are the settings and
    /// credentials what its manifest asks for?
    pub fn check(&self, grants: &Grants) -> Result<(), BindingError> {
        self.check_kind(PluginKind::DnsProvider)?;
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

    /// Do these settings fit the manifest's schema?
    pub(crate) fn check_settings(&self, settings: &serde_json::Value) -> Result<(), BindingError> {
        self.inner.schema.check(settings)
    }

    fn check_kind(&self, wanted: PluginKind) -> Result<(), BindingError> {
        if self.kind() == wanted {
            return Ok(());
        }
        Err(BindingError::Settings {
            path: String::new(),
            reason: format!(
                "the plugin `{}` is a {}, and this needs a {wanted}",
                self.manifest().name,
                self.kind()
            ),
        })
    }

    /// This plugin as the DNS provider of one binding. Keep it while the binding stays the same: it
    /// keeps its HTTP connections.
    pub fn dns(&self, grants: Arc<Grants>) -> DnsPlugin {
        let fits = self.check(&grants);
        DnsPlugin {
            plugin: self.clone(),
            binding: self.bind(grants, fits),
        }
    }

    /// This plugin as a migration policy. `binding` says for whom, in messages, logs and the circuit
    /// breaker: a cluster's name.
    pub fn policy(&self, binding: &str) -> MigrationPolicy {
        let grants = Arc::new(Grants {
            binding: binding.to_owned(),
            ..Grants::default()
        });
        let fits = self.check_kind(PluginKind::MigrationPolicy);
        MigrationPolicy {
            plugin: self.clone(),
            binding: self.bind(grants, fits),
        }
    }

    fn bind(&self, grants: Arc<Grants>, fits: Result<(), BindingError>) -> Arc<Binding> {
        let sandbox = &self.inner.sandbox;
        let guard = Guard::new(
            self.manifest(),
            grants.clone(),
            sandbox.http.clone(),
            sandbox.metrics.clone(),
        );
        Arc::new(Binding {
            settings: binding::settings(&grants).to_string(),
            fits,
            grants,
            guard,
        })
    }
}
