//! DNS steering from the command line, against a stand-in for Alibaba Cloud DNS.

use std::fs;
use std::process::Stdio;

use portolan_tests::{AliStub, Cluster, PATIENCE, Port, built_plugins, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::ran::{Ran, command, ran, with_input};
use crate::dns::cluster_with_plugins;

pub(super) const KEY_ID: &str = "LTAI-of-a-test";
pub(super) const SECRET: &str = "the-secret-of-a-test-account";
const ZONE: &str = "example.com";

/// A group, and the account that its zones are in.
pub(super) struct Scene {
    pub(super) group: Cluster,
    pub(super) ali: AliStub,
    pub(super) home: TempDir,
}

impl Scene {
    /// A group whose account `ali` serves the first of the zones.
    pub(super) async fn new(zones: &[&str]) -> Self {
        let scene = Self {
            group: cluster_with_plugins(&built_plugins()).await,
            ali: AliStub::start(KEY_ID, SECRET, zones).await,
            home: TempDir::new().unwrap(),
        };
        let file = scene.home.path().join("key-id");
        fs::write(&file, format!("{KEY_ID}\n")).unwrap();
        let url = scene.ali.url();
        let set = format!(
            "dns providers set ali --plugin alidns --zone {} --setting endpoint={url} --host {url} \
             --credential-file access-key-id={} --credential-env access-key-secret=THE_SECRET",
            zones[0],
            file.display(),
        );
        let set = ran(command(&scene.group, &set).env("THE_SECRET", SECRET)).await;
        assert_eq!(set.done(), "provider ali is set\n");
        scene
    }

    pub(super) async fn portolan(&self, line: &str) -> Ran {
        ran(&mut command(&self.group, line)).await
    }

    /// Runs a command that does as it is asked, and says this.
    async fn says(&self, line: &str, sentence: &str) {
        let said = self.portolan(line).await.done();
        assert_eq!(said, format!("{sentence}\n"), "{line}");
    }

    /// Waits until a command shows a line with these words in this order.
    async fn shows(&self, line: &str, words: &str) -> String {
        eventually(&format!("{line} shows {words:?}"), async || {
            let shown = self.portolan(line).await;
            match has_row(&shown.stdout, words) {
                true => Ok(shown.stdout),
                false => Err(format!("{}{}", shown.stdout, shown.stderr)),
            }
        })
        .await
    }

    /// The values of www by the provider's own code of the line.
    async fn www(&self, line: &str, address: &str) {
        eventually(&format!("www on {line} is {address}"), async || {
            let records = self.ali.records();
            let mut own = records
                .iter()
                .filter(|it| it.rr == "www" && it.line == line);
            match own.any(|record| record.value == address) {
                true => Ok(()),
                false => Err(format!("{records:?}")),
            }
        })
        .await;
    }
}

/// Whether a line of a table begins with these words.
fn has_row(table: &str, words: &str) -> bool {
    let wanted: Vec<&str> = words.split_whitespace().collect();
    let mut rows = table.lines().map(|line| line.split_whitespace().collect());
    rows.any(|row: Vec<&str>| row.starts_with(&wanted))
}

/// Two sites, and a service at both.
async fn shop() -> Scene {
    let scene = Scene::new(&[ZONE]).await;
    let sh = "dns sites set sh --name Shanghai --line default --line CT:10 --ipv4 192.0.2.1";
    scene.says(sh, "site sh is set").await;
    let bj = "dns sites set bj --line CU --ipv4 192.0.2.2 --fallback 10";
    scene.says(bj, "site bj is set").await;
    let shop = "dns services set shop --zone example.com --record www --type A --ttl 600";
    scene.says(shop, "service shop is set").await;
    scene.www("telecom", "192.0.2.1").await;
    scene.www("unicom", "192.0.2.2").await;
    scene
}

#[tokio::test]
async fn sites_and_services_are_made_shown_drained_and_deleted() {
    let scene = shop().await;
    let listed = scene.shows("dns sites list", "bj up CU 192.0.2.2").await;
    assert!(has_row(&listed, "CODE NAME STATE"), "{listed}");
    assert!(
        has_row(&listed, "sh Shanghai up default, CT:10 192.0.2.1"),
        "{listed}"
    );
    let shown = scene.shows("dns services show shop", "CT ipv4 sh").await;
    let title = "shop: www.example.com A in example.com at ali, TTL 600s, follows all sites\n";
    assert!(shown.starts_with(title), "{shown}");

    // What is not given stays; what `set` leaves to its default is not touched by another field.
    scene
        .says("dns sites set sh --fallback none", "site sh is set")
        .await;
    scene
        .says("dns sites set sh --weight 3", "site sh is set")
        .await;
    let site = scene.portolan("dns sites show sh --json").await.json();
    let kept = json!([
        site["fallback"],
        site["weight"],
        site["name"],
        site["lines"][1]
    ]);
    let line = json!({"line": "CT", "priority": 10});
    assert_eq!(kept, json!([Value::Null, 3, "Shanghai", line]));

    let applied = scene.portolan("dns apply example.com --wait").await.done();
    assert!(applied.ends_with("done\n"), "{applied}");
    let plan = scene.portolan("dns plan").await.done();
    assert_eq!(plan, "example.com at ali: nothing to change\n");
    let status = scene.shows("status", "Zones: 1 in-sync").await;
    assert!(status.starts_with("Nothing is in trouble.\n"), "{status}");
    assert!(has_row(&status, "Sites: 2 up"), "{status}");

    scene.says("dns drain sh", "site sh is drained").await;
    scene.shows("dns services show shop", "CT ipv4 bj").await;
    scene.www("telecom", "192.0.2.2").await;
    let listed = scene.portolan("dns services list").await.done();
    assert!(
        has_row(&listed, "shop www.example.com A 600 all sites ali CT bj,"),
        "{listed}"
    );
    let events = scene.portolan("dns events").await.done();
    assert!(
        events.contains(" site ") && events.contains(" line "),
        "{events}"
    );
    let history = eventually("the history tells of the change", async || {
        let history = scene.portolan("dns history example.com").await.done();
        match history.contains("update") {
            true => Ok(history),
            false => Err(history),
        }
    })
    .await;
    assert!(history.contains("600s 192.0.2.1") && history.contains("600s 192.0.2.2"));
    let status = scene.portolan("status --json").await.json();
    assert_eq!(
        status["ok"], true,
        "what an operator asked for is no trouble: {status}"
    );

    let resumed = "site sh is resumed: its health decides again";
    scene.says("dns sites resume sh", resumed).await;
    scene.www("telecom", "192.0.2.1").await;
    scene
        .says("dns services delete shop", "service shop is deleted")
        .await;
    scene
        .says("dns sites delete bj", "site bj is deleted")
        .await;
    assert_eq!(scene.portolan("dns sites show bj").await.code, Some(3));
}

#[tokio::test]
async fn status_tells_at_a_glance_and_by_its_exit_code_that_a_site_is_down() {
    let scene = shop().await;
    let nobody = Port::reserve();
    let check =
        json!({"type": "tcp", "port": nobody.number(), "down_after": 1, "interval_ms": 200});
    let check = format!("dns sites set sh --check {check} --check-address 127.0.0.1");
    scene.says(&check, "site sh is set").await;
    let status = eventually("the status tells of the site", async || {
        let status = scene.portolan("status").await;
        match status.stdout.contains("site sh is down") {
            true => Ok(status),
            false => Err(status.stdout),
        }
    })
    .await;
    assert_eq!(status.code, Some(1), "{}", status.stdout);
    assert!(
        status.stdout.starts_with("In trouble:\n  "),
        "{}",
        status.stdout
    );
    assert!(has_row(&status.stdout, "sh down"), "{}", status.stdout);
    assert!(status.stderr.starts_with("portolan: "), "{}", status.stderr);
    scene.www("telecom", "192.0.2.2").await;

    scene
        .says("dns sites force sh up", "site sh is forced up")
        .await;
    scene.www("telecom", "192.0.2.1").await;
    let status = scene.shows("status", "sh forced").await;
    assert!(
        has_row(&status, "MEMBER ADDRESS ROLE HEARD STATE"),
        "{status}"
    );
    assert_eq!(status.matches(" ready\n").count(), 3, "{status}");
}

#[tokio::test]
async fn records_are_shown_and_replaced_and_a_plan_says_what_that_would_do() {
    let scene = Scene::new(&[ZONE]).await;
    let set = async |line: &str, body: Value| {
        with_input(command(&scene.group, line), &body.to_string()).await
    };
    let mail = json!([{"name": "mail", "type": "A", "ttl": 600, "values": ["192.0.2.7"]}]);
    let line = "dns records example.com --file -";
    assert_eq!(
        set(line, mail).await.done(),
        "1 record set wanted in example.com\n"
    );
    let shown = scene.portolan("dns records example.com").await.done();
    assert!(
        has_row(&shown, "mail.example.com A default 600 192.0.2.7"),
        "{shown}"
    );
    scene.shows("dns zones", "example.com ali in-sync 1").await;

    let empty = set(line, json!([])).await.failed(1);
    assert!(empty.contains("allow_empty"), "{empty}");
    let all = format!("{line} --allow-empty");
    assert_eq!(
        set(&all, json!([])).await.done(),
        "0 record sets wanted in example.com\n"
    );

    // A record that stands there and is not ours is refused, and the plan says so.
    scene
        .ali
        .insert(portolan_tests::AliRecord::new("www", "A", "192.0.2.99"));
    let www = json!([{"name": "www", "type": "A", "ttl": 600, "values": ["192.0.2.1"]}]);
    set(line, www).await.done();
    let plan = scene
        .shows("dns plan example.com", "! www.example.com A refused")
        .await;
    assert!(
        !plan.contains('\u{1b}'),
        "colours are for terminals: {plan}"
    );
    let json = scene.portolan("dns plan example.com --json").await.json();
    assert_eq!(
        json["zones"][0]["refused"].as_array().map(Vec::len),
        Some(1)
    );
    let waited = scene.portolan("dns apply --wait").await;
    assert_eq!(waited.code, Some(1), "{}", waited.stdout);
    assert!(
        waited.stderr.contains("1 record set refused"),
        "{}",
        waited.stderr
    );
}

#[tokio::test]
async fn accounts_show_no_secret_and_grants_are_added() {
    let scene = Scene::new(&[ZONE]).await;
    let shown = scene.portolan("dns providers show ali").await.done();
    let listed = scene.portolan("dns providers list --json").await.done();
    for text in [&shown, &listed] {
        assert!(!text.contains(SECRET) && !text.contains(KEY_ID), "{text}");
    }
    let granted = scene
        .portolan("dns providers grant ali dns.example:8443")
        .await;
    let sentence = format!(
        "provider ali may ask {}, dns.example:8443\n",
        scene.ali.url()
    );
    assert_eq!(granted.done(), sentence);
    let set = "dns providers set ali --zone example.com --setting endpoint=http://nowhere.example";
    scene.says(set, "provider ali is set").await;
    let listed = scene.portolan("dns providers list").await.done();
    assert!(
        listed.contains("access-key-id, access-key-secret"),
        "{listed}"
    );
    assert!(listed.contains("dns.example:8443"), "{listed}");
    let deleted = "provider ali is deleted";
    scene.says("dns providers delete ali", deleted).await;
}

#[tokio::test]
async fn events_are_followed() {
    let scene = Scene::new(&[ZONE]).await;
    let mut child = command(&scene.group, "dns events --follow")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    scene
        .says("dns sites set sh --ipv4 192.0.2.1", "site sh is set")
        .await;
    scene.says("dns drain sh", "site sh is drained").await;
    let seen = timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it ended");
            if line.contains("drain") {
                break line;
            }
        }
    });
    let seen = seen.await.expect("no word of the drain");
    assert!(seen.contains(" site ") && seen.contains("sh"), "{seen}");
}

