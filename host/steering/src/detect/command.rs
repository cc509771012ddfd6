//! A command that the operator of the member enabled: it prints the addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::admissible;
use super::error::Failure;
use super::method::ByCommand;
use crate::family::Family;

/// What is read of each output stream. Bytes.
const MAX_OUTPUT: usize = 4096;
/// What is shown of a failed command's complaint. Characters.
const MAX_COMPLAINT: usize = 200;
/// In the command's environment: `ipv4` or `ipv6`.
const FAMILY_VARIABLE: &str = "PORTOLAN_FAMILY";

/// The addresses that the command prints, separated by blanks or new lines. It may print those of
/// both families; anything else makes the whole output no answer.
pub(super) async fn detect(
    commands: &BTreeMap<String, Vec<String>>,
    family: Family,
    by: &ByCommand,
    timeout: Duration,
) -> Result<Vec<IpAddr>, Failure> {
    let output = run(commands, family, &by.command, timeout).await;
    output
        .and_then(|output| read(&output, family, by.allow_private))
        .map_err(Failure::Nothing)
}

async fn run(
    commands: &BTreeMap<String, Vec<String>>,
    family: Family,
    name: &str,
    timeout: Duration,
) -> Result<String, String> {
    let Some([program, arguments @ ..]) = commands.get(name).map(Vec::as_slice) else {
        return Err(format!(
            "this member enables no command of that name; its operator can, under `commands` in \
             the daemon's configuration: {name} = [\"/path/to/program\"]"
        ));
    };
    let child = Command::new(program)
        .args(arguments)
        .env(FAMILY_VARIABLE, family.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    match tokio::time::timeout(timeout, finish(child)).await {
        Ok(output) => output,
        Err(_) => Err(format!(
            "it was killed, not having ended within {} ms",
            timeout.as_millis()
        )),
    }
}

/// What the command printed, if it succeeded. Dropping this kills it.
async fn finish(mut child: Child) -> Result<String, String> {
    let (output, complaint) = tokio::join!(text(child.stdout.take()), text(child.stderr.take()));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if output.len() > MAX_OUTPUT {
        return Err(format!("it printed more than {MAX_OUTPUT} bytes"));
    }
    if status.success() {
        return Ok(output);
    }
    let complaint: String = complaint.trim().chars().take(MAX_COMPLAINT).collect();
    Err(if complaint.is_empty() {
        format!("it failed: {status}")
    } else {
        format!("it failed: {status}: {complaint}")
    })
}

/// The beginning of a stream, and one byte more where there is more. A program that goes on writing
/// finds the stream closed.
async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was read before an error is as good as what there is.
        let _ = stream
            .take(MAX_OUTPUT as u64 + 1)
            .read_to_end(&mut bytes)
            .await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read(output: &str, family: Family, allow_private: bool) -> Result<Vec<IpAddr>, String> {
    let mut found = Vec::new();
    for word in output.split_whitespace() {
        let address: IpAddr = word
            .parse()
            .map_err(|_| format!("it printed `{word}`, which is not an address"))?;
        if Family::of(address) == family {
            found.push(admissible(address, allow_private)?);
        }
    }
    if found.is_empty() {
        return Err(format!("it printed no {family} address"));
    }
    Ok(found)
}
