//! What was typed, as parts of a pipeline.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use pagemill::{
    Arrow, ArrowCompression, Error, FileSink, Flatten, Format, Ndjson, Nested, Pace, Parquet, ParquetCompression,
    Pipeline, Request, Resource, ResponseFormat, Source, Transform, json,
};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroize};

use crate::{
    args::{AtMost, FileFormat, OutputOptions, RequestOptions},
    place::Place,
    show, store,
};

/// Memory with which nothing is less than it is by default.
const FULL: u64 = 256 << 20;

/// A built-in resource, or one described by a file.
pub(crate) fn resource(name: &str) -> anyhow::Result<Resource> {
    if Resource::catalog().any(|known| known == name) {
        return Ok(Resource::builtin(name)?);
    }
    if !Path::new(name).exists() {
        return Ok(Resource::builtin(name)?);
    }
    let text = fs::read_to_string(name).map_err(|e| Error::config(format!("{name} cannot be read")).because(e))?;
    Ok(Resource::from_json_schema(&text)?)
}

/// The resource `name`, without what is to be left out.
pub(crate) fn wanted(name: &str, output: &OutputOptions) -> anyhow::Result<Resource> {
    output.drop.iter().try_fold(resource(name)?, |resource, field| Ok(resource.without(field)?))
}

/// The most bytes of a token file.
const TOKEN_FILE: u64 = 64 << 10;

/// The token: from a file, from standard input (`-`), or from the environment. Never from the command line, which all
/// users of the machine can read.
pub(crate) fn token(file: Option<&Path>) -> anyhow::Result<SecretString> {
    let mut text = match file {
        Some(path) if path == Path::new("-") => read_token(std::io::stdin().lock(), "standard input")?,
        Some(path) => {
            let name = format!("the token file {}", path.display());
            let file = File::open(path).map_err(|e| Error::config(format!("{name} cannot be read")).because(e))?;
            let mode = file.metadata().map_or(0, |about| about.permissions().mode());
            if mode & 0o077 != 0 {
                show::line(false, &format!("others can read {name}: chmod 600 {}", path.display()));
            }
            read_token(file, &name)?
        }
        None => std::env::var("TRUTO_API_TOKEN").map_err(|_| {
            Error::config("there is no API token").advise("set TRUTO_API_TOKEN, or name a file with --token-file")
        })?,
    };
    let token = SecretString::from(text.trim());
    text.zeroize();
    if token.expose_secret().is_empty() {
        return Err(Error::config("the API token is empty").into());
    }
    Ok(token)
}

fn read_token(from: impl Read, name: &str) -> anyhow::Result<String> {
    // As large as it may become, so that no copy is left behind where it grew.
    let mut text = String::with_capacity(TOKEN_FILE as usize + 1);
    let read = from.take(TOKEN_FILE + 1).read_to_string(&mut text);
    read.map_err(|e| Error::config(format!("{name} cannot be read")).because(e))?;
    if text.len() as u64 > TOKEN_FILE {
        text.zeroize();
        return Err(
            Error::config(format!("{name} is larger than {TOKEN_FILE} bytes; it should hold the token alone")).into()
        );
    }
    Ok(text)
}

/// The request for `account`.
pub(crate) fn request(account: &str, options: &RequestOptions) -> Request {
    let mut request = Request::new(account)
        .response_format(options.response_format.unwrap_or(ResponseFormat::Unified))
        .ignore_limit(options.ignore_limit)
        .ignore_remote_data(options.ignore_remote_data);
    if let Some(limit) = options.limit {
        request = request.limit(limit);
    }
    if let Some(field) = &options.key_by {
        request = request.key_by(field);
    }
    if let Some(id) = &options.workspace {
        request = request.workspace(id);
    }
    if let Some(id) = &options.channel {
        request = request.channel(id);
    }
    for field in &options.exclude_field {
        request = request.exclude_field(field);
    }
    for (name, value) in &options.remote_query {
        request = request.remote_query(name, value);
    }
    for (name, value) in &options.query {
        request = request.pair(name, value);
    }
    request
}

/// How fast to ask.
pub(crate) fn pace(options: &RequestOptions) -> Pace {
    match options.pace {
        None => Pace::default(),
        Some(AtMost(None)) => Pace::Headers,
        Some(AtMost(Some(rate))) => Pace::AtMost(rate),
    }
}

/// How the decoder deals with what does not fit. Below 256 MiB of memory, batches have fewer rows and the lists of a record
/// are shorter, in proportion: an item of two bytes takes a hundred times as much on its way.
pub(crate) fn decode(output: &OutputOptions) -> json::Options {
    let defaults = json::Options::default();
    let share = |full: usize| usize::try_from(output.memory.0.min(FULL) * full as u64 / FULL).unwrap_or(full);
    let elements = share(defaults.limits.elements);
    let limits = json::Limits { bad_records: output.max_bad_records, elements, ..defaults.limits };
    let batch_rows = share(defaults.batch_rows);
    // A dozen or more may be on their way at a time.
    let batch_bytes =
        usize::try_from(output.memory.0 / 64).map_or(defaults.batch_bytes, |b| b.min(defaults.batch_bytes));
    json::Options { unknown: output.unknown.into(), limits, batch_rows, batch_bytes, ..defaults }
}

