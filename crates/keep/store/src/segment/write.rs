//! Events become a segment: rows put in order, texts coded, columns cut into blocks, all of
//! it on disk before the file has its name.

use super::footer::{Block, ColumnBlock, ColumnMeta, Footer, Piece, RowOrder};
use super::{MAGIC, file_name};
use crate::batch::Batch;
use crate::coding::bloom::Bloom;
use crate::coding::{BLOCK_ROWS_MAX, BLOCK_TEXT_BYTES_MAX, column as coding, ints};
use crate::column::{Column, ColumnType, DICT_MAX, Dict, DictRef, Rows, Texts, Values};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Bytes of one dictionary at most; what is longer is spelled out.
const DICT_BYTES_MAX: usize = 4 << 20;
/// Bytes of dictionaries that never make a block too long, however they are written.
const DICT_BYTES_SMALL: usize = 256 << 10;
/// A block's text columns together are about so large at most.
const BLOCK_TEXT_BYTES: usize = BLOCK_TEXT_BYTES_MAX / 2;
/// Ending of files that are not finished; removed when a store opens.
pub(crate) const UNFINISHED: &str = "unfinished";

/// Rows `from..to` of one of several batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) batch: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Stretch {
    fn len(self) -> usize {
        (self.to - self.from) as usize
    }
}

/// What a new segment is to say of itself.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) dataset: String,
    pub(crate) id: u64,
    pub(crate) wal: u64,
    pub(crate) replaces: Vec<u64>,
    pub(crate) sealed_at: i64,
    pub(crate) order: RowOrder,
}

/// Writes these rows in this order into `dir`. When it returns, they are on disk.
pub(crate) fn write(
    dir: &Path,
    label: Label,
    batches: &[Arc<Batch>],
    rows: &[Stretch],
) -> io::Result<Footer> {
    let name = file_name(label.id);
    write_as(dir, &name, label, batches, rows)
}

