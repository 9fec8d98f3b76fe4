//! Proxies that the environment names: heeded only by those who ask for it. The environment belongs to a process, so
//! each case is a process of its own: this test binary again, with one test of it.

use std::io::Write;

use pagemill_source::{HttpOptions, Request};

use crate::support::*;

const BASE: &str = "PAGEMILL_TEST_BASE";
const HEEDED: &str = "PAGEMILL_TEST_HEEDED";

/// Servers that stand for the API and for a proxy, and what each was asked by a process with that proxy about it.
fn asked(heeded: bool) -> (Vec<Seen>, Vec<Seen>) {
    let serve = |_: usize, _: &Seen, stream: &mut std::net::TcpStream| {
        let _ = stream.write_all(&json(page(0..3, None)));
    };
    let (api, proxy) = (Server::start(serve), Server::start(serve));
    let mut command = again("proxy::one_walk");
    command.env(BASE, api.url()).env_remove("NO_PROXY");
    command.env_remove("no_proxy").envs(heeded.then_some((HEEDED, "1")));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, proxy.url());
    }
    let output = command.output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (api.seen(), proxy.seen())
}

#[tokio::test]
#[ignore = "the other tests run it, in a process of its own"]
async fn one_walk() {
    let base_url = std::env::var(BASE).expect("the other tests set it");
    let options = HttpOptions { base_url, env_proxies: std::env::var(HEEDED).is_ok(), ..HttpOptions::default() };
    collect(source(&Request::new("a"), options), None).await.ids_are(0..3);
}

#[test]
fn a_proxy_of_the_environment_is_not_heeded() {
    let (api, proxy) = asked(false);
    assert_eq!((api.len(), proxy.len()), (1, 0));
}

#[test]
fn unless_it_is_asked_for() {
    let (api, proxy) = asked(true);
    assert_eq!((api.len(), proxy.len()), (0, 1));
    assert!(proxy[0].target.starts_with("http://127.0.0.1:"), "{}", proxy[0].target);
}
