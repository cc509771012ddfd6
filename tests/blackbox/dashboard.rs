//! The dashboard shows what the daemon really exports.

use std::collections::{BTreeMap, BTreeSet};

use portolan_tests::{AliRecord, AliStub, Cluster, Port, built_plugins, eventually};
use serde_json::{Value, json};

use crate::dns::{bind, cluster_with_plugins, in_sync};

const DASHBOARD: &str = include_str!("../../examples/grafana/portolan-dns.json");
const ZONE: &str = "example.com";
/// In survivor mode.
const LONE_ZONE: &str = "example.net";
/// What Prometheus itself adds to each series.
const SCRAPED: [&str; 2] = ["job", "instance"];

/// A series as a member exports it.
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

/// One expression of the dashboard, and where it stands.
#[derive(Debug)]
struct Drawn {
    title: String,
    expression: String,
    legend: String,
}

/// The metrics that any text of the dashboard names: in expressions, and where variables come from.
fn metrics(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
            found.extend(
                words
                    .filter(|it| it.starts_with("portolan_"))
                    .map(str::to_owned),
            );
        }
        Value::Array(items) => items.iter().for_each(|item| metrics(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| metrics(field, found)),
        _ => {}
    }
}

/// Every expression with the panel that it is in.
fn expressions(dashboard: &Value) -> Vec<Drawn> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let drawn = panels.filter(|panel| panel["type"] != "row");
    drawn
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap().to_owned();
            let targets = panel["targets"].as_array().unwrap().iter();
            targets.map(move |target| Drawn {
                title: title.clone(),
                expression: target["expr"].as_str().unwrap().to_owned(),
                legend: target["legendFormat"].as_str().unwrap().to_owned(),
            })
        })
        .collect()
}

/// Where variables get their values from: `label_values(selector, label)`.
fn variables(dashboard: &Value) -> Vec<(String, String)> {
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let queries = variables.filter_map(|it| it["query"]["query"].as_str());
    let inside = queries.map(|query| {
        let inside = query.strip_prefix("label_values(");
        inside.and_then(|it| it.strip_suffix(')')).expect(query)
    });
    let parts = inside.map(|it| it.rsplit_once(", ").expect(it));
    parts
        .map(|(selector, label)| (selector.to_owned(), label.to_owned()))
        .collect()
}

/// What stands between the bracket at the beginning of a text and its counterpart.
fn bracketed(text: &str) -> &str {
    let mut open = 0;
    for (at, c) in text.char_indices() {
        open += i32::from("({[".contains(c)) - i32::from(")}]".contains(c));
        if open == 0 {
            return &text[1..at];
        }
    }
    panic!("a bracket stays open: {text}")
}

