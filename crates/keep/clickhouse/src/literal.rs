//! Values and names inside SQL. The servers of today and of 2018 have no common way to send
//! them apart from the statement, so they are escaped here and nowhere else.

use andon_model::event::Value;

/// A text in quotes. Everything that could end it, and each control character, is escaped.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            // A server that reads a statement in pieces must not see a comment or an end in it.
            _ if character.is_ascii_control() => {
                out.push_str(&format!("\\x{:02X}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out.push('\'');
    out
}

/// The name of a database, table or column in backticks.
pub fn name(name: &str) -> String {
    let inside = text(name);
    let inside = &inside[1..inside.len() - 1];
    format!("`{}`", inside.replace('`', "\\`"))
}

/// A number; what is none or has no end becomes one too.
pub fn number(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else if number.abs() < 1e15 && number.fract() == 0.0 {
        format!("toFloat64({number:.0})")
    } else {
        format!("toFloat64({number:e})")
    }
}

/// A whole number. The smallest one has no literal of its own: its minus is an operator.
pub fn integer(integer: i64) -> String {
    format!("toInt64('{integer}')")
}

/// A value by its kind.
pub fn value(value: &Value) -> String {
    match value {
        Value::Bool(value) => u8::from(*value).to_string(),
        Value::Integer(value) => integer(*value),
        Value::Float(value) => number(*value),
        Value::Text(value) => text(value),
    }
}

/// Values in brackets, as `IN` and arrays take them.
pub fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a literal as ClickHouse's lexer does, and what stands after it.
    fn unescape(sql: &str, quote: char) -> (String, String) {
        let mut characters = sql.chars();
        assert_eq!(characters.next(), Some(quote));
        let mut out = String::new();
        loop {
            match characters.next().expect("it ends") {
                c if c == quote => return (out, characters.collect()),
                '\\' => match characters.next().expect("it goes on") {
                    'x' => {
                        let hex: String = characters.by_ref().take(2).collect();
                        out.push(char::from(u8::from_str_radix(&hex, 16).unwrap()));
                    }
                    c => out.push(c),
                },
                c => out.push(c),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_quotes(hostile in prop_oneof![
            any::<String>(),
            "['\\\\`\"; \\-x0n\\n\\x00]{0,12}",
            Just("'; DROP TABLE events; --".to_owned()),
            Just("\\' OR 1=1 --".to_owned()),
            Just("\\".to_owned()),
        ]) {
            prop_assert_eq!(unescape(&text(&hostile), '\''), (hostile.clone(), String::new()));
            prop_assert_eq!(unescape(&name(&hostile), '`'), (hostile.clone(), String::new()));
            prop_assert!(!text(&hostile).chars().any(|c| c.is_ascii_control()));
        }
    }

    #[test]
    fn numbers_are_written_so_that_each_server_reads_the_same() {
        assert_eq!(number(500.0), "toFloat64(500)");
        assert_eq!(number(0.1), "toFloat64(1e-1)");
        assert_eq!(number(-1.5e300), "toFloat64(-1.5e300)");
        assert_eq!(integer(i64::MIN), "toInt64('-9223372036854775808')");
    }
}
