//! Certificates: one of an authority that is trusted, for the host that was asked for, of today; nothing else, once.
//!
//! Which authorities are trusted is said by the environment of the process, so each case is a process of its own.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use pagemill_core::ErrorKind;
use pagemill_source::{HttpOptions, Request};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::support::*;

const BASE: &str = "PAGEMILL_TEST_BASE";
const REFUSED: &str = "PAGEMILL_TEST_REFUSED";

/// An authority: its certificate as PEM, and what signs with it.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), Issuer::new(params, key))
}

/// A certificate for `host`, good in these years.
fn certificate(host: &str, years: (i32, i32), issuer: Option<&Issuer<'_, KeyPair>>) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("names");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let certificate = match issuer {
        None => params.self_signed(&key),
        Some(issuer) => params.signed_by(&key, issuer),
    };
    let chain: Vec<CertificateDer<'static>> = vec![certificate.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key);
    Arc::new(config.expect("a certificate and its key"))
}

/// Serves a page to whoever shakes hands.
fn shake(config: &Arc<ServerConfig>, stream: &mut TcpStream, requests: &AtomicUsize) {
    let mut connection = ServerConnection::new(Arc::clone(config)).expect("a connection");
    let mut tls = Stream::new(&mut connection, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        match tls.read(&mut bytes) {
            Ok(read) if read > 0 => request.extend(&bytes[..read]),
            _ => return,
        }
    }
    requests.fetch_add(1, SeqCst);
    let _ = tls.write_all(&json(page(0..3, None)));
    tls.conn.send_close_notify();
    let _ = tls.flush();
}

/// Answers as a server that knows TLS 1.1 at best (RFC 4346, 7.4.1.3).
fn old(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let hello = [&[2, 0, 0, 38, 3, 2][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let _ = stream.write_all(&[&[22, 3, 2, 0, hello.len() as u8][..], &hello].concat());
    let _ = stream.read(&mut [0; 4096]);
}

/// A walk in a process that trusts `authority`, and how many connections and requests the server saw.
fn walk(
    serve: impl Fn(&mut TcpStream, &AtomicUsize) + Send + 'static,
    authority: &str,
    refused: bool,
) -> (usize, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let seen: Arc<(AtomicUsize, AtomicUsize)> = Arc::default();
    let counted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.0.fetch_add(1, SeqCst);
            serve(&mut stream.expect("a connection"), &counted.1);
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("authority.pem");
    std::fs::write(&file, authority).expect("a file");
    let base = format!("https://localhost:{port}");
    let mut command = again("tls::one_walk");
    command.env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR").env(BASE, base);
    let output = command.envs(refused.then_some((REFUSED, "1"))).output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (seen.0.load(SeqCst), seen.1.load(SeqCst))
}

#[tokio::test]
#[ignore = "the other tests run it, in a process of its own"]
async fn one_walk() {
    let base_url = std::env::var(BASE).expect("the other tests set it");
    let given = collect(source(&Request::new("a"), HttpOptions { base_url, ..HttpOptions::default() }), None).await;
    if std::env::var(REFUSED).is_err() {
        return given.ids_are(0..3);
    }
    assert_eq!(given.failed().kind(), ErrorKind::Unavailable);
    assert!(given.failed().message().contains("secure"), "{:?}", given.failed());
    assert!(given.ids.is_empty());
}

#[test]
fn a_certificate_that_is_good_is_believed() {
    let (pem, issuer) = authority();
    let config = certificate("localhost", (2020, 2120), Some(&issuer));
    assert_eq!(walk(move |stream, requests| shake(&config, stream, requests), &pem, false), (1, 1));
}

#[test]
fn no_other_is_and_none_is_asked_for_twice() {
    let (pem, issuer) = authority();
    let (_, stranger) = authority();
    let cases = [
        ("expired", certificate("localhost", (2020, 2021), Some(&issuer))),
        ("not good yet", certificate("localhost", (2110, 2120), Some(&issuer))),
        ("of another host", certificate("example.com", (2020, 2120), Some(&issuer))),
        ("of its own making", certificate("localhost", (2020, 2120), None)),
        ("of an authority that is not trusted", certificate("localhost", (2020, 2120), Some(&stranger))),
    ];
    for (name, config) in cases {
        let seen = walk(move |stream, requests| shake(&config, stream, requests), &pem, true);
        assert_eq!(seen, (1, 0), "{name}: one connection, and nothing is said over it");
    }
    assert_eq!(walk(|stream, _| old(stream), &pem, true), (1, 0), "TLS 1.1");
}
