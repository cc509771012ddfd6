//! Commands that the operator of this member enabled.

use std::io;
use std::net::IpAddr;
use std::process::{ExitStatus, Stdio};

use futures_util::FutureExt as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::ProbeFailure;

/// Where a command finds the address that it is to check.
const ADDRESS: &str = "PORTOLAN_ADDRESS";
/// How much of what a command says goes into the sentence.
const MAX_WORDS: usize = 200;
/// How much of it is kept until then.
const MAX_KEPT: usize = 4096;

/// Status 0 is up, any other is down; one that a signal ended did not get as far as to say so.
pub(super) async fn run(
    name: &str,
    program: &str,
    arguments: &[String],
    address: IpAddr,
) -> Result<(), ProbeFailure> {
    let unable = |error: &io::Error| {
        ProbeFailure::Unable(format!("the command {name} cannot be run: {error}"))
    };
    let mut group = Group::start(program, arguments, address).map_err(|error| unable(&error))?;
    let (status, said) = group.finish().await.map_err(|error| unable(&error))?;
    match (status.success(), status.code()) {
        (true, _) => Ok(()),
        (false, Some(code)) => Err(ProbeFailure::Down(sentence(name, code, &said))),
        (false, None) => Err(ProbeFailure::Unable(format!(
            "the command {name} ended by {status}"
        ))),
    }
}

/// A command and all that it starts: a process group of its own. Dropped before its end, at the
/// deadline for instance, it is killed whole: a shell's children would otherwise outlive it.
struct Group(Child);

impl Group {
    fn start(program: &str, arguments: &[String], address: IpAddr) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env(ADDRESS, address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.spawn().map(Self)
    }

    /// Waits for the command itself, not for what it left running, and answers what it said on its
    /// standard error.
    async fn finish(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut said = Vec::new();
        let Some(mut stderr) = self.0.stderr.take() else {
            return Ok((self.0.wait().await?, said));
        };
        let status = tokio::select! {
            status = self.0.wait() => status?,
            () = keep_reading(&mut stderr, &mut said) => self.0.wait().await?,
        };
        // What it said last may still be in the pipe.
        let _rest = keep_reading(&mut stderr, &mut said).now_or_never();
        Ok((status, said))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It has an id until it has been waited for, so this is no other process's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // An error means that the group is gone already.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// Reads to the end, so that the writer never waits, and keeps the beginning.
async fn keep_reading(from: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let room = MAX_KEPT - kept.len();
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
}

fn sentence(name: &str, code: i32, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let first_line = said.lines().map(str::trim).find(|line| !line.is_empty());
    match first_line {
        None => format!("the command {name} ended with status {code}"),
        Some(line) => {
            let visible = line.chars().filter(|c| !c.is_control()).take(MAX_WORDS);
            let line: String = visible.collect();
            format!("the command {name} ended with status {code}: {line}")
        }
    }
}
