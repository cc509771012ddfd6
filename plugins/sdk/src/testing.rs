//! For a plugin's own tests, which run natively: a host, and record sets in few words.

mod changes;
mod host;

pub use changes::{create, delete, set, update};
pub use host::TestHost;
