//! The files that the manifests name.

use pagemill::Error;
use pagemill_sink::{
    LocalPublished,
    list::{Listed, files},
};
use pagemill_verify::Which;

use crate::{args::ListFiles, place::Place, show, store};

/// Prints a path a line, or JSON.
pub(crate) fn run(args: &ListFiles) -> anyhow::Result<()> {
    let which = Which { dataset: args.which.dataset.clone(), slot: args.which.slot.clone() };
    let picks = |run: &_| which.picks(run);
    let mut listed = match Place::of(&args.out)? {
        Place::Folder(folder) => files(&LocalPublished::new(folder), &picks)?,
        Place::Store(address) => files(&store::published(&address)?, &picks)?,
    };
    if listed.is_empty() {
        return Err(Error::config("there is no manifest of what is asked for")
            .advise("name the place that was given as --out")
            .into());
    }
    if let Some(table) = &args.table {
        listed.retain(|file| file.entry.table == *table);
        if listed.is_empty() {
            return Err(Error::config(format!("no manifest has a table {table:?}")).into());
        }
    }
    let text = match args.json {
        true => format!("{}\n", serde_json::Value::from_iter(listed.iter().map(json))),
        false => listed.iter().map(|file| format!("{}\n", file.place)).collect(),
    };
    show::print(&text)
}

fn json(file: &Listed) -> serde_json::Value {
    serde_json::json!({
        "dataset": file.run.dataset.as_str(),
        "slot": file.run.slot.as_ref().map(|slot| slot.as_str()),
        "table": file.entry.table,
        "path": file.place,
        "rows": file.entry.rows,
        "bytes": file.entry.bytes,
        "sha256": file.entry.sha256,
    })
}