/// Labels, separated by commas.
fn list(text: &str) -> Vec<String> {
    let labels = text.split(',').map(str::trim);
    labels
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `label=~"value"`.
struct Matcher {
    label: String,
    operator: &'static str,
    value: String,
}

/// Each metric that an expression names, with its matchers.
fn selectors(expression: &str) -> Vec<(String, Vec<Matcher>)> {
    let starts = expression.match_indices("portolan_").map(|(at, _)| at);
    starts
        .map(|at| {
            let rest = &expression[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
            let matchers = match rest.starts_with('{') {
                true => list(bracketed(rest)),
                false => vec![],
            };
            let matchers = matchers.iter().map(|matcher| {
                let operator = ["=~", "!~", "!=", "="];
                let operator = operator.into_iter().find(|it| matcher.contains(it));
                let operator = operator.expect(matcher);
                let (label, value) = matcher.split_once(operator).expect(matcher);
                Matcher {
                    label: label.to_owned(),
                    operator,
                    value: value.trim_matches('"').to_owned(),
                }
            });
            (name.to_owned(), matchers.collect())
        })
        .collect()
}

/// Each `by (…)` of an expression: its labels, and the metrics that it groups.
fn groupings(expression: &str) -> Vec<(Vec<String>, BTreeSet<String>)> {
    let mut found = vec![];
    for (at, by) in expression.match_indices(" by (") {
        let labels = bracketed(&expression[at + by.len() - 1..]);
        let grouped = &expression[at + by.len() + labels.len() + 1..];
        let mut named = BTreeSet::new();
        metrics(&json!(bracketed(grouped.trim_start())), &mut named);
        assert!(!named.is_empty(), "{expression} groups nothing of ours");
        found.push((list(labels), named));
    }
    found
}

/// What is wrong with the labels that an expression names, if anything.
fn mislabelled(drawn: &Drawn, exported: &[Series]) -> Vec<String> {
    let expression = drawn.expression.as_str();
    let mut wrong = vec![];
    for (metric, matchers) in selectors(expression) {
        for Matcher {
            label,
            operator,
            value: wanted,
        } in matchers
        {
            let values = values_of(&metric, &label, exported);
            if SCRAPED.contains(&label.as_str()) {
                continue;
            }
            if values.is_empty() {
                wrong.push(format!("{metric} has no label {label}"));
                continue;
            }
            // What is written out must be a value that there is; a variable is whatever the user chose.
            let written = wanted.split('|').filter(|it| !it.starts_with('$'));
            let strange = written.filter(|it| !values.contains(it));
            wrong.extend(strange.map(|it| format!("{metric} has no {label}{operator}{it}")));
        }
    }
    let groupings = groupings(expression);
    for (labels, metrics) in &groupings {
        for (label, metric) in labels
            .iter()
            .flat_map(|it| metrics.iter().map(move |m| (it, m)))
        {
            let is_there = !values_of(metric, label, exported).is_empty();
            if !is_there && !SCRAPED.contains(&label.as_str()) {
                wrong.push(format!("{metric} has no label {label} to group by"));
            }
        }
    }
    // A legend can only say what the grouping leaves.
    for (at, _) in drawn.legend.match_indices("{{") {
        let rest = &drawn.legend[at + 2..];
        let label = rest.split("}}").next().expect("text").trim();
        let mut left = groupings.iter().map(|(labels, _)| labels);
        let is_left = match groupings.is_empty() {
            true => SCRAPED.contains(&label),
            false => left.any(|labels| labels.iter().any(|it| it == label)),
        };
        if !is_left {
            wrong.push(format!("nothing is left of {label} for the legend"));
        }
    }
    let place = |what| format!("{}: {what}: {expression}", drawn.title);
    wrong.into_iter().map(place).collect()
}

/// The values that a label of a metric has.
fn values_of<'a>(metric: &str, label: &str, exported: &'a [Series]) -> BTreeSet<&'a str> {
    let of_metric = exported.iter().filter(|series| series.name == metric);
    let values = of_metric.filter_map(|series| series.labels.get(label));
    values.map(String::as_str).collect()
}

/// All series of all members.
async fn exported(cluster: &Cluster) -> Result<Vec<Series>, String> {
    let mut exported = vec![];
    for member in cluster.running() {
        let client = cluster.client(member);
        let reply = client.send("GET", "/metrics", &[], "").await?;
        let samples = reply
            .body
            .lines()
            .filter(|line| line.starts_with("portolan_"));
        exported.extend(samples.map(series));
    }
    Ok(exported)
}

/// `name{label="value"} 1`; no value of ours holds a comma or a quote.
fn series(sample: &str) -> Series {
    let (series, _) = sample.rsplit_once(' ').expect(sample);
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = list(labels.trim_end_matches('}'));
    let labels = labels.iter().map(|label| {
        let (label, value) = label.split_once('=').expect(sample);
        (label.to_owned(), value.trim_matches('"').to_owned())
    });
    Series {
        name: name.to_owned(),
        labels: labels.collect(),
    }
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    assert_eq!(
        dashboard["uid"],
        Value::Null,
        "a fixed uid would replace another's"
    );
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(
        variables
            .iter()
            .any(|it| it["name"] == "datasource" && it["type"] == "datasource")
    );
    let expressions = expressions(&dashboard);
    assert!(expressions.len() >= 10, "{expressions:?}");
    for Drawn {
        title, expression, ..
    } in expressions
    {
        let (mut open, mut named) = (0, BTreeSet::new());
        for c in expression.chars() {
            open += i32::from(c == '(') - i32::from(c == ')');
            assert!(open >= 0, "{title}: {expression}");
        }
        assert_eq!(open, 0, "{title}: {expression}");
        metrics(&json!(expression), &mut named);
        assert!(
            !named.is_empty(),
            "{title} shows nothing of ours: {expression}"
        );
    }
    // No panel is bound to the data source that it was drawn with.
    let sources = DASHBOARD.matches("\"type\": \"prometheus\"").count();
    assert_eq!(
        sources,
        DASHBOARD.matches("\"uid\": \"${datasource}\"").count()
    );
}

