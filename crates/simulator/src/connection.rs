//! Connections that a fault can take over: HTTP is spoken over them until one has a script.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::fault::script::Script;

/// Where the application leaves a script for the connection that a request came over. It is performed in place of the
/// answer that the application gives then, of which nothing is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Script>>>);

impl Slot {
    pub(crate) fn put(&self, script: Script) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(script);
    }

    fn take(&self) -> Option<Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Connected<IncomingStream<'_, Connections>> for Slot {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().slot.clone()
    }
}

/// A listener whose connections have slots.
pub(crate) struct Connections(pub(crate) TcpListener);

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Connection { stream: Some(stream), slot: Slot::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection. Once a script has taken its socket it looks closed, and whatever is written to it is dropped.
pub(crate) struct Connection {
    stream: Option<TcpStream>,
    slot: Slot,
}

impl Connection {
    /// The socket to write to, unless a script has it.
    fn writable(&mut self) -> Option<Pin<&mut TcpStream>> {
        if let Some(script) = self.slot.take()
            && let Some(stream) = self.stream.take()
        {
            tokio::spawn(script.perform(stream));
        }
        self.stream.as_mut().map(Pin::new)
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            None => Poll::Ready(Ok(())),
            Some(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.writable() {
            None => Poll::Ready(Ok(bytes.len())),
            Some(stream) => stream.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.writable() {
            None => Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum())),
            Some(stream) => stream.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().map_or(Poll::Ready(Ok(())), |stream| Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().map_or(Poll::Ready(Ok(())), |stream| Pin::new(stream).poll_shutdown(cx))
    }
}
