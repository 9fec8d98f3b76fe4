//! What was typed.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use pagemill::{Rate, ResponseFormat, Slot, TableName, Unknown};

/// Streaming ETL from paginated JSON APIs into columnar tables.
#[derive(Debug, Parser)]
#[command(name = "pagemill", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Export members of a simulated workspace: no token, no network
    Demo(Demo),
    /// Export a resource of the API, page after page, into tables
    Export(Box<Export>),
    /// Turn saved pages into tables
    Convert(Convert),
    /// Show the tables and columns of a resource
    Schema(Schema),
    /// Check that what was published is still what was written
    Verify(Verify),
    /// List the files of what was published, a path a line
    ListFiles(ListFiles),
    /// Remove what runs that died have left
    Gc(Gc),
    /// Serve the simulated API on localhost
    Simulate(Simulate),
}

/// Which of what was published.
#[derive(Debug, Default, Args)]
pub(crate) struct WhichOptions {
    /// Only this dataset, such as members
    #[arg(long, value_name = "NAME", value_parser = table_name)]
    pub(crate) dataset: Option<TableName>,
    /// Only this slot, such as dt=2026-11-23
    #[arg(long, value_name = "NAME=VALUE", value_parser = slot)]
    pub(crate) slot: Option<Slot>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Where the tables are: what was given as --out
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) which: WhichOptions,
    /// Turn the tables back into records and compare them with these saved pages: files, folders of files, or -
    #[arg(long, value_name = "PAGES", num_args = 1.., requires = "resource")]
    pub(crate) rebuild: Vec<PathBuf>,
    /// The resource that the pages are of: a built-in one, or a path to a JSON Schema file
    #[arg(long, requires = "rebuild")]
    pub(crate) resource: Option<String>,
    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListFiles {
    /// Where the tables are: what was given as --out
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) which: WhichOptions,
    /// Only the files of this table
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<String>,
    /// List as JSON, with rows, bytes and checksums
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Where the tables are: what was given as --out
    pub(crate) out: PathBuf,
    /// How long nothing must have changed in what is removed, such as 7d, 12h, 30m or 0; for an object store, longer than
    /// any run takes: one at work cannot be told there, and ends with 74 and nothing published when it was taken for dead
    #[arg(long, value_name = "AGE", default_value = "7d")]
    pub(crate) older_than: Age,
    /// Remove it, instead of saying what would be removed
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many members there are
    #[arg(long, default_value_t = 20_000)]
    pub(crate) members: u64,
    /// Where the tables go: a folder, or the URL of a prefix in an object store
    #[arg(long, value_name = "PLACE", default_value = "pagemill-demo")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A built-in resource such as instant-messaging/members, or a path to a JSON Schema file
    pub(crate) resource: String,
    /// The integrated account to read
    #[arg(long, value_name = "ID")]
    pub(crate) account: String,
    /// Where the tables go: a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(long, value_name = "PLACE")]
    pub(crate) out: PathBuf,
    /// A file that holds the API token, or - for standard input; otherwise the environment's TRUTO_API_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where the API is; otherwise the environment's TRUTO_API_BASE_URL, or api.truto.one over HTTPS
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    #[command(flatten)]
    pub(crate) request: RequestOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What is asked for.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestOptions {
    /// The format of the response: unified (the default), normalized or stream
    #[arg(long, value_name = "F")]
    pub(crate) response_format: Option<ResponseFormat>,
    /// Records to ask for in a page
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// The most bytes of a page, decompressed, such as 1GiB; 16GiB if not said
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_page: Option<Size>,
    /// The workspace to read, where the integration requires one
    #[arg(long, value_name = "ID")]
    pub(crate) workspace: Option<String>,
    /// The channel to read, where the integration requires one
    #[arg(long, value_name = "ID")]
    pub(crate) channel: Option<String>,
    /// Requests in so many seconds, at most, such as 50/10; 0 for no limit of ours
    #[arg(long, value_name = "N/SECONDS", value_parser = rate)]
    pub(crate) pace: Option<AtMost>,
    /// Have the API key its records by this field
    #[arg(long, value_name = "FIELD")]
    pub(crate) key_by: Option<String>,
    /// Have the API disregard the limit
    #[arg(long)]
    pub(crate) ignore_limit: bool,
    /// Leave remote_data out of the response
    #[arg(long)]
    pub(crate) ignore_remote_data: bool,
    /// Leave a field out of the response; may be given again
    #[arg(long, value_name = "FIELD")]
    pub(crate) exclude_field: Vec<String>,
    /// Another query parameter, name and value verbatim; may be given again
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub(crate) query: Vec<(String, String)>,
    /// A query parameter for the provider; may be given again
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub(crate) remote_query: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// Saved pages: files, folders of files, or - for standard input
    #[arg(required = true)]
    pub(crate) input: Vec<PathBuf>,
    /// A built-in resource such as instant-messaging/members, or a path to a JSON Schema file
    #[arg(long)]
    pub(crate) resource: String,
    /// The integrated account that the pages are of
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Where the tables go: a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(long, value_name = "PLACE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What is written, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// The format of the files
    #[arg(long, value_enum, default_value_t = FileFormat::Parquet)]
    pub(crate) format: FileFormat,
    /// The slot to fill, such as dt=2026-11-23; a slot is published once
    #[arg(long, value_name = "NAME=VALUE", value_parser = slot)]
    pub(crate) slot: Option<Slot>,
    /// Make a slot that is published already again, and replace each of its tables in one step
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Put objects without a condition, into a store that knows none. No two runs of a slot may ever overlap then: one would
    /// take the other's place
    #[arg(long)]
    pub(crate) unsafe_single_writer: bool,
    /// Rows at which files end, at the end of a page: what a crash can cost
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) part_rows: u64,
    /// Bytes at which files end, soon after, at the end of a page
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = any_size)]
    pub(crate) part_size: Size,
    /// Write one table with lists and structs
    #[arg(long)]
    pub(crate) nested: bool,
    /// Leave a declared field out of the tables, unread; may be given again
    #[arg(long, value_name = "FIELD")]
    pub(crate) drop: Vec<String>,
    /// What becomes of members that the schema does not declare
    #[arg(long, value_enum, default_value_t = UnknownMembers::Extra)]
    pub(crate) unknown: UnknownMembers,
    /// Set up to so many unreadable records aside, in the quarantine table
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) max_bad_records: u64,
    /// Memory to use, such as 512MiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub(crate) memory: Size,
    /// Compression, such as zstd:3, snappy, lz4 or none
    #[arg(long, value_name = "CODEC[:LEVEL]")]
    pub(crate) compression: Option<String>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// The format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Apache Parquet
    Parquet,
    /// Arrow IPC files
    Arrow,
    /// Arrow IPC streams
    ArrowStream,
    /// JSON, a row a line
    Ndjson,
}

