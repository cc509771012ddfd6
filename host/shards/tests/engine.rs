//! The twin passes the suite of the engines.

#![allow(clippy::panic, reason = "helpers of tests fail like tests")]

use std::sync::Arc;

use async_trait::async_trait;
use portolan_shards::engine::{Access, Engine};
use portolan_shards::suite::Stage;
use portolan_shards::twin::Twin;
use portolan_shards::{EngineKind, engine_suite};

struct TwinStage(Arc<Twin>);

impl TwinStage {
    fn new() -> Self {
        Self(Twin::network())
    }
}

#[async_trait(?Send)]
impl Stage for TwinStage {
    fn engine(&self) -> &dyn Engine {
        &*self.0
    }

    fn kind(&self) -> EngineKind {
        EngineKind::Kvrocks
    }

    fn can_stop_migrations(&self) -> bool {
        true
    }

    async fn node(&self) -> Access {
        self.0.start("a password")
    }

    async fn write(&self, node: &Access, key: &str, value: &str) -> Result<(), String> {
        let written = self.0.write(&node.addr, key, value);
        written.map_err(|error| error.to_string())
    }

    async fn read(&self, node: &Access, key: &str) -> Result<Option<String>, String> {
        self.0
            .read(&node.addr, key)
            .map_err(|error| error.to_string())
    }

    async fn kill(&self, node: &Access) {
        self.0.kill(&node.addr);
    }

    async fn restart(&self, node: &Access) {
        self.0.restart(&node.addr);
    }
}

engine_suite!(TwinStage::new());