/// As above, in a file of this name.
pub(crate) fn write_as(
    dir: &Path,
    name: &str,
    label: Label,
    batches: &[Arc<Batch>],
    rows: &[Stretch],
) -> io::Result<Footer> {
    let path = dir.join(name);
    let unfinished = path.with_extension(UNFINISHED);
    let written = write_file(&unfinished, label, batches, rows);
    let footer = match written {
        Ok(footer) => footer,
        Err(error) => {
            // Nothing refers to it; the next opening removes what is left.
            let _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
    };
    std::fs::rename(&unfinished, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(footer)
}

fn write_file(
    path: &Path,
    label: Label,
    batches: &[Arc<Batch>],
    rows: &[Stretch],
) -> io::Result<Footer> {
    let mut out = Out {
        file: BufWriter::with_capacity(256 << 10, File::create(path)?),
        offset: 0,
    };
    out.append(MAGIC)?;
    let sources = sources(batches);
    let cuts = cuts(batches, rows, &sources);
    let mut blocks = Vec::new();
    for cut in &cuts {
        blocks.push(write_block(&mut out, batches, cut)?);
    }
    let mut columns = Vec::new();
    for ((name, kind), parts) in &sources {
        columns.push(write_column(&mut out, name, *kind, parts, batches, &cuts)?);
    }
    let footer = Footer {
        dataset: label.dataset,
        id: label.id,
        wal: label.wal,
        replaces: label.replaces,
        sealed_at: label.sealed_at,
        order: label.order,
        blocks,
        columns,
    };
    let piece = out.piece(&coding::seal(&footer.encode(), true))?;
    let mut tail = Vec::new();
    tail.extend_from_slice(&piece.offset.to_le_bytes());
    tail.extend_from_slice(&piece.len.to_le_bytes());
    tail.extend_from_slice(&piece.crc.to_le_bytes());
    let crc = crc32fast::hash(&tail);
    tail.extend_from_slice(&crc.to_le_bytes());
    tail.extend_from_slice(MAGIC);
    out.append(&tail)?;
    out.file.flush()?;
    out.file.get_ref().sync_all()?;
    Ok(footer)
}

struct Out {
    file: BufWriter<File>,
    offset: u64,
}

impl Out {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn piece(&mut self, bytes: &[u8]) -> io::Result<Piece> {
        let piece = Piece {
            offset: self.offset,
            len: bytes.len() as u32,
            crc: crc32fast::hash(bytes),
        };
        self.append(bytes)?;
        Ok(piece)
    }
}

/// By name and type: each batch's column, where it has one.
type Sources<'a> = BTreeMap<(Arc<str>, ColumnType), Vec<Option<&'a Column>>>;

fn sources(batches: &[Arc<Batch>]) -> Sources<'_> {
    let mut sources = Sources::new();
    for (index, batch) in batches.iter().enumerate() {
        for named in &batch.columns {
            let key = (named.name.clone(), named.column.values.kind());
            let parts = sources
                .entry(key)
                .or_insert_with(|| vec![None; batches.len()]);
            parts[index] = Some(&named.column);
        }
    }
    sources
}

/// The rows of each block: so many, or fewer where their texts are long.
fn cuts(batches: &[Arc<Batch>], rows: &[Stretch], sources: &Sources<'_>) -> Vec<Vec<Stretch>> {
    let mut bytes: Vec<Option<Vec<u32>>> = vec![None; batches.len()];
    for parts in sources.values() {
        // Texts that are surely coded take no part: small dictionaries are never spelled out
        // to more than a few times their size.
        let coded = parts.iter().flatten().map(|column| match &column.values {
            Values::Codes { dict, .. } => dict.texts().text.len(),
            _ => 0,
        });
        let spells = coded.sum::<usize>() > DICT_BYTES_SMALL;
        for (batch, column) in parts.iter().enumerate() {
            let Some(Column { present, values }) = column else {
                continue;
            };
            if !(matches!(values, Values::Text(_)) || spells) {
                continue;
            }
            let sizes = bytes[batch].get_or_insert_with(|| vec![0; batches[batch].len()]);
            let mut add = |row: usize, index: usize| {
                sizes[row] = sizes[row].saturating_add(values.text(index).len() as u32);
            };
            match present {
                Some(rows) => rows
                    .iter()
                    .enumerate()
                    .for_each(|(index, row)| add(row, index)),
                None => (0..values.len()).for_each(|row| add(row, row)),
            }
        }
    }
    let mut cuts = vec![Vec::new()];
    let (mut count, mut size) = (0, 0usize);
    for &stretch in rows {
        let mut rest = stretch;
        while rest.from < rest.to {
            let room = (BLOCK_ROWS_MAX - count).min(rest.len());
            let taken = match &bytes[rest.batch as usize] {
                None => room,
                Some(sizes) => {
                    let sizes = &sizes[rest.from as usize..][..room];
                    let mut taken = 0;
                    for &row in sizes {
                        let over = size + row as usize > BLOCK_TEXT_BYTES;
                        if over && count + taken > 0 {
                            break;
                        }
                        size += row as usize;
                        taken += 1;
                    }
                    taken
                }
            };
            if taken == 0 {
                cuts.push(Vec::new());
                (count, size) = (0, 0);
                continue;
            }
            let to = rest.from + taken as u32;
            if let Some(cut) = cuts.last_mut() {
                cut.push(Stretch { to, ..rest });
            }
            rest.from = to;
            count += taken;
        }
    }
    cuts.retain(|cut| !cut.is_empty());
    cuts
}

fn write_block(out: &mut Out, batches: &[Arc<Batch>], cut: &[Stretch]) -> io::Result<Block> {
    let mut at = Vec::new();
    for stretch in cut {
        let range = stretch.from as usize..stretch.to as usize;
        at.extend_from_slice(&batches[stretch.batch as usize].at[range]);
    }
    let mut raw = Vec::new();
    ints::encode(&mut raw, &at);
    Ok(Block {
        rows: at.len() as u32,
        at_min: at.iter().copied().min().unwrap_or(0),
        at_max: at.iter().copied().max().unwrap_or(0),
        at: out.piece(&coding::seal(&raw, false))?,
    })
}

/// One batch's column, made ready to take values from by row.
struct Part<'a> {
    column: &'a Column,
    index: Option<Vec<u32>>,
    /// By the batch's own code, or by value, the segment's code.
    codes: Vec<u16>,
}