/// What becomes of unknown members.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum UnknownMembers {
    /// Keep them in the column _extra
    Extra,
    /// Drop and count them
    Ignore,
    /// Fail the run
    Fail,
}

impl From<UnknownMembers> for Unknown {
    fn from(unknown: UnknownMembers) -> Self {
        match unknown {
            UnknownMembers::Extra => Self::Extra,
            UnknownMembers::Ignore => Self::Ignore,
            UnknownMembers::Fail => Self::Fail,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// A built-in resource such as instant-messaging/members, or a path to a JSON Schema file; all built-in ones if none
    pub(crate) resource: Option<String>,
    /// How to show it
    #[arg(long = "as", value_enum, default_value_t = SchemaForm::Arrow)]
    pub(crate) form: SchemaForm,
    /// One table with lists and structs
    #[arg(long)]
    pub(crate) nested: bool,
}

/// How to show a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaForm {
    /// Tables with their columns and Arrow types
    Arrow,
    /// The JSON Schema document
    JsonSchema,
    /// CREATE TABLE statements
    Sql,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// How many members there are
    #[arg(long, default_value_t = 10_000)]
    pub(crate) members: u64,
    /// Another seed makes other members
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The only token to accept; any is accepted otherwise
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Answer 429 beyond so many requests in so many seconds, such as 50/10
    #[arg(long, value_name = "N/SECONDS", value_parser = rate)]
    pub(crate) rate: Option<AtMost>,
    /// The most records a page may have
    #[arg(long, value_name = "N")]
    pub(crate) max_limit: Option<u64>,
    /// Compress answers for clients that accept gzip
    #[arg(long)]
    pub(crate) gzip: bool,
    /// Something that goes wrong, such as reset, fin:500@page=3 or status:503@p=0.1@times=2; may be given again
    #[arg(long, value_name = "NAME[:ARG][@WHERE]")]
    pub(crate) fault: Vec<pagemill_simulator::Fault>,
    /// Show the faults there are, and serve nothing
    #[arg(long)]
    pub(crate) list_faults: bool,
    /// Write a line of JSON for each response
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// Have each record say where it was served, in a member `ledger` of page, idx and serve
    #[arg(long)]
    pub(crate) stamp: bool,
}

/// A rate, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AtMost(pub(crate) Option<Rate>);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match any_size(text)? {
            size if size.0 >= 32 << 20 => Ok(size),
            _ => Err("less than 32MiB is too little to work with".to_owned()),
        }
    }
}

