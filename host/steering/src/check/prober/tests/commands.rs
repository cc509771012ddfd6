//! Commands.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::json;
use tokio::sync::mpsc;

use super::*;

/// A prober that enables the shell script `script` under the name `it`, with `argument` as `$0`.
fn enabling(script: &str, argument: &str) -> Prober {
    let line = ["sh", "-c", script, argument].map(str::to_owned);
    let options = ProbeOptions {
        commands: [("it".to_owned(), line.to_vec())].into(),
        ..ProbeOptions::default()
    };
    Prober::new(options).unwrap()
}

async fn why_down_by(script: &str) -> Option<String> {
    let prober = enabling(script, "check");
    why_down(&prober, json!({"type": "command", "command": "it"})).await
}

#[tokio::test]
async fn status_0_is_up_and_any_other_is_down_with_what_was_said() {
    assert_eq!(why_down_by("exit 0").await, None);
    assert_eq!(
        why_down_by("exit 3").await.as_deref(),
        Some("the command it ended with status 3")
    );
    assert_eq!(
        why_down_by("echo; echo ' lags behind ' >&2; echo more >&2; exit 2")
            .await
            .as_deref(),
        Some("the command it ended with status 2: lags behind")
    );
}

#[tokio::test]
async fn it_gets_the_address_and_nothing_of_the_daemons_secrets() {
    let script = r#"[ "$PORTOLAN_ADDRESS" = 127.0.0.1 ] && [ -n "$PATH" ] && [ "$0" = check ]"#;
    assert_eq!(why_down_by(script).await, None);
    // The test runner has set this one for us, as an operator may set a key for the daemon.
    let ours = "CARGO_MANIFEST_DIR";
    assert!(std::env::var_os(ours).is_some());
    assert_eq!(why_down_by(&format!("[ -z \"${ours}\" ]")).await, None);
}

#[tokio::test]
async fn it_may_talk_without_end() {
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
    let why = why_down_by(script).await.unwrap();
    assert_eq!(why, "the command it ended with status 1: line 0");
}

#[tokio::test]
async fn what_it_leaves_running_is_not_waited_for() {
    assert_eq!(why_down_by("sleep 60 & exit 0").await, None);
}

#[tokio::test]
async fn at_the_deadline_it_is_down() {
    let check = json!({"type": "command", "command": "it"});
    let why = why_down_within(&enabling("sleep 60", "check"), check, IMPATIENCE).await;
    assert_eq!(why.as_deref(), Some("no answer within 200 ms"));
}

/// As at the deadline, only that the test chooses the moment.
#[tokio::test]
async fn a_probe_that_is_given_up_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut news = follow(&pipe);
    // The sleeper holds the pipe open, and the shell waits for it.
    let script = "(echo begun; sleep 60) > \"$0\"; true";
    let prober = enabling(script, pipe.to_str().unwrap());
    let probe = tokio::spawn(async move {
        let check = check(json!({"type": "command", "command": "it"}));
        prober.probe(HERE, &check, PATIENCE).await
    });
    assert_eq!(news.recv().await.as_deref(), Some("begun"));
    probe.abort();
    let end = tokio::time::timeout(PATIENCE, news.recv()).await;
    assert_eq!(end, Ok(None), "the sleeper lives");
}

/// What is written to the pipe, line by line, until nobody has it open any more.
fn follow(pipe: &Path) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pipe = pipe.to_owned();
    std::thread::spawn(move || {
        for line in BufReader::new(File::open(pipe).unwrap()).lines() {
            let _ = sender.send(line.unwrap());
        }
    });
    receiver
}

#[tokio::test]
async fn a_member_that_cannot_run_it_says_nothing_about_the_target() {
    let check = json!({"type": "command", "command": "it"});
    let why = why_unable(&prober(), HERE, check.clone()).await;
    assert_eq!(why, "this member does not enable the command it");

    let options = ProbeOptions {
        commands: [("it".to_owned(), vec!["/no/such/program".to_owned()])].into(),
        ..ProbeOptions::default()
    };
    let why = why_unable(&Prober::new(options).unwrap(), HERE, check.clone()).await;
    assert!(
        why.starts_with("the command it cannot be run: No such file"),
        "{why}"
    );

    let why = why_unable(&enabling("kill -9 $$", "check"), HERE, check).await;
    assert!(why.contains("signal: 9"), "{why}");
}
