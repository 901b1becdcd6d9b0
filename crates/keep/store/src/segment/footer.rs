//! What a segment says of itself: where its pieces are, and enough of what they hold to leave
//! most of them unread.

use crate::coding::bytes::{Bytes, put_bytes, put_i64, put_u64};
use crate::coding::{BLOCK_ROWS_MAX, Damaged};
use crate::column::ColumnType;
use std::sync::Arc;

/// Blocks of one segment at most.
pub(crate) const BLOCKS_MAX: usize = 4_096;
/// Columns of one segment at most: four types of each column of a batch, and the rest's.
pub(crate) const SEGMENT_COLUMNS_MAX: usize = 4 * crate::batch::COLUMNS_MAX + 1;
const REPLACED_MAX: usize = 4_096;

/// Where some bytes of the file are, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

/// In which order rows stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// Oldest first.
    Time,
    /// All samples of one series after the other, each oldest first.
    Series,
}

/// One stretch of rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    pub(crate) rows: u32,
    pub(crate) at_min: i64,
    pub(crate) at_max: i64,
    pub(crate) at: Piece,
}

/// One block's part of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnBlock {
    pub(crate) piece: Piece,
    /// Lowest and highest number, if it holds numbers.
    pub(crate) range: Option<(f64, f64)>,
    /// Which words its texts have.
    pub(crate) bloom: Option<Piece>,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnMeta {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ColumnType,
    pub(crate) dict: Option<Piece>,
    /// How many rows have a value.
    pub(crate) values: u64,
    /// In the order of blocks; none where no row of the block has a value.
    pub(crate) blocks: Vec<Option<ColumnBlock>>,
}

/// All that a segment says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Footer {
    pub(crate) dataset: String,
    pub(crate) id: u64,
    /// The write-ahead log whose rows it has. While that log exists, they count from there.
    pub(crate) wal: u64,
    /// Segments whose rows it has. Where both exist, this one counts.
    pub(crate) replaces: Vec<u64>,
    /// When it was written, microseconds since 1970.
    pub(crate) sealed_at: i64,
    pub(crate) order: RowOrder,
    pub(crate) blocks: Vec<Block>,
    /// Sorted by name, then type.
    pub(crate) columns: Vec<ColumnMeta>,
}

impl Footer {
    pub(crate) fn rows(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.rows)).sum()
    }

    pub(crate) fn at_min(&self) -> i64 {
        let at = self.blocks.iter().map(|block| block.at_min);
        at.min().unwrap_or(i64::MAX)
    }

    pub(crate) fn at_max(&self) -> i64 {
        let at = self.blocks.iter().map(|block| block.at_max);
        at.max().unwrap_or(i64::MIN)
    }

    /// The columns of one name, each of another type.
    pub(crate) fn named(&self, name: &str) -> &[ColumnMeta] {
        let from = self.columns.partition_point(|column| *column.name < *name);
        let rest = &self.columns[from..];
        let count = rest
            .iter()
            .take_while(|column| *column.name == *name)
            .count();
        &rest[..count]
    }

    /// Bytes of memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.columns.iter();
        let columns: usize = columns.map(|column| 96 + column.blocks.len() * 72).sum();
        columns + self.blocks.len() * 40 + 128
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, self.dataset.as_bytes());
        put_u64(&mut out, self.id);
        put_u64(&mut out, self.wal);
        put_u64(&mut out, self.replaces.len() as u64);
        self.replaces.iter().for_each(|&id| put_u64(&mut out, id));
        put_i64(&mut out, self.sealed_at);
        out.push(match self.order {
            RowOrder::Time => 0,
            RowOrder::Series => 1,
        });
        put_u64(&mut out, self.blocks.len() as u64);
        for block in &self.blocks {
            put_u64(&mut out, u64::from(block.rows));
            put_i64(&mut out, block.at_min);
            put_i64(&mut out, block.at_max);
            put_piece(&mut out, &block.at);
        }
        put_u64(&mut out, self.columns.len() as u64);
        for column in &self.columns {
            encode_column(&mut out, column);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut bytes = Bytes::new(bytes);
        let dataset = bytes.text()?.to_owned();
        let id = bytes.u64()?;
        let wal = bytes.u64()?;
        let replaced = bytes.count(REPLACED_MAX)?;
        let replaces = (0..replaced).map(|_| bytes.u64());
        let replaces = replaces.collect::<Result<_, _>>()?;
        let sealed_at = bytes.i64()?;
        let order = match bytes.u8()? {
            0 => RowOrder::Time,
            1 => RowOrder::Series,
            _ => return Err(Damaged("an unknown order of rows")),
        };
        let count = bytes.count(BLOCKS_MAX)?;
        let mut blocks = Vec::new();
        for _ in 0..count {
            blocks.push(Block {
                rows: bytes.count(BLOCK_ROWS_MAX)? as u32,
                at_min: bytes.i64()?,
                at_max: bytes.i64()?,
                at: take_piece(&mut bytes)?,
            });
        }
        let mut columns = Vec::new();
        for _ in 0..bytes.count(SEGMENT_COLUMNS_MAX)? {
            columns.push(decode_column(&mut bytes, count)?);
        }
        let sorted = columns.is_sorted_by(|left: &ColumnMeta, right| {
            (&*left.name, left.kind) < (&*right.name, right.kind)
        });
        if !sorted {
            return Err(Damaged("columns out of order"));
        }
        Ok(Self {
            dataset,
            id,
            wal,
            replaces,
            sealed_at,
            order,
            blocks,
            columns,
        })
    }
}

