//! What a query of OK Log asks for: `from`, `to`, `q`, `regex`. Other parameters are left alone, as there.

use std::time::Duration;

use weir_query::{Expr, Matcher, time};
use weir_record::RecordId;
use weir_record::limits::{
    OKLOG_WINDOW_MS_DEFAULT, OKLOG_WINDOW_MS_MAX, OKLOG_WINDOW_MS_MIN, QUERY_BYTES_MAX,
};

use super::pattern;
use crate::access::Caller;
use crate::error::ApiError;
use crate::oklog::go;
use crate::params::decode_bytes;

/// The parameters of a URL. Of several with one name the first counts, as in Go; values are bytes.
pub(super) struct Params<'a>(pub(super) &'a str);

/// A question, understood.
#[derive(Debug)]
pub(super) struct Asked {
    /// `q` as it came, decoded.
    pub(super) q: Vec<u8>,
    pub(super) regex: bool,
    pub(super) expr: Expr,
    /// Who asks.
    pub(super) caller: Caller,
}

/// A range of time, both ends belonging to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

impl Params<'_> {
    /// The value of a name, empty where it has none; `None` where the name is not there.
    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut named = pairs.filter(|(other, _)| decode_bytes(other) == name.as_bytes());
        named.next().map(|(_, value)| decode_bytes(value))
    }

    /// `q` and `regex`. A regex is asked for by the name alone: `regex=false` is a regex, too.
    pub(super) fn asked(&self, caller: &Caller) -> Result<Asked, ApiError> {
        let q = self.get("q").unwrap_or_default();
        let regex = self.get("regex").is_some();
        if q.len() > QUERY_BYTES_MAX {
            let message = format!("q has {} bytes, more than {QUERY_BYTES_MAX}", q.len());
            return Err(ApiError::bad_request("bad_query", message));
        }
        let expr = match (q.is_empty(), regex) {
            (true, _) => Expr::All,
            (false, false) => Expr::bytes(q.clone()),
            (false, true) => pattern::expr(&q).map_err(|why| refused(&why))?,
        };
        // Told at once, also where nothing is searched.
        Matcher::compile(&expr).map_err(|error| refused(&error.to_string()))?;
        // What other nodes are sent has the same bound.
        let written = expr.to_string().len();
        if written > QUERY_BYTES_MAX {
            let message =
                format!("q takes {written} bytes when it is written out, more than {QUERY_BYTES_MAX}");
            return Err(ApiError::bad_request("bad_query", message));
        }
        Ok(Asked { q, regex, expr: caller.restrict(expr)?, caller: caller.clone() })
    }

    /// `from` and `to`, which must both be there.
    pub(super) fn range(&self, now_ms: u64) -> Result<Range, ApiError> {
        Ok(Range { from_ms: self.time("from", now_ms)?, to_ms: self.time("to", now_ms)? })
    }

    /// A ULID, whose time counts, or a time. What has 26 characters is a ULID only if it can be one.
    fn time(&self, name: &'static str, now_ms: u64) -> Result<u64, ApiError> {
        let value = self.get(name).unwrap_or_default();
        let text = String::from_utf8_lossy(&value);
        time::parse_time(&text, now_ms).map_err(|_| {
            let shown: String = text.chars().take(80).collect();
            let message = format!("parsing '{name}': {shown}: can't parse as ULID or RFC3339 time");
            ApiError::bad_request("bad_time", message)
        })
    }

    /// `window`: a duration of Go; what is none is the default.
    pub(super) fn window_ms(&self) -> u64 {
        let text = self.get("window").unwrap_or_default();
        let window = std::str::from_utf8(&text).ok().and_then(go::parse_duration);
        let window = window.unwrap_or(Duration::from_millis(OKLOG_WINDOW_MS_DEFAULT));
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        window_ms.clamp(OKLOG_WINDOW_MS_MIN, OKLOG_WINDOW_MS_MAX)
    }
}

fn refused(why: &str) -> ApiError {
    ApiError::bad_request("bad_query", format!("compiling regex: {why}"))
}

impl Range {
    /// The lowest id in the range.
    pub(super) fn low(self) -> RecordId {
        RecordId::lowest_at(self.from_ms)
    }

