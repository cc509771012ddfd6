//! The machine, with a service that is a list.

use std::{cell::RefCell, time::Duration};

use super::*;
use crate::{
    Clock, CredentialError, HmacChain,
    dns::{RecordKey, RecordSet, RecordValue, Throttle},
    http::{RawRequest, RawResponse, SendError},
    message::{MessageError, Request as Message},
};

/// The service below needs nothing of the outside.
struct Nothing;

impl Host for Nothing {
    fn send(&self, _: &RawRequest) -> Result<RawResponse, SendError> {
        Err(SendError::NotSent("there is no network".to_owned()))
    }

    fn exchange(&self, _: &Message) -> Result<Vec<u8>, MessageError> {
        Err(MessageError::NotSent("there is no network".to_owned()))
    }

    fn transfer(&self, _: &Message) -> Result<Vec<Vec<u8>>, MessageError> {
        Err(MessageError::NotSent("there is no network".to_owned()))
    }

    fn hmac(&self, _: &HmacChain) -> Result<Vec<u8>, CredentialError> {
        Ok(Vec::new())
    }

    fn now(&self) -> Clock {
        Clock {
            seconds: 0,
            nanoseconds: 0,
        }
    }

    fn sleep(&self, _: Duration) {}

    fn log(&self, _: Level, _: &str, _: &[(&str, &str)]) {}
}

/// A service that has failures in store: for the write after so many others.
#[derive(Default)]
struct List {
    records: RefCell<Vec<Record>>,
    writes: RefCell<Vec<String>>,
    failure: Option<(usize, Failure)>,
    reads: RefCell<Vec<Option<String>>>,
    /// This read and all after it fail.
    last_read: Option<usize>,
}

