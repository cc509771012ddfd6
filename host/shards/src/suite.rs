//! What every [`Engine`] must do: one suite, run on the in-memory twin, on the stand-in for Kvrocks, and
//! on real servers.
//!
//! Each scenario is a function that starts its own nodes, so that a runner may run them side by side.
//! [`engine_suite!`](crate::engine_suite) makes a test of each.

mod clusters;
mod migrating;
mod rig;
mod single;

use async_trait::async_trait;

use crate::engine::{Access, Engine};
use crate::model::EngineKind;

pub use clusters::{
    a_dead_master_is_replaced_and_comes_back_as_a_replica, a_planned_failover_keeps_the_data,
    a_removed_replica_is_forgotten, a_topology_reaches_all_nodes,
};
pub use migrating::{
    a_migration_carries_slots_and_keys, a_stopped_migration_leaves_nothing_between,
};
pub use single::{
    a_dead_node_is_unreachable_at_once, a_fresh_node_is_fit, a_wrong_password_is_named,
    keys_are_counted,
};

/// An engine broke its contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {message}")]
pub struct Broken {
    /// What was being checked.
    pub step: &'static str,
    /// What was expected and what came.
    pub message: String,
}

/// What a scenario comes to.
pub type Checked<T = ()> = Result<T, Broken>;

/// Servers of one kind, and the engine that is to be checked on them.
#[async_trait(?Send)]
pub trait Stage {
    /// The engine.
    fn engine(&self) -> &dyn Engine;

    /// What its clusters are made of.
    fn kind(&self) -> EngineKind;

    /// Whether it can stop a migration that is under way.
    fn can_stop_migrations(&self) -> bool {
        self.kind().can_stop_migrations()
    }

    /// A fresh, empty node in no cluster.
    async fn node(&self) -> Access;

    /// Writes at this very node; an error where it does not take the write.
    async fn write(&self, node: &Access, key: &str, value: &str) -> Result<(), String>;

    /// Reads at this very node; an error where it does not serve the key.
    async fn read(&self, node: &Access, key: &str) -> Result<Option<String>, String>;

    /// Ends a node as a power failure would, save that what it acknowledged is kept.
    async fn kill(&self, node: &Access);

    /// Starts a killed node again on what it kept.
    async fn restart(&self, node: &Access);
}

/// Makes a test of each scenario on the stage that an expression makes:
/// `engine_suite!(TwinStage::new());`. The expression may await.
#[macro_export]
macro_rules! engine_suite {
    ($stage:expr) => {
        $crate::engine_suite! { @each ($stage)
            a_fresh_node_is_fit
            a_wrong_password_is_named
            a_dead_node_is_unreachable_at_once
            keys_are_counted
            a_topology_reaches_all_nodes
            a_planned_failover_keeps_the_data
            a_dead_master_is_replaced_and_comes_back_as_a_replica
            a_removed_replica_is_forgotten
            a_migration_carries_slots_and_keys
            a_stopped_migration_leaves_nothing_between
        }
    };
    (@each ($stage:expr) $($scenario:ident)*) => {
        $(
            #[tokio::test]
            async fn $scenario() {
                let stage = $stage;
                if let Err(broken) = $crate::suite::$scenario(&stage).await {
                    panic!("{broken}");
                }
            }
        )*
    };
}

fn broken(step: &'static str, message: impl ToString) -> Broken {
    Broken {
        step,
        message: message.to_string(),
    }
}

fn ensure(step: &'static str, holds: bool, message: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(broken(step, message())),
    }
}
