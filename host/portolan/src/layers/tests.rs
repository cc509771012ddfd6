use std::fs;

use super::*;

/// A file with this text, in a directory of its own.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portolan.toml");
    fs::write(&path, text).unwrap();
    (directory, path)
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    let (_directory, path) = file(text);
    load(Some(&path), [], vec![])
}

fn from_variables(pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(None, variables(pairs), vec![])
}

/// The error's sentence, without the directory that the file stands in.
fn sentence(outcome: Result<Loaded, ConfigError>) -> String {
    let text = outcome.unwrap_err().to_string();
    text.rfind("/portolan.toml")
        .map_or(text.clone(), |at| text[at + 1..].to_owned())
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(load(None, [], vec![]).unwrap().config, Config::default());
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let (_directory, path) = file(
        "listen = \"127.0.0.1:1\"\ndata = \"/file\"\nid = 7\n[raft]\nprofile = \"wan\"\nlog_keep = 1\n",
    );
    let environment = variables(&[
        ("PORTOLAN_LISTEN", "127.0.0.1:2"),
        ("PORTOLAN_DATA", "/variable"),
        ("PORTOLAN_RAFT_LOG_KEEP", "2"),
    ]);
    let flag = Flag {
        path: "listen",
        name: "--listen",
        value: "127.0.0.1:3".into(),
    };
    let loaded = load(Some(&path), environment, vec![flag]).unwrap();

    assert_eq!(loaded.config.listen.port(), 3);
    assert_eq!(loaded.config.data, PathBuf::from("/variable"));
    assert_eq!(loaded.config.id, Some(7));
    assert_eq!(loaded.config.raft.log_keep, 2);
    assert_eq!(loaded.config.raft.profile, portolan_consensus::Profile::Wan);
    assert_eq!(
        loaded.config.raft.snapshot_after,
        Config::default().raft.snapshot_after
    );

    let shown = loaded.to_string();
    let path = path.display();
    for line in [
        "listen = \"127.0.0.1:3\"  # --listen".to_owned(),
        "data = \"/variable\"  # PORTOLAN_DATA".to_owned(),
        format!("id = 7  # {path}:3"),
        format!("profile = \"wan\"  # {path}:5"),
        "log_keep = 2  # PORTOLAN_RAFT_LOG_KEEP".to_owned(),
        "standby = false  # default".to_owned(),
        "# advertise: not set".to_owned(),
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "{line:?} in\n{shown}"
        );
    }
}

#[test]
fn what_show_prints_is_a_file_that_makes_the_same_configuration() {
    let given = from_file(
        "join = [\"a:1\", \"b:2\"]\nid = 3\n[raft]\nelection_ms = [300, 350]\n[log]\nlevel = \"debug\"\n",
    )
    .unwrap();
    let again = from_file(&given.to_string()).unwrap();
    assert_eq!(again.config, given.config);
}

#[test]
fn variables_take_the_type_of_their_option() {
    let loaded = from_variables(&[
        ("PORTOLAN_ID", "3"),
        ("PORTOLAN_DATA", "2024"),
        ("PORTOLAN_ADVERTISE", "m1.example.com:8420"),
        ("PORTOLAN_JOIN", "a:1, b:2"),
        ("PORTOLAN_INSECURE", "true"),
        ("PORTOLAN_RAFT_ELECTION_MS", "300,350"),
        ("PORTOLAN_RAFT_READ", "lease"),
        ("PORTOLAN_LOG_FORMAT", "json"),
        ("PORTOLAN_PLUGINS", ""),
    ]);
    let config = loaded.unwrap().config;
    assert_eq!(config.id, Some(3));
    assert_eq!(config.data, PathBuf::from("2024"));
    assert_eq!(config.advertise.as_deref(), Some("m1.example.com:8420"));
    assert_eq!(config.join, ["a:1", "b:2"]);
    assert!(config.insecure);
    assert_eq!(config.raft.election_ms, Some((300, 350)));
    assert_eq!(config.raft.read, portolan_consensus::ReadMode::Lease);
    assert_eq!(config.log.format, crate::config::LogFormat::Json);
    assert_eq!(config.plugins, None);
    assert_eq!(
        from_variables(&[("PORTOLAN_JOIN", "a:1")])
            .unwrap()
            .config
            .join,
        ["a:1"]
    );
}

#[test]
fn a_wrong_variable_is_named_with_what_it_should_be() {
    let error = sentence(from_variables(&[("PORTOLAN_ID", "three")]));
    assert!(
        error.starts_with("PORTOLAN_ID: invalid type: string \"three\", expected u64"),
        "{error}"
    );
    let error = sentence(from_variables(&[("PORTOLAN_LISTEN", "localhost")]));
    assert!(
        error.starts_with("PORTOLAN_LISTEN: invalid socket address"),
        "{error}"
    );
    let error = sentence(from_variables(&[("PORTOLAN_RAFT_PROFILE", "moon")]));
    assert!(error.contains("expected `lan` or `wan`"), "{error}");
}