impl List {
    fn write(&self, what: String) -> Result<(), Failure> {
        let before = self.writes.borrow().len();
        self.writes.borrow_mut().push(what);
        match &self.failure {
            Some((at, failure)) if *at == before => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    fn apply(&self, changes: Vec<Change>) -> Vec<Result<Outcome, Error>> {
        apply(self, &Nothing, "example.com", changes).unwrap()
    }
}

impl Records for List {
    const TYPES: &'static [&'static str] = &["A"];

    fn records(&self, _: &dyn Host, _: &str, name: Option<&str>) -> Result<Vec<Record>, Error> {
        let before = self.reads.borrow().len();
        self.reads.borrow_mut().push(name.map(str::to_owned));
        if self.last_read.is_some_and(|last| before > last) {
            return Err(Error::Transient("no connection".to_owned()));
        }
        let mut records = self.records.borrow().clone();
        records.retain(|record| name.is_none_or(|name| record.key.name == name));
        Ok(records)
    }

    fn normalize(&self, _: &str, wanted: RecordSet) -> Result<RecordSet, Error> {
        Ok(wanted)
    }

    fn add(
        &self,
        _: &dyn Host,
        _: &str,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        self.write(format!("add {}", value.content))?;
        let mut records = self.records.borrow_mut();
        let id = records.len().to_string();
        records.push(Record {
            id,
            key: set.key.clone(),
            ttl: set.ttl,
            value: value.clone(),
            locked: None,
            extras: String::new(),
        });
        Ok(())
    }

    fn update(
        &self,
        _: &dyn Host,
        _: &str,
        record: &Record,
        set: &RecordSet,
        value: &RecordValue,
    ) -> Result<(), Failure> {
        self.write(format!("update {} {}", record.id, value.content))?;
        for known in self.records.borrow_mut().iter_mut() {
            if known.id == record.id {
                known.ttl = set.ttl;
                known.value = value.clone();
            }
        }
        Ok(())
    }

    fn delete(&self, _: &dyn Host, _: &str, record: &Record) -> Result<(), Failure> {
        self.write(format!("delete {}", record.id))?;
        self.records
            .borrow_mut()
            .retain(|known| known.id != record.id);
        Ok(())
    }
}

fn set(name: &str, rtype: &str, line: &str, contents: &[&str]) -> RecordSet {
    let value = |content: &&str| RecordValue {
        content: (*content).to_owned(),
        weight: None,
        enabled: true,
    };
    RecordSet {
        key: RecordKey {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            line: line.to_owned(),
            set_id: String::new(),
        },
        ttl: 600,
        values: contents.iter().map(value).collect(),
        comment: None,
        handle: String::new(),
        extras: String::new(),
    }
}

fn change(before: Option<RecordSet>, after: Option<RecordSet>) -> Change {
    let key = before.as_ref().or(after.as_ref()).unwrap().key.clone();
    Change { key, before, after }
}

fn www(contents: &[&str]) -> RecordSet {
    set("www.example.com", "A", "default", contents)
}

#[test]
fn a_set_comes_changes_and_goes() {
    let list = List::default();
    let (one, two) = (
        www(&["192.0.2.1", "192.0.2.2"]),
        www(&["192.0.2.2", "192.0.2.3"]),
    );
    let came = || change(None, Some(one.clone()));
    assert_eq!(list.apply(vec![came()]), [Ok(Outcome::Applied)]);
    assert_eq!(list.apply(vec![came()]), [Ok(Outcome::Already)]);
    let moved = change(Some(one), Some(two.clone()));
    assert_eq!(list.apply(vec![moved.clone()]), [Ok(Outcome::Applied)]);
    let gone = change(Some(www(&["192.0.2.9"])), None);
    assert_eq!(list.apply(vec![gone]), [Ok(Outcome::Stale)]);
    let gone = change(Some(two), None);
    assert_eq!(list.apply(vec![gone]), [Ok(Outcome::Applied)]);
    assert_eq!(
        *list.writes.borrow(),
        [
            "add 192.0.2.1",
            "add 192.0.2.2",
            "update 0 192.0.2.3",
            "delete 0",
            "delete 1"
        ]
    );
}

#[test]
fn many_names_are_read_at_once() {
    let changes = |count: u32| -> Vec<Change> {
        let wanted = |n| set(&format!("n{n}.example.com"), "A", "default", &["192.0.2.1"]);
        (0..count).map(|n| change(None, Some(wanted(n)))).collect()
    };
    let list = List::default();
    list.apply(changes(8));
    assert_eq!(list.reads.borrow().len(), 8);
    list.apply(changes(9));
    assert_eq!(list.reads.borrow()[8..], [None]);
}

#[test]
fn a_locked_record_is_refused_before_anything_is_written() {
    let list = List::default();
    let before = www(&["192.0.2.1"]);
    list.apply(vec![change(None, Some(before.clone()))]);
    list.records.borrow_mut()[0].locked = Some("is locked; ask Bob".to_owned());
    let after = www(&["192.0.2.2", "192.0.2.3"]);
    let results = list.apply(vec![change(Some(before), Some(after))]);
    let text = "www.example.com A: the record 0 (192.0.2.1) is locked; ask Bob";
    assert_eq!(results, [Err(Error::Conflict(text.to_owned()))]);
    assert_eq!(list.writes.borrow().len(), 1);
}

#[test]
fn a_failure_is_told_by_what_was_done_before_it() {
    let error = Error::Transient("no connection".to_owned());
    let both = || change(None, Some(www(&["192.0.2.1", "192.0.2.2"])));
    let failing = |at, failure| List {
        failure: Some((at, failure)),
        ..List::default()
    };
    let list = failing(0, Failure::Other(error.clone()));
    assert_eq!(list.apply(vec![both()]), [Err(error.clone())]);
    let list = failing(1, Failure::Other(error.clone()));
    let text = "after 1 of 2 steps: no connection".to_owned();
    assert_eq!(
        list.apply(vec![both()]),
        [Err(Error::UnknownOutcome(text.clone()))]
    );

    let list = failing(0, Failure::Gone(error.clone()));
    assert_eq!(list.apply(vec![both()]), [Ok(Outcome::Stale)]);
    let list = failing(1, Failure::Gone(error.clone()));
    assert_eq!(
        list.apply(vec![both()]),
        [Err(Error::UnknownOutcome(text.clone()))]
    );

    // The look whether the duplicate is what was wanted fails, too.
    let list = List {
        last_read: Some(0),
        ..failing(1, Failure::Duplicate(Error::Conflict("there".to_owned())))
    };
    assert_eq!(list.apply(vec![both()]), [Err(Error::UnknownOutcome(text))]);
}

#[test]
fn a_duplicate_is_an_error_unless_all_stands_as_wanted() {
    let conflict = Error::Conflict("it is there".to_owned());
    let list = List {
        failure: Some((0, Failure::Duplicate(conflict.clone()))),
        ..List::default()
    };
    let wanted = || change(None, Some(www(&["192.0.2.1"])));
    assert_eq!(list.apply(vec![wanted()]), [Err(conflict)]);
}

#[test]
fn throttling_stops_the_calls() {
    let throttled = Error::Throttled(Throttle {
        message: "slow".to_owned(),
        retry_after_ms: Some(3000),
    });
    let list = List {
        failure: Some((1, Failure::Other(throttled.clone()))),
        ..List::default()
    };
    let wanted = |n: u32| {
        let name = format!("n{n}.example.com");
        change(None, Some(set(&name, "A", "default", &["192.0.2.1"])))
    };
    assert_eq!(
        list.apply((0..4).map(wanted).collect()),
        [
            Ok(Outcome::Applied),
            Err(throttled.clone()),
            Err(throttled.clone()),
            Err(throttled)
        ]
    );
    assert_eq!(list.writes.borrow().len(), 2);
}

fn alone(name: &str, rtype: &str, line: &str, wanted: bool) -> Change {
    let set = set(name, rtype, line, &["192.0.2.1"]);
    if wanted {
        change(None, Some(set))
    } else {
        change(Some(set), None)
    }
}

#[test]
fn deletes_come_last_save_for_what_stands_in_the_way() {
    let changes = [
        alone("gone.example.com", "A", "default", false),
        alone("www.example.com", "A", "default", true),
        alone("www.example.com", "CNAME", "default", false),
        alone("www.example.com", "CNAME", "CT", false),
        alone("new.example.com", "A", "default", true),
    ];
    assert_eq!(order(&changes), [4, 2, 1, 0, 3]);
}

#[test]
fn the_default_line_comes_first_and_goes_last() {
    let changes = [
        alone("new.example.com", "A", "CT", true),
        alone("new.example.com", "A", "default", true),
        alone("gone.example.com", "A", "default", false),
        alone("gone.example.com", "A", "CT", false),
    ];
    assert_eq!(order(&changes), [1, 0, 3, 2]);
}
