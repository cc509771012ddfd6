//! For a plugin's own tests, which run natively: a host, record sets in few words, and clusters to
//! plan for.

mod changes;
pub mod clusters;
mod host;
mod messages;

pub use changes::{create, delete, set, update};
pub use host::TestHost;
