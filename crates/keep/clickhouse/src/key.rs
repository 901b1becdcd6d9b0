//! What a key of an event is in SQL: its text, its number, its truth, and all of them in one.

use crate::layout::{EXACT_MAX, Hot, hot, whole};
use crate::literal;
use andon_store::Lookup;

/// SQL for one key, by the kinds of value that it may have in an event.
#[derive(Debug, Clone)]
pub struct Key {
    /// Whether the event has it.
    pub present: String,
    /// Its text; empty if it is none.
    pub text: String,
    /// Whether it is a text.
    pub has_text: String,
    /// Its number; not a number if it is none.
    pub number: String,
    /// 1 if it is true.
    pub truth: String,
    /// Whether it is true or false.
    pub has_truth: String,
    /// All in one text: `t` and the text, `i` or `f` and the number, `b0`, `b1`; empty if absent.
    pub typed: String,
    /// As `typed`, but numbers that are the same are one, whether they came as whole ones or
    /// not: what groups are told apart by.
    pub grouped: String,
}

impl Key {
    /// What a question means by a name: the event's own key, or what a join brings.
    pub fn named(name: &str, lookup: Option<&Lookup>) -> Self {
        let Some(lookup) = lookup else {
            return Self::own(name);
        };
        let Some(index) = lookup.column(name) else {
            return Self::own(name);
        };
        // Of several rows the last one not after the event counts, else the first.
        let row = "greatest(arrayCount(since -> since <= at_us, j_at), 1)";
        let joined = format!("j_{index}[{row}]");
        if lookup.is_qualified(name) {
            return Self::of_typed(&joined);
        }
        // The join brings its own side's value along, so that it is written once.
        Self::of_typed(&format!("if(o_{index} != '', o_{index}, {joined})"))
    }

    /// The event's own key.
    pub fn own(name: &str) -> Self {
        let key = literal::text(name);
        let column = literal::name(name);
        let has = |kind: &str| format!("has({kind}_keys, {key})");
        let at = |kind: &str| format!("{kind}_values[indexOf({kind}_keys, {key})]");
        let hot = hot(name);
        let (text, has_text) = match hot {
            Some(Hot::Word | Hot::Text) => (
                column.clone(),
                format!("({column} != '' OR {})", has("text")),
            ),
            _ => (at("text"), has("text")),
        };
        let (number, has_number, is_whole) = match hot {
            Some(Hot::Number) => (
                column.clone(),
                format!("(NOT isNaN({column}) OR {})", has("number")),
                literal::name(&whole(name)),
            ),
            _ => (
                format!("if({}, {}, nan)", has("number"), at("number")),
                has("number"),
                format!("number_whole[indexOf(number_keys, {key})]"),
            ),
        };
        let has_truth = has("bool");
        let truth = at("bool");
        // Conversion of what is no whole number, or too large for one, may be an error.
        let small = format!("if(abs({number}) <= {EXACT_MAX}, {number}, 0)");
        let digits = format!(
            "multiIf({}, concat('i', toString({})), {is_whole} = 1, concat('i', toString(toInt64({small}))), concat('f', toString({number})))",
            has("exact"),
            at("exact"),
        );
        let typed = format!(
            "multiIf({has_text}, concat('t', {text}), {has_number}, {digits}, {has_truth}, if({truth} = 1, 'b1', 'b0'), '')"
        );
        let is_whole = format!("abs({number}) < {EXACT_MAX} AND floor({number}) = {number}");
        let same = format!(
            "multiIf({}, concat('i', toString({})), {is_whole}, concat('i', toString(toInt64({small}))), concat('f', toString({number})))",
            has("exact"),
            at("exact"),
        );
        let grouped = format!(
            "multiIf({has_text}, concat('t', {text}), {has_number}, {same}, {has_truth}, if({truth} = 1, 'b1', 'b0'), '')"
        );
        Self {
            grouped,
            present: format!("({has_text} OR {has_number} OR {has_truth})"),
            text,
            has_text,
            number,
            truth,
            has_truth,
            typed,
        }
    }

    /// What stands in a text of the form of [`Key::typed`].
    fn of_typed(typed: &str) -> Self {
        let kind = format!("substring({typed}, 1, 1)");
        let rest = format!("substring({typed}, 2)");
        let float = format!("toFloat64OrZero({rest})");
        let small = format!("if(abs({float}) <= {EXACT_MAX}, {float}, 0)");
        Self {
            grouped: format!(
                "if({kind} = 'f' AND abs({float}) < {EXACT_MAX} AND floor({float}) = {float}, concat('i', toString(toInt64({small}))), {typed})"
            ),
            present: format!("({typed} != '')"),
            text: format!("if({kind} = 't', {rest}, '')"),
            has_text: format!("({kind} = 't')"),
            number: format!("if({kind} IN ('i', 'f'), toFloat64OrZero({rest}), nan)"),
            truth: format!("({typed} = 'b1')"),
            has_truth: format!("({kind} = 'b')"),
            typed: format!("({typed})"),
        }
    }

    /// What a join compares: how the value is displayed, after a letter that says that there
    /// is one.
    pub fn displayed(name: &str) -> String {
        let typed = Self::own(name).typed;
        format!(
            "multiIf({typed} = '', '', {typed} = 'b1', 'ktrue', {typed} = 'b0', 'kfalse', concat('k', substring({typed}, 2)))"
        )
    }
}
