//! The Arrow IPC formats.
//!
//! Their reader makes room for as many bytes as a message says it has before it looks whether there are so many, so
//! what messages say is looked at first.

use std::{
    io::{BufReader, Read, Seek, SeekFrom},
    sync::Arc,
};

use arrow::ipc::{
    Message, RecordBatch as Header,
    reader::{FileReader, StreamReader, read_footer_length},
    root_as_footer, root_as_message,
};
use pagemill_core::{Error, Result};
use pagemill_sink::list::ReadAt;

use super::{Rows, Stream, unreadable};

/// The most bytes that a compressed buffer may have when it is not; its offsets are of 32 bits.
const BUFFER: i64 = 4 << 30;
/// The ten bytes that end a file, and the eight that begin it.
const TRAILER: u64 = 10;
const MAGIC: u64 = 8;

pub(super) fn open_file(bytes: &Arc<dyn ReadAt>) -> Result<Rows> {
    check_file(bytes)?;
    let reader = FileReader::try_new(BufReader::new(Stream::new(bytes)), None).map_err(unreadable)?;
    Ok(Rows { schema: reader.schema(), batches: Box::new(reader.map(|batch| batch.map_err(unreadable))) })
}

pub(super) fn open_stream(bytes: &Arc<dyn ReadAt>) -> Result<Rows> {
    let mut at = 0;
    while let Some(next) = check_message(bytes, at)? {
        at = next;
    }
    let reader = StreamReader::try_new(BufReader::new(Stream::new(bytes)), None).map_err(unreadable)?;
    Ok(Rows { schema: reader.schema(), batches: Box::new(reader.map(|batch| batch.map_err(unreadable))) })
}

/// The bytes at a place, if they are all there.
fn part(bytes: &Arc<dyn ReadAt>, at: u64, length: u64) -> Result<Vec<u8>> {
    let end = at.checked_add(length).filter(|end| *end <= bytes.size());
    end.ok_or_else(|| unreadable("a part lies beyond the end of the file"))?;
    let mut stream = Stream::new(bytes);
    stream.seek(SeekFrom::Start(at)).map_err(unreadable)?;
    let mut part = Vec::new();
    stream.take(length).read_to_end(&mut part).map_err(unreadable)?;
    Ok(part)
}

/// Whether the blocks of a file lie within it.
fn check_file(bytes: &Arc<dyn ReadAt>) -> Result<()> {
    let size = bytes.size();
    let trailer = size.checked_sub(TRAILER).ok_or_else(|| unreadable("it is too short"))?;
    let last: [u8; 10] = part(bytes, trailer, TRAILER)?.try_into().map_err(|_| unreadable("it is too short"))?;
    let length = read_footer_length(last).map_err(unreadable)? as u64;
    let start = trailer.checked_sub(length).ok_or_else(|| unreadable("the footer is longer than the file"))?;
    let footer = part(bytes, start, length)?;
    let footer = root_as_footer(&footer).map_err(|e| unreadable(e.to_string()))?;
    let blocks = footer.recordBatches().into_iter().chain(footer.dictionaries());
    for block in blocks.flatten() {
        let at = u64::try_from(block.offset()).map_err(unreadable)?;
        let lengths = u64::try_from(block.metaDataLength()).ok().zip(u64::try_from(block.bodyLength()).ok());
        let end = lengths.and_then(|(meta, body)| at.checked_add(meta)?.checked_add(body));
        if at < MAGIC || end.is_none_or(|end| end > start) {
            return Err(unreadable("a block lies beyond the end of the file"));
        }
        check_message(bytes, at)?;
    }
    Ok(())
}

/// Whether the message that begins at `at` lies within the file, and its buffers within it; where the next one begins,
/// if this is not the end of the stream.
fn check_message(bytes: &Arc<dyn ReadAt>, at: u64) -> Result<Option<u64>> {
    let word =
        |at: u64| -> Result<[u8; 4]> { part(bytes, at, 4)?.try_into().map_err(|_| unreadable("it is too short")) };
    if at == bytes.size() {
        return Ok(None);
    }
    let first = word(at)?;
    // Before version 0.15 there was no such mark.
    let at = if first == [0xff; 4] { at + 4 } else { at };
    let length = u64::try_from(i32::from_le_bytes(word(at)?)).map_err(unreadable)?;
    if length == 0 {
        return Ok(None);
    }
    let meta = part(bytes, at + 4, length)?;
    let message = root_as_message(&meta).map_err(|e| unreadable(e.to_string()))?;
    let body = at + 4 + length;
    let end = u64::try_from(message.bodyLength()).ok().and_then(|length| body.checked_add(length));
    let end = end.filter(|end| *end <= bytes.size()).ok_or_else(|| unreadable("a message is longer than the file"))?;
    if let Some(header) = header(&message) {
        check_buffers(bytes, &header, body, end)?;
    }
    Ok(Some(end))
}

fn header<'a>(message: &Message<'a>) -> Option<Header<'a>> {
    message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data())
}

/// Whether the buffers of a batch lie in its body, and are of a size that can be when they are not compressed.
fn check_buffers(bytes: &Arc<dyn ReadAt>, header: &Header<'_>, body: u64, end: u64) -> Result<()> {
    for buffer in header.buffers().into_iter().flatten() {
        let range = u64::try_from(buffer.offset()).ok().zip(u64::try_from(buffer.length()).ok());
        let range = range.and_then(|(at, length)| Some((body.checked_add(at)?, length)));
        let Some((at, length)) = range.filter(|(at, length)| at.checked_add(*length).is_some_and(|to| to <= end))
        else {
            return Err(unreadable("a buffer lies beyond the end of its batch"));
        };
        if header.compression().is_some() && length >= 8 {
            let plain: [u8; 8] = part(bytes, at, 8)?.try_into().map_err(|_| unreadable("it is too short"))?;
            if i64::from_le_bytes(plain) > BUFFER {
                return Err(Error::data("it cannot be read: a buffer of more than 4 GiB"));
            }
        }
    }
    Ok(())
}
