//! Stages, each begun by its word: `by region, 1m`, `top 20`, `join hosts on host take kernel`.

use super::error::TextError;
use super::parse::{Expect, Parser, Read};
use super::token::TokenKind;
use crate::check;
use crate::when;
use crate::words::{CALCS, STAGES, calc_op, nearest};
use andon_model::event::{Value, key};
use andon_model::query::{Calc, Differ, Filter, FilterOp, Join, Operand, When};

impl Parser {
    pub(super) fn dataset(&mut self) -> Read<()> {
        let start = self.here().start;
        self.query.dataset = self
            .bare(Expect::Dataset, "a question begins with a dataset")
            .map_err(|error| error.help("such as `logs | last 1h`"))?;
        self.noted("dataset", start);
        Ok(())
    }

    fn once(&mut self, stage: &'static str) -> Read<()> {
        if self.seen.contains(&stage) {
            let span = self.last();
            return Err(
                TextError::new(span, format!("`{stage}` is here a second time"))
                    .help("write one, with commas"),
            );
        }
        self.seen.push(stage);
        Ok(())
    }

    pub(super) fn stage(&mut self) -> Read<()> {
        self.at_end(Expect::Stage);
        self.at_end(Expect::Calc);
        let word = match self.peek() {
            Some(TokenKind::Text(_)) => return self.full_text(),
            Some(TokenKind::Word(word)) => word.to_ascii_lowercase(),
            None => return Err(self.odd("a stage is missing after `|`").help(stages_help())),
            Some(_) => return Err(self.odd("a stage begins with a word").help(stages_help())),
        };
        if calc_op(&word).is_some() {
            return self.calcs();
        }
        let Some((stage, _)) = STAGES.iter().find(|(name, _)| *name == word) else {
            let valid = STAGES.iter().map(|(word, _)| *word);
            let valid = valid.chain(CALCS.iter().map(|(word, ..)| *word));
            let error = self.odd(format!("no stage begins with `{word}`"));
            return Err(match nearest(&word, valid) {
                Some(word) => error.nearest(Some(word)),
                None => error.help(stages_help()),
            });
        };
        self.at += 1;
        match *stage {
            "where" => {
                let found = self.filters("where", self.query.filters.len())?;
                self.query.filters.extend(found);
                Ok(())
            }
            "by" => self.by(),
            "last" => self.last_span(),
            "from" => self.from(),
            "to" => self.to(),
            "top" => self.top(),
            "limit" => self.limit(),
            "order" => self.order(),
            "join" => self.join(),
            "exemplars" => self.exemplars(),
            "skip" => self.skip(),
            "differ" => self.differ(),
            _ => self.compare(),
        }
    }

    /// `"connection reset"`: short for `where body contains "connection reset"`.
    fn full_text(&mut self) -> Read<()> {
        let start = self.here().start;
        let text = self.bare(Expect::Stage, "a text is missing")?;
        let index = self.query.filters.len();
        self.query.filters.push(Filter {
            key: key::BODY.to_owned(),
            op: FilterOp::Contains,
            value: Some(Operand::One(Value::Text(text))),
        });
        self.noted(format!("where[{index}]"), start);
        Ok(())
    }

    fn by(&mut self) -> Read<()> {
        self.once("by")?;
        let start = self.here().start;
        loop {
            let at = self.here().start;
            self.at_end(Expect::Bucket);
            if let Some(TokenKind::Word(word)) = self.peek()
                && is_bucket(word)
            {
                let word = word.clone();
                if self.query.bucket.is_some() {
                    return Err(self.odd("time is cut into buckets of one width"));
                }
                self.at += 1;
                self.query.bucket = Some(word);
                self.noted("bucket", at);
            } else {
                let name = self.key(Expect::Key)?;
                let index = self.query.group_by.len();
                self.noted(format!("group_by[{index}]"), at);
                self.query.group_by.push(name);
            }
            if !self.comma() {
                break;
            }
        }
        self.noted("group_by", start);
        Ok(())
    }

    fn calcs(&mut self) -> Read<()> {
        let start = self.here().start;
        loop {
            self.calc()?;
            if !self.comma() {
                break;
            }
        }
        self.noted("calc", start);
        Ok(())
    }

