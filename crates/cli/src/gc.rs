//! Removing what attempts that died have left.

use std::time::{Duration, SystemTime};

use pagemill::{Error, escape::escape};
use pagemill_sink::gc::{Attempt, Options, Verdict, collect};

use crate::{
    args::Gc,
    place::{Address, Place},
    show, store,
};

/// Says what would be removed, or removes it.
pub(crate) fn run(args: &Gc) -> anyhow::Result<()> {
    let options = Options { older_than: args.older_than.0, now: SystemTime::now(), remove: args.yes };
    let out = match Place::of(&args.out)? {
        Place::Folder(folder) => folder,
        Place::Store(address) => return run_store(&address, &options),
    };
    let attempts = collect(&out, &options)?;
    let mut text: String = attempts.iter().map(line).collect();
    let count = |wanted: fn(&Verdict) -> bool| attempts.iter().filter(|a| wanted(&a.verdict)).count();
    let failed = count(|v| matches!(v, Verdict::Failed(_)));
    text.push_str(&match (args.yes, count(|v| matches!(v, Verdict::Removed(_) | Verdict::Removable(_)))) {
        (true, gone) => format!("{gone} of {} attempts removed\n", attempts.len()),
        (false, 0) => "there is nothing to remove\n".to_owned(),
        (false, gone) => format!("{gone} of {} attempts would be removed; say --yes to do it\n", attempts.len()),
    });
    show::print(&text)?;
    if failed > 0 {
        return Err(Error::io(format!("{failed} attempts could not be removed")).into());
    }
    Ok(())
}

/// The same in an object store, object by object. There is no lock that would show who is at work: age alone does.
fn run_store(address: &Address, options: &Options) -> anyhow::Result<()> {
    let since = options.now.checked_sub(options.older_than).unwrap_or(SystemTime::UNIX_EPOCH);
    let (gone, failed) = store::sweep(address, since, options.remove)?;
    let done = if options.remove { "removed" } else { "would remove" };
    let mut text: String = gone.iter().map(|url| format!("{done} {}\n", escape(url, usize::MAX))).collect();
    text.push_str(&match (options.remove, gone.len()) {
        (true, gone) => format!("{gone} objects removed\n"),
        (false, 0) => "there is nothing to remove\n".to_owned(),
        (false, gone) => format!("{gone} objects would be removed; say --yes to do it\n"),
    });
    show::print(&text)?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

fn line(attempt: &Attempt) -> String {
    let (done, why) = match &attempt.verdict {
        Verdict::Removed(why) => ("removed", (*why).to_owned()),
        Verdict::Removable(why) => ("would remove", (*why).to_owned()),
        Verdict::Kept(why) => ("kept", why.clone()),
        Verdict::Failed(why) => ("cannot remove", why.clone()),
    };
    // Nothing is known of those that were not looked into.
    let size = match attempt.age {
        Duration::MAX => String::new(),
        age => format!("{} bytes, last changed {} ago, ", attempt.bytes, ago(age)),
    };
    format!("{done} {}: {size}{why}\n", attempt.path.display())
}

fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} seconds"),
        (0, 0, minutes) => format!("{minutes} minutes"),
        (0, hours, _) => format!("{hours} hours"),
        (days, _, _) => format!("{days} days"),
    }
}
