//! What every command is to the program.

use super::connection::Session;
use super::error::ClientError;

/// A parsed command that asks a server.
pub(super) trait Run {
    /// Does it and prints what came of it.
    async fn run(self, session: &Session) -> Result<(), ClientError>;
}
