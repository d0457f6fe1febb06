//! Arguments of a pipe as the parameters that a plugin's schema describes.

use serde_json::{Map, Value};
use weir_api::backend::ApiError;
use weir_plugin_runtime::Schema;
use weir_query::{Arg, ArgValue, Stage};

use super::wrong;

/// What a schema says of arguments without a name: its keyword `x-args`.
struct Shape<'a> {
    properties: &'a Map<String, Value>,
    positional: Vec<&'a str>,
    keywords: Vec<&'a str>,
    text: Option<&'a str>,
}

/// The parameters of a stage as JSON, not yet checked against the schema.
pub(super) fn of(schema: &Schema, stage: &Stage) -> Result<Value, ApiError> {
    let none = Map::new();
    let shape = Shape::of(schema.as_json(), &none);
    let mut params = Map::new();
    if let Some(name) = shape.text {
        if !stage.text.is_empty() {
            params.insert(name.to_owned(), Value::String(stage.text.clone()));
        }
        return Ok(Value::Object(params));
    }
    let mut places = shape.positional.iter().copied().peekable();
    // The property that takes all that follows.
    let mut list: Option<&str> = None;
    let mut open = None;
    for arg in &stage.args {
        let name = match &arg.name {
            Some(name) if shape.properties.contains_key(name) => name.as_str(),
            Some(name) => return Err(unknown(&shape, stage, arg, name)),
            None => {
                if let (ArgValue::Bare(word), None) = (&arg.value, &arg.name)
                    && let Some(keyword) = shape.keywords.iter().find(|keyword| *keyword == word)
                {
                    if let Some((keyword, column)) = open.replace((*keyword, arg.column)) {
                        return Err(nothing_behind(stage, keyword, column));
                    }
                    list = Some(keyword);
                    continue;
                }
                match list.or_else(|| places.peek().copied()) {
                    Some(name) => {
                        if shape.is_list(name) {
                            list = Some(name);
                        } else {
                            places.next();
                            list = None;
                        }
                        name
                    }
                    None => return Err(too_many(&shape, stage, arg)),
                }
            }
        };
        open = None;
        let is_list = shape.is_list(name);
        let value = value_of(arg, shape.type_of(name, is_list));
        match (params.get_mut(name), is_list) {
            (Some(Value::Array(values)), true) => values.push(value),
            (Some(_), _) => {
                return Err(wrong(arg.column, &format!("{}: {name} is given twice", stage.name)));
            }
            (None, true) => drop(params.insert(name.to_owned(), Value::Array(vec![value]))),
            (None, false) => drop(params.insert(name.to_owned(), value)),
        }
    }
    match open {
        Some((keyword, column)) => Err(nothing_behind(stage, keyword, column)),
        None => Ok(Value::Object(params)),
    }
}

