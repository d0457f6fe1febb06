//! The settings as a JSON Schema, so that editors complete and check a configuration while it is written.

use serde_json::{Map, Value, json};

use crate::config::schema::{KEYS, Key, Kind, Support, Unset, children};

/// The schema of a configuration file, draft 2020-12. It knows every key, kind and default; what depends on more
/// than one setting, or on files, only `weir config check` finds.
pub fn json_schema() -> Value {
    let mut root = table("", "");
    root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".into(), json!("weir.toml"));
    Value::Object(root)
}

/// A table with the settings that the list has below a path.
fn table(path: &str, doc: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, key) in children(path) {
        if name == "*" || name == "[]" {
            continue;
        }
        properties.insert(name.to_owned(), schema_of(key));
        if let Kind::Secret(_) = key.kind {
            let doc = format!("The file that holds {name}, in its place.");
            properties.insert(format!("{name}_file"), json!({ "type": "string", "description": doc }));
        } else if matches!(key.unset, Unset::Required) {
            required.push(name);
        }
    }
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    if !doc.is_empty() {
        schema.insert("description".into(), json!(doc));
    }
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("additionalProperties".into(), json!(false));
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema
}

fn schema_of(key: &Key) -> Value {
    let doc = doc_of(key);
    let mut schema = match &key.kind {
        Kind::Table => table(key.path, &doc),
        Kind::Names(_) => {
            let below = format!("{}.*", key.path);
            let each = KEYS.iter().find(|key| key.path == below).map_or(json!({}), schema_of);
            object(json!({ "type": "object", "additionalProperties": each }))
        }
        Kind::Tables => object(json!({ "type": "array", "items": table(&format!("{}.[]", key.path), "") })),
        kind => object(of_kind(kind)),
    };
    schema.insert("description".into(), json!(doc));
    if let Unset::Default(written) = key.unset
        && let Some(default) = parsed(written)
    {
        schema.insert("default".into(), default);
    }
    if matches!(key.support, Support::Refused(_)) {
        // What an editor strikes through: the node does not start with it.
        schema.insert("deprecated".into(), json!(true));
    }
    Value::Object(schema)
}

fn doc_of(key: &Key) -> String {
    match key.support {
        Support::Now => key.doc.to_owned(),
        Support::Refused(why) => format!("{} ({why})", key.doc),
    }
}

/// What a value may look like. Patterns say no more than the parsers of `units` and `kind`; a variable such as
/// `${PORT}` may stand in any of these texts, so one that holds it passes.
fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Table | Kind::Names(_) | Kind::Tables => json!({ "type": "object" }),
        Kind::Labels => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::List(inner) => json!({ "type": "array", "items": of_kind(inner) }),
        Kind::Text(_) | Kind::Secret(_) | Kind::Path | Kind::Glob | Kind::GlobOrName => {
            json!({ "type": "string" })
        }
        Kind::Choice(choices) => json!({ "enum": choices }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::Duration(..) => pattern("^([0-9]+(ms|s|m|h|d|w))+$"),
        Kind::Bytes(..) => pattern("^[0-9]+ *([KMGT]iB|[kMGT]?B)$"),
        Kind::OrUnlimited(inner) => either(&of_kind(inner), "unlimited"),
        Kind::Percent => pattern("^[0-9]+ *%$"),
        Kind::Socket | Kind::HostPort => pattern("^.+:[0-9]+$"),
        Kind::OrOff(inner) => either(&of_kind(inner), "off"),
        Kind::Url(schemes) => pattern(&format!("^({})://.+$", schemes.join("|"))),
        Kind::PublicKey => pattern("^ed25519:[0-9a-fA-F]{64}$"),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Digest => pattern("^(sha256:)?[0-9a-fA-F]{64}$"),
        Kind::Free => json!({}),
    }
}

/// A text that matches, or holds a variable.
fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("{pattern}|\\$\\{{") })
}

fn either(kind: &Value, word: &str) -> Value {
    json!({ "anyOf": [kind, { "const": word }] })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A default as it is written, a value of TOML.
fn parsed(written: &str) -> Option<Value> {
    let line: toml::Table = format!("value = {written}").parse().ok()?;
    serde_json::to_value(line.get("value")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema of a key, by its path in the list.
    fn find<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(root, |schema, step| match step {
            "*" => schema.get("additionalProperties"),
            "[]" => schema.get("items"),
            name => schema.get("properties")?.get(name),
        })
    }

    #[test]
    fn every_setting_is_in_it_with_its_sentence_and_default() {
        let root = json_schema();
        for key in KEYS {
            let schema = find(&root, key.path).unwrap_or_else(|| panic!("{} is missing", key.path));
            let doc = schema["description"].as_str().unwrap();
            assert!(doc.starts_with(key.doc), "{}: {doc}", key.path);
            if let Unset::Default(written) = key.unset {
                assert!(schema.get("default").is_some(), "{}: {written}", key.path);
            }
        }
        assert_eq!(find(&root, "listen.api").unwrap()["default"], "127.0.0.1:7650");
        assert_eq!(find(&root, "sources.*").unwrap()["required"], json!(["plugin"]));
        assert_eq!(root["additionalProperties"], false);
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_is_not_asked_for_twice() {
        let root = json_schema();
        let amqp = find(&root, "sources.*.grants.amqp.*").unwrap();
        assert!(amqp["properties"].get("uri_file").is_some());
        assert_eq!(amqp["required"], json!(["queue"]));
    }
}
