//! VictoriaLogs: JSON lines in, LogsQL.

use std::fmt::Write as _;

use crate::bench::http::{Request, encoded};
use crate::bench::search::peers::span::Span;
use crate::bench::search::peers::{Connection, Peer, json};
use crate::bench::search::pieces;
use crate::bench::search::questions::{Question, Wanted};
use crate::bench::search::reply;

const INSERT: &str = "/insert/jsonline?_stream_fields=run&_msg_field=_msg&_time_field=_time";
const QUERY: &str = "/select/logsql/query";
const NANOSECONDS: &str = "000000";

pub(super) struct VictoriaLogs {
    connection: Connection,
    span: Span,
}

impl VictoriaLogs {
    pub(super) fn connect(host: &str, span: Span) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(host)?, span })
    }

    /// The form that asks for this.
    fn form(&self, question: &Question) -> String {
        let mut query = format!("{{run=\"{}\"}} {}", self.span.run, question.pattern.logsql());
        let mut more = String::new();
        // Writing to a string cannot fail.
        let _ = match question.wanted {
            Wanted::Lines => Ok(()),
            Wanted::Count => write!(query, " | stats count() n"),
            Wanted::CountOfSlice => {
                let ms = self.span.slice_ms();
                let _ = write!(more, "&start={}.{:03}", ms / 1000, ms % 1000);
                write!(query, " | stats count() n")
            }
            Wanted::Histogram(buckets) => {
                let seconds = self.span.lines.div_ceil(u64::from(buckets)).div_ceil(1000);
                write!(query, " | stats by (_time:{seconds}s) count() n")
            }
            Wanted::Newest(limit) => write!(query, " | sort by (_time desc) limit {limit}"),
        };
        format!("query={}{more}", encoded(&query))
    }
}

fn request<'a>(path: &'static str, content_type: &'static str, body: &'a [u8]) -> Request<'a> {
    Request { method: "POST", path, content_type, body }
}

impl Peer for VictoriaLogs {
    fn name(&self) -> &'static str {
        "VictoriaLogs here, ms"
    }

    fn name_of_rate(&self) -> &'static str {
        "VictoriaLogs here, MB/s"
    }

    fn is_victorialogs(&self) -> bool {
        true
    }

    fn reconnect(&mut self) -> anyhow::Result<()> {
        self.connection.renew()
    }

    fn encode(&self, lines: &[u8], first: u64) -> Vec<u8> {
        let mut body = Vec::with_capacity(lines.len() * 3 / 2);
        for (line, number) in
            lines.split(|byte| *byte == b'\n').zip(first..).filter(|(line, _)| !line.is_empty())
        {
            let (ms, run) = (self.span.ms(number), &self.span.run);
            body.extend_from_slice(
                format!("{{\"_time\":\"{ms}{NANOSECONDS}\",\"run\":\"{run}\",").as_bytes(),
            );
            body.extend_from_slice(b"\"_msg\":");
            json::quote(line, &mut body);
            body.extend_from_slice(b"}\n");
        }
        body
    }

    fn send(&mut self, body: &[u8]) -> anyhow::Result<()> {
        self.connection.client.ask(request(INSERT, "application/stream+json", body)).map(drop)
    }

    fn ask(&mut self, question: &Question) -> anyhow::Result<Option<u64>> {
        let form = self.form(question);
        let request = request(QUERY, "application/x-www-form-urlencoded", form.as_bytes());
        let answer = self.connection.client.ask(request)?.body;
        Ok(Some(match question.wanted {
            Wanted::Lines | Wanted::Newest(_) => answer.lines().count() as u64,
            Wanted::Count | Wanted::CountOfSlice | Wanted::Histogram(_) => reply::numbers(&answer, "n").sum(),
        }))
    }

    fn export(&mut self) -> anyhow::Result<Option<u64>> {
        let form = format!("query={}", encoded(&format!("{{run=\"{}\"}} * | fields _msg", self.span.run)));
        let request = request(QUERY, "application/x-www-form-urlencoded", form.as_bytes());
        let mut lines = 0;
        self.connection.client.stream(request, &mut |part| {
            lines += pieces::newlines(part);
            Ok(())
        })?;
        Ok(Some(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::search::pattern::Pattern;
    use crate::bench::search::peers::script::Script;
    use crate::bench::search::questions::QUESTIONS;

    #[test]
    fn lines_are_sent_with_a_run_and_times_of_their_own() {
        let script = Script::play(&[""]);
        let mut peer = VictoriaLogs::connect(&script.host, Span::ending_at(10_000, 3, 1)).unwrap();
        let body = peer.encode(b"a \"b\"\nc\n", 1);
        peer.send(&body).unwrap();
        let [request] = script.heard().try_into().unwrap();
        assert!(request.head.starts_with(&format!("POST {INSERT} HTTP/1.1\r\n")), "{}", request.head);
        assert!(request.head.contains("content-type: application/stream+json\r\n"), "{}", request.head);
        assert_eq!(
            request.body,
            "{\"_time\":\"9999000000\",\"run\":\"weir-10000\",\"_msg\":\"a \\\"b\\\"\"}\n\
             {\"_time\":\"10000000000\",\"run\":\"weir-10000\",\"_msg\":\"c\"}\n"
        );
    }

    #[test]
    fn every_question_is_asked_in_its_language() {
        const COUNTED: &str = "{\"n\":\"40\"}\n{\"n\":\"2\"}\n";
        const TWO_LINES: &str = "{\"_msg\":\"a\"}\n{\"_msg\":\"b\"}\n";
        for (wanted, answer, lines, asked) in [
            (Wanted::Count, COUNTED, 42, "{run=\"weir-200000\"} \"x\" | stats count() n"),
            (
                Wanted::Histogram(60),
                COUNTED,
                42,
                "{run=\"weir-200000\"} \"x\" | stats by (_time:2s) count() n",
            ),
            (Wanted::CountOfSlice, COUNTED, 42, "{run=\"weir-200000\"} \"x\" | stats count() n"),
            (Wanted::Lines, TWO_LINES, 2, "{run=\"weir-200000\"} \"x\""),
            (Wanted::Newest(9), TWO_LINES, 2, "{run=\"weir-200000\"} \"x\" | sort by (_time desc) limit 9"),
        ] {
            let script = Script::play(&[answer]);
            let span = Span::ending_at(200_000, 100_000, 10);
            let mut peer = VictoriaLogs::connect(&script.host, span).unwrap();
            let pattern = Pattern::Word("x");
            let question = Question { pattern, wanted, ..QUESTIONS[0] };
            assert_eq!(peer.ask(&question).unwrap(), Some(lines), "{asked}");
            let [request] = script.heard().try_into().unwrap();
            let slice = if wanted == Wanted::CountOfSlice { "&start=199.991" } else { "" };
            assert_eq!(request.body, format!("query={}{slice}", encoded(asked)));
            assert!(request.head.starts_with("POST /select/logsql/query "), "{}", request.head);
        }
    }

    #[test]
    fn everything_is_read_and_counted() {
        let script = Script::play(&["{\"_msg\":\"a\"}\n{\"_msg\":\"b\"}\n"]);
        let mut peer = VictoriaLogs::connect(&script.host, Span::ending_at(10_000, 3, 1)).unwrap();
        assert_eq!(peer.export().unwrap(), Some(2));
        assert!(script.heard()[0].body.contains(&encoded("* | fields _msg")));
    }
}