fn nothing_behind(stage: &Stage, keyword: &str, column: usize) -> ApiError {
    wrong(column, &format!("{}: nothing follows {keyword}", stage.name))
        .hint(format!(r#"if it is meant as a value, write "{keyword}""#))
}

impl<'a> Shape<'a> {
    fn of(schema: Option<&'a Value>, none: &'a Map<String, Value>) -> Shape<'a> {
        let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        let args = schema.and_then(|schema| schema.get("x-args"));
        let names = |key: &str| {
            let list = args.and_then(|args| args.get(key)).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        Shape {
            properties: properties.unwrap_or(none),
            positional: names("positional"),
            keywords: names("keywords"),
            text: args.and_then(|args| args.get("text")).and_then(Value::as_str),
        }
    }

    fn is_list(&self, name: &str) -> bool {
        self.properties.get(name).and_then(|property| property.get("type")) == Some(&Value::from("array"))
    }

    /// The type of a property, or of the elements of a list.
    fn type_of(&self, name: &str, is_list: bool) -> &str {
        let property = self.properties.get(name);
        let of = if is_list { property.and_then(|property| property.get("items")) } else { property };
        of.and_then(|of| of.get("type")).and_then(Value::as_str).unwrap_or("string")
    }
}

/// A value as its property wants it, if it can be read so; else as text, which the schema then refuses in words.
fn value_of(arg: &Arg, wanted: &str) -> Value {
    let text = match &arg.value {
        ArgValue::Bare(text) => text,
        ArgValue::Quoted(text) => return Value::String(text.clone()),
        ArgValue::Regex(pattern) => return Value::String(format!("/{pattern}/")),
    };
    let read = match wanted {
        "boolean" => match text.as_str() {
            "true" | "yes" => Some(Value::Bool(true)),
            "false" | "no" => Some(Value::Bool(false)),
            _ => None,
        },
        "integer" => text.parse::<i64>().ok().map(Value::from),
        "number" => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
        _ => None,
    };
    read.unwrap_or_else(|| Value::String(text.clone()))
}

fn unknown(shape: &Shape<'_>, stage: &Stage, arg: &Arg, name: &str) -> ApiError {
    let known: Vec<&str> = shape.properties.keys().map(String::as_str).collect();
    let error = wrong(arg.column, &format!("{} has no parameter {name}", stage.name));
    if known.is_empty() {
        error.hint("it takes none")
    } else {
        error.hint(format!("it has {}", known.join(", ")))
    }
}

fn too_many(shape: &Shape<'_>, stage: &Stage, arg: &Arg) -> ApiError {
    let error = wrong(arg.column, &format!("{} takes no argument here", stage.name));
    let known: Vec<String> = shape.properties.keys().map(|name| format!("{name}=…")).collect();
    let keywords: Vec<String> = shape.keywords.iter().map(|keyword| format!("{keyword} …")).collect();
    let known = [shape.positional.iter().map(ToString::to_string).collect(), keywords, known].concat();
    if known.is_empty() {
        error.hint("it takes none")
    } else {
        error.hint(format!("it takes {}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{
        "properties": {
            "field": { "type": "string" }, "n": { "type": "integer" }, "share": { "type": "number" },
            "all": { "type": "boolean" }, "by": { "type": "array", "items": { "type": "string" } },
            "sizes": { "type": "array", "items": { "type": "integer" } }
        },
        "x-args": { "positional": ["field", "n", "sizes"], "keywords": ["by"] }
    }"#;

    fn shown(schema: &str, pipe: &str) -> String {
        let piped = weir_query::parse_piped(&format!("| {pipe}")).unwrap();
        match of(&Schema::parse(schema).unwrap(), &piped.stages[0]) {
            Ok(params) => params.to_string(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn arguments_become_parameters_by_place_by_keyword_and_by_name() {
        for (pipe, expected) in [
            ("x", "{}"),
            ("x a", r#"{"field":"a"}"#),
            ("x a 3", r#"{"field":"a","n":3}"#),
            ("x a 3 1 2", r#"{"field":"a","n":3,"sizes":[1,2]}"#),
            ("x a by b, c", r#"{"by":["b","c"],"field":"a"}"#),
            ("x by b c", r#"{"by":["b","c"]}"#),
            ("x n=3 share=0.5 all=yes field=\"by\"", r#"{"all":true,"field":"by","n":3,"share":0.5}"#),
            ("x \"by\" 3", r#"{"field":"by","n":3}"#),
            ("x /a|b/", r#"{"field":"/a|b/"}"#),
            ("x a three", r#"{"field":"a","n":"three"}"#),
            ("x by=b by=c", r#"{"by":["b","c"]}"#),
            ("x a field=b", "column 7: x: field is given twice"),
            ("x by", "column 5: x: nothing follows by"),
            ("x by by c", "column 5: x: nothing follows by"),
            ("x nn=3", "column 5: x has no parameter nn"),
        ] {
            assert_eq!(shown(SCHEMA, pipe), expected, "{pipe}");
        }
        assert_eq!(shown("", "x 1"), "column 5: x takes no argument here");
        let text = r#"{"properties": {"condition": {"type": "string"}}, "x-args": {"text": "condition"}}"#;
        assert_eq!(shown(text, "where a=1 and b>2"), r#"{"condition":"a=1 and b>2"}"#);
    }
}
