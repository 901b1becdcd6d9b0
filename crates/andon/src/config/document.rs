//! Reads `andon.toml` into what it says, with the spot of every value, and collects all that
//! is not understood instead of stopping at the first.

use super::problem::{Origin, Problem, Source, Spot, nearest};
use super::setting::{SETTINGS, Setting, Shape, TABLES, Written};
use super::{ingest, notify, target};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest configuration file; 1,000 targets fit many times.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// One value that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The name before the value, in a map.
    pub name: Option<String>,
    /// The value as text.
    pub text: String,
    /// Where it stands.
    pub origin: Origin,
}

/// What one source says: values by dotted key.
pub type Layer = BTreeMap<&'static str, Vec<Given>>;

/// What a file says.
#[derive(Debug, Default)]
pub struct Document {
    /// Settings.
    pub layer: Layer,
    /// `[[target]]` tables, as they stand.
    pub targets: Vec<target::Table>,
    /// `[[notify.…]]` tables, as they stand.
    pub notify: notify::Tables,
    /// `[[ingest.…]]` and `[ingest.…]` tables, read.
    pub ingest: andon_ingest::InputsConfig,
}

/// Reads a file's text. What is understood is returned beside what is not.
pub fn read(source: &Arc<Source>, problems: &mut Vec<Problem>) -> Document {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let what = format!("this is not TOML: {}", error.message().replace('\n', ", "));
        let help = "strings stand in quotes, one `key = value` a line, tables as [name]";
        problems.push(Problem::new(what, Origin::File(spot(source, span)), help));
    }
    let mut reader = Reader {
        source,
        problems,
        document: Document::default(),
    };
    reader.root(root.get_ref());
    reader.document
}

fn spot(source: &Arc<Source>, span: Range<usize>) -> Spot {
    Spot {
        source: Arc::clone(source),
        start: span.start,
        end: span.end,
    }
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    problems: &'a mut Vec<Problem>,
    document: Document,
}

