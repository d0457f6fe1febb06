//! Records for people, out of the JSON lines of an answer.

use weir_api::format::people::People;
use weir_api::wire::RecordLine;

/// What is written of an answer as its chunks come.
pub(crate) struct Pretty {
    people: People,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

impl Pretty {
    /// For the answer to a query.
    pub(crate) fn new(query: &str, colored: bool) -> Pretty {
        Pretty { people: People::local(query, colored), rest: Vec::new() }
    }

    /// What the lines that end in a chunk say. The statistics at the end are told elsewhere.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> String {
        let mut out = String::new();
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.rest.extend_from_slice(bytes);
            return out;
        };
        let mut lines = std::mem::take(&mut self.rest);
        lines.extend_from_slice(&bytes[..end]);
        self.rest.extend_from_slice(&bytes[end + 1..]);
        for line in lines.split(|byte| *byte == b'\n') {
            let record = RecordLine::parse(line).and_then(|record| Some((record.payload()?, record)));
            if let Some((payload, record)) = record {
                self.people.push(&mut out, &record, &payload);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_however_the_chunks_are_cut() {
        let text = concat!(
            r#"{"id":"01HF7YAT1A0000000000000000","time":"2026-03-01T10:00:00Z","topic":"t","payload":"one"}"#,
            "\n",
            r#"{"id":"01HF7YAT1A0000000000000001","time":"2026-03-01T10:00:00Z","topic":"t","payload_base64":"/w=="}"#,
            "\n",
            r#"{"stats":{"complete":true}}"#,
            "\n"
        );
        for cut in 0..text.len() {
            let mut pretty = Pretty::new("", false);
            let told = pretty.chunk(&text.as_bytes()[..cut]) + &pretty.chunk(&text.as_bytes()[cut..]);
            let ends: Vec<&str> = told.lines().map(|line| &line[line.len() - 7..]).collect();
            assert_eq!(ends, [" t  one", "t  \\xff"], "cut at {cut}");
        }
    }
}
