//! What the provider says when answers get lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use bench::{Bench, ZONE};
use portolan_plugin::{
    Provider,
    dns::{Error, Outcome},
    testing::{create, set},
};
use portolan_vendors::{Trouble, Vendor, When};

const AFTER_THE_ACT: [Trouble; 3] = [Trouble::Silence, Trouble::Cut, Trouble::Nonsense];

fn reads_can_be_made_again(bench: &Bench) {
    for trouble in AFTER_THE_ACT {
        for name in [None, Some("view.example.com")] {
            assert!(bench.server.trouble(When::Reads, trouble));
            let read = bench.provider.read(&bench.host, ZONE, name, None);
            assert!(
                matches!(read, Err(Error::Transient(_))),
                "{trouble:?}: {read:?}"
            );
            assert_eq!(bench.server.clear_troubles(), 0);
        }
        bench.server.trouble(When::Reads, trouble);
        let change = create(set("unread.example.com", "A", &["192.0.2.1"]));
        let made = bench.provider.apply(&bench.host, ZONE, vec![change]);
        assert!(
            matches!(made, Err(Error::Transient(_))),
            "{trouble:?}: {made:?}"
        );
    }
    assert_eq!(bench.shown("unread"), [""; 0]);
}

fn a_write_may_have_been_made(bench: &Bench) {
    for (number, trouble) in AFTER_THE_ACT.into_iter().enumerate() {
        let name = format!("lost-{number}");
        let wanted = set(&format!("{name}.{ZONE}"), "A", &["192.0.2.1"]);
        bench.server.trouble(When::Writes, trouble);
        let [Err(Error::UnknownOutcome(_))] = &bench.apply(vec![create(wanted.clone())])[..] else {
            panic!("{trouble:?} is not unknown")
        };
        assert_eq!(bench.shown(&name), ["600 A 192.0.2.1"]);
        assert_eq!(bench.apply(vec![create(wanted)]), [Ok(Outcome::Already)]);
    }
}

/// What came after the lost message was not sent, so nothing of it can have been made.
fn what_follows_a_lost_message_is_not_tried(bench: &Bench) {
    let name = |number: usize| format!("many-{number}.{ZONE}");
    let changes = (0..201).map(|number| create(set(&name(number), "A", &["192.0.2.1"])));
    bench.server.trouble(When::Writes, Trouble::Silence);
    let mut results = bench.apply(changes.collect());
    let last = results.pop().unwrap();
    assert!(
        matches!(&last, Err(Error::Transient(text)) if text.starts_with("not tried")),
        "{last:?}"
    );
    let unknown = |result: &Result<Outcome, Error>| matches!(result, Err(Error::UnknownOutcome(_)));
    assert!(results.iter().all(unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_bind() {
    let bench = Bench::bind().await;
    reads_can_be_made_again(&bench);
    a_write_may_have_been_made(&bench);
    what_follows_a_lost_message_is_not_tried(&bench);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_knot() {
    let bench = Bench::knot().await;
    reads_can_be_made_again(&bench);
    a_write_may_have_been_made(&bench);
    what_follows_a_lost_message_is_not_tried(&bench);
}
