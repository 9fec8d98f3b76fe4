//! What the tests share.
#![allow(unreachable_pub, dead_code, reason = "a module of several test binaries")]

use arrow::array::RecordBatch;
use bytes::Bytes;
use pagemill_core::Resource;
use pagemill_json::{Decoder, Options, Page};

/// A resource with one column of each kind.
pub fn all_kinds() -> Resource {
    Resource::from_json_schema(
        r#"{"x-pagemill":{"table":"things","key":"id"},"type":"object","properties":{
            "id":{"type":"string"},"flag":{"type":"boolean"},"count":{"type":"integer"},"size":{"type":"number"},
            "at":{"type":"string","format":"date-time"},"any":{},
            "owner":{"properties":{"id":{"type":"string"},"rank":{"type":"integer"},"home":{"properties":{"city":{"type":"string"}}}}},
            "tags":{"type":"array","items":{"type":"string"}},
            "matrix":{"type":"array","items":{"type":"array","items":{"type":"integer"}}},
            "parts":{"type":"array","items":{"properties":{"name":{"type":"string"},"sizes":{"type":"array","items":{"type":"number"}},
                "maker":{"properties":{"id":{"type":"string"}}}}}}
        }}"#,
    )
    .expect("a schema")
}

/// What a page gave: full batches and the page, or the error as text.
pub type Outcome = Result<(Vec<RecordBatch>, Page), String>;

/// Decodes `chunks` as one page.
pub fn decode<'a>(decoder: &mut Decoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut batches = Vec::new();
    let run = || {
        for chunk in chunks {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(batch) = decoder.decode(&mut chunk)? {
                batches.push(batch);
            }
        }
        decoder.finish_page()
    };
    match run() {
        Ok(page) => Ok((batches, page)),
        Err(error) => {
            decoder.reset();
            Err(format!("{error} after {} batches", batches.len()))
        }
    }
}

/// All that can be compared of an outcome.
pub fn comparable(outcome: &Outcome) -> String {
    match outcome {
        Err(error) => error.clone(),
        Ok((batches, page)) => format!("{batches:?} {page:?}"),
    }
}

/// A decoder of `resource` with small batches.
pub fn decoder(resource: &Resource) -> Decoder {
    Decoder::new(resource, Options { batch_rows: 3, ..Options::default() })
}
