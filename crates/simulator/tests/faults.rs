//! Faults, the ledger and stamps, as a client sees them. `tests/faults.rs` of the workspace has what comes of each.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pagemill_simulator::{ACCOUNT, Builder, Simulator};
use serde_json::Value;
use sha2::{Digest, Sha256};

const LIST: &str = "/unified/instant-messaging/members";

fn faulty(faults: &[&str]) -> Builder {
    let builder = Simulator::builder().members(30).default_limit(10);
    faults.iter().fold(builder, |builder, fault| builder.fault(fault.parse().expect("a fault")))
}

/// The bytes of an answer, and how the connection ended.
fn bytes(simulator: &Simulator, query: &str) -> (Vec<u8>, io::Result<()>) {
    let mut stream = TcpStream::connect(simulator.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let request = format!(
        "GET {LIST}?integrated_account_id={ACCOUNT}{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut out = Vec::new();
    let end = stream.read_to_end(&mut out).map(drop);
    (out, end)
}

async fn answer(simulator: &Simulator, query: &str) -> (Vec<u8>, io::Result<()>) {
    tokio::task::block_in_place(|| bytes(simulator, query))
}

fn body(answer: &[u8]) -> &[u8] {
    let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    &answer[at + 4..]
}

fn json(answer: &[u8]) -> Value {
    serde_json::from_slice(body(answer)).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_where_it_is_told_to_and_how() {
    let well = Simulator::builder().members(30).default_limit(10).start().await.expect("starts");
    let (whole, end) = answer(&well, "").await;
    assert!(end.is_ok());
    for at in [0, 1, 17, 100, 5_000] {
        for name in ["fin", "reset", "stall"] {
            let simulator = faulty(&[&format!("{name}:{at}")]).start().await.expect("starts");
            let (cut, end) = answer(&simulator, "").await;
            match name {
                "fin" => assert!(end.is_ok() && cut.len() == at, "{at}: {end:?}"),
                "reset" => assert_eq!(end.expect_err("reset").kind(), io::ErrorKind::ConnectionReset),
                _ => {
                    assert_eq!(end.expect_err("nothing").kind(), io::ErrorKind::WouldBlock);
                    assert_eq!(cut.len(), at);
                }
            }
            let (again, end) = answer(&simulator, "").await;
            assert!(end.is_ok() && body(&again) == body(&whole), "{name}:{at} asked again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_come_in_number_and_then_the_page() {
    let simulator = faulty(&["empty:3"]).start().await.expect("starts");
    let (mut records, mut pages, mut cursor) = (0, 0, String::new());
    loop {
        let page = json(&answer(&simulator, &format!("&next_cursor={cursor}")).await.0);
        pages += 1;
        records += page["result"].as_array().expect("an array").len();
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!((pages, records), (12, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_listener_of_its_own_the_simulator_says_what_it_cannot_do() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}{LIST}?integrated_account_id={ACCOUNT}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(axum::serve(listener, faulty(&["reset", "status:503"]).router()).into_future());
    let client = reqwest::Client::new();
    for status in [501, 503, 200] {
        let answer = client.get(&url).bearer_auth("x").send().await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
    serving.abort();
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lines").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn read(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().expect("lines").clone()).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_says_what_was_served_and_stamps_say_where() {
    let lines = Lines::default();
    let builder = faulty(&["status:503@page=1", "fin@page=2"]).ledger(lines.clone()).stamp(true);
    let simulator = builder.start().await.expect("starts");
    let (mut cursor, mut served, mut seen) = (String::new(), Vec::new(), Vec::new());
    let mut request = 0;
    for page in 0..3u64 {
        for serving in 0..2 {
            let (bytes, _) = answer(&simulator, &format!("&next_cursor={cursor}")).await;
            let line = lines.read().last().cloned().expect("a line");
            assert_eq!(line["request"], request);
            assert_eq!(line["page"], page);
            let well = serving == 1 || page == 0;
            assert_eq!(line["whole"], well, "{line}");
            let fault = [Value::Null, "status:503@page=1".into(), "fin@page=2".into()];
            assert_eq!(line["fault"], if well { Value::Null } else { fault[page as usize].clone() });
            assert_eq!(line["status"], if !well && page == 1 { 503 } else { 200 });
            assert_eq!(line["ids"].as_array().expect("ids").len(), 10);
            if well {
                let digest: String = Sha256::digest(body(&bytes)).iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(line["sha256"], digest.as_str());
                for (idx, record) in json(&bytes)["result"].as_array().expect("records").iter().enumerate() {
                    let stamp = serde_json::json!({"page": page, "idx": idx, "serve": request});
                    assert_eq!(record["ledger"], stamp);
                }
                served = line["ids"].as_array().expect("ids").clone();
                let ids = json(&bytes)["result"].as_array().expect("records").iter().map(|r| r["id"].clone()).collect();
                let ids: Vec<Value> = ids;
                let text = |id: &Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                assert_eq!(served.iter().map(text).collect::<Vec<_>>(), ids.iter().map(text).collect::<Vec<_>>());
            }
            seen.push(line.clone());
            request += 1;
        }
        assert_eq!(served.len(), 10);
        cursor = seen.last().expect("a line")["cursor_out"].as_str().unwrap_or_default().to_owned();
    }
    // A serving that failed is written down with what it should have been, but for the serving's own number.
    assert_eq!(seen[2]["ids"], seen[3]["ids"]);
    assert_eq!(seen[2]["cursor_in"], seen[3]["cursor_in"]);
    assert_ne!(seen[2]["sha256"], seen[3]["sha256"]);
    // What is no list has a line as well.
    let mut stream = TcpStream::connect(simulator.address()).expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("a request");
    stream.read_to_end(&mut Vec::new()).expect("an answer");
    let line = lines.read().last().cloned().expect("a line");
    assert_eq!((&line["status"], &line["page"], &line["whole"]), (&401.into(), &Value::Null, &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_written_lets_nothing_count() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let simulator = faulty(&[]).ledger(Full).start().await.expect("starts");
    assert_eq!(json(&answer(&simulator, "").await.0)["statusCode"], 500);
}
