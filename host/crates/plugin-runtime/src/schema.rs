//! Settings of a plugin checked against the JSON Schema it describes itself with.
//!
//! The keywords that `types.info` names are checked, and `default` is filled in; every other keyword is
//! documentation. All violations are found at once, each with the path of the setting.

use std::fmt;

use serde_json::{Map, Value};

/// Nesting of a schema, so that no plugin can exhaust the stack.
const DEPTH_MAX: usize = 32;
/// Edits after which a known name is no longer suggested.
const SUGGEST_EDITS_MAX: usize = 3;

/// A setting that does not fit. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path below the settings, as in TOML: `multiline.start`, `paths[2]`; empty for the whole.
    pub path: String,
    /// What the schema wants.
    pub expected: String,
    /// What there is.
    pub got: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { path, expected, got } = self;
        match path.as_str() {
            "" => write!(f, "config: expected {expected}, got {got}"),
            path => write!(f, "config.{path}: expected {expected}, got {got}"),
        }
    }
}

/// A schema that is JSON, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema(Option<Value>);

impl Schema {
    /// The schema in a plugin's `info`; empty text means that the plugin takes no settings.
    pub fn parse(text: &str) -> Result<Schema, String> {
        if text.trim().is_empty() {
            return Ok(Schema(None));
        }
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        if !schema.is_object() {
            return Err("not a JSON object".into());
        }
        if depth(&schema, 0) > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        Ok(Schema(Some(schema)))
    }

    /// The schema as JSON, for people and tools.
    pub fn as_json(&self) -> Option<&Value> {
        self.0.as_ref()
    }

    /// Fills in defaults and checks. Settings that are missing altogether are an empty object.
    pub fn check(&self, settings: &mut Value) -> Result<(), Vec<Violation>> {
        if settings.is_null() {
            *settings = Value::Object(Map::new());
        }
        let mut check = Check { path: String::new(), violations: Vec::new() };
        match (&self.0, &*settings) {
            (Some(schema), Value::Object(_)) => check.value(schema, settings),
            (None, Value::Object(given)) => {
                let unknown = given
                    .keys()
                    .map(|name| check.violation("no settings, since the plugin takes none", name.clone()));
                check.violations = unknown.collect();
            }
            (_, other) => check.violations.push(check.violation("a table", shown(other))),
        }
        if check.violations.is_empty() { Ok(()) } else { Err(check.violations) }
    }
}

fn depth(value: &Value, above: usize) -> usize {
    // serde_json itself refuses to parse deeper than 128.
    let deepest = |mut inner: &mut dyn Iterator<Item = &Value>| {
        (&mut inner).map(|value| depth(value, above + 1)).max().unwrap_or(above)
    };
    match value {
        Value::Array(list) => deepest(&mut list.iter()),
        Value::Object(map) => deepest(&mut map.values()),
        _ => above,
    }
}

struct Check {
    path: String,
    violations: Vec<Violation>,
}

impl Check {
    fn violation(&self, expected: impl Into<String>, got: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), expected: expected.into(), got: got.into() }
    }

    fn fail(&mut self, expected: impl Into<String>, got: &Value) {
        let violation = self.violation(expected, shown(got));
        self.violations.push(violation);
    }

    fn value(&mut self, schema: &Value, value: &mut Value) {
        let types = types_of(schema);
        if !types.is_empty() && !types.iter().any(|ty| is_type(value, ty)) {
            let expected: Vec<_> = types.into_iter().map(in_words).collect();
            self.fail(expected.join(" or "), value);
            return;
        }
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.iter().any(|it| same(it, value))
        {
            let expected: Vec<_> = allowed.iter().map(shown).collect();
            self.fail(format!("one of {}", expected.join(", ")), value);
        }
        if let Some(only) = schema.get("const")
            && !same(only, value)
        {
            self.fail(shown(only), value);
        }
        match value {
            Value::Number(_) => self.number(schema, value),
            Value::String(text) => {
                let length = text.chars().count() as u64;
                self.length(schema, length, value);
            }
            Value::Array(list) => {
                let Some(items) = schema.get("items").filter(|items| items.is_object()) else { return };
                for (index, item) in list.iter_mut().enumerate() {
                    self.below(&format!("[{index}]"), |check| check.value(items, item));
                }
            }
            Value::Object(map) => self.object(schema, map),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn number(&mut self, schema: &Value, value: &Value) {
        let Some(number) = value.as_f64() else { return };
        if let Some(min) = schema.get("minimum").and_then(Value::as_f64)
            && number < min
        {
            self.fail(format!("at least {}", shown(&schema["minimum"])), value);
        }
        if let Some(max) = schema.get("maximum").and_then(Value::as_f64)
            && number > max
        {
            self.fail(format!("at most {}", shown(&schema["maximum"])), value);
        }
    }

    fn length(&mut self, schema: &Value, length: u64, value: &Value) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        if let Some(min) = bound("minLength").filter(|&min| length < min) {
            self.fail(format!("at least {min} characters"), value);
        }
        if let Some(max) = bound("maxLength").filter(|&max| length > max) {
            self.fail(format!("at most {max} characters"), value);
        }
    }

    fn object(&mut self, schema: &Value, map: &mut Map<String, Value>) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        for (name, property) in properties {
            if let Some(default) = property.get("default")
                && !map.contains_key(name)
            {
                map.insert(name.clone(), default.clone());
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(name) = name.as_str().filter(|name| !map.contains_key(*name)) {
                let expected = properties.get(name).map(types_of).unwrap_or_default();
                let expected: Vec<_> = expected.into_iter().map(in_words).collect();
                let expected = if expected.is_empty() { "a value".into() } else { expected.join(" or ") };
                self.below(name, |check| {
                    let violation = check.violation(expected, "nothing");
                    check.violations.push(violation);
                });
            }
        }
        for (name, value) in map.iter_mut() {
            self.below(name, |check| match (properties.get(name), schema.get("additionalProperties")) {
                (Some(property), _) => check.value(property, value),
                (None, Some(Value::Bool(false))) => {
                    let violation = check.violation(known(name, properties), "an unknown setting");
                    check.violations.push(violation);
                }
                (None, Some(additional @ Value::Object(_))) => check.value(additional, value),
                (None, _) => {}
            });
        }
    }

    fn below(&mut self, step: &str, check: impl FnOnce(&mut Check)) {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        check(self);
        self.path.truncate(length);
    }
}

