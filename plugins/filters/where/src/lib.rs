//! `| where status>=500 and path~/^\/api/ and not (ip in 10.0.0.0/8)` keeps records whose fields fulfil a condition.
//!
//! What looks as in a query means the same; what a query has no words for, times, durations, networks and regexes on one
//! field, is here.

mod parse;
mod test;

use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Failure, Filter, Hints, Info, Record, export_filter, fields};

use test::{Place, Test};

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["condition"],
    "properties": {
        "condition": {
            "type": "string", "minLength": 1,
            "description": "status>=500 and (path~/^\\/api/ or ip in 10.0.0.0/8) and not exists user.id"
        }
    },
    "x-args": { "text": "condition" }
}"#;

/// Texts that the host is told to look for first.
const LITERALS_MAX: usize = 16;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    condition: String,
}

/// The filter.
#[derive(Debug)]
pub struct Where(Expr);

/// A condition.
#[derive(Debug)]
enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Test(Box<Test>),
}

impl Filter for Where {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { condition }: Params) -> Result<Where, Failure> {
        parse::condition(&condition).map(Where)
    }

    fn hints(&self) -> Hints {
        let mut literals = Vec::new();
        self.0.needed(&mut literals);
        literals.truncate(LITERALS_MAX);
        Hints { literals, streams: self.0.reads_labels(), ..Hints::default() }
    }

    fn keep(&mut self, record: Record<'_>) -> bool {
        self.0.holds(&record)
    }
}

impl Expr {
    fn holds(&self, record: &Record<'_>) -> bool {
        match self {
            Expr::All(parts) => parts.iter().all(|part| part.holds(record)),
            Expr::Any(parts) => parts.iter().any(|part| part.holds(record)),
            Expr::Not(part) => !part.holds(record),
            Expr::Test(test) => test.holds(record),
        }
    }

    fn reads_labels(&self) -> bool {
        match self {
            Expr::All(parts) | Expr::Any(parts) => parts.iter().any(Expr::reads_labels),
            Expr::Not(part) => part.reads_labels(),
            Expr::Test(test) => test.place != Place::Field,
        }
    }

    /// Names that stand in the payload of every record that is kept: those of fields that no label stands in for.
    fn needed(&self, literals: &mut Vec<Vec<Vec<u8>>>) {
        match self {
            Expr::All(parts) => parts.iter().for_each(|part| part.needed(literals)),
            Expr::Test(test) if test.place == Place::Field && test.key.is_some() => {
                literals.push(vec![fields::last_part(&test.name).as_bytes().to_vec()]);
            }
            _ => {}
        }
    }
}

export_filter!(Where);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::filter;

    const LINES: [&str; 6] = [
        r#"{"status":500,"path":"/api/a","ip":"10.1.2.3","user":{"id":7}}"#,
        r"status=404 path=/api/b ip=192.168.0.9 took=28ms",
        r#"{"status":"200","path":"/x","ts":"2026-02-01T00:00:00Z","tags":["a","b"]}"#,
        r"status=200 ts=2025-12-31T23:59:59.9Z took=1.5s ip=fe80::1",
        "no fields at all",
        r#"status=ok note="a \"b\" c""#,
    ];

    #[test]
    fn records_that_fulfil_the_condition_are_kept() {
        for (condition, kept) in [
            ("status>=404", &[0, 1][..]),
            ("status=200", &[2, 3]),
            ("status:2e2 took>20ms", &[3]),
            ("took<1s", &[1]),
            ("status!=200", &[0, 1, 5]),
            ("not status=200", &[0, 1, 4, 5]),
            (r"path~/^\/api/", &[0, 1]),
            (r"path ~ /^\/(x|api\/b)/", &[1, 2]),
            (r#"path!~"^/api""#, &[2]),
            ("ip in 10.0.0.0/8", &[0]),
            ("ip in (10.0.0.0/8, fe80::/10)", &[0, 3]),
            ("ip not in 10.0.0.0/8", &[1, 3]),
            ("status in (404, ok)", &[1, 5]),
            ("ts>=2026-01-01T00:00:00Z", &[2]),
            (r#"ts<"2026-01-01 00:00:00""#, &[3]),
            ("exists user.id", &[0]),
            ("not exists status", &[4]),
            ("tags=b", &[2]),
            (r#"note="a \"b\" c" OR field.user.id=7"#, &[0, 5]),
            ("(status=500 or status=404) and not path=/api/b", &[0]),
            ("status=500 or status=404 and path=/x", &[0]),
            ("label.host=a", &[]),
        ] {
            let expected: Vec<&str> = kept.iter().map(|&at| LINES[at]).collect();
            let params = format!(r#"{{"condition":{condition:?}}}"#);
            assert_eq!(filter::<Where>(&params, &LINES).unwrap(), expected, "{condition}");
        }
    }

    #[test]
    fn a_bare_name_is_a_label_where_there_is_no_such_field() {
        let labels = [("host".to_owned(), "web1".to_owned()), ("_topic".to_owned(), "shop".to_owned())];
        for (condition, payload, expected) in [
            ("host=web1", "x", true),
            ("host=web1", "host=web2", false),
            ("host=web2", "host=web2", true),
            ("label.host=web1", "host=web2", true),
            ("field.host=web1", "x", false),
            ("topic=shop", "topic=other", true),
            ("host=web1", "nothost=web2 a.host=web1", true),
        ] {
            let mut filter = Where::open(Params { condition: condition.into() }).unwrap();
            let record = Record { payload: payload.as_bytes(), labels: &labels, ..Record::default() };
            assert_eq!(filter.keep(record), expected, "{condition} of {payload}");
        }
    }

    #[test]
    fn fields_that_must_be_there_are_hinted_at() {
        let hints = |condition: &str| Where::open(Params { condition: condition.into() }).unwrap().hints();
        let both = hints("field.user.id=1 and (field.a=1 or field.b=1) and not field.c=1 and field.d>1");
        assert_eq!((both.literals, both.streams), (vec![vec![b"id".to_vec()], vec![b"d".to_vec()]], false));
        assert_eq!((hints("id=1").literals, hints("id=1").streams), (vec![], true));
    }

    #[test]
    fn what_is_no_condition_is_told_with_its_column() {
        for (condition, column, words) in [
            ("", 1, "a condition should"),
            ("status", 7, "an operator should"),
            ("status=", 8, "a value should"),
            ("é=1 and", 8, "a condition should"),
            ("(a=1", 5, "never closed"),
            ("a=1)", 4, "nothing to close"),
            ("a>b", 3, "texts have no order"),
            ("a~/(/", 3, "no regex"),
            ("a~/x", 3, "never closed"),
            ("a=\"x", 3, "never closed"),
            ("a in (1, 2", 11, "never closed"),
            ("a in 10.0.0.0/33", 6, "no network"),
            ("level>=warn", 1, "field.level"),
            (&"(".repeat(99), 65, "nested"),
        ] {
            let error = parse::condition(condition).unwrap_err();
            assert!(
                error.message.starts_with(&format!("column {column} ")),
                "{condition}: {}",
                error.message
            );
            assert!(error.message.contains(words), "{condition}: {}", error.message);
        }
    }
}
