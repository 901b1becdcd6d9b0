//! Cells as text that is safe to show and easy to compare.

use andon_model::event::Value;
use andon_model::query::Cell;

/// A text without control characters, nor those that turn the direction of writing.
pub fn safe(text: &str) -> String {
    let shown = text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c => c,
    });
    shown.filter(|c| !hidden(*c)).collect()
}

fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A cell; nothing is `-`.
pub fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".to_owned(),
        Cell::Value(Value::Float(number)) => self::number(*number),
        Cell::Value(value) => safe(&value.to_string()),
        Cell::Bins(bins) => {
            let count: u64 = bins.iter().map(|(_, count)| count).sum();
            format!("{} bins, {}", bins.len(), grouped(count))
        }
    }
}

/// A number with about four digits that count, as people read them.
pub fn number(number: f64) -> String {
    let size = number.abs();
    if number.fract() == 0.0 && size < 1e15 {
        return format!("{number:.0}");
    }
    match size {
        _ if !number.is_finite() => number.to_string(),
        _ if !(1e-4..1e15).contains(&size) => format!("{number:.3e}"),
        _ if size >= 1_000.0 => format!("{number:.0}"),
        _ if size >= 100.0 => format!("{number:.1}"),
        _ if size >= 1.0 => format!("{number:.2}"),
        _ if size >= 0.01 => format!("{number:.4}"),
        _ => format!("{number:.6}"),
    }
}

/// A whole number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the largest unit that fits.
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1_000.0 && unit + 1 < units.len() {
        size /= 1_000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{size:.1} {}", units[unit]),
    }
}

/// Columns that a text takes in a terminal: wide characters take two.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    let joined = matches!(u32::from(c), 0x300..=0x36f | 0x200d | 0xfe00..=0xfe0f);
    if joined { 0 } else { 1 + usize::from(wide) }
}

/// A text that takes at most so many columns, with `…` where something is cut off.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += char_width(c);
        if used + 1 > columns {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// A text filled up with blanks to so many columns, on its left where `right` is set.
pub fn padded(text: &str, columns: usize, right: bool) -> String {
    let blanks = " ".repeat(columns.saturating_sub(width(text)));
    if right {
        blanks + text
    } else {
        text.to_owned() + &blanks
    }
}
