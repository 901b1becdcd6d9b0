//! Regular expressions within limits: whoever may ask must not stop a node by how they ask.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled expression may take; common ones take a few thousand.
pub const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Depth of brackets.
pub const NEST_MAX: u32 = 50;

/// Compiles an expression, or says in one line why it is none. Matching takes time linear in
/// the text, whatever the expression.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::Syntax(text) => {
            // The last line of a syntax error is its reason, those before it a drawing.
            let reason = text.lines().last().unwrap_or_default();
            reason.trim_start_matches("error: ").to_owned()
        }
        _ => "it is too large".to_owned(),
    })
}
