//! Alarms as a webhook hears them, and webhooks as a server sees them.

mod hearing;
mod sending;
