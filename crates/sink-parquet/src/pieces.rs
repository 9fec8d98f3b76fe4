//! The bytes of a file until they are taken.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use bytes::Bytes;

/// Bytes of a piece that is put together here. What is written at once and is smaller is copied into one.
const PIECE: usize = 32 << 10;

/// A writer over memory that never moves what it has, and does not copy what it is told of.
///
/// The pages of a row group are in memory before they are written. They are announced, and when they come they are handed on as
/// they are: a row group is in memory once.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    done: Vec<Bytes>,
    last: Vec<u8>,
    announced: VecDeque<Bytes>,
    /// How much of the first of them has come.
    come: usize,
}

impl Pieces {
    /// What has been written since the last time.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.end_piece();
        std::mem::take(&mut self.done)
    }

    /// The next bytes that are written are those of `pieces`.
    pub(crate) fn announce(&mut self, pieces: impl IntoIterator<Item = Bytes>) {
        self.announced.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
    }

    fn end_piece(&mut self) {
        if !self.last.is_empty() {
            let mut piece = std::mem::take(&mut self.last);
            piece.shrink_to_fit();
            self.done.push(piece.into());
        }
    }

    /// Takes some of `bytes`.
    fn copy(&mut self, bytes: &[u8]) -> usize {
        if self.last.len() >= PIECE {
            self.end_piece();
        }
        if self.last.capacity() == 0 {
            self.last.reserve_exact(PIECE);
        }
        let taken = bytes.get(..PIECE - self.last.len()).unwrap_or(bytes);
        self.last.extend_from_slice(taken);
        taken.len()
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(piece) = self.announced.front() else { return Ok(self.copy(bytes)) };
        let left = piece.len() - self.come;
        let bytes = bytes.get(..left).unwrap_or(bytes);
        if piece.get(self.come..self.come + bytes.len()) != Some(bytes) {
            return Err(io::Error::other("something else was announced"));
        }
        let whole = piece.len() >= PIECE;
        let taken = if whole { bytes.len() } else { self.copy(bytes) };
        self.come += taken;
        if taken == left {
            self.come = 0;
            let piece = self.announced.pop_front();
            if whole {
                self.end_piece();
                self.done.extend(piece);
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_pieces() {
        let mut pieces = Pieces::default();
        assert!(pieces.take().is_empty());
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|i| i as u8).collect();
        pieces.write_all(&bytes[..7]).expect("memory");
        pieces.write_all(&bytes[7..]).expect("memory");
        let taken = pieces.take();
        assert_eq!(taken.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, PIECE, 5]);
        assert_eq!(taken.concat(), bytes);
        pieces.write_all(b"more").expect("memory");
        assert_eq!(pieces.take().concat(), b"more");
    }

    #[test]
    fn what_is_announced_is_handed_on_as_it_is_unless_it_is_small() {
        let bytes = Bytes::from_iter((0..5 * PIECE).map(|i| (i * i) as u8));
        let cuts = [0, 9, 9 + PIECE, 20 + PIECE, 30 + PIECE, 30 + 3 * PIECE, 5 * PIECE - 1, 5 * PIECE];
        let announced: Vec<_> = cuts.windows(2).map(|cut| bytes.slice(cut[0]..cut[1])).collect();
        for chunk in [1, 7, 8_192, PIECE + 1, 5 * PIECE] {
            let mut pieces = Pieces::default();
            pieces.write_all(b"before").expect("memory");
            pieces.announce(announced.iter().cloned().chain([Bytes::new()]));
            bytes.chunks(chunk).for_each(|chunk| pieces.write_all(chunk).expect("as announced"));
            pieces.write_all(b"after").expect("memory");
            let taken = pieces.take();
            assert_eq!(taken.concat(), [b"before", &bytes[..], b"after"].concat(), "{chunk}");
            for large in announced.iter().filter(|piece| piece.len() >= PIECE) {
                assert!(taken.iter().any(|piece| piece.as_ptr() == large.as_ptr()), "{chunk}: copied");
            }
        }
    }

    #[test]
    fn what_was_not_announced_is_refused() {
        let mut pieces = Pieces::default();
        pieces.announce([Bytes::from_static(b"this")]);
        pieces.write_all(b"th").expect("as announced");
        assert!(pieces.write_all(b"at").is_err());
    }
}
