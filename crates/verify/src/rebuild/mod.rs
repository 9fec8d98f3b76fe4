//! The tables turned back into records, and compared with the saved pages that they were made from.
//!
//! | module | what it holds |
//! |---|---|
//! | `tables` | the tables of a run, read in step and turned back into records |
//! | `pages` | the records of saved pages, by serde_json, one at a time |
//! | `compare` | a record of the tables against the record of the page |
//! | `json` | trees that keep the text of every value, and exact numbers |
//!
//! What counts as the same: numbers by their exact decimal value, texts by their characters, times by their moment; a null
//! and an absent member; a number where text is declared, and its own text. Free JSON, and what no column can hold, must be the
//! same to the byte, except in NDJSON, which drops white space between tokens.

mod compare;
pub(crate) mod json;
mod pages;
mod tables;

use std::path::PathBuf;

use arrow::{
    array::{Array, AsArray},
    datatypes::Int64Type,
};
use pagemill_core::{Error, Resource, Result, quarantine};
use pagemill_sink::{
    Manifest,
    list::{Published, RunKey},
};

use crate::{
    check::{Which, said},
    read::Kind,
    report::Report,
};

use self::{
    compare::Rules,
    pages::{Aside, Page},
    tables::{Cursor, Records},
};

/// Saved pages to compare a run with.
#[derive(Debug)]
pub struct Rebuild {
    resource: Resource,
    pages: Vec<Page>,
}

impl Rebuild {
    /// Compares with the pages at `paths`, in this order, of `resource`. A folder stands for its `.json`, `.ndjson`, `.jsonl` and
    /// `.gz` files, by name; `-` for standard input. gzip is told by its first bytes.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when there is nothing to read, or not there.
    pub fn new(resource: &Resource, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Result<Self> {
        let pages = pages::expand(paths.into_iter().map(Into::into).collect())?;
        Ok(Self { resource: resource.clone(), pages })
    }

    /// Compares the one run that `which` picks of the resource's dataset, and adds the first difference to `report`.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when there is no such run, or several, or its tables are not of the resource.
    pub fn compare(&self, published: &dyn Published, which: &Which, report: &mut Report) -> Result<()> {
        let mine =
            |run: &RunKey| which.picks(run) && (which.dataset.is_some() || run.dataset == *self.resource.table());
        let runs: Vec<_> = published.runs()?.into_iter().filter(mine).collect();
        let run = match runs.as_slice() {
            [run] => run,
            [] => return Err(Error::config(format!("there is no manifest of {}", self.resource.table()))),
            runs => {
                let names: Vec<_> = runs.iter().map(ToString::to_string).collect();
                return Err(Error::config("the pages could be those of several runs")
                    .advise(format!("name one with --dataset and --slot: {}", names.join(", "))));
            }
        };
        let manifest = published.parse(run, &published.manifest(run)?)?;
        let dropped = manifest.config.get("dropped").map(String::as_str).unwrap_or_default();
        let fields = dropped.split(',').filter(|name| !name.is_empty());
        let resource = fields.into_iter().try_fold(self.resource.clone(), Resource::without)?;
        let rules = Rules {
            resource: &resource,
            unknown_dropped: manifest.config.get("unknown").is_some_and(|what| what == "ignore"),
            verbatim: tables::kind(&manifest)? != Kind::Ndjson,
        };
        let records = Records::open(published, run, &manifest, &resource)?;
        let aside = Quarantine::open(published, run, &manifest)?;
        Comparison { records, aside, rules, report }.run(&self.pages, &published.manifest_place(run));
        Ok(())
    }
}

struct Comparison<'a> {
    records: Records<'a>,
    aside: Option<Quarantine<'a>>,
    rules: Rules<'a>,
    report: &'a mut Report,
}

impl Comparison<'_> {
    /// Compares until the first difference.
    fn run(mut self, pages: &[Page], manifest: &str) {
        for (n, page) in pages.iter().enumerate() {
            let place = if pages.len() == 1 { page.name() } else { format!("{} (page {n})", page.name()) };
            if let Err(what) = self.page(n as u64, page) {
                self.report.damage(place, what);
                return;
            }
        }
        let end = match self.records.next() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                Err(format!("the tables have more records than the pages, of which there are {}", self.report.records))
            }
            Err(error) => Err(said(&error)),
        };
        let aside = match self.aside.as_mut().map(|a| a.next(u64::MAX)).transpose() {
            Ok(None | Some(None)) => Ok(()),
            Ok(Some(Some(bad))) => Err(format!("quarantine has a record {} of a page that is not there", bad.record)),
            Err(error) => Err(said(&error)),
        };
        if let Err(what) = end.and(aside) {
            self.report.damage(manifest, what);
        }
    }

    fn page(&mut self, n: u64, page: &Page) -> std::result::Result<(), String> {
        let mut aside = Vec::new();
        while let Some(bad) = self.aside.as_mut().map(|a| a.next(n)).transpose().map_err(|e| said(&e))?.flatten() {
            aside.push(bad);
        }
        let Self { records, rules, report, .. } = self;
        let (mut at, mut bad) = (0_u64, aside.iter().map(|a| a.record).peekable());
        let mut fault = None;
        let mut each = |text: &str| {
            let record = at;
            at += 1;
            if bad.next_if_eq(&record).is_some() {
                return true;
            }
            let found = match records.next() {
                Ok(Some(back)) => {
                    rules.compare(text, &back).map_err(|d| format!("record {record}, {}: {}", d.path, d.what))
                }
                Ok(None) => Err(format!("record {record} and all that follow are not in the tables")),
                Err(error) => Err(format!("record {record} cannot be put together: {}", said(&error))),
            };
            report.records += u64::from(found.is_ok());
            fault = found.err();
            fault.is_none()
        };
        page.records(rules.resource, &aside, &mut each).map_err(|e| said(&e))?;
        match (fault, bad.next()) {
            (Some(fault), _) => Err(fault),
            (None, Some(record)) => Err(format!("record {record} is in quarantine, and the page has {at} records")),
            (None, None) => Ok(()),
        }
    }
}

/// The records in quarantine, in order.
struct Quarantine<'a> {
    rows: Cursor<'a>,
}

impl<'a> Quarantine<'a> {
    /// The quarantine of a run; `None` when it has none.
    fn open(published: &'a dyn Published, run: &'a RunKey, manifest: &'a Manifest) -> Result<Option<Self>> {
        let table = quarantine::schema(&run.dataset);
        if !manifest.tables.iter().any(|t| t.name == table.name.as_str()) {
            return Ok(None);
        }
        let rows = Cursor::new(published, run, manifest, tables::kind(manifest)?, table)?;
        Ok(Some(Self { rows }))
    }

    /// Takes the next record of a page up to `page`.
    fn next(&mut self, page: u64) -> Result<Option<Aside>> {
        let bad = || Error::data("a row of the quarantine is none");
        let Some(batch) = self.rows.front()? else { return Ok(None) };
        let int = |name: &str| {
            let column = batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
            column.filter(|c| !c.is_empty()).and_then(|c| u64::try_from(c.value(0)).ok()).ok_or_else(bad)
        };
        if int("page")? > page {
            return Ok(None);
        }
        let bytes = batch.column_by_name("bytes").and_then(|c| c.as_binary_opt::<i32>()).ok_or_else(bad)?;
        let aside = Aside { record: int("record")?, offset: int("offset")?, bytes: bytes.value(0).to_vec() };
        self.rows.take(1);
        Ok(Some(aside))
    }
}