#[tokio::test]
async fn every_failure_of_steering_is_a_sentence_and_has_its_exit_code() {
    let scene = Scene::new(&[ZONE]).await;
    let nobody = Port::reserve();
    let nobody = format!("status --server 127.0.0.1:{}", nobody.number());
    for (line, code, part) in [
        ("dns sites show nowhere", 3, "nowhere"),
        ("dns sites drain nowhere", 3, "nowhere"),
        ("dns services show nothing", 3, "nothing"),
        ("dns sites set sh", 2, "--line"),
        ("dns sites set sh --file /nowhere", 2, "/nowhere"),
        ("dns sites set sh --weight 0", 1, "at weight"),
        (
            "dns services set shop --zone other.example --record www",
            3,
            "other.example",
        ),
        (
            "dns services set shop --zone example.com --record www --sites nowhere",
            1,
            "nowhere",
        ),
        (
            "dns providers set ali --credential-file access-key-id=/nowhere",
            2,
            "/nowhere",
        ),
        (
            "dns providers set ali --credential-env access-key-id=NO_SUCH_VARIABLE",
            2,
            "NO_SUCH_VARIABLE",
        ),
        (&nobody, 5, "cannot reach http://127.0.0.1:"),
    ] {
        let complaint = scene.portolan(line).await.failed(code);
        assert!(complaint.contains(part), "{line}: {complaint}");
    }
    for line in [
        "dns",
        "dns sites set a.b --weight 1",
        "dns sites set sh --line CT --file -",
        "dns sites set sh --check-tcp 1 --no-check",
        "dns sites set sh --ipv4 ::1",
        "dns sites force sh sideways",
        "dns services set shop --follow c",
        "dns services set shop --spread --file -",
        "dns plan a..b",
    ] {
        let ran = scene.portolan(line).await;
        assert_eq!(ran.code, Some(2), "{line}: {}{}", ran.stdout, ran.stderr);
    }
    let completions = scene.portolan("completions bash").await.done();
    for word in ["--check-http", "--credential-env", "--secret-file"] {
        assert!(completions.contains(word), "no {word} in the completions");
    }
}
