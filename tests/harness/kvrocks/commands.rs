//! One command on one connection.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    clusterx::Waiting,
    process::{Pause, Process},
    resp::Resp,
    world::World,
};

/// What a connection remembers.
#[derive(Debug, Default)]
pub(super) struct Session {
    authenticated: bool,
    /// What CLIENT SETNAME said.
    name: String,
    pub(super) readonly: bool,
    /// Set while a synchronous migration of this connection runs.
    pub(super) migration: Option<Waiting>,
}

/// How a command goes on.
pub(super) enum Step {
    Answer(Resp),
    /// Execute it again soon.
    Wait,
    /// The connection ends without an answer.
    Close,
}

/// An answer, or the whole sentence of an error.
pub(super) type Reply = Result<Resp, String>;

pub(super) fn err(sentence: &str) -> Reply {
    Err(format!("ERR {sentence}"))
}

impl From<Reply> for Step {
    fn from(reply: Reply) -> Self {
        Self::Answer(reply.unwrap_or_else(Resp::Error))
    }
}

impl From<Resp> for Step {
    fn from(answer: Resp) -> Self {
        Self::Answer(answer)
    }
}

impl World {
    /// Executes a command for a connection that the node accepted in its start number `generation`.
    pub(super) fn execute(
        &mut self,
        port: u16,
        generation: u64,
        session: &mut Session,
        command: &[Vec<u8>],
    ) -> Step {
        let Some(process) = self.nodes.get_mut(&port) else {
            return Step::Close;
        };
        if !process.running || process.generation != generation || process.faults.refusing {
            return Step::Close;
        }
        let texts: Vec<String> = command
            .iter()
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect();
        let Some((name, arguments)) = texts.split_first() else {
            return err("Protocol error: an empty command").into();
        };
        let name = name.to_ascii_lowercase();
        if let ("client", [action, client, ..]) = (name.as_str(), arguments)
            && action.eq_ignore_ascii_case("setname")
        {
            session.name.clone_from(client);
        }
        if process.faults.hidden_from.contains(&session.name) {
            return Step::Close;
        }
        if let Err(refusal) = process.admit(session, &name) {
            return Err(refusal).into();
        }
        if process.is_paused(&name) {
            return Step::Wait;
        }
        match name.as_str() {
            "info" => self.info(port, arguments).into(),
            "role" => self.role(port).into(),
            _ => process.execute(session, &name, arguments, &command[1..]),
        }
    }
}

impl Process {
    /// Refuses what a node refuses whatever the command says.
    fn admit(&self, session: &Session, name: &str) -> Result<(), String> {
        let password = !self.memory.requirepass.is_empty();
        if password && !session.authenticated && !["auth", "hello"].contains(&name) {
            return Err("NOAUTH Authentication required.".to_owned());
        }
        let while_loading = ["auth", "hello", "info", "role"].contains(&name);
        if self.faults.loading && !while_loading {
            return Err("LOADING kvrocks is restoring the db from backup".to_owned());
        }
        Ok(())
    }

    /// Does CLIENT PAUSE hold this command back? It holds data commands only, so that a controller can
    /// always look and unpause.
    fn is_paused(&self, name: &str) -> bool {
        let pause = self.memory.pause;
        let pause = pause.filter(|pause| Instant::now() < pause.until);
        pause.is_some_and(|pause| {
            ["set", "del"].contains(&name) || (name == "get" && !pause.writes_only)
        })
    }

    fn execute(
        &mut self,
        session: &mut Session,
        name: &str,
        texts: &[String],
        raw: &[Vec<u8>],
    ) -> Step {
        let reply = match name {
            "ping" => Ok(match texts.first() {
                Some(text) => Resp::bulk(text),
                None => Resp::Simple("PONG".to_owned()),
            }),
            "echo" if raw.len() == 1 => Ok(Resp::Bulk(raw[0].clone())),
            "auth" => self.auth(session, texts),
            "client" => self.client(texts),
            "config" => self.config(texts),
            "select" => Ok(Resp::ok()),
            "command" => Ok(Resp::Array(Vec::new())),
            "readonly" | "readwrite" => {
                session.readonly = name == "readonly";
                Ok(Resp::ok())
            }
            "get" => self.get(session, raw),
            "set" => self.set(session, raw),
            "del" => self.del(session, raw),
            "dbsize" => self.dbsize(),
            "randomkey" => self.random_key(),
            "slaveof" => err("can't change to slave in cluster mode"),
            "cluster" => return self.cluster(texts),
            "clusterx" => return self.clusterx(session, texts),
            // HELLO too, as an old server answers it: clients fall back to RESP2.
            _ => err(&format!(
                "unknown command `{name}`, with args beginning with: "
            )),
        };
        reply.into()
    }

    fn auth(&self, session: &mut Session, arguments: &[String]) -> Reply {
        let [password] = arguments else {
            return err("wrong number of arguments");
        };
        if self.memory.requirepass.is_empty() {
            return err("Client sent AUTH, but no password is set");
        }
        if *password != self.memory.requirepass {
            return err("Invalid password");
        }
        session.authenticated = true;
        Ok(Resp::ok())
    }

    fn client(&mut self, arguments: &[String]) -> Reply {
        let arguments: Vec<String> = arguments.iter().map(|a| a.to_ascii_lowercase()).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments.as_slice() {
            ["setname" | "setinfo", ..] => {}
            ["unpause"] => self.memory.pause = None,
            ["pause", milliseconds, mode @ ..] => {
                let Ok(milliseconds) = milliseconds.parse() else {
                    return err("timeout is not an integer or out of range");
                };
                self.memory.pause = Some(Pause {
                    until: Instant::now() + Duration::from_millis(milliseconds),
                    writes_only: mode == ["write"],
                });
            }
            _ => return err("Syntax error, try CLIENT SETNAME|SETINFO|PAUSE|UNPAUSE"),
        }
        Ok(Resp::ok())
    }

    /// As with the real one, what CONFIG SET changes is gone after a restart.
    fn config(&mut self, arguments: &[String]) -> Reply {
        let Some((action, arguments)) = arguments.split_first() else {
            return err("wrong number of arguments");
        };
        let Some((name, values)) = arguments.split_first() else {
            return err("wrong number of arguments");
        };
        if name.eq_ignore_ascii_case("use-rsid-psync") && action.eq_ignore_ascii_case("get") {
            let value = if self.options.rsid_psync { "yes" } else { "no" };
            return Ok(Resp::Array(vec![Resp::bulk(name), Resp::bulk(value)]));
        }
        let memory = &mut self.memory;
        let setting = match name.to_ascii_lowercase().as_str() {
            "requirepass" => Some(&mut memory.requirepass),
            "masterauth" => Some(&mut memory.masterauth),
            _ => None,
        };
        match (action.to_ascii_lowercase().as_str(), setting, values) {
            ("get", Some(value), []) => Ok(Resp::Array(vec![
                Resp::bulk(name),
                Resp::bulk(value.clone()),
            ])),
            ("get", None, []) => Ok(Resp::Array(Vec::new())),
            ("set", Some(setting), [value]) => {
                setting.clone_from(value);
                Ok(Resp::ok())
            }
            ("set", None, [_]) => err("Unsupported CONFIG parameter"),
            _ => err("CONFIG subcommand must be one of GET, SET"),
        }
    }
}
