//! Parquet.

use std::{
    io::{BufReader, Read},
    sync::Arc,
};

use arrow::array::RecordBatchReader;
use bytes::Bytes;
use pagemill_core::Result;
use pagemill_sink::list::ReadAt;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    errors::{ParquetError, Result as ParquetResult},
    file::reader::{ChunkReader, Length},
};

use super::{BATCH_ROWS, Rows, Stream, unreadable};

pub(super) fn open(bytes: &Arc<dyn ReadAt>) -> Result<Rows> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Ranges(Arc::clone(bytes))).map_err(unreadable)?;
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;
    Ok(Rows { schema: reader.schema(), batches: Box::new(reader.map(|batch| batch.map_err(unreadable))) })
}

/// Ranges of a file, read when they are asked for.
struct Ranges(Arc<dyn ReadAt>);

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.0.size()
    }
}

impl ChunkReader for Ranges {
    type T = BufReader<Stream>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(Stream::from(&self.0, start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.0.size());
        if end.is_none() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are beyond the end")));
        }
        let mut bytes = Vec::with_capacity(length);
        Stream::from(&self.0, start).take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() != length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are beyond the end")));
        }
        Ok(bytes.into())
    }
}