fn write_column(
    out: &mut Out,
    name: &Arc<str>,
    kind: ColumnType,
    columns: &[Option<&Column>],
    batches: &[Arc<Batch>],
    cuts: &[Vec<Stretch>],
) -> io::Result<ColumnMeta> {
    let mut parts: Vec<Option<Part<'_>>> = Vec::new();
    for (column, batch) in columns.iter().zip(batches) {
        parts.push(column.map(|column| Part {
            column,
            index: column.index(batch.len()),
            codes: Vec::new(),
        }));
    }
    let dict = match kind {
        ColumnType::Text => common_dict(&mut parts).map(Arc::new),
        _ => None,
    };
    let mut piece = None;
    if let Some(dict) = &dict {
        let mut raw = Vec::new();
        coding::encode_dict(&mut raw, dict);
        piece = Some(out.piece(&coding::seal(&raw, true))?);
    }
    let mut values = 0;
    let mut blocks = Vec::new();
    for cut in cuts {
        let (column, rows) = gather(&parts, kind, dict.as_ref(), cut);
        values += column.values.len() as u64;
        if column.values.len() == 0 {
            blocks.push(None);
            continue;
        }
        let mut raw = Vec::new();
        coding::encode(&mut raw, &column, rows);
        let spelled = match &column.values {
            Values::Text(texts) => Some(texts),
            _ => None,
        };
        let sealed = coding::seal(&raw, spelled.is_some());
        let mut block = ColumnBlock {
            piece: out.piece(&sealed)?,
            range: range(&column.values),
            bloom: None,
        };
        if let Some(texts) = spelled.filter(|texts| !is_ids(texts)) {
            let mut raw = Vec::new();
            Bloom::of(texts).encode(&mut raw);
            block.bloom = Some(out.piece(&coding::seal(&raw, false))?);
        }
        blocks.push(Some(block));
    }
    Ok(ColumnMeta {
        name: name.clone(),
        kind,
        dict: piece,
        values,
        blocks,
    })
}

