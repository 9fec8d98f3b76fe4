//! The Arrow IPC formats (file and stream) of Pagemill's file sink.
//!
//! The *file* can be read from any place in it and mapped into memory; the *stream* can be read while it is written.
//! Both hold the same record batches. See the
//! [specification](https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc).

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    },
};
use bytes::Bytes;
use pagemill_core::{Error, Result};
use pagemill_sink::{Encoder, Format};

/// The Arrow IPC formats.
#[derive(Clone, Copy, Debug)]
pub struct Arrow {
    kind: Kind,
    compression: Compression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Stream,
}

/// How the buffers of a record batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: a file can be mapped and used as it is.
    #[default]
    None,
    /// LZ4 frames: fast to read.
    Lz4,
    /// Zstandard at its default level: small.
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Arrow {
    /// The file format, uncompressed; extension `arrow`.
    #[must_use]
    pub fn file() -> Self {
        Self { kind: Kind::File, compression: Compression::None }
    }

    /// The stream format, uncompressed; extension `arrows`.
    #[must_use]
    pub fn stream() -> Self {
        Self { kind: Kind::Stream, compression: Compression::None }
    }

    /// Compresses the buffers.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The format, ready for a [`FileSink`](pagemill_sink::FileSink).
    #[must_use]
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }

    fn options(self) -> Result<IpcWriteOptions> {
        let codec = match self.compression {
            Compression::None => None,
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
            Compression::Zstd => Some(CompressionType::ZSTD),
        };
        IpcWriteOptions::default()
            .try_with_compression(codec)
            .map_err(|e| Error::config("Arrow IPC cannot be written with these options").because(e))
    }
}

impl Format for Arrow {
    fn name(&self) -> &str {
        match self.kind {
            Kind::File => "arrow",
            Kind::Stream => "arrow-stream",
        }
    }

    fn extension(&self) -> &str {
        match self.kind {
            Kind::File => "arrow",
            Kind::Stream => "arrows",
        }
    }

    fn encoder(&self, schema: SchemaRef) -> Result<Box<dyn Encoder>> {
        let writer = Writer::new(self.kind, &schema, self.options()?)
            .map_err(|e| Error::config("Arrow IPC cannot hold the columns of the table").because(e))?;
        Ok(Box::new(IpcEncoder { writer, schema }))
    }

    fn describe(&self) -> String {
        format!("compression={}", self.compression.name())
    }
}

struct IpcEncoder {
    writer: Writer,
    schema: SchemaRef,
}

enum Writer {
    File(Box<FileWriter<Vec<u8>>>),
    Stream(Box<StreamWriter<Vec<u8>>>),
}

impl Writer {
    fn new(kind: Kind, schema: &Schema, options: IpcWriteOptions) -> Result<Self, arrow::error::ArrowError> {
        Ok(match kind {
            Kind::File => Self::File(Box::new(FileWriter::try_new_with_options(Vec::new(), schema, options)?)),
            Kind::Stream => Self::Stream(Box::new(StreamWriter::try_new_with_options(Vec::new(), schema, options)?)),
        })
    }

    /// Bytes written and not yet taken. The writers count positions themselves, so these may be taken away.
    fn bytes(&mut self) -> &mut Vec<u8> {
        match self {
            Self::File(writer) => writer.get_mut(),
            Self::Stream(writer) => writer.get_mut(),
        }
    }
}

impl Encoder for IpcEncoder {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.schema_ref().fields() != self.schema.fields() {
            return Err(Error::internal("a batch is not of the announced columns"));
        }
        if rows.num_rows() == 0 {
            return Ok(());
        }
        match &mut self.writer {
            Writer::File(writer) => writer.write(rows),
            Writer::Stream(writer) => writer.write(rows),
        }
        .map_err(|e| Error::internal("Arrow IPC did not take a batch").because(e))
    }

    fn take(&mut self) -> Vec<Bytes> {
        let ready = std::mem::take(self.writer.bytes());
        if ready.is_empty() { Vec::new() } else { vec![ready.into()] }
    }

    fn buffered(&self) -> usize {
        match &self.writer {
            Writer::File(writer) => writer.get_ref().len(),
            Writer::Stream(writer) => writer.get_ref().len(),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Bytes>> {
        match &mut self.writer {
            Writer::File(writer) => writer.finish(),
            Writer::Stream(writer) => writer.finish(),
        }
        .map_err(|e| Error::internal("Arrow IPC did not end its file").because(e))?;
        Ok(self.take())
    }
}
