//! The bytes of a file until they are taken.

use std::io::{self, Write};

use bytes::Bytes;

/// Bytes of a piece. A row group is written out in pieces of this size, so that the pages that it was made of
/// can be let go one by one and are not in memory twice.
const PIECE: usize = 512 << 10;

/// A writer over memory that never moves what it has.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    done: Vec<Bytes>,
    last: Vec<u8>,
}

impl Pieces {
    /// What has been written since the last time.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.end_piece();
        std::mem::take(&mut self.done)
    }

    fn end_piece(&mut self) {
        if !self.last.is_empty() {
            let mut piece = std::mem::take(&mut self.last);
            piece.shrink_to_fit();
            self.done.push(piece.into());
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() >= PIECE {
            self.end_piece();
        }
        if self.last.capacity() == 0 {
            self.last.reserve_exact(PIECE);
        }
        let taken = bytes.get(..PIECE - self.last.len()).unwrap_or(bytes);
        self.last.extend_from_slice(taken);
        Ok(taken.len())
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
}
