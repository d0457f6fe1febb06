//! `| fields ts, level, msg->message as logfmt` reduces records to some of their fields; `| fields *` flattens them.

mod write;

use weir_plugin_sdk::fields::{Value, visit_all};
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Failure, Hints, Info, Record, Rewrite, export_rewrite};

use write::Form;

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["fields"],
    "properties": {
        "fields": {
            "type": "array", "items": { "type": "string", "minLength": 1 },
            "description": "names as in a query; a.* for all below a, * for all; old->new to rename"
        },
        "as": {
            "type": "string", "enum": ["json", "logfmt", "text"], "default": "json",
            "description": "how to write them"
        }
    },
    "x-args": { "positional": ["fields"], "keywords": ["as"] }
}"#;

/// Fields that one record may have in the answer; the rest is left out.
const FIELDS_MAX: usize = 256;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    fields: Vec<String>,
    #[serde(default, rename = "as")]
    form: Form,
}

/// The rewrite.
#[derive(Debug)]
pub struct Fields {
    wanted: Vec<Wanted>,
    form: Form,
}

/// What is asked for.
#[derive(Debug)]
enum Wanted {
    One {
        name: String,
        shown: String,
    },
    /// All fields whose name begins so.
    Below(String),
}

/// A field with its values, of which there may be none or several.
struct Found<'a> {
    name: Vec<u8>,
    values: Vec<Value<'a>>,
}

impl Rewrite for Fields {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { fields, form }: Params) -> Result<Fields, Failure> {
        if fields.is_empty() {
            return Err(Failure::bad_config("fields.none", "there is no field: write fields ts, level, msg"));
        }
        let wanted = fields.iter().map(|field| Wanted::parse(field)).collect::<Result<_, _>>()?;
        Ok(Fields { wanted, form })
    }

    fn hints(&self) -> Hints {
        Hints { streams: true, ..Hints::default() }
    }

    fn rewrite(&mut self, record: Record<'_>, out: &mut Vec<u8>) -> bool {
        let mut found = Vec::new();
        for wanted in &self.wanted {
            wanted.find(&record, &mut found);
        }
        let before = out.len();
        let has_any = found.iter().any(|field| !field.values.is_empty());
        if has_any {
            write::record(self.form, &found, out);
        }
        has_any && out.len() - before <= RECORD_BYTES_MAX
    }
}

impl Wanted {
    fn parse(text: &str) -> Result<Wanted, Failure> {
        let (name, shown) = text.split_once("->").unwrap_or((text, text));
        let wrong = |why: &str| Err(Failure::bad_config("fields.name", format_args!("{text}: {why}")));
        match name.strip_suffix('*') {
            _ if name.is_empty() || shown.is_empty() => wrong("a name is missing: write old->new"),
            Some(_) if name != shown => wrong("many fields cannot have one name"),
            Some(prefix) if prefix.is_empty() || prefix.ends_with('.') => {
                Ok(Wanted::Below(prefix.to_owned()))
            }
            Some(_) => wrong("write a.* for all fields below a, or * for all"),
            None => Ok(Wanted::One { name: name.to_owned(), shown: shown.to_owned() }),
        }
    }

    fn find<'a>(&self, record: &Record<'a>, found: &mut Vec<Found<'a>>) {
        match self {
            Wanted::One { name, shown } => {
                let mut values = Vec::new();
                record.visit(name.strip_prefix("field.").unwrap_or(name), |value| {
                    values.push(value);
                    true
                });
                if values.is_empty() || name.starts_with("label.") || name == "topic" {
                    values = record.value(name).into_iter().collect();
                }
                found.push(Found { name: shown.clone().into_bytes(), values });
            }
            Wanted::Below(prefix) => visit_all(record.payload, &mut |name, value| {
                if name.starts_with(prefix.as_bytes()) {
                    match found.iter_mut().find(|field| field.name == name) {
                        Some(field) => field.values.push(value),
                        None => found.push(Found { name: name.to_vec(), values: vec![value] }),
                    }
                }
                found.len() < FIELDS_MAX
            }),
        }
    }
}

export_rewrite!(Fields);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::rewrite;

    #[test]
    fn records_are_reduced_to_fields() {
        let json = r#"x {"a":1,"b":{"c":"d \"e\"","f":[true,"g"]},"n":"007"}"#;
        for (params, line, expected) in [
            (r#""fields":["a","b.c"]"#, json, r#"{"a":1,"b.c":"d \"e\""}"#),
            (
                r#""fields":["b.c->x","b.f","z","n"]"#,
                json,
                r#"{"x":"d \"e\"","b.f":[true,"g"],"z":null,"n":"007"}"#,
            ),
            (r#""fields":["*"]"#, json, r#"{"a":1,"b.c":"d \"e\"","b.f":[true,"g"],"n":"007"}"#),
            (r#""fields":["b.*","a"],"as":"logfmt""#, json, r#"b.c="d \"e\"" b.f=true b.f=g a=1"#),
            (r#""fields":["a","z","b.f"],"as":"text""#, json, "1 - true,g"),
            (
                r#""fields":["*"]"#,
                r#"ms=3 up=+07 to="" ok=true l=a,"#,
                r#"{"ms":3,"up":"+07","to":"","ok":true,"l":"a"}"#,
            ),
            (r#""fields":["a","b"],"as":"logfmt""#, r#"{"a":"","b":"x=y"}"#, r#"a="" b="x=y""#),
            (r#""fields":["a","b"],"as":"logfmt""#, r#"{"a":"x,","b":"{}"}"#, r#"a="x," b="{}""#),
        ] {
            assert_eq!(rewrite::<Fields>(&format!("{{{params}}}"), &[line]).unwrap(), [expected], "{params}");
        }
        assert_eq!(rewrite::<Fields>(r#"{"fields":["a"]}"#, &["no fields", "b=1"]).unwrap(), [""; 0]);
        for wrong in ["->x", "x->", "a*", "*->x"] {
            assert!(rewrite::<Fields>(&format!(r#"{{"fields":["{wrong}"]}}"#), &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn labels_stand_in_for_fields() {
        let labels = [("_topic".to_owned(), "shop".to_owned()), ("host".to_owned(), "web1".to_owned())];
        let names = ["host", "topic", "label.host", "field.host"].map(str::to_owned).to_vec();
        let mut fields = Fields::open(Params { fields: names, form: Form::Json }).unwrap();
        let mut out = Vec::new();
        assert!(fields.rewrite(Record { payload: b"x", labels: &labels, ..Record::default() }, &mut out));
        let expected = r#"{"host":"web1","topic":"shop","label.host":"web1","field.host":null}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
