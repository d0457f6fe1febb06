//! Loki: JSON in, LogQL. Its limits on rates, streams and spans of time must be raised for a run to pass.

use crate::bench::http::{Request, encoded};
use crate::bench::search::peers::span::Span;
use crate::bench::search::peers::{Connection, Peer, json};
use crate::bench::search::questions::{Question, Wanted};

const PUSH: &str = "/loki/api/v1/push";
const QUERY: &str = "/loki/api/v1/query_range";
const NANOSECONDS: &str = "000000";
/// Lines of one answer unless fewer are wanted: more than questions for lines find.
const LIMIT: u32 = 1000;

pub(super) struct Loki {
    connection: Connection,
    span: Span,
}

impl Loki {
    pub(super) fn connect(host: &str, span: Span) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(host)?, span })
    }

    /// The path that asks for this.
    fn path(&self, question: &Question) -> String {
        let lines = format!("{{run=\"{}\"}}{}", self.span.run, question.pattern.logql());
        let (first, last) = (self.span.ms(0), self.span.last_ms());
        // A number of lines is that of the milliseconds that end with the last one, that one included.
        let counted = |over_ms: u64| format!("sum(count_over_time({lines} [{over_ms}ms]))");
        let at = |query: String, start_ms: u64, step_ms: u64| {
            let step = format!("{}.{:03}", step_ms / 1000, step_ms % 1000);
            let query = encoded(&query);
            format!("{QUERY}?query={query}&start={start_ms}{NANOSECONDS}&end={last}{NANOSECONDS}&step={step}")
        };
        let newest = |limit: u32| {
            // The end is not part of the answer.
            let (query, end) = (encoded(&lines), last + 1);
            format!(
                "{QUERY}?query={query}&start={first}{NANOSECONDS}&end={end}{NANOSECONDS}&limit={limit}\
                 &direction=backward"
            )
        };
        match question.wanted {
            Wanted::Lines => newest(LIMIT),
            Wanted::Newest(limit) => newest(limit),
            Wanted::Count => at(counted(self.span.lines), last, 1000),
            Wanted::CountOfSlice => at(counted(self.span.slice_lines), last, 1000),
            Wanted::Histogram(buckets) => {
                let step = self.span.lines.div_ceil(u64::from(buckets));
                at(counted(step), last - (u64::from(buckets) - 1) * step, step)
            }
        }
    }
}

impl Peer for Loki {
    fn name(&self) -> &'static str {
        "Loki here, ms"
    }

    fn name_of_rate(&self) -> &'static str {
        "Loki here, MB/s"
    }

    fn is_victorialogs(&self) -> bool {
        false
    }

    fn reconnect(&mut self) -> anyhow::Result<()> {
        self.connection.renew()
    }

    fn encode(&self, lines: &[u8], first: u64) -> Vec<u8> {
        let mut body = Vec::with_capacity(lines.len() * 3 / 2);
        let run = &self.span.run;
        body.extend_from_slice(
            format!("{{\"streams\":[{{\"stream\":{{\"run\":\"{run}\"}},\"values\":[").as_bytes(),
        );
        for (line, number) in
            lines.split(|byte| *byte == b'\n').zip(first..).filter(|(line, _)| !line.is_empty())
        {
            if number > first {
                body.push(b',');
            }
            body.extend_from_slice(format!("[\"{}{NANOSECONDS}\",", self.span.ms(number)).as_bytes());
            json::quote(line, &mut body);
            body.push(b']');
        }
        body.extend_from_slice(b"]}]}");
        body
    }

    fn send(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let request = Request { method: "POST", path: PUSH, content_type: "application/json", body };
        self.connection.client.ask(request).map(drop)
    }

    fn ask(&mut self, question: &Question) -> anyhow::Result<Option<u64>> {
        let answer = self.connection.client.get(&self.path(question))?.body;
        Ok(Some(match question.wanted {
            // Each is a pair of texts; within a text, a quote is never bare.
            Wanted::Lines | Wanted::Newest(_) => answer.matches("[\"").count() as u64,
            Wanted::Count | Wanted::CountOfSlice | Wanted::Histogram(_) => samples(&answer).sum(),
        }))
    }

    fn export(&mut self) -> anyhow::Result<Option<u64>> {
        Ok(None)
    }
}

/// The values of `[time,"value"]`.
fn samples(answer: &str) -> impl Iterator<Item = u64> {
    answer.split(",\"").skip(1).filter_map(|after| after.split_once("\"]")?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::search::pattern::Pattern;
    use crate::bench::search::peers::script::Script;
    use crate::bench::search::questions::QUESTIONS;

    #[test]
    fn lines_are_pushed_as_one_stream() {
        let script = Script::play(&[""]);
        let mut peer = Loki::connect(&script.host, Span::ending_at(10_000, 3, 1)).unwrap();
        let body = peer.encode(b"a \"b\"\nc\n", 1);
        peer.send(&body).unwrap();
        let [request] = script.heard().try_into().unwrap();
        assert!(request.head.starts_with("POST /loki/api/v1/push HTTP/1.1\r\n"), "{}", request.head);
        assert!(request.head.contains("content-type: application/json\r\n"), "{}", request.head);
        assert_eq!(
            request.body,
            "{\"streams\":[{\"stream\":{\"run\":\"weir-10000\"},\"values\":[\
             [\"9999000000\",\"a \\\"b\\\"\"],[\"10000000000\",\"c\"]]}]}"
        );
    }

    #[test]
    fn every_question_is_asked_in_its_language() {
        const MATRIX: &str = "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\
            \"result\":[{\"metric\":{},\"values\":[[1,\"40\"],[2,\"2\"]]}]}}";
        const STREAMS: &str = "{\"data\":{\"result\":[{\"stream\":{\"run\":\"r\"},\
            \"values\":[[\"1\",\"a\"],[\"2\",\"b [\\\"\"]]}]}}";
        let range = |query: &str, start: &str, step: &str| {
            format!("query={}&start={start}000000&end=200000000000&step={step} ", encoded(query))
        };
        let newest = |limit: u32| {
            let query = encoded("{run=\"weir-200000\"} |= `x`");
            format!("query={query}&start=100001000000&end=200001000000&limit={limit}&direction=backward ")
        };
        let counted = |ms: u64| format!("sum(count_over_time({{run=\"weir-200000\"}} |= `x` [{ms}ms]))");
        for (wanted, answer, lines, asked) in [
            (Wanted::Count, MATRIX, 42, range(&counted(100_000), "200000", "1.000")),
            (Wanted::CountOfSlice, MATRIX, 42, range(&counted(10), "200000", "1.000")),
            (Wanted::Histogram(60), MATRIX, 42, range(&counted(1667), "101647", "1.667")),
            (Wanted::Lines, STREAMS, 2, newest(LIMIT)),
            (Wanted::Newest(9), STREAMS, 2, newest(9)),
        ] {
            let script = Script::play(&[answer]);
            let span = Span::ending_at(200_000, 100_000, 10);
            let mut peer = Loki::connect(&script.host, span).unwrap();
            let question = Question { wanted, pattern: Pattern::Word("x"), ..QUESTIONS[0] };
            assert_eq!(peer.ask(&question).unwrap(), Some(lines), "{asked}");
            let [request] = script.heard().try_into().unwrap();
            assert!(request.head.starts_with(&format!("GET {QUERY}?{asked}")), "{}\n{asked}", request.head);
        }
    }
}
