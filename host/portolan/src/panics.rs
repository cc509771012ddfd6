//! A panic ends the task it happens in, is counted and logged. The daemon goes on.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;

use prometheus::{IntCounter, Registry};

/// Counts panics in `portolan_panics_total` and logs them from now on.
pub fn install(registry: &Registry) -> Result<(), prometheus::Error> {
    let counter = IntCounter::new(
        "portolan_panics_total",
        "Panics. Each ended one task and is a defect: the log names its place.",
    )?;
    registry.register(Box::new(counter.clone()))?;
    panic::set_hook(Box::new(move |info| {
        counter.inc();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        tracing::error!(
            place,
            thread = std::thread::current().name().unwrap_or("unnamed"),
            backtrace = backtrace.map(tracing::field::display),
            "a task panicked: {}",
            message(info.payload())
        );
    }));
    Ok(())
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_task_alone_and_is_counted() {
        let registry = Registry::new();
        install(&registry).unwrap();
        let ended = tokio::spawn(async { panic!("on purpose") }).await;
        let _ = panic::take_hook();
        assert!(ended.unwrap_err().is_panic());
        let family = registry
            .gather()
            .into_iter()
            .find(|family| family.name() == "portolan_panics_total");
        assert_eq!(
            family.unwrap().get_metric()[0].get_counter().get_value(),
            1.0
        );
    }

    #[test]
    fn both_kinds_of_message_are_read() {
        assert_eq!(message(&"text"), "text");
        assert_eq!(message(&String::from("owned")), "owned");
        assert_eq!(message(&5), "without a message");
    }
}
