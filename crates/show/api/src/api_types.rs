//! The types of the API's documents for the console, as JSDoc, made from the API's description.
//! The console is checked against them without a compiler of its own.

use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "\
// @ts-check
// The documents of the API. Made from its OpenAPI description; do not edit, but run
//   cargo run -p andon-api --example api_types > crates/show/console/assets/state/api-types.js
// A test of andon-api fails while this file is not what that prints.
";

/// Longest description that is passed on.
const WORDS_MAX: usize = 160;

/// The types that an OpenAPI document (3.1, as JSON) describes, as a module of JSDoc typedefs.
pub fn javascript(openapi: &Value) -> String {
    let mut text = HEAD.to_owned();
    let schemas = openapi["components"]["schemas"].as_object();
    for (name, schema) in schemas.into_iter().flatten() {
        let words = words(schema);
        let _ = match schema["properties"].as_object() {
            Some(properties) if schema.get("allOf").is_none() => {
                let _ = writeln!(text, "\n/**");
                if !words.is_empty() {
                    let _ = writeln!(text, " * {words}");
                }
                let _ = writeln!(text, " * @typedef {{object}} {name}");
                for (field, schema_of) in properties {
                    let is_required = required(schema, field);
                    let field = if is_required {
                        field.clone()
                    } else {
                        format!("[{field}]")
                    };
                    // The dash keeps a description that begins with a digit apart.
                    let line = match self::words(schema_of).as_str() {
                        "" => format!(" * @property {{{}}} {field}", type_of(schema_of)),
                        words => {
                            format!(" * @property {{{}}} {field} - {words}", type_of(schema_of))
                        }
                    };
                    let _ = writeln!(text, "{line}");
                }
                writeln!(text, " */")
            }
            _ => {
                let line = format!("/** @typedef {{{}}} {name} {words}", type_of(schema));
                writeln!(text, "\n{} */", line.trim_end())
            }
        };
    }
    text.push_str("\nexport {};\n");
    text
}

fn required(schema: &Value, field: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|names| names.iter().any(|name| name == field))
}

/// What a thing is, on one line that cannot end the comment.
fn words(schema: &Value) -> String {
    let words = schema["description"].as_str().unwrap_or_default();
    let words = words.split("\n\n").next().unwrap_or_default();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.replace("*/", "* /").replace('@', "(at)");
    words.chars().take(WORDS_MAX).collect()
}

/// A schema as a type.
fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or("unknown").to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        return union(values.iter().map(Value::to_string));
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for (key, sign) in [("oneOf", "|"), ("anyOf", "|"), ("allOf", "&")] {
        if let Some(parts) = schema[key].as_array() {
            let parts = parts.iter().map(type_of);
            return if sign == "|" {
                union(parts)
            } else {
                parts
                    .map(|part| grouped(&part))
                    .collect::<Vec<_>>()
                    .join("&")
            };
        }
    }
    match &schema["type"] {
        Value::Array(types) => union(types.iter().map(|name| plain(schema, name.as_str()))),
        name => plain(schema, name.as_str()),
    }
}

/// A type without alternatives.
fn plain(schema: &Value, name: Option<&str>) -> String {
    match name {
        Some("integer" | "number") => "number".to_owned(),
        Some(name @ ("string" | "boolean" | "null")) => name.to_owned(),
        Some("array") => match schema["prefixItems"].as_array() {
            Some(items) => {
                let items: Vec<String> = items.iter().map(type_of).collect();
                format!("[{}]", items.join(", "))
            }
            None => format!("{}[]", grouped(&type_of(&schema["items"]))),
        },
        Some("object") => object(schema),
        _ => "unknown".to_owned(),
    }
}

fn object(schema: &Value) -> String {
    if let Some(properties) = schema["properties"].as_object() {
        let field = |(name, of): (&String, &Value)| {
            let optional = if required(schema, name) { "" } else { "?" };
            format!("{name}{optional}: {}", type_of(of))
        };
        let fields: Vec<String> = properties.iter().map(field).collect();
        return format!("{{{}}}", fields.join(", "));
    }
    match schema.get("additionalProperties") {
        Some(of @ Value::Object(_)) => format!("Record<string, {}>", type_of(of)),
        _ => "Record<string, unknown>".to_owned(),
    }
}

/// Each alternative once.
fn union(parts: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for part in parts {
        if !all.contains(&part) {
            all.push(part);
        }
    }
    all.join("|")
}

fn grouped(part: &str) -> String {
    if part.contains(['|', '&']) {
        format!("({part})")
    } else {
        part.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_become_types() {
        for (schema, expected) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["integer", "null"]}), "number|null"),
            (
                json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Node"}]}),
                "null|Node",
            ),
            (
                json!({"type": "array", "items": {"type": ["number", "null"]}}),
                "(number|null)[]",
            ),
            (
                json!({"type": "string", "enum": ["up", "down"]}),
                "\"up\"|\"down\"",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                "Record<string, string>",
            ),
            (json!({"type": "object"}), "Record<string, unknown>"),
            (
                json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "boolean"}, "b": {"type": "string"}}}),
                "{a: boolean, b?: string}",
            ),
            (
                json!({"allOf": [{"$ref": "#/x/A"}, {"type": ["string", "null"]}]}),
                "A&(string|null)",
            ),
            (
                json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]}),
                "[string, number]",
            ),
            (json!({}), "unknown"),
        ] {
            assert_eq!(type_of(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn the_consoles_types_are_those_of_the_api() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../console/assets/state/api-types.js"
        );
        let made = javascript(&serde_json::to_value(crate::openapi::document()).unwrap());
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        let differs = made
            .lines()
            .zip(kept.lines())
            .find(|(made, kept)| made != kept);
        assert!(
            made == kept,
            "the console's types are old ({differs:?}); run\n  cargo run -p andon-api --example api_types > crates/show/console/assets/state/api-types.js"
        );
    }
}
