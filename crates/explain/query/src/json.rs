//! Questions in JSON. Errors name the field by its path and the valid word nearest to what is
//! there, where a decoder would only say that no variant fits.

use crate::check::{Problem, check};
use crate::words::{CALCS, OPERATORS, nearest};
use andon_model::query::Query;
use serde_json::{Map, Value};

/// Bytes of a document at most; the largest sensible one is a long list of values.
pub const JSON_BYTES_MAX: usize = 1 << 20;

const QUERY_FIELDS: [&str; 14] = [
    "dataset",
    "from",
    "to",
    "where",
    "group_by",
    "bucket",
    "calc",
    "join",
    "order_by",
    "limit",
    "exemplars",
    "compare",
    "skip",
    "differ",
];

/// Reads a question and checks it. Problems come in the order of the document.
pub fn from_json(bytes: &[u8]) -> Result<Query, Vec<Problem>> {
    if bytes.len() > JSON_BYTES_MAX {
        let message = format!("a question has at most {JSON_BYTES_MAX} bytes");
        return Err(vec![Problem::new(".", message)]);
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| vec![Problem::new(".", format!("this is no JSON: {error}"))])?;
    from_value(value)
}

/// As [`from_json`], of a document that is read.
pub fn from_value(value: Value) -> Result<Query, Vec<Problem>> {
    let mut shape = Shape::default();
    shape.query(&value);
    if !shape.problems.is_empty() {
        return Err(shape.problems);
    }
    let query: Query = serde_json::from_value(value)
        .map_err(|error| vec![Problem::new(".", error.to_string())])?;
    let problems = check(&query);
    if problems.is_empty() {
        Ok(query)
    } else {
        Err(problems)
    }
}

/// Walks a document beside what it should be.
#[derive(Default)]
struct Shape {
    problems: Vec<Problem>,
}

impl Shape {
    fn wrong(&mut self, path: &str, wanted: &str, value: &Value) {
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let message = format!("this is {is}, and should be {wanted}");
        self.problems.push(Problem::new(path, message));
    }

    fn fields<'v>(
        &mut self,
        value: &'v Value,
        path: &str,
        valid: &[&str],
        needed: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Value::Object(fields) = value else {
            self.wrong(path, "an object", value);
            return None;
        };
        for name in fields.keys() {
            if !valid.contains(&name.as_str()) {
                let shown: String = name.chars().take(60).collect();
                let problem = Problem::new(under(path, &shown), "there is no such field");
                self.problems
                    .push(match nearest(name, valid.iter().copied()) {
                        Some(word) => problem.help(format!("did you mean `{word}`?")),
                        None => problem.help(format!("there are {}", valid.join(", "))),
                    });
            }
        }
        for name in needed {
            if !fields.contains_key(*name) {
                self.problems
                    .push(Problem::new(under(path, name), "this is missing"));
            }
        }
        Some(fields)
    }

    fn text(&mut self, value: &Value, path: &str) {
        if !value.is_string() {
            self.wrong(path, "a text", value);
        }
    }

    fn optional_text(&mut self, value: &Value, path: &str) {
        if !value.is_string() && !value.is_null() {
            self.wrong(path, "a text", value);
        }
    }

    fn each(&mut self, value: &Value, path: &str, mut one: impl FnMut(&mut Self, &Value, &str)) {
        match value {
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    one(self, value, &format!("{path}[{index}]"));
                }
            }
            other => self.wrong(path, "a list", other),
        }
    }

    fn word(&mut self, value: &Value, path: &str, valid: &[&str], what: &str) {
        let Value::String(word) = value else {
            self.wrong(path, "a text", value);
            return;
        };
        if !valid.contains(&word.as_str()) {
            let shown: String = word.chars().take(60).collect();
            let problem = Problem::new(path, format!("no {what} is called `{shown}`"));
            self.problems
                .push(match nearest(word, valid.iter().copied()) {
                    Some(word) => problem.help(format!("did you mean `{word}`?")),
                    None => problem.help(format!("there are {}", valid.join(", "))),
                });
        }
    }

    fn scalar(&mut self, value: &Value, path: &str) {
        let large = value
            .as_number()
            .is_some_and(|number| number.as_i64().is_none() && !number.is_f64());
        if large {
            let message = "this number is larger than whole numbers are kept";
            self.problems.push(Problem::new(path, message));
        } else if !(value.is_string() || value.is_number() || value.is_boolean()) {
            self.wrong(path, "a text, a number, true or false", value);
        }
    }

    fn moment(&mut self, value: &Value, path: &str) {
        if !(value.is_string() || value.is_i64() || value.is_null()) {
            self.wrong(path, "a text or whole milliseconds since 1970", value);
        }
    }

    fn amount(&mut self, value: &Value, path: &str) {
        if !(value.is_u64() || value.is_null()) {
            self.wrong(path, "a whole number from 0 on", value);
        }
    }

    fn query(&mut self, value: &Value) {
        let Some(fields) = self.fields(value, "", &QUERY_FIELDS, &["dataset"]) else {
            return;
        };
        for (name, value) in fields {
            match name.as_str() {
                "dataset" => self.text(value, name),
                "bucket" | "compare" => self.optional_text(value, name),
                "from" | "to" => self.moment(value, name),
                "limit" | "exemplars" | "skip" => self.amount(value, name),
                "group_by" | "order_by" => self.each(value, name, Self::text),
                "where" => self.each(value, name, Self::filter),
                "calc" => self.each(value, name, Self::calc),
                "join" if !value.is_null() => self.join(value, name),
                "differ" if !value.is_null() => self.differ(value, name),
                _ => {}
            }
        }
    }

    fn differ(&mut self, value: &Value, path: &str) {
        let Some(fields) = self.fields(value, path, &["where", "from", "to"], &[]) else {
            return;
        };
        for (name, value) in fields {
            let path = under(path, name);
            match name.as_str() {
                "where" => self.each(value, &path, Self::filter),
                _ => self.moment(value, &path),
            }
        }
    }

    fn filter(&mut self, value: &Value, path: &str) {
        let Some(fields) = self.fields(value, path, &["key", "op", "value"], &["key", "op"]) else {
            return;
        };
        let operators: Vec<&str> = OPERATORS.iter().map(|(word, ..)| *word).collect();
        for (name, value) in fields {
            let path = under(path, name);
            match (name.as_str(), value) {
                ("key", value) => self.text(value, &path),
                ("op", value) => self.word(value, &path, &operators, "operator"),
                ("value", Value::Array(_)) => self.each(value, &path, Self::scalar),
                ("value", value) if !value.is_null() => self.scalar(value, &path),
                _ => {}
            }
        }
    }

    fn calc(&mut self, value: &Value, path: &str) {
        let Some(fields) = self.fields(value, path, &["op", "key"], &["op"]) else {
            return;
        };
        let names: Vec<&str> = CALCS.iter().map(|(word, ..)| *word).collect();
        for (name, value) in fields {
            let path = under(path, name);
            match name.as_str() {
                "op" => self.word(value, &path, &names, "calculation"),
                "key" => self.optional_text(value, &path),
                _ => {}
            }
        }
    }

    fn join(&mut self, value: &Value, path: &str) {
        let all = ["dataset", "on", "take"];
        let Some(fields) = self.fields(value, path, &all, &all) else {
            return;
        };
        for (name, value) in fields {
            let path = under(path, name);
            match name.as_str() {
                "take" => self.each(value, &path, Self::text),
                "dataset" | "on" => self.text(value, &path),
                _ => {}
            }
        }
    }
}

