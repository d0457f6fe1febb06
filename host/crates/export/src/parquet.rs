//! Records as Parquet.
//!
//! | column | type | |
//! |---|---|---|
//! | `id` | string | the ULID; sorts like the time |
//! | `time` | timestamp, milliseconds, UTC | the time in the id |
//! | `topic` | string | |
//! | `labels` | map of string to string | |
//! | `payload` | string, optional | null if the record is no UTF-8 |
//! | `payload_base64` | string, optional | the record if it is no UTF-8, else null |
//!
//! The schema is the same for every file, whatever its records are, and has the names of the JSON lines: one query
//! reads all three formats. Compressed with zstd; encodings are those that every reader of the last years knows.
//! The library's own layer for records needs arrow, most of its weight; the columns here are few.

use std::io;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::types::ColumnPath;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use weir_query::Rows;
use weir_record::limits::{
    EXPORT_ROW_GROUP_BYTES, EXPORT_ROW_GROUP_RECORDS, EXPORT_VALUES, EXPORT_VALUES_BYTES,
};

use crate::writer::Sink;

const SCHEMA: &str = "
message record {
  REQUIRED BYTE_ARRAY id (STRING);
  REQUIRED INT64 time (TIMESTAMP(MILLIS, true));
  REQUIRED BYTE_ARRAY topic (STRING);
  REQUIRED group labels (MAP) {
    REPEATED group key_value {
      REQUIRED BYTE_ARRAY key (STRING);
      REQUIRED BYTE_ARRAY value (STRING);
    }
  }
  OPTIONAL BYTE_ARRAY payload (STRING);
  OPTIONAL BYTE_ARRAY payload_base64 (STRING);
}";

/// The columns in the order of the schema, nested ones with the names that lead to them.
const ID: usize = 0;
const TIME: usize = 1;
const TOPIC: usize = 2;
const LABEL_NAMES: usize = 3;
const LABEL_VALUES: usize = 4;
const PAYLOAD: usize = 5;
const PAYLOAD_BASE64: usize = 6;

/// Of 100 MB of mixed lines the levels 1, 3, 6, 9 make 19.5, 20.6, 19.6, 19.0 MB in 0.7, 0.8, 1.3, 1.9 s, reading
/// included. Lengths apart from the payloads (`DELTA_LENGTH_BYTE_ARRAY`) make it larger by 3 %.
const ZSTD_LEVEL: i32 = 1;

/// Whether these rows make a row group.
pub(crate) fn is_row_group(rows: &Rows) -> bool {
    rows.count() >= EXPORT_ROW_GROUP_RECORDS || rows.bytes() >= EXPORT_ROW_GROUP_BYTES
}

/// A Parquet file being written, a row group at a time.
pub(crate) struct ParquetFile<'a> {
    writer: SerializedFileWriter<Sink<'a>>,
}

impl<'a> ParquetFile<'a> {
    pub(crate) fn new(sink: Sink<'a>) -> io::Result<ParquetFile<'a>> {
        let begin = || {
            let schema = parse_message_type(SCHEMA)?;
            SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties()?))
        };
        Ok(ParquetFile { writer: begin().map_err(into_io)? })
    }

    /// Writes a row group.
    pub(crate) fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.group(rows).map_err(into_io)
    }

    fn group(&mut self, rows: &Rows) -> Result<()> {
        let mut group = self.writer.next_row_group()?;
        let mut index = ID;
        while let Some(mut column) = group.next_column()? {
            match index {
                ID => write_texts(&mut column, rows.ids().iter().map(|id| Some(id.to_string().into()))),
                TIME => write_times(&mut column, rows),
                TOPIC => {
                    let of_stream =
                        rows.streams().iter().map(|stream| Bytes::from(stream.topic().to_owned()));
                    let of_stream: Vec<Bytes> = of_stream.collect();
                    let topics =
                        rows.stream_of().iter().map(|&stream| Some(of_stream[stream as usize].clone()));
                    write_texts(&mut column, topics)
                }
                LABEL_NAMES => write_labels(&mut column, rows, |(name, _)| name),
                LABEL_VALUES => write_labels(&mut column, rows, |(_, value)| value),
                PAYLOAD => {
                    let texts = rows.iter().map(|row| std::str::from_utf8(row.payload).ok());
                    write_texts(&mut column, texts.map(|text| text.map(|text| Bytes::from(text.to_owned()))))
                }
                PAYLOAD_BASE64 => {
                    let encoded = |payload: &[u8]| match std::str::from_utf8(payload) {
                        Ok(_) => None,
                        Err(_) => Some(STANDARD.encode(payload).into()),
                    };
                    write_texts(&mut column, rows.iter().map(|row| encoded(row.payload)))
                }
                _ => Err(ParquetError::General("the schema has a column that nothing fills".to_owned())),
            }?;
            column.close()?;
            index += 1;
        }
        group.close()?;
        Ok(())
    }

    /// Writes the end of the file, and finishes where it goes.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.writer.finish().map_err(into_io)?;
        // Not by taking the sink out of the writer, which would lose what the system says.
        self.writer.inner_mut().finish()
    }
}

