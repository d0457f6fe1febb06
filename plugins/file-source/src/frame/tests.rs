//! Bytes to records: by a plain rendering of what the records of a text are, and the same however the text
//! arrives.

use weir_plugin_sdk::Budget;
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;

use super::*;

/// Records as `stream|part|payload`, the text given in pieces, each at a position where the one before ended.
fn records(framing: &Framing, text: &[u8], steps: &[usize], budget: usize, end: Ahead) -> Vec<String> {
    let labels = [("path".to_owned(), "/a".to_owned())];
    let mut out = Vec::new();
    let (mut at, mut entries, mut shown) = (0, Entries::CLEAN, 0);
    let mut steps = steps.iter().copied().chain(std::iter::repeat(usize::MAX));
    loop {
        shown = text.len().min(steps.next().unwrap_or(usize::MAX).saturating_add(shown));
        let last = shown == text.len();
        loop {
            let mut batch = Builder::new(Budget { records: budget, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
            let ahead = if last { end } else { Ahead::Nothing };
            let cut = framing.cut(&text[at..shown], entries, ahead, &mut batch, &labels, 0).unwrap();
            at += cut.used;
            entries = cut.entries;
            out.extend(show(&batch.finish()));
            if !cut.full {
                break;
            }
        }
        if last {
            return out;
        }
    }
}

fn show(batch: &weir_plugin_sdk::batch::Batch) -> Vec<String> {
    let mut start = 0;
    let text = |(index, end): (usize, &u32)| {
        let payload = String::from_utf8_lossy(&batch.arena[start..*end as usize]).into_owned();
        start = *end as usize;
        let stream = batch.stream_of.get(index).map_or(0, |stream| usize::from(*stream));
        let labels: Vec<_> = batch.streams[stream][1..].iter().map(|(_, value)| &**value).collect();
        format!("{}|{payload}", labels.join(" "))
    };
    batch.ends.iter().enumerate().map(text).collect()
}

fn framing(max: usize, envelope: Envelope, multiline: &str) -> Framing {
    let multiline: Multiline = serde_json::from_str(multiline).unwrap();
    let rules = Rules::new(&multiline).unwrap();
    Framing { record_bytes_max: max, encoding: Encoding::Bytes, envelope, rules, times: None }
}

/// The records of a text that has come to its end, however it arrives.
fn check(framing: &Framing, text: &str, expected: &[&str]) {
    let text = text.as_bytes();
    let mut random = fastrand::Rng::with_seed(text.len() as u64);
    for round in 0..60 {
        let steps: Vec<usize> = (0..20).map(|_| random.usize(..text.len().max(1))).collect();
        let budget = if round % 3 == 0 { 1000 } else { 8 + random.usize(..4) };
        assert_eq!(
            records(framing, text, &steps, budget, Ahead::End),
            expected,
            "steps {steps:?}, batches of {budget}"
        );
    }
}

#[test]
fn a_pattern_says_where_groups_begin_or_go_on() {
    let start = framing(100, Envelope::None, r#"{"start": "^\\d"}"#);
    check(&start, "1 a\n b\n c\n2 d\n", &["|1 a\n b\n c", "|2 d"]);
    check(&start, " before\n1 a\n\n\nb", &["| before", "|1 a\n\n\nb"]);
    let continuation = framing(100, Envelope::None, r#"{"continuation": "^\\s"}"#);
    check(&continuation, "a\n b\n\tc\nd\ne\n f\n", &["|a\n b\n\tc", "|d", "|e\n f"]);
    let both = framing(100, Envelope::None, r#"{"continuation": "^>", "rules": ["java"]}"#);
    check(&both, "a\n>b\nx\n\tat a.b(C)\ny\n", &["|a\n>b", "|x\n\tat a.b(C)", "|y"]);
}

#[test]
fn a_group_that_is_too_long_is_split_with_marks_and_nothing_of_it_is_lost() {
    let start = framing(8, Envelope::None, r#"{"start": "^\\d"}"#);
    check(&start, "1 a\nbbb\nccc\nddd\n2\n", &["first|1 a\nbbb", "last|\nccc\nddd", "|2"]);
    check(&start, "1234567890\nx\n2\n", &["first|12345678", "last|90\nx", "|2"]);
    check(
        &start,
        "1\n234567890abcdefgh\nx\n2\n",
        &["|1", "first|23456789", "middle|0abcdefg", "last|h\nx", "|2"],
    );
    let random_text = |random: &mut fastrand::Rng| -> String {
        (0..random.usize(..120)).map(|_| random.choice(['1', 'a', 'b', '\n', 'é']).unwrap()).collect()
    };
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let text = random_text(&mut random);
        let steps: Vec<usize> = (0..20).map(|_| random.usize(..30)).collect();
        let parts = records(&start, text.as_bytes(), &steps, 2 + random.usize(..3), Ahead::End);
        let mut joined = String::new();
        for part in &parts {
            let (mark, payload) = part.split_once('|').unwrap();
            joined.push_str(payload);
            if matches!(mark, "" | "last") {
                joined.push('\n');
            }
        }
        let whole = text.as_bytes();
        let terminated = whole.is_empty() || whole.ends_with(b"\n");
        // A character that is cut in two shows as two marks, so only its bytes are counted there.
        if text.is_ascii() {
            assert_eq!(joined, if terminated { text.clone() } else { format!("{text}\n") });
        }
    }
}

#[test]
fn lines_are_the_same_by_the_short_way_and_by_the_long_one() {
    let mut random = fastrand::Rng::with_seed(5);
    let plain = framing(7, Envelope::None, "{}");
    assert!(plain.is_plain());
    let (formats, zone) = (["klog".to_owned()], "Z");
    let long = Framing { times: Times::new(&formats, zone).unwrap(), ..framing(7, Envelope::None, "{}") };
    assert!(!long.is_plain());
    for _ in 0..500 {
        let text: Vec<u8> =
            (0..random.usize(..80)).map(|_| random.choice(*b"ab\n\r\0\xff").unwrap()).collect();
        let steps: Vec<usize> = (0..20).map(|_| random.usize(..30)).collect();
        for end in [Ahead::Nothing, Ahead::End] {
            let short = records(&plain, &text, &steps, 3, end);
            assert_eq!(short, records(&long, &text, &steps, 4, end));
        }
    }
}

#[test]
fn lines_of_containers_are_unwrapped_and_joined_by_stream() {
    let cri = framing(40, Envelope::Cri, "{}");
    let t = "2026-01-02T03:04:05Z";
    check(
        &cri,
        &format!(
            "{t} stdout P one\n{t} stderr F err\n{t} stdout P  two\n{t} stdout F  three\n{t} stdout F x\n"
        ),
        &["stdout|one two three", "stderr|err", "stdout|x"],
    );
    check(&cri, &format!("no envelope\n{t} stdout F x\n"), &["stdout|no envelope", "stdout|x"]);
    let long = "y".repeat(30);
    check(
        &cri,
        &format!("{t} stdout P {long}\n{t} stderr F err\n{t} stdout F {long}\n"),
        &[&format!("stdout first|{long}"), "stderr|err", &format!("stdout last|{long}")],
    );
    check(
        &framing(4, Envelope::Cri, "{}"),
        &format!("{t} stdout F 123456789\n{t} stderr F 12345\n"),
        &["stdout first|1234", "stdout middle|5678", "stdout last|9", "stderr first|1234", "stderr last|5"],
    );
    let docker = framing(40, Envelope::Docker, r#"{"rules": ["python"]}"#);
    let line = |stream: &str, text: &str| {
        format!(
            "{{\"log\":{},\"stream\":\"{stream}\",\"time\":\"{t}\"}}\n",
            serde_json::to_string(text).unwrap()
        )
    };
    let text = [
        line("stderr", "Traceback (most recent call last):\n"),
        line("stdout", "GET /\n"),
        line("stderr", "  a\n"),
        line("stdout", "GET /x"),
        line("stderr", "E: b\n"),
        line("stdout", "yz\n"),
        line("stderr", "next\n"),
    ];
    check(
        &docker,
        &text.concat(),
        &[
            "stderr first|Traceback (most recent call last):\n  a",
            "stdout|GET /",
            "stdout|GET /xyz",
            "stderr last|\nE: b",
            "stderr|next",
        ],
    );
}

#[test]
fn what_waits_is_handed_over_when_it_has_waited_long_enough() {
    let start = framing(100, Envelope::None, r#"{"start": "^\\d"}"#);
    for (ahead, expected) in [
        (Ahead::Nothing, vec!["|1\nx"]),
        (Ahead::Quiet, vec!["|1\nx", "|2\ny"]),
        (Ahead::TailQuiet, vec!["|1\nx", "first|2\ny\nhal"]),
        (Ahead::End, vec!["|1\nx", "|2\ny\nhal"]),
    ] {
        assert_eq!(records(&start, b"1\nx\n2\ny\nhal", &[], 9, ahead), expected, "{ahead:?}");
    }
    // The rest of a line of which a part went early.
    let plain = framing(100, Envelope::None, "{}");
    let labels = [("path".to_owned(), "/a".to_owned())];
    let mut batch = Builder::new(Budget { records: 9, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
    let cut = plain.cut(b"hal", Entries::CLEAN, Ahead::TailQuiet, &mut batch, &labels, 0).unwrap();
    assert_eq!((cut.used, cut.entries.0[0]), (3, Entry::Middle));
    plain.cut(b"f\nnext\n", cut.entries, Ahead::Nothing, &mut batch, &labels, 0).unwrap();
    assert_eq!(show(&batch.finish()), ["first|hal", "last|f", "|next"]);
}

#[test]
fn entries_are_kept_in_four_bits() {
    for bits in 0..16 {
        let entries = Entries::from_bits(bits);
        assert!(entries.to_bits() == bits || bits & 3 == 3 || bits >> 2 == 3);
    }
}
