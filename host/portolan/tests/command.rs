//! The program, as an operator meets it: exit codes, sentences, signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn portolan(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTOLAN_") {
            command.env_remove(name);
        }
    }
    command
}

fn output(arguments: &[&str]) -> Output {
    portolan(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A daemon on a free port that is ended with the test.
struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
    ready: serde_json::Value,
    _data: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("data");
        let mut child = portolan(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--data",
        ])
        .arg(path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let ready = loop {
            let mut line = String::new();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "it ended before it was ready: {seen}"
            );
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["message"] == "portolan is ready" {
                break event;
            }
            seen += &line;
        };
        let address = ready["listen"].as_str().unwrap().parse().unwrap();
        Self {
            child,
            log,
            address,
            ready,
            _data: data,
        }
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Its exit code and the rest of its log.
    fn ended(&mut self, within: Duration) -> (Option<i32>, String) {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut rest = String::new();
                self.log.read_to_string(&mut rest).unwrap();
                return (status.code(), rest);
            }
            assert!(Instant::now() < deadline, "still running after {within:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_wrong_configuration_is_one_sentence_and_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portolan.toml");
    std::fs::write(&file, "[raft]\nheartbeat = 3\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, sentence) in [
        (
            &["serve", "--listen", "0.0.0.0:0"][..],
            "is not a loopback address",
        ),
        (
            &["serve", "--standby", "--join", "127.0.0.1:1"],
            "exclude one another",
        ),
        (
            &["serve", "--config", "/nowhere.toml"],
            "cannot read the configuration /nowhere.toml",
        ),
        (
            &["serve", "--config", file],
            ":2: there is no option \"raft.heartbeat\"",
        ),
        (
            &["config", "check", "--config", file],
            "the nearest is \"raft.heartbeat_ms\"",
        ),
        (
            &["config", "show", "--advertise", "here"],
            "advertise: \"here\" is not an address",
        ),
    ] {
        let output = output(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(
            text.starts_with("portolan: ") && text.contains(sentence),
            "{arguments:?}: {text}"
        );
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    }
    assert_eq!(
        output(&["serve", "--listne", "127.0.0.1:1"]).status.code(),
        Some(2)
    );
}

#[test]
fn what_fails_at_run_time_is_one_sentence_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = output(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.starts_with(&format!("portolan: cannot listen on {address}: ")),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_server_that_is_not_there_is_one_sentence_and_exit_code_5() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    for arguments in [
        &["namespace", "list", "--server", &address.to_string()][..],
        &[
            "events",
            "a/b",
            "--follow",
            "--server",
            &format!("http://{address}"),
        ],
    ] {
        let output = output(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(5), "{arguments:?}: {text}");
        let sentence = format!("portolan: cannot reach http://{address}: ");
        assert!(text.starts_with(&sentence), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    }
}

#[test]
fn shells_are_told_all_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = output(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("rebalance"), "{shell}: {script}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for arguments in [
        &["completions", "zsh"][..],
        &["config", "show", "--default"],
    ] {
        let mut child = portolan(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(stderr(&output), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn config_prints_the_example_and_what_is_in_force() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/portolan.toml");
    let printed = output(&["config", "show", "--default"]);
    assert_eq!(printed.stdout, std::fs::read(&example).unwrap());

    let check = output(&["config", "check", "--config", example.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(check.stdout).unwrap(),
        "the configuration is right\n"
    );

    let show = portolan(&[
        "config", "show", "--id", "4", "--join", "a:1", "--join", "b:2",
    ])
    .env("PORTOLAN_RAFT_PROFILE", "wan")
    .output()
    .unwrap();
    let shown = String::from_utf8(show.stdout).unwrap();
    for line in [
        "id = 4  # --id",
        "join = [\"a:1\", \"b:2\"]  # --join",
        "profile = \"wan\"  # PORTOLAN_RAFT_PROFILE",
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "{line:?} in\n{shown}"
        );
    }
}

#[test]
fn sigterm_ends_a_daemon_that_is_idle_at_once_and_cleanly() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start();
        assert_eq!(daemon.ready["id"], 1);
        assert_eq!(daemon.ready["advertise"], daemon.address.to_string());

        let mut idle = daemon.send("GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");

        daemon.signal(signal);
        let (code, log) = daemon.ended(Duration::from_secs(8));
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("portolan has stopped"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_the_daemon_in_the_middle_of_a_request() {
    let mut daemon = Daemon::start();
    let _waiting = daemon.send("POST /write HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{");
    std::thread::sleep(Duration::from_millis(200));
    daemon.signal(Signal::SIGTERM);
    let mut line = String::new();
    while !line.contains("shutting down") {
        line.clear();
        assert_ne!(daemon.log.read_line(&mut line).unwrap(), 0);
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        daemon.child.try_wait().unwrap().is_none(),
        "it waits for the request"
    );
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.ended(Duration::from_secs(2));
    assert_eq!(code, Some(1), "{log}");
}
