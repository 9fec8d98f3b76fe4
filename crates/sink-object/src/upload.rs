//! A part on its way to the store: in pieces, some of them at a time.
//!
//! What a part holds back is less than a piece; a part that stays smaller is put whole. Pieces that are on their way count
//! against a number that all parts share.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use object_store::{PutPayload, multipart::PartId, path::Path};
use pagemill_core::{Error, Result};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::calls::Calls;

/// A part that was begun.
pub(crate) struct Upload {
    key: Path,
    /// Where it is noted that an upload in pieces was begun.
    note: Path,
    /// Bytes that were not sent yet, and how many.
    held: Vec<Bytes>,
    held_bytes: usize,
    sent_bytes: u64,
    pieces: Option<Pieces>,
}

/// An upload in pieces.
struct Pieces {
    id: String,
    begun: usize,
    running: JoinSet<Result<(usize, PartId)>>,
    done: Vec<(usize, PartId)>,
}

/// What is noted of an upload in pieces, so that another run can end it.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    pub(crate) key: String,
    pub(crate) id: String,
}

impl Upload {
    pub(crate) fn new(key: Path, note: Path) -> Self {
        Self { key, note, held: Vec::new(), held_bytes: 0, sent_bytes: 0, pieces: None }
    }

    pub(crate) fn key(&self) -> &Path {
        &self.key
    }

    /// Takes bytes, and sends pieces of exactly `piece` bytes; waits while `ahead` has no room.
    pub(crate) async fn append(
        &mut self,
        calls: &Calls,
        ahead: &Arc<Semaphore>,
        piece: usize,
        bytes: Bytes,
    ) -> Result<()> {
        self.held_bytes += bytes.len();
        self.held.push(bytes);
        while self.held_bytes > piece {
            let payload = self.take(piece);
            self.send(calls, ahead, payload).await?;
        }
        Ok(())
    }

    /// The next `wanted` bytes of those held.
    fn take(&mut self, wanted: usize) -> PutPayload {
        let mut taken = Vec::new();
        let mut left = wanted.min(self.held_bytes);
        self.held_bytes -= left;
        let mut rest = Vec::new();
        for mut bytes in std::mem::take(&mut self.held) {
            let n = left.min(bytes.len());
            if n > 0 {
                taken.push(bytes.slice(..n));
                bytes.advance(n);
                left -= n;
            }
            if !bytes.is_empty() {
                rest.push(bytes);
            }
        }
        self.held = rest;
        taken.into_iter().collect()
    }

    async fn send(&mut self, calls: &Calls, ahead: &Arc<Semaphore>, payload: PutPayload) -> Result<()> {
        self.sent_bytes += payload.content_length() as u64;
        let pieces = match &mut self.pieces {
            Some(pieces) => pieces,
            none => {
                let id = calls.begin_upload(&self.key).await?;
                let note = Note { key: self.key.to_string(), id: id.clone() };
                let pieces = Pieces { id, begun: 0, running: JoinSet::new(), done: Vec::new() };
                let pieces = none.insert(pieces);
                let text = serde_json::to_vec(&note)
                    .map_err(|e| Error::internal("a note cannot be written as JSON").because(e))?;
                calls.put(&self.note, text.into()).await?;
                pieces
            }
        };
        while let Some(ended) = pieces.running.try_join_next() {
            pieces.done.push(joined(ended)?);
        }
        let room = Arc::clone(ahead).acquire_owned().await.map_err(|_| Error::internal("the uploads have ended"))?;
        let (calls, key, id, at) = (calls.clone(), self.key.clone(), pieces.id.clone(), pieces.begun);
        pieces.begun += 1;
        pieces.running.spawn(async move {
            let done = calls.put_piece(&key, &id, at, payload).await;
            drop(room);
            done.map(|id| (at, id))
        });
        Ok(())
    }

    /// Sends what is left, and waits until all of it is there as one object.
    pub(crate) async fn finish(&mut self, calls: &Calls, ahead: &Arc<Semaphore>) -> Result<()> {
        let rest = self.take(usize::MAX);
        if self.pieces.is_none() {
            return calls.put(&self.key, rest).await;
        }
        self.send(calls, ahead, rest).await?;
        let Some(pieces) = &mut self.pieces else { return Ok(()) };
        while let Some(ended) = pieces.running.join_next().await {
            pieces.done.push(joined(ended)?);
        }
        pieces.done.sort_by_key(|(at, _)| *at);
        let all = pieces.done.iter().map(|(_, id)| id.clone()).collect();
        calls.end_upload(&self.key, &pieces.id, all, self.sent_bytes).await?;
        self.pieces = None;
        // It is of no more use; a later run makes nothing worse of it.
        if let Err(error) = calls.delete(&self.note).await {
            tracing::info!(%error, "a note is left");
        }
        Ok(())
    }

    /// Gives it up.
    pub(crate) async fn discard(mut self, calls: &Calls) -> Result<()> {
        let Some(mut pieces) = self.pieces.take() else { return Ok(()) };
        pieces.running.shutdown().await;
        calls.drop_upload(&self.key, &pieces.id).await?;
        calls.delete(&self.note).await
    }
}

fn joined(ended: Result<Result<(usize, PartId)>, tokio::task::JoinError>) -> Result<(usize, PartId)> {
    ended.map_err(|e| Error::internal("an upload did not end").because(e))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_of_one_size_however_the_bytes_come() {
        let all: Vec<u8> = (0..=255).collect();
        for length in [1, 3, 7, 64, 256] {
            let mut upload = Upload::new(Path::default(), Path::default());
            for bytes in all.chunks(length) {
                upload.held_bytes += bytes.len();
                upload.held.push(Bytes::copy_from_slice(bytes));
            }
            let mut back = Vec::new();
            while upload.held_bytes > 0 {
                let payload = upload.take(10);
                assert_eq!(payload.content_length(), 10.min(all.len() - back.len()));
                back.extend(payload.iter().flat_map(|b| b.to_vec()));
            }
            assert_eq!(back, all);
        }
    }
}
