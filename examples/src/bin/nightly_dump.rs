//! A dump for a scheduler: `nightly_dump SLOT [OUT]`, such as `nightly_dump dt=2026-11-23 lake`.
//!
//! The slot comes from the scheduler and not from the clock, so that a run that is repeated, late or doubled is still the
//! same run: the first one publishes, every other one says so and changes nothing. Readers see a day whole or not at all.

use std::sync::Arc;

use pagemill::{FileSink, Flatten, Parquet, Pipeline, Slot};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slot = std::env::args().nth(1).ok_or("which slot? such as dt=2026-11-23")?;
    let out = std::env::args().nth(2).unwrap_or_else(|| "lake".to_owned());
    let members = pagemill_examples::members(2_000).await?;

    let report = Pipeline::new(
        members.source,
        Flatten::new(&members.resource, Some(members.account.clone())),
        FileSink::new(&out, Arc::new(Parquet::default())),
    )
    .slot(Some(Slot::new(slot)?))
    .max_bad_records(100)
    .run()
    .await?;

    match report.receipt.already_published {
        true => println!("already published; see {}", report.receipt.manifest),
        false => println!("{} records published; see {}", report.totals.records, report.receipt.manifest),
    }
    Ok(())
}
