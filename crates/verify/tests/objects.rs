//! What is published in an object store is checked as what is on a disk is.

use std::{fs, sync::Arc};

use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
use pagemill::{FileOptions, FileSink, FileSource, Flatten, Format, Ndjson, Parquet, Pipeline, Resource};
use pagemill_sink::list::files;
use pagemill_sink_object::{ObjectPublished, ObjectSink};
use pagemill_verify::{Rebuild, Which, verify};

/// Runs `work`, which waits where it is called, on a thread that drives no futures.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

#[tokio::test]
async fn tables_in_an_object_store_are_checked_and_turned_back() {
    let formats: [(Arc<dyn Format>, &str); 2] = [(Arc::new(Parquet::new()), "parquet"), (Arc::new(Ndjson), "ndjson")];
    for (format, extension) in formats {
        let dir = tempfile::tempdir().expect("a folder");
        let page = |from: u32| {
            let record =
                |n| format!("{{\"id\":\"{n}\",\"emails\":[{{\"email\":\"{n}@x\"}},{{\"email\":\"{from}@y\"}}]}}\n");
            (from..from + 100).map(record).collect::<String>()
        };
        let pages: Vec<_> = (0..4).map(|n| dir.path().join(format!("{n}.ndjson"))).collect();
        for (n, path) in pages.iter().enumerate() {
            fs::write(path, page(n as u32 * 100)).expect("a page");
        }
        let store = Arc::new(InMemory::new());
        let members = Resource::builtin("instant-messaging/members").expect("a resource");
        let source = FileSource::new(&members, &pages, FileOptions::default()).expect("a source");
        let sink = FileSink::to(ObjectSink::shared(store.clone(), "mem://b", "lake"), format).rows_per_part(150);
        Pipeline::new(source, Flatten::new(&members, None), sink).run().await.expect("publishes");

        let published = {
            let store = store.clone();
            aside(move || ObjectPublished::new(store, "mem://b", "lake").expect("a reader")).await
        };
        let (reader, all, resource) = (published.clone(), pages.clone(), members.clone());
        let report = aside(move || {
            let mut report = verify(&reader, &Which::default()).expect("looks");
            let rebuild = Rebuild::new(&resource, &all).expect("pages");
            rebuild.compare(&reader, &Which::default(), &mut report).expect("compares");
            report
        })
        .await;
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!((report.runs, report.records), (1, 400));

        // Something that no manifest names is an attempt's, and no finding; a byte that has changed is one, by its file.
        let reader = published.clone();
        let listed = aside(move || files(&reader, &|_| true).expect("lists")).await;
        assert!(listed.len() > 8 && listed.iter().all(|file| file.place.starts_with("mem://b/lake/members")));
        let key = |place: &str| Path::parse(place.strip_prefix("mem://b/").expect("of this store")).expect("a key");
        store.put(&key("mem://b/lake/members/0/part-00000.x"), "x".into()).await.expect("puts");
        let victim = &listed[listed.len() / 2];
        let mut bytes = store.get(&key(&victim.place)).await.expect("is there").bytes().await.expect("reads").to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        store.put(&key(&victim.place), bytes.into()).await.expect("puts");
        store.delete(&key(&listed[0].place)).await.expect("removes");
        let reader = published.clone();
        let report = aside(move || {
            let report = verify(&reader, &Which::default()).expect("looks");
            // What drives the calls is not let go of among futures.
            drop(reader);
            report
        })
        .await;
        let said: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.contains(&victim.place) && line.contains("SHA-256")), "{said:?}");
        assert!(said.iter().any(|line| line.contains(&listed[0].place) && line.contains("missing")), "{said:?}");
        assert!(victim.place.ends_with(extension));
        aside(move || drop(published)).await;
    }
}
