//! Server-sent events (WHATWG HTML, 9.2.6), as far as a server of ours sends them.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// The number to go on from, where the server gave one.
    pub(super) id: Option<String>,
    /// What kind; empty where it was not said.
    pub(super) event: String,
    /// Its lines, joined.
    pub(super) data: String,
}

/// Cuts a stream into messages, however it arrives.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The beginning of a line whose end is still to come.
    line: Vec<u8>,
    message: Message,
    has_data: bool,
    /// A line feed that comes now belongs to the carriage return before it.
    after_return: bool,
}

impl Messages {
    /// Takes the next piece of the stream; the messages that it completes.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<Message> {
        let mut complete = Vec::new();
        for byte in piece {
            let line_feed_of_pair = self.after_return && *byte == b'\n';
            self.after_return = *byte == b'\r';
            match byte {
                b'\n' if line_feed_of_pair => {}
                b'\n' | b'\r' => complete.extend(self.end_of_line()),
                other => self.line.push(*other),
            }
        }
        complete
    }

    fn end_of_line(&mut self) -> Option<Message> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.message.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
                self.has_data = true;
            }
            // A comment, which keeps the connection alive, or a field that is not ours.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": welcome\n\nid: 7\nevent: node-up\ndata: {\"text\":\ndata: \"é\"}\n\n\
                          retry: 5\r\nid:8\r\ndata:two\r\n\r\ndata\r\revent: alone\n\ndata: cut";

    fn expected() -> Vec<Message> {
        let message = |id: Option<&str>, event: &str, data: &str| Message {
            id: id.map(str::to_owned),
            event: event.to_owned(),
            data: data.to_owned(),
        };
        vec![
            message(Some("7"), "node-up", "{\"text\":\n\"é\"}"),
            message(Some("8"), "", "two"),
            message(None, "", ""),
        ]
    }

    #[test]
    fn a_stream_is_cut_into_messages() {
        assert_eq!(Messages::default().feed(STREAM.as_bytes()), expected());
    }

    #[test]
    fn where_the_network_cuts_it_does_not_matter() {
        for size in 1..8 {
            let mut messages = Messages::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let cut: Vec<Message> = pieces.flat_map(|piece| messages.feed(piece)).collect();
            assert_eq!(cut, expected(), "in pieces of {size} bytes");
        }
    }
}