impl Reader<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File(spot(self.source, span))
    }

    fn problem(&mut self, what: String, span: Range<usize>, help: String) {
        let origin = self.origin(span);
        self.problems.push(Problem::new(what, origin, help));
    }

    fn root(&mut self, root: &DeTable<'_>) {
        for (key, value) in root {
            let name: &str = key.get_ref();
            if name == "target" {
                self.targets(value);
            } else if TABLES.iter().any(|(table, _)| *table == name) {
                self.table(name, value);
            } else {
                self.setting(name, key.span(), value, "");
            }
        }
    }

    fn table(&mut self, table: &str, value: &Spanned<DeValue<'_>>) {
        let Some(entries) = value.get_ref().as_table() else {
            let what = format!("`{table}` is a table, not {}", kind(value.get_ref()));
            return self.problem(
                what,
                value.span(),
                format!("write [{table}] on a line of its own"),
            );
        };
        if table == "ingest" {
            self.document.ingest = ingest::read(entries, value.span(), self.source, self.problems);
        }
        for (key, value) in entries {
            if table == "ingest" && ingest::TABLES.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let tables = &mut self.document.notify;
            if table == "notify" && tables.take(key.get_ref(), value, self.source, self.problems) {
                continue;
            }
            self.setting(key.get_ref(), key.span(), value, table);
        }
    }

    fn setting(&mut self, name: &str, at: Range<usize>, value: &Spanned<DeValue<'_>>, table: &str) {
        let dotted = if table.is_empty() {
            name.to_owned()
        } else {
            format!("{table}.{name}")
        };
        let found = SETTINGS
            .iter()
            .find(|setting| setting.key == dotted && setting.in_file);
        let Some(setting) = found else {
            return self.unknown(name, at, table);
        };
        let given = match setting.shape {
            Shape::One => self.scalar(setting, value).into_iter().collect(),
            Shape::List => self.list(setting, value),
            Shape::Map => self.map(setting, value),
        };
        self.document.layer.insert(setting.key, given);
    }

    fn unknown(&mut self, name: &str, at: Range<usize>, table: &str) {
        let place = if table.is_empty() {
            String::new()
        } else {
            format!(" in [{table}]")
        };
        let what = format!(
            "unknown key `{}`{place}",
            andon_model::id::to_plain_text(name, 64)
        );
        if name == "key" && table.is_empty() {
            let help =
                "the grid key has a file of its own: set key_file, or ANDON_KEY in the environment";
            let origin = self.origin(at);
            self.problems.push(Problem {
                secret: true,
                ..Problem::new(what, origin, help)
            });
            return;
        }
        let valid = keys_of(table);
        let help = match nearest(name, valid.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match elsewhere(name) {
                Some(setting) => format!("`{name}` belongs into {}", home(setting)),
                None => format!("valid here: {}", valid.join(", ")),
            },
        };
        self.problem(what, at, help);
    }

    fn scalar(&mut self, setting: &Setting, value: &Spanned<DeValue<'_>>) -> Option<Given> {
        let text = match (setting.written, value.get_ref()) {
            (Written::Text | Written::Word, DeValue::String(text)) => text.to_string(),
            (Written::Number, DeValue::Integer(number)) => decimal(number)?,
            (Written::Switch | Written::Word, DeValue::Boolean(switch)) => switch.to_string(),
            (written, other) => {
                let expected = match written {
                    Written::Text => "text in quotes",
                    Written::Number => "a number without quotes",
                    Written::Switch => "true or false without quotes",
                    Written::Word => "true, false, or a word in quotes",
                };
                let what = format!("`{}` is {expected}, not {}", setting.key, kind(other));
                let help = format!("for example: {} = {}", setting.key, setting.sample);
                let origin = self.origin(value.span());
                let problem = Problem {
                    secret: setting.secret,
                    ..Problem::new(what, origin, help)
                };
                self.problems.push(problem);
                return None;
            }
        };
        Some(Given {
            name: None,
            text,
            origin: self.origin(value.span()),
        })
    }

    fn list(&mut self, setting: &Setting, value: &Spanned<DeValue<'_>>) -> Vec<Given> {
        match value.get_ref().as_array() {
            Some(items) => items
                .iter()
                .filter_map(|item| self.scalar(setting, item))
                .collect(),
            None => self.scalar(setting, value).into_iter().collect(),
        }
    }

    fn map(&mut self, setting: &Setting, value: &Spanned<DeValue<'_>>) -> Vec<Given> {
        let Some(entries) = value.get_ref().as_table() else {
            let what = format!(
                "`{}` is a table, not {}",
                setting.key,
                kind(value.get_ref())
            );
            let help = format!(
                "for example: [{}] and below it: {}",
                setting.key, setting.sample
            );
            self.problem(what, value.span(), help);
            return Vec::new();
        };
        let mut all = Vec::new();
        for (key, value) in entries {
            if let Some(given) = self.scalar(setting, value) {
                all.push(Given {
                    name: Some(key.get_ref().to_string()),
                    ..given
                });
            }
        }
        all
    }

    fn targets(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(items) = value.get_ref().as_array() else {
            let what = format!(
                "`target` is a list of tables, not {}",
                kind(value.get_ref())
            );
            return self.problem(
                what,
                value.span(),
                "write [[target]], with two brackets, before each".into(),
            );
        };
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    let table = target::Table::read(table, item.span(), self.source, self.problems);
                    self.document.targets.push(table);
                }
                None => {
                    let what = format!("a target is a table, not {}", kind(item.get_ref()));
                    self.problem(what, item.span(), "write [[target]] before each".into());
                }
            }
        }
    }
}

fn keys_of(table: &str) -> Vec<&'static str> {
    let mut keys: Vec<&str> = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| setting.in_file) {
        match setting.key.split_once('.') {
            Some((home, key)) if home == table => keys.push(key),
            None if table.is_empty() => keys.push(setting.key),
            _ => {}
        }
    }
    if table.is_empty() {
        keys.extend(TABLES.iter().map(|(table, _)| *table));
        keys.push("target");
    }
    if table == "ingest" {
        keys.extend(ingest::TABLES);
    }
    if table == "notify" {
        keys.extend(["route", "silence", "maintenance"]);
    }
    keys
}

fn elsewhere(name: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .filter(|setting| setting.in_file)
        .find(|setting| {
            setting.key.rsplit('.').next() == Some(name)
                || setting.flag == Some(&name.replace('_', "-"))
        })
}

fn home(setting: &Setting) -> String {
    match setting.key.split_once('.') {
        Some((table, key)) => format!("[{table}], as `{key}`"),
        None => format!("the top of the file, as `{}`", setting.key),
    }
}

/// A TOML integer in decimal; `None` is one that fits no 64 bits.
pub fn decimal(number: &toml::de::DeInteger<'_>) -> Option<String> {
    let digits = number.as_str().replace('_', "");
    i64::from_str_radix(&digits, number.radix())
        .ok()
        .map(|number| number.to_string())
}

/// A TOML value's kind, with its article.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
