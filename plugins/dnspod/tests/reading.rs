//! The provider against a stand-in for the service: what it reads.

mod bench;

use bench::{SECRET_ID, SECRET_KEY, ZONE, bench, bench_with, set};
use portolan_plugin::{
    Host, Provider,
    dns::{Error, Outcome},
    testing::{TestHost, create},
};
use portolan_vendors::DnspodRecord;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_is_read_over_all_its_pages() {
    let bench = bench().await;
    for n in 0..3_203 {
        bench.stub.insert(DnspodRecord::new(
            &format!("n{}", n / 2),
            "A",
            &format!("192.0.{}.{}", n / 250, n % 250),
        ));
    }
    let sets = bench.read(None);
    assert_eq!(sets.len(), 1_602);
    let values: usize = sets.iter().map(|set| set.values.len()).sum();
    assert_eq!(values, 3_203);
    assert_eq!(bench.stub.requests(), vec!["DescribeRecordList"; 2]);

    let wanted = |n: u32| {
        create(set(
            &format!("m{n}.example.com"),
            "A",
            "default",
            &["192.0.2.1"],
        ))
    };
    assert_eq!(
        bench.apply((0..9).map(wanted).collect()),
        vec![Ok(Outcome::Applied); 9]
    );
    let requests = bench.stub.requests().split_off(2);
    let reads = requests
        .iter()
        .filter(|action| action.starts_with("Describe"));
    assert_eq!(reads.count(), 2, "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_changes_between_pages_is_not_taken_for_smaller() {
    let bench = bench().await;
    let ids: Vec<u64> = (0..3_100)
        .map(|n| {
            let name = format!("n{n}");
            bench
                .stub
                .insert(DnspodRecord::new(&name, "A", "192.0.2.1"))
        })
        .collect();
    // The newest record goes after the first page, so that one moves from the second page to the first.
    let newest = ids[3_099];
    let direct = TestHost::on_loopback();
    let stub = std::rc::Rc::new(bench.stub);
    let watched = stub.clone();
    let host = TestHost::new(move |request| {
        let reply = direct.send(request);
        watched.remove(newest);
        reply
    })
    .credential("secret-id", SECRET_ID)
    .credential("secret-key", SECRET_KEY);
    let read = bench.provider.read(&host, ZONE, None, None);
    assert!(
        matches!(&read, Err(Error::Transient(text)) if text.contains("changed meanwhile")),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_name_is_read() {
    let bench = bench().await;
    for name in ["www", "a.www", "awww", "@"] {
        bench.stub.insert(DnspodRecord::new(name, "A", "192.0.2.1"));
    }
    assert_eq!(bench.only("www.example.com").key.name, "www.example.com");
    assert_eq!(bench.only("example.com").key.name, "example.com");
    assert_eq!(bench.read(None).len(), 4);
    assert_eq!(bench.read(Some("nothing.example.com")), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_zone_is_empty_and_foreign_types_are_left_out() {
    let bench = bench().await;
    assert_eq!(bench.read(None), []);
    bench
        .stub
        .insert(DnspodRecord::new("www", "显性URL", "https://example.net"));
    assert_eq!(bench.read(None), []);
    assert_eq!(bench.read(Some("www.example.com")), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_listed_with_their_smallest_ttl() {
    let bench = bench().await;
    let page = bench.provider.zones(&bench.host, None).unwrap();
    let zones: Vec<_> = page
        .zones
        .iter()
        .map(|zone| (zone.name.as_str(), zone.min_ttl))
        .collect();
    assert_eq!(zones, [(ZONE, Some(1)), ("example.net", Some(600))]);
    assert_eq!(page.next, None);

    let many: Vec<String> = (0..3_050).map(|n| format!("zone{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let bench = bench_with(&many).await;
    let first = bench.provider.zones(&bench.host, None).unwrap();
    assert_eq!(first.zones.len(), 3_000);
    assert_eq!(first.next.as_deref(), Some("3000"));
    let second = bench.provider.zones(&bench.host, Some("3000")).unwrap();
    assert_eq!((second.zones.len(), second.next), (50, None));
    let behind = bench.provider.zones(&bench.host, Some("9000")).unwrap();
    assert_eq!((behind.zones.len(), behind.next), (0, None));
    let wrong = bench.provider.zones(&bench.host, Some("x"));
    assert!(matches!(wrong, Err(Error::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_listed_by_our_codes_and_their_names() {
    let bench = bench().await;
    let lines = bench.provider.lines(&bench.host, ZONE).unwrap();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| (line.code.as_str(), line.label.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            ("default", "默认"),
            ("CT", "电信"),
            ("CU", "联通"),
            ("CMCC", "移动"),
            ("CNEdu", "教育网"),
            ("OverSea", "境外"),
            ("浙江电信", "浙江电信"),
            ("80=7", "default"),
        ]
    );
}