/// Bytes of decoded pages that may wait: an eighth of the memory.
pub(crate) fn page_budget(output: &OutputOptions) -> usize {
    usize::try_from(output.memory.0 / 8).unwrap_or(usize::MAX)
}

/// Bytes of batches on their way to the files: a sixteenth of the memory.
fn pipeline_budget(output: &OutputOptions) -> usize {
    usize::try_from(output.memory.0 / 16).unwrap_or(usize::MAX)
}

/// The pipeline behind a source.
pub(crate) fn pipeline(
    source: impl Source + 'static,
    resource: &Resource,
    account: Option<&str>,
    out: &Path,
    output: &OutputOptions,
) -> anyhow::Result<Pipeline> {
    let account = account.map(str::to_owned);
    let transform: Box<dyn Transform> = match output.nested {
        true => Box::new(Nested::new(resource, account.clone())),
        false => Box::new(Flatten::new(resource, account.clone())),
    };
    let format = format(output)?;
    let sink = match Place::of(out)? {
        Place::Folder(_) if output.unsafe_single_writer => {
            return Err(Error::config("--unsafe-single-writer is for object stores").advise("leave it out").into());
        }
        Place::Folder(folder) => FileSink::new(folder, format),
        Place::Store(address) => FileSink::to(store::sink(&address, output.unsafe_single_writer)?, format),
    };
    let sink = sink.overwrite(output.overwrite).rows_per_part(output.part_rows).bytes_per_part(output.part_size.0);
    let mut pipeline = Pipeline::new(source, transform, sink)
        .slot(output.slot.clone())
        .max_bad_records(output.max_bad_records)
        .memory(pipeline_budget(output))
        .config("resource", resource.name())
        .config("layout", if output.nested { "nested" } else { "flat" })
        .config("unknown", format!("{:?}", output.unknown).to_lowercase());
    if let Some(key) = resource.key() {
        pipeline = pipeline.config("key", key);
    }
    if let Some(account) = account {
        pipeline = pipeline.config("account", account);
    }
    if !resource.left_out().is_empty() {
        let names: Vec<_> = resource.left_out().iter().map(|(_, name)| name.as_str()).collect();
        pipeline = pipeline.config("dropped", names.join(","));
    }
    Ok(pipeline)
}

/// The format of the files. A Parquet row group takes at most a sixteenth of the memory.
fn format(output: &OutputOptions) -> anyhow::Result<Arc<dyn Format>> {
    let (codec, level) = match output.compression.as_deref().map(|text| text.split_once(':').unwrap_or((text, ""))) {
        None => (None, ""),
        Some((codec, level)) => (Some(codec), level),
    };
    let refuse = |known: &str| {
        let asked = output.compression.as_deref().unwrap_or_default();
        Error::config(format!("the format has no compression {asked:?}")).advise(format!("use {known}"))
    };
    let level = match (codec, level) {
        (_, "") => None,
        (Some("zstd"), level) => Some(level.parse::<i32>().map_err(|_| refuse("a level from 1 to 22, as in zstd:3"))?),
        _ => return Err(refuse("a level with zstd alone").into()),
    };
    Ok(match output.format {
        FileFormat::Parquet => {
            let compression = match codec {
                None | Some("zstd") => level.map_or(ParquetCompression::default(), ParquetCompression::Zstd),
                Some("snappy") => ParquetCompression::Snappy,
                Some("lz4") => ParquetCompression::Lz4,
                Some("none") => ParquetCompression::None,
                Some(_) => return Err(refuse("zstd, zstd:LEVEL, snappy, lz4 or none").into()),
            };
            let row_group = usize::try_from(output.memory.0 / 16).unwrap_or(usize::MAX).min(128 << 20);
            Arc::new(Parquet::default().compression(compression).row_group_bytes(row_group))
        }
        FileFormat::Arrow | FileFormat::ArrowStream => {
            let compression = match codec {
                Some("zstd") if level.is_none() => ArrowCompression::Zstd,
                Some("lz4") => ArrowCompression::Lz4,
                None | Some("none") => ArrowCompression::None,
                Some(_) => return Err(refuse("zstd (without a level), lz4 or none").into()),
            };
            let kind = if output.format == FileFormat::Arrow { Arrow::file() } else { Arrow::stream() };
            Arc::new(kind.compression(compression))
        }
        FileFormat::Ndjson => match codec {
            None | Some("none") => Arc::new(Ndjson),
            Some(_) => return Err(refuse("none: lines are written as they are").into()),
        },
    })
}