fn under(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_is_named_by_its_path_with_the_word_that_was_meant() {
        let check = |json: &str, path: &str, words: &str| {
            let problems = from_json(json.as_bytes()).unwrap_err();
            let problem = &problems[0];
            let all = format!("{problem} {}", problem.help.as_deref().unwrap_or_default());
            assert_eq!(problem.path, path, "{json}: {all}");
            assert!(all.contains(words), "{json}: {all}");
        };
        check(
            r#"{"dataset":"a","calc":[{"op":"p9","key":"x"}]}"#,
            "calc[0].op",
            "`p90`",
        );
        check(
            r#"{"dataset":"a","calc":[{"op":"p99"}]}"#,
            "calc[0]",
            "p99(duration_ms)",
        );
        check(
            r#"{"dataset":"a","where":[{"key":"x","op":"=="}]}"#,
            "where[0].op",
            "`=`",
        );
        check(
            r#"{"dataset":"a","where":[{"key":"x","op":"="}]}"#,
            "where[0].value",
            "missing",
        );
        check(
            r#"{"dataset":"a","where":[{"key":"x","op":"in","value":3}]}"#,
            "where[0].value",
            "list",
        );
        check(
            r#"{"dataset":"a","where":[{"key":"x","op":"=","value":{}}]}"#,
            "where[0].value",
            "an object",
        );
        check(
            r#"{"dataset":"a","where":[{"key":"x","op":"=","value":18446744073709551615}]}"#,
            "where[0].value",
            "larger",
        );
        check(
            r#"{"dataset":"a","where":[{"key":"x","op":"matches","value":"("}]}"#,
            "where[0].value",
            "regular",
        );
        check(r#"{"dataset":"a","group":["x"]}"#, "group", "`group_by`");
        check(
            r#"{"dataset":"a","filters":[]}"#,
            "filters",
            "there are dataset",
        );
        check(r#"{"dataset":7}"#, "dataset", "a number");
        check(r#"{}"#, "dataset", "missing");
        check(r#"[]"#, "", "an object");
        check(r#"{"dataset":"../x"}"#, "dataset", "letters");
        check(r#"{"dataset":"a","from":"soon"}"#, "from", "no moment");
        check(
            r#"{"dataset":"a","from":1.5}"#,
            "from",
            "whole milliseconds",
        );
        check(r#"{"dataset":"a","limit":-1}"#, "limit", "whole number");
        check(r#"{"dataset":"a","limit":0}"#, "limit", "from 1");
        check(
            r#"{"dataset":"a","order_by":["p99(x)"],"calc":[{"op":"p90","key":"x"}]}"#,
            "order_by[0]",
            "`p90(x)`",
        );
        check(
            r#"{"dataset":"a","join":{"dataset":"b","on":"h"}}"#,
            "join.take",
            "missing",
        );
        check(
            r#"{"dataset":"a","bucket":"1y","calc":[]}"#,
            "bucket",
            "no width",
        );
        check(
            r#"{"dataset":"a","differ":{"when":1}}"#,
            "differ.when",
            "there are where",
        );
        check(r#"{"dataset":"a","differ":{}}"#, "differ", "which events");
        check("{", ".", "no JSON");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        check(&deep, ".", "no JSON");
    }

    #[test]
    fn what_is_printed_as_json_is_read_again() {
        let query = crate::parse(
            "requests | where status >= 500 and zone in (a, \"b c\") and trace_id exists \
             | by region, 1m | p99(duration_ms), count | join hosts on host take kernel \
             | last 1h | top 20 by count | exemplars 5 | compare -1d",
        );
        let query = query.unwrap();
        let json = serde_json::to_vec(&query).unwrap();
        assert_eq!(from_json(&json).unwrap(), query);
        let differ = crate::parse("requests | differ status >= 500 from -10m to now").unwrap();
        let json = serde_json::to_vec(&differ).unwrap();
        assert_eq!(from_json(&json).unwrap(), differ);
    }
}