/// A filter over random ids would be as large as they are; they are quickly looked through.
fn is_ids(texts: &Texts) -> bool {
    let mut all = texts.iter().take(64);
    all.all(|text| text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// One dictionary for all parts, sorted; none where texts hardly repeat.
fn common_dict(parts: &mut [Option<Part<'_>>]) -> Option<Dict> {
    let values: usize = parts
        .iter()
        .flatten()
        .map(|part| part.column.values.len())
        .sum();
    let max = (values / 4).clamp(256, DICT_MAX);
    let mut all = Dict::default();
    let mut maps: Vec<Vec<u32>> = Vec::new();
    for part in parts.iter().flatten() {
        let texts = match &part.column.values {
            Values::Codes { dict, .. } => dict.texts(),
            Values::Text(texts) => texts,
            _ => return None,
        };
        let mut map = Vec::with_capacity(texts.len());
        for text in texts.iter() {
            map.push(all.intern(text, max)?);
            if all.texts().text.len() > DICT_BYTES_MAX {
                return None;
            }
        }
        maps.push(map);
    }
    let mut order: Vec<u32> = (0..all.len() as u32).collect();
    order.sort_unstable_by_key(|&code| all.get(code as usize));
    let mut rank = vec![0u16; order.len()];
    let mut sorted = Texts::default();
    for (place, &code) in order.iter().enumerate() {
        rank[code as usize] = place as u16;
        sorted.push(all.get(code as usize));
    }
    for (part, map) in parts.iter_mut().flatten().zip(maps) {
        part.codes = map.into_iter().map(|code| rank[code as usize]).collect();
    }
    Some(Dict::of(sorted))
}

/// The values of some rows, in their order.
fn gather(
    parts: &[Option<Part<'_>>],
    kind: ColumnType,
    dict: Option<&Arc<Dict>>,
    cut: &[Stretch],
) -> (Column, usize) {
    let mut values = match (kind, dict) {
        (ColumnType::Text, Some(dict)) => Values::Codes {
            codes: Vec::new(),
            dict: DictRef::Shared(dict.clone()),
        },
        (ColumnType::Text, None) => Values::Text(Texts::default()),
        _ => Values::empty(kind),
    };
    let rows: usize = cut.iter().map(|stretch| stretch.len()).sum();
    let mut present = Rows::none(rows);
    let mut row = 0;
    for stretch in cut {
        let range = stretch.from as usize..stretch.to as usize;
        let Some(part) = &parts[stretch.batch as usize] else {
            row += range.len();
            continue;
        };
        match &part.index {
            None => {
                take(&mut values, part, range.clone());
                range.for_each(|_| {
                    present.add(row);
                    row += 1;
                });
            }
            Some(index) => {
                for &value in &index[range] {
                    if value != u32::MAX {
                        take(&mut values, part, value as usize..value as usize + 1);
                        present.add(row);
                    }
                    row += 1;
                }
            }
        }
    }
    let all = values.len() == rows;
    let present = (!all).then_some(present);
    (Column { present, values }, rows)
}

fn take(values: &mut Values, part: &Part<'_>, range: Range<usize>) {
    match (values, &part.column.values) {
        (Values::Bool(out), Values::Bool(values)) => out.extend_from_slice(&values[range]),
        (Values::Integer(out), Values::Integer(values)) => out.extend_from_slice(&values[range]),
        (Values::Float(out), Values::Float(values)) => out.extend_from_slice(&values[range]),
        (Values::Codes { codes: out, .. }, Values::Codes { codes, .. }) => {
            let codes = codes[range].iter();
            out.extend(codes.map(|&code| part.codes[usize::from(code)]));
        }
        (Values::Codes { codes: out, .. }, Values::Text(_)) => {
            out.extend_from_slice(&part.codes[range]);
        }
        (Values::Text(out), values) => range.for_each(|index| out.push(values.text(index))),
        _ => {}
    }
}

/// Lowest and highest number; all numbers where one is none.
fn range(values: &Values) -> Option<(f64, f64)> {
    let mut range = (f64::INFINITY, f64::NEG_INFINITY);
    match values {
        Values::Integer(values) => {
            let low = values.iter().copied().min()?;
            let high = values.iter().copied().max()?;
            range = (low as f64, high as f64);
        }
        Values::Float(values) => {
            for &value in values {
                if value.is_nan() {
                    return Some((f64::NEG_INFINITY, f64::INFINITY));
                }
                range = (range.0.min(value), range.1.max(value));
            }
        }
        _ => return None,
    }
    Some(range)
}

/// All rows, oldest first; those of one moment in the order they came.
pub(crate) fn by_time(batches: &[Arc<Batch>], keep: impl Fn(i64) -> bool) -> Vec<Stretch> {
    let mut rows: Vec<(i64, u32, u32)> = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        let at = batch.at.iter().enumerate().filter(|(_, at)| keep(**at));
        rows.extend(at.map(|(row, &at)| (at, index as u32, row as u32)));
    }
    if !rows.is_sorted() {
        rows.sort_unstable();
    }
    join(rows.into_iter().map(|(_, batch, row)| (batch, row)))
}

/// Rows that follow each other as one stretch.
pub(crate) fn join(rows: impl Iterator<Item = (u32, u32)>) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for (batch, row) in rows {
        match stretches.last_mut() {
            Some(last) if last.batch == batch && last.to == row => last.to += 1,
            _ => stretches.push(Stretch {
                batch,
                from: row,
                to: row + 1,
            }),
        }
    }
    stretches
}
