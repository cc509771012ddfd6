//! RESP2: its values, and a client of one connection.

mod client;
mod value;

pub use client::RespClient;
pub use value::Resp;
