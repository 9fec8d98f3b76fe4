//! Exports all members of an account as Parquet files: `export_members [OUT]`.

use std::sync::Arc;

use pagemill::{FileSink, Flatten, Parquet, Pipeline};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let members = pagemill_examples::members(2_000).await?;
    let out = pagemill_examples::out("members-parquet");

    let flatten = Flatten::new(&members.resource, Some(members.account.clone()));
    let sink = FileSink::new(&out, Arc::new(Parquet::default()));
    let report = Pipeline::new(members.source, flatten, sink).run().await?;

    for (table, rows) in &report.rows {
        println!("{table}: {rows} rows");
    }
    println!("published; see {}", report.receipt.manifest);
    Ok(())
}
