//! Events as a Parquet file: what DuckDB, Spark, ClickHouse and pandas read without being told
//! what is in it. Rows are written in groups, so memory does not grow with the dataset.

use super::ndjson::object;
use super::table::{REST, Shape, TIME, Table, TableColumn, sources};
use super::{ExportReport, Part, walk};
use crate::column::{Column, Values};
use crate::error::StoreError;
use crate::store::Store;
use andon_model::time::Timestamp;
use parquet::basic::{
    Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};
use std::io::Write;
use std::sync::Arc;

/// Rows of one group at most: what readers share out among their threads.
const GROUP_ROWS_MAX: usize = 512 << 10;
/// Bytes of memory of the events of one group, after which it ends whatever the rows.
const GROUP_BYTES_MAX: usize = 64 << 20;
/// Where a key stands for which a column is not called after it alone.
const KEYS_NOTE: &str = "andon.keys";
const DATASET_NOTE: &str = "andon.dataset";

impl Store {
    /// Writes the events of a dataset between two moments as a Parquet file, in the same order
    /// as [`Store::export`]. `ts` is a timestamp in microseconds and UTC; each key has a column of its
    /// type. A key whose values have several types has a column for each, called `KEY:TYPE`; but
    /// whole and other numbers share one where that is exact. The rarest keys beyond a thousand
    /// columns are in `andon.rest`, a JSON object. Without an end (an error here, a kill) the
    /// file has no footer, and no reader takes it.
    pub fn export_parquet(
        &self,
        dataset: &str,
        span: (Timestamp, Timestamp),
        out: impl Write + Send,
    ) -> Result<ExportReport, StoreError> {
        let snapshot = self.shared.snapshot(dataset, span.0.0, span.1.0, None);
        let table = Table::of(&snapshot);
        let schema = Arc::new(schema(dataset, &table).map_err(failed)?);
        let properties = Arc::new(properties(dataset, &table));
        let writer = SerializedFileWriter::new(out, schema, properties);
        let mut writer = writer.map_err(failed)?;
        let mut group = Group::default();
        let report = walk(snapshot, span, |part| {
            group.add(part);
            if group.is_full() {
                group.write(&table, &mut writer).map_err(failed)?;
            }
            Ok(())
        })?;
        group.write(&table, &mut writer).map_err(failed)?;
        writer.close().map_err(failed)?;
        Ok(report)
    }
}

fn failed(error: ParquetError) -> StoreError {
    StoreError::Export(match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(error) => *error,
            Err(source) => std::io::Error::other(source),
        },
        error => std::io::Error::other(error),
    })
}