    /// The lowest id behind the range, not below [`Range::low`].
    pub(super) fn behind(self) -> RecordId {
        RecordId::lowest_at(self.to_ms.saturating_add(1)).max(self.low())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    #[test]
    fn times_are_ulids_or_rfc3339_and_nothing_is_taken_for_a_ulid_by_its_length() {
        for (text, expected) in [
            ("01HF7YAT00ABCDEFGHJKMNPQRS", Some(NOW_MS)),
            ("2023-11-14T22:13:20Z", Some(NOW_MS)),
            ("2023-11-14T22:13:20.123456789Z", Some(NOW_MS + 123)),
            ("2023-11-15T00:13:20%2B02:00", Some(NOW_MS)),
            // 26 characters.
            ("2023-11-14T22:13:20.12345Z", Some(NOW_MS + 123)),
            ("1h", Some(NOW_MS - 3_600_000)),
            ("", None),
            ("x", None),
            ("zzzzzzzzzzzzzzzzzzzzzzzzzz", None),
        ] {
            let got = Params(&format!("from={text}&to=now")).range(NOW_MS);
            assert_eq!(got.as_ref().ok().map(|range| range.from_ms), expected, "{text}");
            if let Err(error) = got {
                let said = format!("parsing 'from': {text}: can't parse as ULID or RFC3339 time");
                assert_eq!(error.message(), said);
            }
        }
        let error = Params("from=now").range(NOW_MS).unwrap_err();
        assert_eq!(error.message(), "parsing 'to': : can't parse as ULID or RFC3339 time");
    }

    #[test]
    fn both_ends_of_a_range_belong_to_it() {
        let range = |text: &str| Params(text).range(NOW_MS).unwrap();
        let whole = range("from=01HF7YAT00ABCDEFGHJKMNPQRS&to=01HF7YAT00ABCDEFGHJKMNPQRS");
        assert_eq!(whole.low(), RecordId::from_parts(NOW_MS, 0));
        assert_eq!(whole.behind(), RecordId::from_parts(NOW_MS + 1, 0));
        let none = range("from=now&to=1h");
        assert_eq!(none.low(), none.behind());
        assert_eq!(range("from=0&to=7ZZZZZZZZZZZZZZZZZZZZZZZZZ").behind(), RecordId::MAX);
    }

    #[test]
    fn a_query_is_bytes_or_a_regex_by_the_name_alone() {
        for (params, q, regex) in [
            ("", &b""[..], false),
            ("q=", b"", false),
            ("q=100%25+x%22%00%ff", b"100% x\"\0\xff", false),
            ("q=100%", b"100%", false),
            ("q=first&q=second&other=1", b"first", false),
            ("q=a.b&regex", b"a.b", true),
            ("q=a.b&regex=false", b"a.b", true),
        ] {
            let asked = Params(params).asked(&Caller::default()).unwrap();
            assert_eq!((asked.q.as_slice(), asked.regex), (q, regex), "{params}");
            match asked.expr {
                Expr::All => assert!(q.is_empty()),
                Expr::Bytes { bytes, any_case } => assert_eq!((bytes.as_slice(), any_case), (q, false)),
                Expr::Regex(pattern) => assert_eq!(pattern.as_bytes(), q),
                other => panic!("{other:?}"),
            }
        }
        for (params, said) in [
            ("q=%28&regex", "compiling regex: "),
            ("q=%ff&regex", "compiling regex: "),
            ("q=(a{1000}){1000}&regex", "compiling regex: "),
            (&format!("q={}", "x".repeat(QUERY_BYTES_MAX + 1)), "q has 16385 bytes, more than 16384"),
            (
                &format!("q={}", "%01".repeat(QUERY_BYTES_MAX / 4)),
                "q takes 16386 bytes when it is written out, more than 16384",
            ),
        ] {
            let error = Params(params).asked(&Caller::default()).unwrap_err();
            assert!(error.message().starts_with(said), "{params}: {error}");
        }
    }

    #[test]
    fn a_window_is_a_duration_of_go_within_bounds() {
        for (params, expected) in [
            ("", 3_000),
            ("window=1s", 1_000),
            ("window=0", 100),
            ("window=-5s", 100),
            ("window=10ms", 100),
            ("window=9h", 60_000),
            ("window=soon", 3_000),
            ("window=%ff", 3_000),
        ] {
            assert_eq!(Params(params).window_ms(), expected, "{params}");
        }
    }
}
