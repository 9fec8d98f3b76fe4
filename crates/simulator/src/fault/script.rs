//! What a connection does instead of speaking HTTP: bytes, at some pace, and an end.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In good order.
    Fin,
    Reset,
    /// When the other side has had enough.
    Held,
}

/// What is written to a connection, and what becomes of it then.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    /// Between one byte and the next; none at all where it is zero.
    pub(crate) pause: Duration,
    pub(crate) end: End,
}

impl Script {
    /// Does it. Whatever fails is the other side's doing, and there is nobody to tell.
    pub(crate) async fn perform(self, mut stream: TcpStream) {
        let mut ignored = [0; 1024];
        if self.pause.is_zero() {
            let _ = stream.write_all(&self.bytes).await;
        } else {
            for byte in self.bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = sleep(self.pause) => {}
                    // The client says nothing more, so this is its end.
                    _ = stream.read(&mut ignored) => return,
                }
            }
        }
        match self.end {
            End::Fin => drop(stream.shutdown().await),
            End::Reset => drop(stream.set_zero_linger()),
            End::Held => while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {},
        }
    }
}