    fn calc(&mut self) -> Read<()> {
        let start = self.here().start;
        let word = self.bare(Expect::Calc, "a calculation is missing here")?;
        let lower = word.to_ascii_lowercase();
        let Some(op) = calc_op(&lower) else {
            let names = CALCS.iter().map(|(word, ..)| *word);
            let error = TextError::new(self.last(), format!("no calculation is called `{word}`"));
            return Err(match nearest(&lower, names.clone()) {
                Some(word) => error.nearest(Some(word)),
                None => error.help(format!(
                    "there are {}",
                    names.collect::<Vec<_>>().join(", ")
                )),
            });
        };
        let index = self.query.calc.len();
        let mut name = None;
        if self.eat(&TokenKind::Open) {
            let at = self.here().start;
            if self.peek() != Some(&TokenKind::Close) {
                name = Some(self.key(Expect::Key)?);
                self.noted(format!("calc[{index}].key"), at);
            }
            self.at_end(Expect::Word(")"));
            if !self.eat(&TokenKind::Close) {
                return Err(self.odd("the bracket is to be closed with `)`"));
            }
        } else if check::needs_key(op) {
            self.at_end(Expect::Word("("));
        }
        self.noted(format!("calc[{index}]"), start);
        self.query.calc.push(Calc { op, key: name });
        Ok(())
    }

    fn last_span(&mut self) -> Read<()> {
        self.once("from")?;
        let start = self.here().start;
        let text = self.bare(Expect::Span, "how long?")?;
        let span = text.strip_prefix('-').unwrap_or(&text);
        if when::span_us(span).is_none() {
            let error = TextError::new(self.last(), format!("`{text}` is no span of time"));
            return Err(error.help("write `15m`, `1h`, `1h30m`, `7d`"));
        }
        self.query.from = Some(When::Text(format!("-{span}")));
        self.noted("from", start);
        Ok(())
    }

    fn moment(&mut self) -> Read<When> {
        let quoted = matches!(self.peek(), Some(TokenKind::Text(_)));
        let mut text = self.bare(Expect::Moment, "a moment is missing here")?;
        if quoted {
            return Ok(When::Text(text));
        }
        // `2026-11-21 03:20` is a day and a time of day.
        if let Some(TokenKind::Word(time)) = self.peek()
            && text.len() == 10
            && time.contains(':')
        {
            text = format!("{text} {time}");
            self.at += 1;
        }
        Ok(match text.parse::<i64>() {
            Ok(ms) if ms >= 0 && !text.starts_with('+') => When::EpochMs(ms),
            _ => When::Text(text),
        })
    }

    fn from(&mut self) -> Read<()> {
        self.once("from")?;
        let start = self.here().start;
        self.query.from = Some(self.moment()?);
        self.noted("from", start);
        if self.word("to") {
            self.to()?;
        }
        Ok(())
    }

    fn to(&mut self) -> Read<()> {
        self.once("to")?;
        let start = self.here().start;
        self.query.to = Some(self.moment()?);
        self.noted("to", start);
        Ok(())
    }

    fn number(&mut self) -> Read<usize> {
        let word = self.bare(Expect::Count, "how many?")?;
        word.parse().map_err(|_| {
            let error = TextError::new(self.last(), format!("`{word}` is no whole number"));
            error.help("write `20`")
        })
    }

    fn limit(&mut self) -> Read<()> {
        self.once("limit")?;
        let start = self.here().start;
        self.query.limit = Some(self.number()?);
        self.noted("limit", start);
        Ok(())
    }

    fn top(&mut self) -> Read<()> {
        self.limit()?;
        if self.word("by") {
            self.once("order")?;
            let start = self.here().start;
            let column = self.column()?;
            let column = column.strip_prefix('-').unwrap_or(&column);
            self.query.order_by = vec![format!("-{column}")];
            self.noted("order_by[0]", start);
        }
        Ok(())
    }

    fn order(&mut self) -> Read<()> {
        self.once("order")?;
        self.word("by");
        loop {
            let start = self.here().start;
            let mut column = self.column()?;
            if self.word("desc") {
                if !column.starts_with('-') {
                    column.insert(0, '-');
                }
            } else {
                self.word("asc");
            }
            let index = self.query.order_by.len();
            self.noted(format!("order_by[{index}]"), start);
            self.query.order_by.push(column);
            if !self.comma() {
                return Ok(());
            }
        }
    }

