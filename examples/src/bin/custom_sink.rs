//! A sink of one's own: it counts members by e-mail domain, and prints the counts once all members are in.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use async_trait::async_trait;
use pagemill::{Checkpoint, Flatten, Pipeline, Receipt, Result, Resume, Rewind, Run, Sink, Table, TableSchema};

#[derive(Default)]
struct Domains {
    counts: BTreeMap<String, u64>,
}

#[async_trait]
impl Sink for Domains {
    async fn open(&mut self, _run: &Run, _tables: &[TableSchema]) -> Result<Option<Resume>> {
        Ok(None) // Nothing was kept from an earlier run: begin at the first page.
    }

    async fn write(&mut self, table: Table) -> Result<()> {
        let emails = table.rows.column_by_name("email").map(|column| column.as_string::<i32>());
        for email in emails.into_iter().flatten().flatten() {
            if let Some((_, domain)) = email.split_once('@') {
                *self.counts.entry(domain.to_lowercase()).or_default() += 1;
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, _upto: Checkpoint, _summary: &serde_json::Value) -> Result<()> {
        Ok(()) // Nothing is durable before the end.
    }

    async fn rewind(&mut self, _to: Rewind) -> Result<Option<Resume>> {
        self.counts.clear();
        Ok(None) // So going back is going back to the start.
    }

    async fn commit(&mut self, _summary: &serde_json::Value) -> Result<Receipt> {
        for (domain, count) in &self.counts {
            println!("{count:>6} {domain}");
        }
        Ok(Receipt { manifest: "standard output".to_owned(), already_published: false, files: Vec::new() })
    }

    async fn suspend(&mut self) -> Result<()> {
        self.abort().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.counts.clear();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let members = pagemill_examples::members(2_000).await?;
    let flatten = Flatten::new(&members.resource, Some(members.account));
    let report = Pipeline::new(members.source, flatten, Domains::default()).run().await?;
    println!("{} members", report.totals.records);
    Ok(())
}