fn types_of(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_type(value: &Value, ty: &str) -> bool {
    match ty {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        // 2.0 is an integer to JSON Schema.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0),
        _ => false,
    }
}

fn in_words(ty: &str) -> &str {
    match ty {
        "null" => "nothing",
        "boolean" => "true or false",
        "string" => "a string",
        "array" => "a list",
        "object" => "a table",
        "number" => "a number",
        "integer" => "a whole number",
        other => other,
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
        scalar => {
            let text = scalar.to_string();
            if text.chars().count() > 80 { text.chars().take(80).chain(['…']).collect() } else { text }
        }
    }
}

fn known(name: &str, properties: &Map<String, Value>) -> String {
    let nearest = properties.keys().map(|known| (edits(name, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= SUGGEST_EDITS_MAX.min(known.len() / 2) => {
            format!("`{known}`, perhaps")
        }
        _ if properties.is_empty() => "no setting here".into(),
        _ => {
            let names: Vec<_> = properties.keys().map(String::as_str).collect();
            format!("one of {}", names.join(", "))
        }
    }
}

/// Insertions, deletions and replacements between two names.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let schema = json!({
            "type": "object",
            "properties": {
                "start_at": { "enum": ["beginning", "end"], "default": "beginning" },
                "poll_ms": { "type": "integer", "minimum": 10, "maximum": 60000, "default": 200 },
                "multiline": {
                    "type": ["object", "null"],
                    "properties": { "start": { "type": "string", "minLength": 1, "maxLength": 5 } },
                    "required": ["start"],
                    "additionalProperties": false,
                },
                "names": { "type": "array", "items": { "type": "string" } },
                "rate": { "type": "number" },
                "version": { "const": 1 },
            },
            "required": ["rate"],
            "additionalProperties": false,
        });
        Schema::parse(&schema.to_string()).unwrap()
    }

    fn violations(mut settings: Value) -> Vec<String> {
        schema().check(&mut settings).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_are_filled_in() {
        let mut settings = json!({ "rate": 1 });
        schema().check(&mut settings).unwrap();
        assert_eq!(settings, json!({ "rate": 1, "start_at": "beginning", "poll_ms": 200 }));
    }

    #[test]
    fn each_violation_names_its_path() {
        for (settings, expected) in [
            (json!({ "rate": 1 }), vec![]),
            (json!({ "rate": 1, "poll_ms": 10.0, "version": 1.0, "multiline": null }), vec![]),
            (json!(null), vec!["config.rate: expected a number, got nothing"]),
            (json!([]), vec!["config: expected a table, got a list"]),
            (
                json!({ "rate": "1", "poll_ms": 9 }),
                vec![
                    "config.poll_ms: expected at least 10, got 9",
                    "config.rate: expected a number, got \"1\"",
                ],
            ),
            (json!({ "rate": 1, "poll_ms": 1.5 }), vec!["config.poll_ms: expected a whole number, got 1.5"]),
            (
                json!({ "rate": 1, "poll_ms": 60001 }),
                vec!["config.poll_ms: expected at most 60000, got 60001"],
            ),
            (
                json!({ "rate": 1, "start_at": "begin", "version": 2 }),
                vec![
                    "config.start_at: expected one of \"beginning\", \"end\", got \"begin\"",
                    "config.version: expected 1, got 2",
                ],
            ),
            (
                json!({ "rate": 1, "multiline": { "strat": "" } }),
                vec![
                    "config.multiline.start: expected a string, got nothing",
                    "config.multiline.strat: expected `start`, perhaps, got an unknown setting",
                ],
            ),
            (
                json!({ "rate": 1, "multiline": { "start": "äöüßéx" } }),
                vec!["config.multiline.start: expected at most 5 characters, got \"äöüßéx\""],
            ),
            (
                json!({ "rate": 1, "names": ["a", 1, true], "zzz": 0 }),
                vec![
                    "config.names[1]: expected a string, got 1",
                    "config.names[2]: expected a string, got true",
                    "config.zzz: expected one of multiline, names, poll_ms, rate, start_at, version, got an unknown setting",
                ],
            ),
        ] {
            assert_eq!(violations(settings.clone()), expected, "{settings}");
        }
    }

    #[test]
    fn a_plugin_without_a_schema_takes_nothing() {
        let none = Schema::parse(" ").unwrap();
        assert_eq!(none.check(&mut json!({})), Ok(()));
        assert_eq!(none.check(&mut json!(null)), Ok(()));
        assert!(none.check(&mut json!({ "a": 1 })).is_err());
    }

    #[test]
    fn schemas_that_are_none_are_refused() {
        for text in
            ["{", "[]", "1", &format!("{}{}", "{\"items\":".repeat(40), "1".to_owned() + &"}".repeat(40))]
        {
            assert!(Schema::parse(text).is_err(), "{text}");
        }
    }
}