fn put_piece(out: &mut Vec<u8>, piece: &Piece) {
    put_u64(out, piece.offset);
    put_u64(out, u64::from(piece.len));
    out.extend_from_slice(&piece.crc.to_le_bytes());
}

fn take_piece(bytes: &mut Bytes<'_>) -> Result<Piece, Damaged> {
    Ok(Piece {
        offset: bytes.u64()?,
        len: bytes.count(u32::MAX as usize)? as u32,
        crc: bytes.fixed_u32()?,
    })
}

fn encode_column(out: &mut Vec<u8>, column: &ColumnMeta) {
    put_bytes(out, column.name.as_bytes());
    out.push(match column.kind {
        ColumnType::Bool => 0,
        ColumnType::Integer => 1,
        ColumnType::Float => 2,
        ColumnType::Text => 3,
    });
    put_u64(out, column.values);
    put_optional_piece(out, column.dict.as_ref());
    for block in &column.blocks {
        let Some(block) = block else {
            out.push(0);
            continue;
        };
        out.push(1);
        put_piece(out, &block.piece);
        match block.range {
            None => out.push(0),
            Some((low, high)) => {
                out.push(1);
                out.extend_from_slice(&low.to_le_bytes());
                out.extend_from_slice(&high.to_le_bytes());
            }
        }
        put_optional_piece(out, block.bloom.as_ref());
    }
}

fn decode_column(bytes: &mut Bytes<'_>, blocks: usize) -> Result<ColumnMeta, Damaged> {
    let name = bytes.text()?.into();
    let kind = bytes.u8()?;
    let kind = *ColumnType::ALL
        .get(usize::from(kind))
        .ok_or(Damaged("an unknown type of column"))?;
    let values = bytes.u64()?;
    let dict = take_optional_piece(bytes)?;
    let mut parts = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        if bytes.u8()? == 0 {
            parts.push(None);
            continue;
        }
        let piece = take_piece(bytes)?;
        let range = match bytes.u8()? {
            0 => None,
            _ => {
                let low = f64::from_bits(bytes.fixed_u64()?);
                Some((low, f64::from_bits(bytes.fixed_u64()?)))
            }
        };
        let bloom = take_optional_piece(bytes)?;
        parts.push(Some(ColumnBlock {
            piece,
            range,
            bloom,
        }));
    }
    Ok(ColumnMeta {
        name,
        kind,
        dict,
        values,
        blocks: parts,
    })
}

fn put_optional_piece(out: &mut Vec<u8>, piece: Option<&Piece>) {
    match piece {
        None => out.push(0),
        Some(piece) => {
            out.push(1);
            put_piece(out, piece);
        }
    }
}

fn take_optional_piece(bytes: &mut Bytes<'_>) -> Result<Option<Piece>, Damaged> {
    match bytes.u8()? {
        0 => Ok(None),
        _ => Ok(Some(take_piece(bytes)?)),
    }
}
