//! Bytes of a page to record batches: no runtime, no network, no files. `decode_only [PAGE]`; a page of its own without one.

use bytes::Bytes;
use pagemill::{Decoder, Resource, json::Options};

const PAGE: &str = r#"{
    "result": [
        {"id": "U1", "name": "Ada", "emails": [{"email": "ada@example.com", "is_primary": true}], "created_at": "2026-11-23T08:00:00+01:00"},
        {"id": "U2", "name": "Grace", "emails": [], "is_email_verified": "perhaps", "shoe_size": 38}
    ],
    "next_cursor": null
}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut input = match std::env::args().nth(1) {
        Some(path) => Bytes::from(std::fs::read(path)?),
        None => Bytes::from_static(PAGE.as_bytes()),
    };
    let resource = Resource::builtin("instant-messaging/members")?;
    let mut decoder = Decoder::new(&resource, Options::default());

    let mut rows = 0;
    while let Some(batch) = decoder.decode(&mut input)? {
        rows += batch.num_rows();
    }
    let page = decoder.finish_page()?;
    rows += page.rest.num_rows();

    println!("{rows} rows of {} columns; next: {:?}", page.rest.num_columns(), page.next);
    for (path, reason, count) in page.misfits.iter() {
        println!("{count} at {path} kept in _extra: {reason}");
    }
    Ok(())
}
