//! Server-sent events, out of bytes that are cut anywhere.

use weir_record::limits::TAIL_CLIENT_BYTES_MAX;

/// One block of lines up to an empty one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Event {
    /// The kind; empty for the usual one.
    pub(super) kind: String,
    /// The id, when the block has one.
    pub(super) id: Option<String>,
    /// The data, without the newline at its end.
    pub(super) data: Vec<u8>,
}

/// A line or an event longer than [`TAIL_CLIENT_BYTES_MAX`]. No event can be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {TAIL_CLIENT_BYTES_MAX} bytes")]
pub(super) struct TooLong;

/// Puts events together. Comments and fields of other names are left out.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// A line that has not ended.
    line: Vec<u8>,
    event: Event,
    /// The block has a field that counts.
    begun: bool,
}

impl Events {
    /// Takes more bytes; `each` is told of every event that they end.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut impl FnMut(Event)) -> Result<(), TooLong> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + part.len() + self.event.data.len() > TAIL_CLIENT_BYTES_MAX {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let mut line = std::mem::take(&mut self.line);
                line.pop();
                if line.ends_with(b"\r") {
                    line.pop();
                }
                self.take(&line, each);
                line.clear();
                // Its memory serves the next line.
                self.line = line;
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8], each: &mut impl FnMut(Event)) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.begun) {
                each(event);
            }
            return;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            b"event" => self.event.kind = text(),
            b"id" => self.event.id = Some(text()),
            _ => return,
        }
        self.begun = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(parts: &[&[u8]]) -> Vec<(String, Option<String>, String)> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for part in parts {
            let mut each =
                |event: Event| found.push((event.kind, event.id, String::from_utf8(event.data).unwrap()));
            events.push(part, &mut each).unwrap();
        }
        found
    }

    const TEXT: &str = "retry: 1000\n\n:\n\ndata: {\"a\":1}\n\nid: x\ndata:b\r\ndata: c\r\n\r\nid: y\n\n\
                        event: gap\nid: z\ndata: {}\n\ndata: torn";

    #[test]
    fn too_much_is_an_error_and_not_memory() {
        let mut events = Events::default();
        let part = vec![b'x'; TAIL_CLIENT_BYTES_MAX / 2 + 1];
        assert_eq!(events.push(&part, &mut |_| {}), Ok(()));
        assert_eq!(events.push(&part, &mut |_| {}), Err(TooLong));
    }

    proptest! {
        #[test]
        fn events_are_found_however_the_bytes_are_cut(
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(TEXT.len() + 1)).collect();
            at.extend([0, TEXT.len()]);
            at.sort_unstable();
            let parts: Vec<&[u8]> = at.windows(2).map(|pair| &TEXT.as_bytes()[pair[0]..pair[1]]).collect();
            let (id, text) = (|id: &str| Some(id.to_owned()), str::to_owned);
            prop_assert_eq!(read(&parts), [
                (text(""), None, text("{\"a\":1}")),
                (text(""), id("x"), text("b\nc")),
                (text(""), id("y"), text("")),
                (text("gap"), id("z"), text("{}")),
            ]);
        }
    }
}