fn schema(dataset: &str, table: &Table) -> Result<Type, ParquetError> {
    let time = Type::primitive_type_builder(TIME, Physical::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
        .build()?;
    let mut fields = vec![Arc::new(time)];
    for column in &table.columns {
        let (physical, logical) = match column.shape {
            Shape::Bool => (Physical::BOOLEAN, None),
            Shape::Integer => (Physical::INT64, None),
            Shape::Float | Shape::Number => (Physical::DOUBLE, None),
            Shape::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        fields.push(Arc::new(optional(&column.name, physical, logical)?));
    }
    if table.has_rest {
        let rest = optional(REST, Physical::BYTE_ARRAY, Some(LogicalType::Json))?;
        fields.push(Arc::new(rest));
    }
    Type::group_type_builder(dataset)
        .with_fields(fields)
        .build()
}

fn optional(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
) -> Result<Type, ParquetError> {
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

fn properties(dataset: &str, table: &Table) -> WriterProperties {
    let renamed = table.columns.iter();
    let renamed = renamed.filter(|column| *column.name != *column.key);
    let renamed: serde_json::Map<String, serde_json::Value> = renamed
        .map(|column| (column.name.clone(), column.key.as_ref().into()))
        .collect();
    let note = |key: &str, value: String| KeyValue::new(key.to_owned(), Some(value));
    let mut notes = vec![note(DATASET_NOTE, dataset.to_owned())];
    if !renamed.is_empty() {
        let renamed = serde_json::Value::from(renamed).to_string();
        notes.push(note(KEYS_NOTE, renamed));
    }
    let time = ColumnPath::from(TIME);
    WriterProperties::builder()
        .set_created_by(concat!("andon version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Kept in memory until the end, and of no use where no page has statistics.
        .set_offset_index_disabled(true)
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
        .set_key_value_metadata(Some(notes))
        .build()
}

/// Events that are written together.
#[derive(Default)]
struct Group {
    parts: Vec<Part>,
    rows: usize,
    bytes: usize,
}

impl Group {
    fn add(&mut self, part: Part) {
        self.rows += part.len();
        self.bytes += part.batch.bytes();
        self.parts.push(part);
    }

    fn is_full(&self) -> bool {
        self.rows >= GROUP_ROWS_MAX || self.bytes >= GROUP_BYTES_MAX
    }

    fn write<W: Write + Send>(
        &mut self,
        table: &Table,
        writer: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        let group = std::mem::take(self);
        if group.rows == 0 {
            return Ok(());
        }
        let mut out = writer.next_row_group()?;
        let at = |part: &Part| -> Vec<i64> { part.rows().map(|row| part.batch.at[row]).collect() };
        let at: Vec<i64> = group.parts.iter().flat_map(at).collect();
        write_column::<Int64Type, W>(&mut out, &at, None)?;
        for column in &table.columns {
            group.write_column(column, &mut out)?;
        }
        if table.has_rest {
            let mut rests = Gathered::of(group.rows);
            for part in &group.parts {
                for rest in table.rest(part) {
                    let text = (!rest.is_empty()).then(|| {
                        let object = serde_json::Value::from(object(&rest));
                        ByteArray::from(object.to_string().into_bytes())
                    });
                    rests.add(text);
                }
            }
            rests.write::<ByteArrayType, W>(&mut out)?;
        }
        out.close()?;
        Ok(())
    }

    fn write_column<W: Write + Send>(
        &self,
        column: &TableColumn,
        out: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        match column.shape {
            Shape::Bool => self
                .gather(column, |source| match &source.values {
                    Values::Bool(values) => Box::new(|place| values[place]),
                    _ => Box::new(|_| false),
                })
                .write::<BoolType, W>(out),
            Shape::Integer => self
                .gather(column, |source| match &source.values {
                    Values::Integer(values) => Box::new(|place| values[place]),
                    _ => Box::new(|_| 0),
                })
                .write::<Int64Type, W>(out),
            Shape::Float | Shape::Number => self
                .gather(column, |source| match &source.values {
                    Values::Float(values) => Box::new(|place| values[place]),
                    Values::Integer(values) => Box::new(|place| values[place] as f64),
                    _ => Box::new(|_| f64::NAN),
                })
                .write::<DoubleType, W>(out),
            Shape::Text => self
                .gather(column, |source| match &source.values {
                    Values::Codes { codes, dict } => {
                        let texts = slices(dict.texts());
                        Box::new(move |place| texts[usize::from(codes[place])].clone())
                    }
                    Values::Text(texts) => {
                        let texts = slices(texts);
                        Box::new(move |place| texts[place].clone())
                    }
                    _ => Box::new(|_| ByteArray::from(Vec::new())),
                })
                .write::<ByteArrayType, W>(out),
        }
    }

    /// The values that all rows have for one column; `values` tells what is at a place of a source.
    fn gather<'g, V>(
        &'g self,
        wanted: &TableColumn,
        values: impl Fn(&'g Column) -> Box<dyn Fn(usize) -> V + 'g>,
    ) -> Gathered<V> {
        let mut gathered = Gathered::of(self.rows);
        for part in &self.parts {
            let rows = part.batch.len();
            let sources = sources(part, wanted);
            let sources: Vec<_> = sources
                .into_iter()
                .map(|source| (source.index(rows), values(source)))
                .collect();
            for row in part.rows() {
                let found = sources.iter().find_map(|(index, value)| {
                    let place = index.as_ref().map_or(row, |index| index[row] as usize);
                    (place != u32::MAX as usize).then(|| value(place))
                });
                gathered.add(found);
            }
        }
        gathered
    }
}

/// Values, and which rows have them: 1 or 0 for each row.
struct Gathered<V> {
    values: Vec<V>,
    levels: Vec<i16>,
}

impl<V> Gathered<V> {
    fn of(rows: usize) -> Self {
        Self {
            values: Vec::new(),
            levels: Vec::with_capacity(rows),
        }
    }

    fn add(&mut self, value: Option<V>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    fn write<D: DataType<T = V>, W: Write + Send>(
        &self,
        out: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        write_column::<D, W>(out, &self.values, Some(&self.levels))
    }
}

fn write_column<D: DataType, W: Write + Send>(
    out: &mut SerializedRowGroupWriter<'_, W>,
    values: &[D::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let column = out.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General("a column too many".into()))?;
    column.typed::<D>().write_batch(values, levels, None)?;
    column.close()
}

/// Texts that share one allocation.
fn slices(texts: &crate::column::Texts) -> Vec<ByteArray> {
    let all = ByteArray::from(texts.text.clone().into_bytes());
    let mut from = 0;
    let ends = texts.ends.iter().map(|&end| end as usize);
    ends.map(|end| {
        let text = all.slice(from, end - from);
        from = end;
        text
    })
    .collect()
}
