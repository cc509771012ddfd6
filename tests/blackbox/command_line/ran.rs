//! Running the binary, and what came of it.

use std::fs;
use std::process::{Output, Stdio};

use portolan_tests::{Cluster, KvrocksNode, KvrocksOptions};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::stage::Stage;

/// How a command ended.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    /// What it printed, after it was done.
    pub(super) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    pub(super) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// Its complaint: one sentence, and nothing on stdout.
    pub(super) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        assert!(self.stderr.starts_with("portolan: "), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        self.stderr
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command of the binary that the members run, which asks one of them.
pub(super) fn command(group: &Cluster, line: &str) -> Command {
    let running = &group.members[group.running()[0]];
    let binary = format!("/proc/{}/exe", running.running().id());
    let mut command = Command::new(fs::read_link(binary).unwrap());
    for (name, _) in std::env::vars() {
        if name.starts_with("PORTOLAN_") {
            command.env_remove(name);
        }
    }
    command
        .args(line.split_whitespace())
        .env("PORTOLAN_SERVER", running.address())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl<N, W> Stage<N, W> {
    /// A command that asks a member.
    pub(super) fn command(&self, line: &str) -> Command {
        command(&self.group, line)
    }

    pub(super) async fn portolan(&self, line: &str) -> Ran {
        ran(&mut self.command(line)).await
    }

    /// `migrate cancel`, `pause` or `resume`.
    pub(super) async fn change(&self, action: &str, migration: &str) -> Ran {
        let line = format!("migrate {action} ns/c {migration}");
        self.portolan(&line).await
    }
}

impl Stage {
    /// A node that is in no cluster.
    pub(super) async fn spare(&self, password: &str) -> KvrocksNode {
        let options = KvrocksOptions {
            password: password.into(),
            ..KvrocksOptions::default()
        };
        self.net.start_with(options).await
    }
}

/// Runs a command to its end.
pub(super) async fn ran(command: &mut Command) -> Ran {
    command.output().await.unwrap().into()
}

/// The same, with this on its stdin.
pub(super) async fn with_input(mut command: Command, text: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    child.wait_with_output().await.unwrap().into()
}
