//! One output, whatever its format.

use std::io::{self, Write};

use weir_api::format::Format;
use weir_query::Rows;
use weir_record::limits::EXPORT_TEXT_BYTES;

use crate::csv;
use crate::out_file::OutFile;
use crate::shape::Shape;

/// Where bytes go.
pub(crate) enum Sink<'a> {
    Stream(&'a mut (dyn Write + Send)),
    File(OutFile),
}

impl Sink<'_> {
    /// Nothing can be written after it.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self {
            Sink::Stream(stream) => stream.flush(),
            Sink::File(file) => file.finish(),
        }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stream(stream) => stream.write(bytes),
            Sink::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stream(stream) => stream.flush(),
            Sink::File(file) => file.flush(),
        }
    }
}

/// Takes rows until they make a write of a good size.
pub(crate) enum Writer<'a> {
    Text {
        encode: fn(&Rows, &mut Vec<u8>),
        sink: Sink<'a>,
        bytes: Vec<u8>,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<crate::parquet::ParquetFile<'a>>),
}

impl<'a> Writer<'a> {
    pub(crate) fn new(shape: Shape, mut sink: Sink<'a>) -> io::Result<Writer<'a>> {
        let encode: fn(&Rows, &mut Vec<u8>) = match shape {
            Shape::Ndjson => |rows, out| Format::Ndjson.write(rows, out),
            Shape::Csv => {
                sink.write_all(csv::HEADER)?;
                csv::write
            }
            #[cfg(feature = "parquet")]
            Shape::Parquet => {
                return Ok(Writer::Parquet(Box::new(crate::parquet::ParquetFile::new(sink)?)));
            }
            #[cfg(not(feature = "parquet"))]
            Shape::Parquet => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, crate::shape::NoParquet));
            }
        };
        Ok(Writer::Text { encode, sink, bytes: Vec::new() })
    }

    /// Whether these rows should be written before more are added to them.
    pub(crate) fn has_enough(&self, rows: &Rows) -> bool {
        match self {
            Writer::Text { .. } => rows.bytes() >= EXPORT_TEXT_BYTES,
            #[cfg(feature = "parquet")]
            Writer::Parquet(_) => crate::parquet::is_row_group(rows),
        }
    }

    pub(crate) fn write(&mut self, rows: &Rows) -> io::Result<()> {
        match self {
            Writer::Text { encode, sink, bytes } => {
                bytes.clear();
                encode(rows, bytes);
                sink.write_all(bytes)
            }
            #[cfg(feature = "parquet")]
            Writer::Parquet(file) => file.write(rows),
        }
    }

    /// Ends what is written, and makes a file durable.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Writer::Text { mut sink, .. } => sink.finish(),
            #[cfg(feature = "parquet")]
            Writer::Parquet(file) => file.finish(),
        }
    }
}
