//! Connections to nodes: one each, shared by all who speak to it, made again when it broke.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, ServerErrorKind,
};

use super::{Access, NodeError};
use crate::names::NodeAddr;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection and the password that it was made with.
#[derive(Clone)]
struct Link {
    access: Access,
    connection: MultiplexedConnection,
}

/// The connections to all nodes. Clones share them.
#[derive(Clone)]
pub struct Links {
    /// How a node's `CLIENT LIST` shows them.
    client_name: Arc<str>,
    answer_timeout: Duration,
    links: Arc<Mutex<HashMap<NodeAddr, Link>>>,
}

impl Links {
    /// No connections yet.
    pub fn new(client_name: &str) -> Self {
        Self::patient(client_name, ANSWER_TIMEOUT)
    }

    /// No connections yet; answers may take this long.
    pub fn patient(client_name: &str, answer_timeout: Duration) -> Self {
        Self {
            client_name: client_name.into(),
            answer_timeout,
            links: Arc::default(),
        }
    }

    /// Sends a command and reads the answer.
    ///
    /// # Errors
    /// [`NodeError`]; after one that concerns the connection, the next command makes a new one.
    pub async fn ask<T: FromRedisValue>(
        &self,
        node: &Access,
        command: &Cmd,
    ) -> Result<T, NodeError> {
        let mut connection = self.connection(node).await?;
        let answer = command.query_async(&mut connection).await;
        answer.map_err(|error| self.failed(node, &error))
    }

    /// Sends several commands at once and reads all answers.
    ///
    /// # Errors
    /// As [`Links::ask`]; the first error that is among the answers.
    pub async fn ask_all<T: FromRedisValue>(
        &self,
        node: &Access,
        commands: &Pipeline,
    ) -> Result<T, NodeError> {
        let mut connection = self.connection(node).await?;
        let answers = commands.query_async(&mut connection).await;
        answers.map_err(|error| self.failed(node, &error))
    }

    async fn connection(&self, node: &Access) -> Result<MultiplexedConnection, NodeError> {
        let known = self.links.lock().get(&node.addr).cloned();
        if let Some(link) = known.filter(|link| link.access.password == node.password) {
            return Ok(link.connection);
        }
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = &node.password {
            login = login.set_password(password.as_str());
        }
        let info = ConnectionAddr::Tcp(node.addr.host().to_owned(), node.addr.port())
            .into_connection_info()
            .map_err(|error| unreachable(&error))?
            .set_redis_settings(login);
        let client = Client::open(info).map_err(|error| unreachable(&error))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.answer_timeout));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.failed(node, &error))?;
        let mut name = Cmd::new();
        name.arg("CLIENT").arg("SETNAME").arg(&*self.client_name);
        // A server that knows no names is as good.
        if let Err(error) = name.exec_async(&mut connection).await
            && let unreachable @ NodeError::Unreachable(_) = self.failed(node, &error)
        {
            return Err(unreachable);
        }
        let link = Link {
            access: node.clone(),
            connection: connection.clone(),
        };
        self.links.lock().insert(node.addr.clone(), link);
        Ok(connection)
    }

    fn failed(&self, node: &Access, error: &RedisError) -> NodeError {
        let text = error.to_string();
        let is_password = [
            "NOAUTH",
            "WRONGPASS",
            "invalid password",
            "Invalid password",
        ]
        .iter()
        .any(|word| text.contains(word));
        if is_password || error.kind() == ErrorKind::AuthenticationFailed {
            self.links.lock().remove(&node.addr);
            return NodeError::Password(text);
        }
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::BusyLoading) => NodeError::Loading,
            ErrorKind::Server(_) | ErrorKind::Extension => NodeError::Refused(said(error)),
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => NodeError::Nonsense(text),
            _ => {
                self.links.lock().remove(&node.addr);
                unreachable(error)
            }
        }
    }
}

/// A command by its words.
pub(super) fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

fn unreachable(error: &RedisError) -> NodeError {
    NodeError::Unreachable(error.to_string())
}

/// The server's own words.
fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}
