//! The README's tour of lines, pasted into bash as it stands.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use portolan_tests::{Daemon, PATIENCE, Port, built_plugins};
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");
const MAKEFILE: &str = include_str!("../../Makefile");
const SECTION: &str = "## A tour of lines\n";
/// What `make run` starts a daemon with.
const LINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/lines.txt");
/// Between two looks of somebody who waits.
const PAUSE: Duration = Duration::from_millis(500);

/// A block of commands, and the block under it: what they print.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    commands: String,
    prints: Option<Vec<String>>,
}

/// The steps of a section of the README.
fn steps(section: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = vec![];
    let mut is_under_commands = false;
    let mut lines = section.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            is_under_commands &= line.is_empty();
            continue;
        };
        let block: Vec<String> = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(str::to_owned)
            .collect();
        match (kind, steps.last_mut()) {
            ("sh", _) => steps.push(Step {
                commands: block.join("\n"),
                prints: None,
            }),
            ("", Some(step)) if is_under_commands => step.prints = Some(block),
            _ => panic!("a block of {kind:?} that no command prints: {block:?}"),
        }
        is_under_commands = kind == "sh";
    }
    steps
}

/// What is to be said again after more patience: all that comes after the last time to wait.
fn after_waiting(commands: &str) -> Option<&str> {
    let (_, rest) = commands.rsplit_once("sleep ")?;
    let end = rest.find([';', '\n'])?;
    Some(&rest[end + 1..])
}

/// A running bash. What it started in the background ends with it.
struct Shell {
    bash: Child,
    says: Option<ChildStdin>,
    hears: BufReader<ChildStdout>,
}

impl Shell {
    fn start() -> Self {
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc"]);
        bash.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut bash = bash.spawn().expect("start bash");
        let says = bash.stdin.take();
        let hears = BufReader::new(bash.stdout.take().expect("its output"));
        let mut shell = Self { bash, says, hears };
        shell.say("trap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
        shell
    }

    fn say(&mut self, text: &str) {
        let says = self.says.as_mut().expect("it listens");
        says.write_all(text.as_bytes()).expect("bash runs");
    }

    /// The lines that commands print.
    fn run(&mut self, commands: &str) -> Vec<String> {
        const END: &str = "== the end of what was printed ==";
        self.say(&format!("{commands}\nprintf '\\n%s\\n' '{END}'\n"));
        let lines = (&mut self.hears).lines().map(|line| line.expect("text"));
        let mut lines: Vec<String> = lines.take_while(|line| line != END).collect();
        // The end begins a line of its own, whether or not there was one.
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Nothing more is said, so it ends.
        self.says = None;
        let _ = self.bash.wait();
    }
}

#[test]
fn steps_are_found_with_what_they_print() {
    let section =
        "text\n\n```sh\nls\n```\n\n```\na\nb\n```\n\n```sh\nsleep 3; ct\ncu\n```\n\ntext\n";
    let found = steps(section);
    let printed = ["a", "b"].map(str::to_owned).to_vec();
    let wanted =
        [("ls", Some(printed)), ("sleep 3; ct\ncu", None)].map(|(commands, prints)| Step {
            commands: commands.to_owned(),
            prints,
        });
    assert_eq!(found, wanted);
    assert_eq!(after_waiting(&found[0].commands), None);
    assert_eq!(after_waiting(&found[1].commands), Some(" ct\ncu"));
}

#[tokio::test]
async fn the_tour_of_lines_prints_what_the_readme_says() {
    // A daemon as `make run` starts it.
    for option in [
        "PORTOLAN_DNS_LINES=examples/lines.txt",
        "serve --plugins $(DIST) --dns-listen 127.0.0.1:8453",
    ] {
        assert!(MAKEFILE.contains(option), "`make run` without {option}");
    }
    let home = TempDir::new().expect("create a temporary directory");
    let (dns, web) = (Port::reserve(), Port::reserve());
    let mut daemon = Daemon::new(home.path(), 1)
        .config(&format!("[dns]\nlines = {LINES:?}\n"))
        .plugins(&built_plugins())
        .argument("--dns-listen")
        .argument(&dns.address());
    daemon.start_ready().await;

    let (_, section) = README.split_once(SECTION).expect("the tour");
    let section = section.split("\n## ").next().expect("text");
    let api: SocketAddr = daemon.address().parse().expect("an address");
    let section = section
        .replace("8420", &api.port().to_string())
        .replace("8453", &dns.number().to_string())
        .replace("9001", &web.number().to_string());
    let steps = steps(&section);
    assert!(steps.iter().filter(|step| step.prints.is_some()).count() >= 4);

    let mut shell = Shell::start();
    for Step { commands, prints } in &steps {
        // A zsh that is typed into knows no comments.
        assert!(!commands.contains(" #"), "{commands}");
        let mut found = shell.run(commands);
        println!("{commands}\n=> {found:#?}");
        let Some(wanted) = prints else { continue };
        // A person waits as long as it says; on a machine that is busy everybody waits longer.
        let began = Instant::now();
        while let Some(again) = after_waiting(commands)
            && found != *wanted
            && began.elapsed() < PATIENCE
        {
            tokio::time::sleep(PAUSE).await;
            found = shell.run(again);
        }
        assert_eq!(found, *wanted, "{commands}");
    }
}