    /// `-p99(duration_ms)`, `region`, `` -`odd key` ``, `p99(duration_ms).before`.
    fn column(&mut self) -> Read<String> {
        self.at_end(Expect::Column);
        let mut column = match self.peek() {
            Some(TokenKind::Word(word)) => word.clone(),
            Some(TokenKind::Key(key)) => {
                let key = key.clone();
                self.at += 1;
                return Ok(key);
            }
            _ => return Err(self.odd("a column is missing here")),
        };
        self.at += 1;
        if column == "-" {
            let Some(TokenKind::Key(key)) = self.peek() else {
                return Err(self.odd("a column is missing after `-`"));
            };
            column.push_str(key);
            self.at += 1;
            return Ok(column);
        }
        if self.eat(&TokenKind::Open) {
            let key = self.key(Expect::Key)?;
            if !self.eat(&TokenKind::Close) {
                return Err(self.odd("the bracket is to be closed with `)`"));
            }
            column = format!("{column}({key})");
            if let Some(TokenKind::Word(beside)) = self.peek()
                && [".before", ".change"].contains(&beside.as_str())
            {
                column.push_str(beside);
                self.at += 1;
            }
        }
        Ok(column)
    }

    fn join(&mut self) -> Read<()> {
        self.once("join")?;
        let start = self.here().start;
        let dataset = self.bare(Expect::Dataset, "which dataset?")?;
        self.noted("join.dataset", start);
        let help = "write `join hosts on host take kernel`";
        if !self.word("on") {
            return Err(self
                .odd("`on` and a key that both have is missing")
                .help(help));
        }
        let at = self.here().start;
        let on = self.key(Expect::JoinKey(dataset.clone()))?;
        self.noted("join.on", at);
        if !self.word("take") {
            return Err(self
                .odd("`take` and the keys to take is missing")
                .help(help));
        }
        let mut take = Vec::new();
        loop {
            let at = self.here().start;
            let name = self.key(Expect::JoinKey(dataset.clone()))?;
            self.noted(format!("join.take[{}]", take.len()), at);
            take.push(name);
            if !self.comma() {
                break;
            }
        }
        self.noted("join", start);
        self.query.join = Some(Join { dataset, on, take });
        Ok(())
    }

    fn exemplars(&mut self) -> Read<()> {
        self.once("exemplars")?;
        let start = self.here().start;
        self.query.exemplars = Some(self.number()?);
        self.noted("exemplars", start);
        Ok(())
    }

    fn skip(&mut self) -> Read<()> {
        self.once("skip")?;
        let start = self.here().start;
        self.query.skip = Some(self.number()?);
        self.noted("skip", start);
        Ok(())
    }

    /// `differ duration_ms >= 500 and zone = a from 03:10 to 03:20`, either part alone too.
    fn differ(&mut self) -> Read<()> {
        self.once("differ")?;
        let start = self.here().start;
        let mut differ = Differ::default();
        let is_time = |word: &str| ["from", "to"].contains(&word.to_ascii_lowercase().as_str());
        if !matches!(self.peek(), Some(TokenKind::Word(word)) if is_time(word)) {
            differ.filters = self.filters("differ.where", 0)?;
        }
        if self.word("from") {
            let at = self.here().start;
            differ.from = Some(self.moment()?);
            self.noted("differ.from", at);
        }
        if self.word("to") {
            let at = self.here().start;
            differ.to = Some(self.moment()?);
            self.noted("differ.to", at);
        }
        self.noted("differ", start);
        self.query.differ = Some(differ);
        Ok(())
    }

    fn compare(&mut self) -> Read<()> {
        self.once("compare")?;
        let start = self.here().start;
        let text = self.bare(Expect::Before, "with how long ago?")?;
        let span = text.strip_prefix('-').unwrap_or(&text);
        self.query.compare = Some(format!("-{span}"));
        self.noted("compare", start);
        Ok(())
    }
}

/// Whether a word in `by` is a width of time rather than a key.
pub(super) fn is_bucket(word: &str) -> bool {
    word == "auto" || when::span_us(word).is_some()
}

fn stages_help() -> String {
    let words: Vec<&str> = STAGES.iter().map(|(word, _)| *word).collect();
    format!(
        "stages begin with {}, a calculation such as `count`, or a text in quotes",
        words.join(", ")
    )
}
