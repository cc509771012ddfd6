//! A provider that makes things up is caught, and harms no more than it does itself.

use super::fixtures::{Rig, data, eventually, set};
use crate::status::{TroubleKind, ZoneState};
use crate::twin::Lie;

const WWW: (&str, &[&str]) = ("www A", &["192.0.2.1"]);
const FTP: (&str, &[&str]) = ("ftp A", &["192.0.2.2"]);

/// A zone in sync, with a record of somebody else's; then the provider begins to lie, and something
/// more is wanted.
async fn lied_to(lie: impl FnOnce(&Rig)) -> Rig {
    let rig = Rig::bound().await;
    rig.twin.put(set("aaa A", &["192.0.2.99"]));
    rig.want(&[WWW]).await;
    let work = rig.work();
    rig.in_sync().await;
    work.stop().await;
    lie(&rig);
    rig.want(&[WWW, FTP]).await;
    rig
}

/// Nothing is written on what cannot be true, and the status says why.
async fn is_refused(rig: &Rig, reason: &str) {
    let written = rig.twin.applied().len();
    let work = rig.work();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let status = rig.status().await;
        let told = status.error.unwrap_or_default();
        if status.state == ZoneState::Failing && told.contains(reason) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{told}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(rig.twin.applied().len(), written, "nothing was written");
    work.stop().await;
    rig.twin.heal();
    let work = rig.work();
    rig.in_sync().await;
    assert_eq!(rig.at("ftp A"), Some(data(300, FTP.1)));
    work.stop().await;
}

#[tokio::test]
async fn sets_of_another_zone_are_not_taken_for_this_one() {
    let rig = lied_to(|rig| rig.twin.lie(Lie::ReadsAnotherZone)).await;
    is_refused(&rig, "as a part of it").await;
}

#[tokio::test]
async fn a_set_that_is_read_twice_is_not_believed() {
    let rig = lied_to(|rig| rig.twin.lie(Lie::ReadsTwice)).await;
    is_refused(&rig, "twice").await;
}

#[tokio::test]
async fn a_cursor_that_comes_again_for_ever_ends() {
    let rig = lied_to(|rig| rig.twin.lie(Lie::RepeatsCursor)).await;
    is_refused(&rig, "go in a circle").await;
}

#[tokio::test]
async fn an_answer_about_another_set_than_asked_is_no_answer() {
    let rig = lied_to(|rig| rig.twin.lie(Lie::NormalizesAnother)).await;
    let work = rig.work();
    let mut told = String::new();
    for _ in 0..1_000 {
        let status = rig.status().await;
        told = status.troubles.into_iter().map(|it| it.reason).collect();
        if told.contains("answered about") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(told.contains("answered about"), "{told}");
    assert_eq!(rig.at("ftp A"), None);
    assert_eq!(rig.at("www A"), Some(data(300, WWW.1)), "it stays as it is");
    work.stop().await;
}

#[tokio::test]
async fn changes_that_were_not_made_are_found_out_and_tried_ever_more_seldom() {
    let rig = lied_to(|rig| rig.twin.lie(Lie::ChangesNothing)).await;
    let work = rig.work();
    let claimed = || {
        let applied = rig.twin.applied();
        applied
            .iter()
            .filter(|it| it.key.name.as_str().starts_with("ftp"))
            .count()
    };
    eventually("it is asked again", || claimed() >= 3).await;
    let mut told = String::new();
    for _ in 0..1_000 {
        let status = rig.status().await;
        told = status.troubles.into_iter().map(|it| it.reason).collect();
        if told.contains("does not stay so") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(told.contains("does not stay so"), "{told}");
    assert_eq!(rig.at("ftp A"), None);
    rig.twin.heal();
    eventually("it comes true", || rig.at("ftp A").is_some()).await;
    work.stop().await;
}

#[tokio::test]
async fn a_neighbour_that_is_changed_along_is_noticed() {
    let rig = lied_to(|rig| rig.twin.lie(Lie::ChangesAnother)).await;
    let work = rig.work();
    let noticed = async |rig: &Rig| {
        for _ in 0..1_000 {
            let mut troubles = rig.status().await.troubles.into_iter();
            if let Some(it) = troubles.find(|it| it.kind == TroubleKind::Beside) {
                return it.key.to_string();
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("nobody noticed");
    };
    let key = noticed(&rig).await;
    assert!(key.contains("aaa"), "{key}");

    // Once may be a colleague; always is the plugin.
    for number in 10..40 {
        rig.want(&[WWW, ("ftp A", &[&format!("192.0.2.{number}")])])
            .await;
        let wanted = format!("192.0.2.{number}");
        let mut stopped = false;
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            let status = rig.status().await;
            stopped = status
                .error
                .is_some_and(|told| told.contains("times in a row"));
            let stands = rig
                .at("ftp A")
                .is_some_and(|at| at.values[0].content == wanted);
            if stopped || stands {
                break;
            }
        }
        if stopped {
            return work.stop().await;
        }
    }
    panic!("it went on writing through a provider that changes what is not its own");
}
