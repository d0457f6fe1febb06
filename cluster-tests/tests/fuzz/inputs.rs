//! Sound inputs, from which mutations begin.

use weir_record::{RecordId, Stream};
use weir_segment::{Concat, Footer, Grouping, OriginFlags, OriginName, Unit, Writer, WriterOptions};

/// Segments of all versions: of one section and of several, grouped and not, with newlines in lines and without.
pub(crate) fn segments() -> Vec<Vec<u8>> {
    let parts = [written(0, Grouping::Shape, false), written(1, Grouping::Order, true)];
    let mut whole: Vec<u8> = Vec::new();
    let footers: Vec<&Footer> = parts.iter().map(|(_, footer)| footer).collect();
    let concat = Concat::new(&footers).unwrap_or_else(|error| panic!("{error}"));
    for (file, footer) in &parts {
        whole.extend_from_slice(&file[..Concat::copied(footer).end as usize]);
    }
    concat.finish(&mut whole).unwrap_or_else(|error| panic!("{error}"));
    let fixtures = [
        include_bytes!("../../../host/crates/segment/fixtures/v1.zst").to_vec(),
        include_bytes!("../../../host/crates/segment/fixtures/v2.zst").to_vec(),
        include_bytes!("../../../host/crates/segment/fixtures/v3.zst").to_vec(),
    ];
    fixtures.into_iter().chain(parts.map(|(file, _)| file)).chain([whole]).collect()
}

fn written(number: u64, grouping: Grouping, newlines: bool) -> (Vec<u8>, Footer) {
    let write = || {
        let unit = Unit::new(0, 3_600_000, "default", 0, 1).unwrap_or_else(|error| panic!("{error}"));
        let origins = [2 * number, 2 * number + 1]
            .map(|piece| (OriginName { node: 1, epoch: 2, piece }, OriginFlags::NONE));
        let options = WriterOptions { level: 1, block_bytes: 1 << 10, leaf_bytes: 1 << 8, grouping };
        let mut writer = Writer::new(unit, &origins, options)?;
        let mut file = Vec::new();
        for n in 0..60_u64 {
            let host = ["web1", "web2", "db"][(n + number) as usize % 3];
            let stream = Stream::new("app", [("host", host)]).unwrap_or_else(|error| panic!("{error}"));
            let stream = writer.stream(&stream)?;
            let line =
                format!("ERROR user {n} took={} ms{}", n * 7, if newlines { "\n\tat main" } else { "" });
            let id = RecordId::from_parts(n / 4, u128::from(n % 4) << 40);
            writer.push(id, stream, (n / 9 % 2) as u32, line.as_bytes(), &mut file)?;
        }
        writer.finish(&mut file).map(|footer| (file, footer))
    };
    write().unwrap_or_else(|error: weir_segment::WriteError| panic!("{error}"))
}

/// The footer, the blocks and the filters of a segment, as their targets take them.
pub(crate) fn of(file: &[u8]) -> [Vec<Vec<u8>>; 3] {
    weir_segment::fuzz::inputs(file).unwrap_or_else(|| panic!("a sound segment"))
}

pub(crate) const QUERY_WORDS: &[&str] = &[
    "OR ", "AND ", "NOT ", "-", "(", ")", "\"", "/", "~", "level>=", "label.", "field.", "topic:", "\\x",
    "{9}", "{99}", "\\w", "(?i)", "[^", "é", "\\p{L}", "|", ":", "!=", "*", "1e999", "\u{212a}",
];

pub(crate) fn queries() -> Vec<Vec<u8>> {
    let queries = [
        "",
        "error timeout OR -\"GET /x\"",
        "~Straße (a OR b) -(c d) NOT e",
        r"/user \d+ (failed|gone)$/ status>=500 took<1.5e3",
        "topic:\"my orders\" label.host:web1 level>=warn field.msg:\"a\\x00\\n\\\"b\"",
        "user.id:7 OR user.name!=ann level:none",
        r"/(?i)a{2,9}\/[^\x00-\x1f]*(?-u)\xff/ ~\w",
        "((((a))))",
    ];
    queries.iter().map(|query| query.as_bytes().to_vec()).collect()
}

pub(crate) const FIELD_WORDS: &[&str] = &[
    "{\"",
    "\":",
    "\"a\":",
    "a=",
    "\\\"",
    "\\u00e9",
    "\\ud83d\\ude00",
    "[",
    "]",
    "}",
    ",",
    "=\"",
    "\n",
    "é",
    "level=warn",
    "1e9999999999",
    "-0.0",
    "{\"a\":{\"b\":",
];

pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let payloads = [
        "",
        r#"{"a":1,"b":{"a":[5,"b\/c"]},"status":500,"user":{"id":7,"name":"ann"},"tags":["x","y"]}"#,
        r#"ERROR a=1 status=404 user.id="7" msg="say \"hi\"" host=web1"#,
        r#"2026-01-01T00:00:00Z [warn] {"a":"a b","é":1} took=1.5ms, (a=2)"#,
        r#"{"a":"\u00e9\ud83d\ude00","a.b":"x","a":{"b":[1,{"c":null}]}} a={x"#,
        "GET /x?a=1&b=2 HTTP/1.1",
    ];
    payloads.iter().map(|payload| payload.as_bytes().to_vec()).collect()
}
