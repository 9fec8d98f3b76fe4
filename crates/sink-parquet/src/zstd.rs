//! Zstandard, by one compressor a thread.
//!
//! What a compressor makes depends on the bytes and the level alone and not on what it compressed before: a test holds it
//! to that.

use std::cell::RefCell;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use zstd::{bulk::Compressor, zstd_safe::compress_bound};

/// Bytes of the largest page after which a thread keeps its memory for the next. Only a page of one large value has more; at
/// the highest levels a compressor takes many times as much, and does not give it back.
const KEPT: usize = 1 << 20;

#[derive(Default)]
struct Thread {
    compressor: Option<(i32, Compressor<'static>)>,
    room: Vec<u8>,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

/// `plain` as a frame of `level`.
pub(crate) fn compress(plain: &[u8], level: i32) -> Result<Bytes> {
    THREAD.with_borrow_mut(|thread| {
        let Thread { compressor, room } = &mut *thread;
        let compressor = match compressor {
            Some((at, compressor)) if *at == level => compressor,
            other => &mut other.insert((level, Compressor::new(level).map_err(failed)?)).1,
        };
        room.clear();
        room.reserve(compress_bound(plain.len()));
        compressor.compress_to_buffer(plain, room).map_err(failed)?;
        let frame = Bytes::copy_from_slice(room);
        if plain.len() > KEPT {
            *thread = Thread::default();
        }
        Ok(frame)
    })
}

fn failed(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of a few words, which repeat.
    fn page(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let mut page = Vec::new();
        while page.len() < len {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            page.extend_from_slice(&(state >> 40 & 0xfff).to_le_bytes()[..(state >> 60) as usize % 7 + 1]);
        }
        page.truncate(len);
        page
    }

    #[test]
    fn what_came_before_makes_no_difference() {
        for level in 1..=22 {
            let mut others = Compressor::new(level).expect("a level");
            for turn in 0..12u64 {
                let page = page(turn / 2 + 1, [0, 1, 90, 4_000, 70_000, 300_000][(turn * 5 % 6) as usize]);
                let ours = compress(&page, level).expect("memory");
                let fresh = Compressor::new(level).and_then(|mut new| new.compress(&page)).expect("memory");
                assert_eq!(ours, fresh, "level {level}, turn {turn}");
                // Another history.
                others.compress(&page[page.len() / 3..]).expect("memory");
                assert_eq!(ours, others.compress(&page).expect("memory"), "level {level}, turn {turn}");
                assert_eq!(zstd::bulk::decompress(&ours, page.len()).expect("a frame"), page);
            }
        }
    }
}