fn properties() -> Result<WriterProperties> {
    let path = |names: &[&str]| ColumnPath::new(names.iter().map(ToString::to_string).collect());
    let (id, time) = (path(&["id"]), path(&["time"]));
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        // Readers look at statistics to pass over what lies outside a range of ids or times. Those of other columns
        // would only copy logs into the end of the file.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(id.clone(), EnabledStatistics::Page)
        .set_column_statistics_enabled(time.clone(), EnabledStatistics::Page)
        .set_column_statistics_enabled(path(&["topic"]), EnabledStatistics::Chunk)
        // Ids and times go up: what they share with the one before is not written again.
        .set_column_dictionary_enabled(id.clone(), false)
        .set_column_encoding(id, Encoding::DELTA_BYTE_ARRAY)
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED);
    let payloads = [path(&["payload"]), path(&["payload_base64"])];
    let builder = payloads.into_iter().fold(builder, |builder, payload| {
        builder
            .set_column_dictionary_enabled(payload.clone(), false)
            .set_column_encoding(payload, Encoding::PLAIN)
    });
    Ok(builder.build())
}

/// Values on their way into a column, with what each level says of them.
#[derive(Default)]
struct Values {
    texts: Vec<ByteArray>,
    bytes: usize,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

impl Values {
    fn push(&mut self, text: Bytes) {
        self.bytes += text.len();
        self.texts.push(text.into());
    }

    fn is_full(&self) -> bool {
        self.definition.len() >= EXPORT_VALUES || self.bytes >= EXPORT_VALUES_BYTES
    }

    /// Hands all of them over.
    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<()> {
        let column = column.typed::<ByteArrayType>();
        let nullable = column.get_descriptor().max_def_level() > 0;
        let repeated = column.get_descriptor().max_rep_level() > 0;
        let definition = nullable.then_some(&self.definition[..]);
        let repetition = repeated.then_some(&self.repetition[..]);
        column.write_batch(&self.texts, definition, repetition)?;
        self.texts.clear();
        self.bytes = 0;
        self.definition.clear();
        self.repetition.clear();
        Ok(())
    }
}

/// A text per record, or none.
fn write_texts(
    column: &mut SerializedColumnWriter<'_>,
    texts: impl Iterator<Item = Option<Bytes>>,
) -> Result<()> {
    let mut values = Values::default();
    for text in texts {
        values.definition.push(i16::from(text.is_some()));
        if let Some(text) = text {
            values.push(text);
        }
        if values.is_full() {
            values.write(column)?;
        }
    }
    values.write(column)
}

fn write_times(column: &mut SerializedColumnWriter<'_>, rows: &Rows) -> Result<()> {
    let column = column.typed::<Int64Type>();
    let mut times = Vec::with_capacity(EXPORT_VALUES);
    for ids in rows.ids().chunks(EXPORT_VALUES) {
        times.clear();
        // 48 bits.
        times.extend(ids.iter().map(|id| id.time_ms() as i64));
        column.write_batch(&times, None, None)?;
    }
    Ok(())
}

/// One half of the labels of each record: a list whose first entry begins a record (repetition 0) and whose others
/// go on with it (1). An empty list is an entry without a value (definition 0).
fn write_labels(
    column: &mut SerializedColumnWriter<'_>,
    rows: &Rows,
    half: impl for<'s> Fn((&'s str, &'s str)) -> &'s str,
) -> Result<()> {
    let of_stream = rows
        .streams()
        .iter()
        .map(|stream| stream.labels().map(|label| Bytes::from(half(label).to_owned())).collect::<Vec<_>>());
    let of_stream: Vec<Vec<Bytes>> = of_stream.collect();
    let mut values = Values::default();
    for &stream in rows.stream_of() {
        let labels = &of_stream[stream as usize];
        for (index, label) in labels.iter().enumerate() {
            values.repetition.push(i16::from(index > 0));
            values.definition.push(1);
            values.push(label.clone());
        }
        if labels.is_empty() {
            values.repetition.push(0);
            values.definition.push(0);
        }
        // Between records alone: a record does not go over two pages.
        if values.is_full() {
            values.write(column)?;
        }
    }
    values.write(column)
}

/// What the system said, where it did.
fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
