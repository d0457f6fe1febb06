//! Lines as records of a query, and the ways in which they can be cut into batches.

use weir_plugin_runtime::{Hints, StageBatch};
use weir_record::RecordId;
use weir_record::limits::{FILTER_BATCH_BYTES_MAX, FILTER_BATCH_RECORDS_MAX, RECORD_BYTES_MAX};

use crate::error::ToolError;

/// Time of the first record: 2026-01-01T00:00:00Z. Each that follows is a millisecond later.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// Records of one stream, with ids and times that are the same in every run.
#[derive(Debug, Clone, Default)]
pub struct Records {
    arena: Vec<u8>,
    ends: Vec<usize>,
    /// The topic as `_topic`, and labels.
    labels: Vec<(String, String)>,
    /// Number of the first one, in all that went before.
    first: usize,
}

impl Records {
    /// The lines of a text. A last one without its newline counts, an empty rest does not.
    pub fn of_lines(text: &[u8]) -> Result<Records, ToolError> {
        let mut records = Records::default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if !text.is_empty() {
            text.split(|byte| *byte == b'\n').try_for_each(|line| records.push(line))?;
        }
        Ok(records)
    }

    /// Records of all the kinds that logs have, for a plugin that nobody has given any.
    pub fn sample() -> Records {
        let mut records =
            Records { labels: labels(&[("_topic", "sample"), ("host", "web1")]), ..Records::default() };
        for n in 0..400_u64 {
            // Numbers that repeat and numbers that do not, so that groups have one member and several.
            let (user, status, took) = (n * 7 % 23, [200, 200, 404, 500][n as usize % 4], n * n % 1_009);
            let line = match n % 8 {
                0 => format!(
                    r#"{{"ts":"2026-01-01T00:00:00Z","level":"info","status":{status},"user":{{"id":{user}}},"path":"/cart/{n}","took_ms":{took}}}"#
                ),
                1 => format!(
                    "level=error status={status} user.id={user} path=/pay msg=\"timeout after {took} ms\""
                ),
                2 => format!(
                    "10.0.0.{user} - - [01/Jan/2026:00:00:00 +0000] \"GET /x/{n} HTTP/1.1\" {status} {took}"
                ),
                3 => format!(
                    "2026-01-01 00:00:00,{took:03} WARN  [pool-{user}] c.e.Orders - retry {n}\n\tat c.e.Orders.pay(Orders.java:{user})"
                ),
                4 => format!("mail to user{user}@example.org, card 4111 1111 1111 1111, Bearer abcdef{n}"),
                5 => format!("Grüße aus Köln №{user} ✓ {}", "x".repeat((n * n % 300) as usize)),
                6 => String::new(),
                _ => format!("error {user}"),
            };
            records.add(line.as_bytes());
            if n % 50 == 49 {
                records.add(b"\xff\xfe\0not text\x80");
            }
        }
        records
    }

    /// Adds a record.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), ToolError> {
        let (bytes, max) = (payload.len(), RECORD_BYTES_MAX);
        if bytes > max {
            return Err(ToolError::Record { line: self.first + self.count() + 1, bytes, max });
        }
        self.add(payload);
        Ok(())
    }

    fn add(&mut self, payload: &[u8]) {
        self.arena.extend_from_slice(payload);
        self.ends.push(self.arena.len());
    }

    /// Gives all of them a stream.
    #[must_use]
    pub fn with_labels(self, labels: Vec<(String, String)>) -> Records {
        Records { labels, ..self }
    }

    /// Takes all out; those that follow are numbered on.
    pub(crate) fn clear(&mut self) {
        self.first += self.count();
        self.arena.clear();
        self.ends.clear();
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all payloads.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The bytes of one.
    pub fn payload(&self, index: usize) -> &[u8] {
        let from = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.arena[from..self.ends[index]]
    }

    /// Records one after the other until so many bytes are reached: what figures are measured over.
    pub(crate) fn repeated(&self, bytes_min: usize) -> Records {
        let mut many = Records { labels: self.labels.clone(), ..Records::default() };
        while self.count() > 0 && many.bytes() < bytes_min {
            let before = many.arena.len();
            many.arena.extend_from_slice(&self.arena);
            many.ends.extend(self.ends.iter().map(|end| before + end));
            // Empty records alone would never get there.
            if self.bytes() == 0 {
                break;
            }
        }
        many
    }

    fn id(&self, index: usize) -> RecordId {
        let number = (self.first + index) as u64;
        RecordId::from_parts(EPOCH_MS + number, u128::from(number) << 40)
    }

    /// Puts some of them into a batch, in the order in which they are named, with the columns that hints ask for.
    pub(crate) fn fill(&self, batch: &mut StageBatch, some: &[usize], hints: &Hints) {
        batch.clear();
        for &index in some {
            let payload = self.payload(index);
            batch.extend(payload, &[payload.len() as u32]);
        }
        if hints.times {
            batch.set_times(some.iter().map(|&index| self.id(index)));
        }
        if hints.ids {
            batch.set_ids(some.iter().map(|&index| self.id(index)));
        }
        if hints.streams {
            batch.set_streams(vec![self.labels.clone()], some.iter().map(|_| 0));
        }
    }

    /// Cuts an order of records into batches of at most so many, and of no more bytes than a query gives.
    pub(crate) fn cut<'a>(
        &'a self,
        order: &'a [usize],
        records_max: usize,
    ) -> impl Iterator<Item = &'a [usize]> {
        let records_max = records_max.clamp(1, FILTER_BATCH_RECORDS_MAX);
        let mut rest = order;
        std::iter::from_fn(move || {
            let (mut count, mut bytes) = (0, 0);
            for &index in rest.iter().take(records_max) {
                bytes += self.payload(index).len();
                if count > 0 && bytes > FILTER_BATCH_BYTES_MAX {
                    break;
                }
                count += 1;
            }
            let (batch, after) = rest.split_at(count);
            rest = after;
            (count > 0).then_some(batch)
        })
    }

    /// Whether one more batch is full.
    pub(crate) fn is_batch(&self) -> bool {
        self.count() >= FILTER_BATCH_RECORDS_MAX || self.bytes() >= FILTER_BATCH_BYTES_MAX
    }
}

fn labels(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_records() {
        for (text, expected) in [
            (&b""[..], &[][..]),
            (b"\n", &[]),
            (b"a", &["a"]),
            (b"a\n", &["a"]),
            (b"a\n\n", &["a", ""]),
            (b"\na\nb", &["", "a", "b"]),
        ] {
            let records = Records::of_lines(text).unwrap();
            let found: Vec<_> = (0..records.count()).map(|index| records.payload(index)).collect();
            assert_eq!(found, expected.iter().map(|line| line.as_bytes()).collect::<Vec<_>>(), "{text:?}");
        }
        let long = vec![b'x'; RECORD_BYTES_MAX + 1];
        let error = Records::of_lines(&[b"a\n", &long[..]].concat()).unwrap_err().to_string();
        assert_eq!(error, "line 2 has 1048577 bytes, and a record at most 1048576");
    }

    #[test]
    fn batches_have_no_more_records_and_bytes_than_a_query_gives() {
        let mut records = Records::default();
        for bytes in [10, RECORD_BYTES_MAX, 10, 600_000, 600_000] {
            records.push(&vec![b'x'; bytes]).unwrap();
        }
        let order = [0, 1, 2, 3, 4];
        let cut = |max| records.cut(&order, max).map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(cut(4096), [1, 1, 2, 1]);
        assert_eq!(cut(1), [1; 5]);
        assert_eq!(cut(0), [1; 5]);
    }
}