#[tokio::test]
async fn every_metric_and_label_of_the_dashboard_is_exported() {
    let ali = AliStub::start("id", "secret", &[ZONE, LONE_ZONE]).await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    let client = cluster.client(cluster.leader().await);
    let binding = json!({
        "plugin": "alidns", "settings": {"endpoint": ali.url()}, "hosts": [ali.url()],
        "credentials": {"access-key-id": "id", "access-key-secret": "secret"},
        "zones": [ZONE, LONE_ZONE],
    });
    bind(&client, "ali", &binding).await;
    let sites = [
        ("sh", "default", "192.0.2.1", 1),
        ("bj", "CT", "192.0.2.2", 2),
    ];
    for (code, line, address, member) in sites {
        let site = json!({"lines": [line], "addresses": {"ipv4": [address]}, "member": member});
        let reply = client
            .put(&format!("/api/v1/dns/sites/{code}"), &site)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let service = json!({"zone": ZONE, "record": "www", "types": ["A"], "ttl": 600});
    let reply = client.put("/api/v1/dns/services/shop", &service).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    in_sync(&client, ZONE).await;
    eventually("the records stand", async || match ali.records().len() {
        2 => Ok(()),
        _ => Err(format!("{:?}", ali.records())),
    })
    .await;
    let alone = json!({
        "zone": LONE_ZONE, "record": "www", "types": ["A"], "ttl": 600, "survivor": {},
    });
    let reply = client.put("/api/v1/dns/services/alone", &alone).await;
    assert_eq!(reply.status, 200, "{}", reply.body);

    // A site is down, and the webhook that is to be told is not there either.
    let nowhere = Port::reserve();
    let dead = json!({
        "lines": ["CU"], "addresses": {"ipv4": ["127.0.0.1"]},
        "check": {"type": "tcp", "port": nowhere.number(), "down_after": 1},
    });
    let reply = client.put("/api/v1/dns/sites/gz", &dead).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let url = format!("http://{}/", nowhere.address());
    let hook = json!({"url": url, "allow_private": true});
    let reply = client.put("/api/v1/dns/webhooks/night", &hook).await;
    assert_eq!(reply.status / 100, 2, "{}", reply.body);

    // Somebody changes a record by hand, and a line goes to another site.
    let first: AliRecord = ali.records().remove(0);
    ali.edit(&first.id, |record| record.value = "192.0.2.99".into());
    let reply = client
        .post("/api/v1/dns/sites/bj/drain", &json!(null))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);

    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut named = BTreeSet::new();
    metrics(&dashboard, &mut named);
    assert!(named.len() >= 10, "{named:?}");
    let mut expressions = expressions(&dashboard);
    for (selector, label) in variables(&dashboard) {
        // As if it were drawn by that label.
        expressions.push(Drawn {
            title: format!("variable {label}"),
            expression: format!("max by ({label}) ({selector})"),
            legend: format!("{{{{{label}}}}}"),
        });
    }
    eventually("all metrics and labels are exported", async || {
        let exported = exported(&cluster).await?;
        let names: BTreeSet<String> = exported.iter().map(|it| it.name.clone()).collect();
        let missing: Vec<&String> = named.difference(&names).collect();
        let wrong = expressions.iter().flat_map(|it| mislabelled(it, &exported));
        let wrong: Vec<String> = wrong.collect();
        match missing.is_empty() && wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("not exported: {missing:?}; {wrong:#?}")),
        }
    })
    .await;

    // What this rests on finds what is wrong.
    let exported = exported(&cluster).await.unwrap();
    let bad = [
        ("sum by (zone) (portolan_dns_sites)", ""),
        ("sum(portolan_dns_sites{status=\"up\"})", ""),
        ("sum(portolan_dns_sites{state=~\"up|dead\"})", ""),
        ("sum by (state) (portolan_dns_sites)", "{{zone}}"),
        ("sum(portolan_dns_sites)", "{{state}}"),
    ];
    for (expression, legend) in bad {
        let drawn = Drawn {
            title: "bad".to_owned(),
            expression: expression.to_owned(),
            legend: legend.to_owned(),
        };
        assert_eq!(mislabelled(&drawn, &exported).len(), 1, "{drawn:?}");
    }
}
