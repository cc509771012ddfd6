//! Who is told when something is wrong, and when it is right again.
//!
//! [`Alarms`] decides, without any I/O, what a webhook is to be told: each open [`Condition`] once, a
//! reminder now and then, and one resolved event for each alarm that was told. [`Sender`] tells it, in
//! the form that the webhook's service wants. A round on the leader goes, for each webhook:
//!
//! ```text
//! let due = alarms.step(&open, &options, now);      // the conditions that the webhook wants
//! for message in due {
//!     let delivery = match sender.send(&webhook, &message).await { Ok(()) => Delivered, Err(error) => error.delivery() };
//!     alarms.record(&message, delivery, now);
//! }
//! // store `alarms`, so that the next leader goes on from here
//! ```

mod alarms;
mod answer;
mod body;
mod mask;
mod message;
mod sender;
mod sign;
mod template;
#[cfg(test)]
mod tests;
mod webhook;

pub use self::alarms::{AlarmOptions, Alarms, Delivery};
pub use self::message::{Condition, Message, MessageState};
pub use self::sender::{SendError, SendOptions, Sender};
pub use self::template::Template;
pub use self::webhook::{Webhook, WebhookFormat, WebhookView};