#[test]
fn a_variable_that_sets_nothing_is_a_warning_with_the_nearest_that_does() {
    let loaded = from_variables(&[
        ("PORTOLAN_LISTN", "127.0.0.1:2"),
        ("PORTOLAN_CONFIG", "/etc/portolan.toml"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(
        loaded.unwrap().warnings,
        ["the variable PORTOLAN_LISTN sets no option; the nearest that does is PORTOLAN_LISTEN"]
    );
}

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_the_nearest_key() {
    for (text, expected) in [
        (
            "id = 1\nlistn = \"a\"",
            "portolan.toml:2: there is no option \"listn\"; the nearest is \"listen\"",
        ),
        (
            "[raft]\n\nheart_beat_ms = 1",
            "portolan.toml:3: there is no option \"raft.heart_beat_ms\"; the nearest is \"raft.heartbeat_ms\"",
        ),
        (
            "heartbeat_ms = 1",
            "portolan.toml:1: there is no option \"heartbeat_ms\"; the nearest is \"raft.heartbeat_ms\"",
        ),
        (
            "[logs]\nlevel = \"info\"",
            "portolan.toml:2: there is no option \"logs.level\"; the nearest is \"log.level\"",
        ),
    ] {
        assert_eq!(sentence(from_file(text)), expected);
    }
}

#[test]
fn what_is_wrong_in_the_file_is_shown_with_line_and_column() {
    let error = sentence(from_file("id = 1\ndata = \n"));
    assert!(error.starts_with("portolan.toml:2:"), "{error}");
    let error = sentence(from_file("[raft]\nlog_keep = \"many\""));
    assert_eq!(
        error,
        "portolan.toml:2:12: invalid type: string \"many\", expected u64"
    );
    let error = sentence(from_file("raft = 3"));
    assert!(error.starts_with("portolan.toml:1:"), "{error}");
    let error = load(Some(Path::new("/nowhere/portolan.toml")), [], vec![]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read the configuration /nowhere/portolan.toml: ")
    );
}

#[test]
fn rules_among_options_are_kept() {
    for (text, expected) in [
        ("listen = \"0.0.0.0:1\"", "is not a loopback address"),
        (
            "listen = \"0.0.0.0:1\"\ninsecure = true",
            "names no address that other members can dial",
        ),
        (
            "listen = \"[::]:1\"\ninsecure = true\nadvertise = \"0.0.0.0:1\"",
            "cannot dial it",
        ),
        (
            "advertise = \"host\"",
            "advertise: \"host\" is not an address of the form host:port",
        ),
        ("join = [\"a:1\", \"b\"]", "join: \"b\" is not an address"),
        ("join = [\"a:1\"]\nstandby = true", "exclude one another"),
        ("id = 0", "they start at 1"),
        (
            "[log]\nlevel = \"loud=loud\"",
            "log.level = \"loud=loud\" cannot be understood",
        ),
    ] {
        let error = from_file(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?} says {error:?}");
    }
    assert!(from_file("listen = \"[::1]:1\"").is_ok());
    assert!(from_file("listen = \"10.0.0.1:1\"\ninsecure = true").is_ok());
}

/// The example file says everything and nothing else: as it stands it is the default, and with the
/// options that have no default uncommented it names every option.
#[test]
fn the_example_shows_every_option_at_its_default() {
    let example = crate::config::EXAMPLE;
    assert_eq!(from_file(example).unwrap().config, Config::default());

    let is_option = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let whole: String = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(commented) if is_option(commented) => format!("{commented}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let document = DeTable::parse(&whole).unwrap();
    let mut found = Vec::new();
    keys("", document.get_ref(), &options(), &mut found);
    let found: Vec<String> = found.into_iter().map(|(key, _)| key).collect();
    for option in options().keys() {
        assert!(
            found.contains(option),
            "{option} is missing from examples/portolan.toml"
        );
    }
    for option in found {
        assert!(options().contains_key(&option), "{option} is no option");
    }
}

#[test]
fn an_option_can_be_a_map() {
    let text = "[checks]\ncommands = { lag = [\"/bin/lag\", \"-v\"] }";
    let config = from_file(text).unwrap().config;
    assert_eq!(config.checks.commands["lag"], ["/bin/lag", "-v"]);
    let section = "[checks.commands]\nlag = [\"/bin/lag\"]";
    let loaded = from_file(section).unwrap();
    assert_eq!(loaded.config.checks.commands["lag"], ["/bin/lag"]);
    assert!(loaded.to_string().contains("lag"), "{loaded}");
}

#[test]
fn secrets_are_never_shown() {
    let value = Value::from("hunter2");
    assert_eq!(shown("admin_token", &value), "\"***\"");
    assert_eq!(shown("password", &value), "\"***\"");
    assert_eq!(shown("max_key_bytes", &Value::from(4096)), "4096");
}
