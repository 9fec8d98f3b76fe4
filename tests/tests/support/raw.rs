//! A server of raw bytes.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Answers its requests with given bytes, one after another, and the last of them for ever. It stops when dropped.
pub struct Raw {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Raw {
    pub fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (requests, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let head: Vec<_> =
                    BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let Some(line) = head.first() else { continue };
                let n = {
                    let mut log = log.lock().expect("no panic");
                    log.push(line.clone());
                    log.len() - 1
                };
                let answer = answers.get(n).or(answers.last()).expect("an answer");
                // The other side may have had enough of it.
                let _ = stream.write_all(answer);
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        Self { address, requests, stop }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first lines of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// An answer with `Content-Length`.
pub fn answer(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    headers.iter().for_each(|header| out.extend([header.as_bytes(), b"\r\n"].concat()));
    [&out, &b"\r\n"[..], body].concat()
}

/// A good answer of JSON.
pub fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", &["content-type: application/json"], body)
}
