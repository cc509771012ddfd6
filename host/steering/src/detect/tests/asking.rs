//! Interfaces, sources and commands.

use super::*;
use crate::outbound::stub::{Answer, Stub};

fn private_sources(urls: &[String]) -> Value {
    json!([{"method": "sources", "urls": urls, "allow_private": true}])
}

/// Asks stubs that give these answers.
async fn asked(answers: Vec<Answer>) -> Result<Vec<IpAddr>, DetectError> {
    let mut stubs = Vec::new();
    for answer in answers {
        stubs.push(Stub::new([answer]).await);
    }
    let urls: Vec<String> = stubs.iter().map(Stub::url).collect();
    v4(private_sources(&urls)).await
}

#[tokio::test]
async fn two_sources_that_agree_are_believed() {
    let found = asked(vec![
        Answer::ok("当前 IP：8.8.8.8  来自于：上海"),
        Answer::ok(r#"{"ip":"8.8.8.8"}"#),
    ]);
    assert_eq!(found.await.unwrap(), addresses(&["8.8.8.8"]));
}

#[tokio::test]
async fn a_liar_a_babbler_and_a_sleeper_are_outvoted() {
    let found = asked(vec![
        Answer::ok("9.9.9.9"),
        Answer::ok("<html>please log in</html>"),
        Answer::Hang,
        Answer::ok("8.8.8.8"),
        Answer::Drop,
        Answer::ok("8.8.8.8\n"),
    ]);
    assert_eq!(found.await.unwrap(), addresses(&["8.8.8.8"]));
}

#[tokio::test]
async fn disagreement_is_no_answer_and_names_who_said_what() {
    let error = asked(vec![Answer::ok("8.8.8.8"), Answer::ok("9.9.9.9")]).await;
    let error = error.unwrap_err();
    assert!(error.is_disagreement());
    let text = error.to_string();
    assert!(
        text.starts_with("no ipv4 address found: sources: they disagree: http://127.0.0.1:"),
        "{text}"
    );
    assert!(
        text.contains("/ says 8.8.8.8, ") && text.ends_with("says 9.9.9.9"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_answer_is_told_for_each_source() {
    let long = "8.8.8.8 ".repeat(1000);
    let redirect = Answer::Page(
        302,
        "location: http://127.0.0.1/\r\n".into(),
        "8.8.8.8".into(),
    );
    let error = asked(vec![
        Answer::ok("8.8.8.8"),
        Answer::ok("8.8.8.8 or 9.9.9.9"),
        Answer::Page(500, String::new(), "8.8.8.8".into()),
        redirect,
        Answer::ok(&long),
        Answer::Hang,
        Answer::ok("224.0.0.1"),
    ])
    .await
    .unwrap_err();
    assert!(!error.is_disagreement());
    let text = error.to_string();
    for sentence in [
        "two must agree, but fewer answered",
        "several addresses, among them 8.8.8.8 and 9.9.9.9",
        "it answers 500",
        "redirects are not followed",
        "longer than 4096 bytes",
        "no answer within 1500 ms",
        "224.0.0.1 is no address of a host",
    ] {
        assert!(text.contains(sentence), "{sentence}: {text}");
    }
}

#[tokio::test]
async fn private_sources_and_answers_take_a_choice() {
    let (one, two) = (
        Stub::new([Answer::ok("10.0.0.1")]).await,
        Stub::new([Answer::ok("10.0.0.1")]).await,
    );
    let urls = [one.url(), two.url()];
    let error = v4(json!([{"method": "sources", "urls": urls}])).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.1 is not a global address; `allow_private`"),
        "{error}"
    );
    assert!(one.asked().is_empty(), "it was not even asked");
    assert_eq!(
        v4(private_sources(&urls)).await.unwrap(),
        addresses(&["10.0.0.1"])
    );
}

#[tokio::test]
async fn a_source_is_asked_over_the_family_alone() {
    let stubs = [
        Stub::at("127.0.0.1:0", Answer::ok("2400:3200::1")).await,
        Stub::at("127.0.0.1:0", Answer::ok("2400:3200::1")).await,
    ];
    let urls = stubs.each_ref().map(Stub::url);
    let methods = methods(private_sources(&urls));
    let error = detector(json!({})).detect(Family::Ipv6, &methods).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1 has no ipv6 address"), "{error}");
    assert!(stubs.iter().all(|stub| stub.asked().is_empty()));
}

#[tokio::test]
async fn sources_over_ipv6_answer_for_ipv6() {
    let stubs = [
        Stub::at("[::1]:0", Answer::ok("2400:3200::1")).await,
        Stub::at("[::1]:0", Answer::ok("2400:3200::1")).await,
    ];
    let urls = stubs.each_ref().map(Stub::url);
    let methods = methods(private_sources(&urls));
    let found = detector(json!({})).detect(Family::Ipv6, &methods).await;
    assert_eq!(found.unwrap(), addresses(&["2400:3200::1"]));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_no_source() {
    let directory = tempfile::tempdir().unwrap();
    let files = ["one.pem", "two.pem"].map(|name| directory.path().join(name));
    let one = Stub::tls(&files[0], Answer::ok("8.8.8.8")).await;
    let two = Stub::tls(&files[1], Answer::ok("8.8.8.8")).await;
    let urls = [&one, &two].map(|stub| format!("https://localhost:{}/", stub.address.port()));

    let error = v4(private_sources(&urls)).await.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(one.asked().is_empty() && two.asked().is_empty());

    let both = directory.path().join("both.pem");
    let pem = files.map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&both, pem.concat()).unwrap();
    let trusting = Detector::new(DetectOptions {
        extra_ca_file: Some(both),
        ..DetectOptions::default()
    });
    let methods = methods(private_sources(&urls));
    let found = trusting.unwrap().detect(Family::Ipv4, &methods).await;
    assert_eq!(found.unwrap(), addresses(&["8.8.8.8"]));
}

#[tokio::test]
async fn the_loopback_interface_has_its_address() {
    let lo = json!([{"method": "interface", "name": "lo", "allow_private": true}]);
    assert_eq!(v4(lo.clone()).await.unwrap(), addresses(&["127.0.0.1"]));
    let v6 = detector(json!({})).detect(Family::Ipv6, &methods(lo)).await;
    assert_eq!(v6.unwrap(), addresses(&["::1"]));
    let public = v4(json!([{"method": "interface", "name": "lo"}])).await;
    assert_eq!(
        public.unwrap_err().to_string(),
        "no ipv4 address found: interface lo: it has no usable address: 127.0.0.1 is not a global \
         address"
    );
    let absent = v4(json!([{"method": "interface", "name": "none0"}])).await;
    assert!(
        absent
            .unwrap_err()
            .to_string()
            .contains("there is no such interface")
    );
}

#[tokio::test]
async fn methods_are_tried_in_order() {
    let found = v4(json!([
        {"method": "interface", "name": "none0"},
        {"method": "interface", "name": "lo", "allow_private": true},
        {"method": "command", "command": "never-run"},
    ]));
    assert_eq!(found.await.unwrap(), addresses(&["127.0.0.1"]));
    let nothing = v4(json!([])).await.unwrap_err().to_string();
    assert_eq!(nothing, "no ipv4 address found: no method is given");
}

#[tokio::test]
async fn commands_print_addresses() {
    let shell = |script: &str| json!(["sh", "-c", script]);
    let detector = detector(json!({
        "both": shell("echo 9.9.9.9 8.8.8.8; echo 2400:3200::1"),
        "family": shell("test $PORTOLAN_FAMILY = ipv6 && echo 2400:3200::2"),
        "private": shell("echo 10.0.0.1"),
        "babbles": shell("echo 8.8.8.8 is it"),
        "silent": shell("true"),
        "fails": shell("echo 8.8.8.8; echo the router is gone >&2; exit 3"),
        "hangs": shell("sleep 1000"),
        "endless": shell("yes 8.8.8.8"),
        "missing": ["/nonexistent/program"],
    }));
    let run = async |family: Family, name: &str| {
        let methods = methods(json!([{"method": "command", "command": name}]));
        let found = detector.detect(family, &methods).await;
        found.map_err(|error| error.to_string())
    };
    let found = run(Family::Ipv4, "both").await.unwrap();
    assert_eq!(found, addresses(&["8.8.8.8", "9.9.9.9"]));
    let found = run(Family::Ipv6, "both").await.unwrap();
    assert_eq!(found, addresses(&["2400:3200::1"]));
    let found = run(Family::Ipv6, "family").await.unwrap();
    assert_eq!(found, addresses(&["2400:3200::2"]));
    for (name, sentence) in [
        ("private", "10.0.0.1 is not a global address"),
        ("babbles", "printed `is`"),
        ("silent", "printed no ipv4 address"),
        ("fails", "exit status: 3: the router is gone"),
        ("hangs", "killed, not having ended within 1500 ms"),
        ("endless", "printed more than 4096 bytes"),
        ("missing", "cannot be started"),
        ("unknown", "this member enables no command of that name"),
    ] {
        let error = run(Family::Ipv4, name).await.unwrap_err();
        assert!(error.contains(sentence), "{name}: {error}");
    }
}

#[test]
fn wrong_options_are_named() {
    for (options, at) in [
        (json!({"commands": {"x": []}}), "commands.x"),
        (json!({"timeout_ms": 0}), "timeout_ms"),
        (
            json!({"extra_ca_file": "/nonexistent/ca.pem"}),
            "extra_ca_file",
        ),
    ] {
        let options: DetectOptions = serde_json::from_value(options).unwrap();
        let error = Detector::new(options).err().unwrap();
        assert_eq!(error.at(), Some(at));
    }
}