/// A number of bytes, however few.
fn any_size(text: &str) -> Result<Size, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(format!("{unit:?} is no unit; use KiB, MiB or GiB")),
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift));
    bytes.map(Size).ok_or_else(|| "a size is a number with a unit, such as 256MiB".to_owned())
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let seconds = match (unit, number) {
            ("", "0") | ("s", _) => 1,
            ("m", _) => 60,
            ("h", _) => 3_600,
            ("d", _) => 86_400,
            _ => return Err("an age is a number with a unit, such as 7d, 12h, 30m or 45s".to_owned()),
        };
        let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds));
        seconds.map(|s| Self(Duration::from_secs(s))).ok_or_else(|| "an age of too many digits, or of none".to_owned())
    }
}

fn table_name(text: &str) -> Result<TableName, pagemill::Error> {
    TableName::new(text)
}

fn slot(text: &str) -> Result<Slot, pagemill::Error> {
    Slot::new(text)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `50/10`, or `0` for none.
fn rate(text: &str) -> Result<AtMost, String> {
    if text == "0" {
        return Ok(AtMost(None));
    }
    let wrong = || "write it as requests/seconds, such as 50/10".to_owned();
    let (requests, seconds) = text.split_once('/').ok_or_else(wrong)?;
    let (requests, seconds) = (requests.parse().map_err(|_| wrong())?, seconds.parse().map_err(|_| wrong())?);
    if requests == 0 || seconds == 0 {
        return Err(wrong());
    }
    Ok(AtMost(Some(Rate { requests, per: Duration::from_secs(seconds) })))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_and_rates_are_read() {
        assert_eq!("256MiB".parse(), Ok(Size(256 << 20)));
        assert_eq!("1g".parse(), Ok(Size(1 << 30)));
        assert!("1MiB".parse::<Size>().is_err());
        assert!("lots".parse::<Size>().is_err());
        assert!(rate("0").is_ok_and(|r| r.0.is_none()));
        assert!(rate("50/10").is_ok_and(|r| r.0.is_some_and(|r| r.requests == 50)));
        assert!(rate("0/0").is_err() && rate("50").is_err());
        let typed = ["pagemill", "export", "r", "--account", "a", "--out", "o", "--pace", "50/10"];
        assert!(Cli::try_parse_from(typed).is_ok());
        assert!(Cli::try_parse_from(["pagemill", "simulate", "--rate", "5/1"]).is_ok());
        let typed = ["pagemill", "simulate", "--fault", "reset", "--fault", "status:503@page=3@times=2"];
        assert!(Cli::try_parse_from(typed).is_ok());
        assert!(Cli::try_parse_from(["pagemill", "simulate", "--fault", "rest"]).is_err());
        assert_eq!("7d".parse(), Ok(Age(Duration::from_secs(604_800))));
        assert_eq!(("0".parse(), "90s".parse()), (Ok(Age(Duration::ZERO)), Ok(Age(Duration::from_secs(90)))));
        for wrong in ["", "7", "d", "-1d", "1w", "99999999999999999999d", "9999999999999999999d"] {
            assert!(wrong.parse::<Age>().is_err(), "{wrong}");
        }
    }
}
