//! Writes a table of values that easily go wrong, in every format, and what readers should find in it.
//!
//! `cargo run -p pagemill-sink-parquet --example edge_values -- DIR`, then `python tests/python/read_back.py DIR`.

use std::{error::Error, fs, path::PathBuf};

use pagemill_sink::{
    Format,
    conformance::format::{edge_values, json_rows},
};
use pagemill_sink_arrow::{Arrow, Compression};
use pagemill_sink_ndjson::Ndjson;
use pagemill_sink_parquet::Parquet;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    fs::create_dir_all(&dir)?;
    let rows = edge_values();
    let formats: [(&str, &dyn Format); 5] = [
        ("rows", &Parquet::new()),
        ("rows", &Arrow::file()),
        ("rows", &Arrow::stream()),
        ("compressed", &Arrow::file().compression(Compression::Zstd)),
        ("rows", &Ndjson),
    ];
    for (name, format) in formats {
        let mut encoder = format.encoder(rows.schema())?;
        encoder.write(&rows)?;
        fs::write(dir.join(format!("{name}.{}", format.extension())), encoder.finish()?.concat())?;
    }
    fs::write(dir.join("expected.json"), serde_json::to_vec_pretty(&json_rows(&rows))?)?;
    Ok(())
}
