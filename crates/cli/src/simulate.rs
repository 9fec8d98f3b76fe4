//! The simulated API on localhost.

use std::{fmt::Write as _, fs::File, io::Write};

use pagemill_simulator::{ACCOUNT, Fault, Simulator};

use crate::{
    args::{AtMost, Simulate},
    run::StoppedBy,
};

/// Serves until a signal comes.
pub(crate) async fn serve(args: Simulate, stopped_by: &StoppedBy) -> anyhow::Result<()> {
    if args.list_faults {
        // Nobody need be reading.
        let _ = std::io::stdout().write_all(faults().as_bytes());
        return Ok(());
    }
    let mut builder = Simulator::builder().members(args.members).seed(args.seed).port(args.port).gzip(args.gzip);
    builder = args.fault.into_iter().fold(builder.stamp(args.stamp), pagemill_simulator::Builder::fault);
    if let Some(path) = &args.ledger {
        let file = File::create(path).map_err(|e| {
            let what = format!("the ledger {} cannot be created", path.display());
            pagemill::Error::new(pagemill::ErrorKind::Create, what).because(e)
        })?;
        builder = builder.ledger(file);
    }
    if let Some(token) = args.token {
        builder = builder.token(token);
    }
    if let Some(limit) = args.max_limit {
        builder = builder.max_limit(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    if let Some(AtMost(Some(rate))) = args.rate {
        builder = builder.account_rate(pagemill_simulator::Rate { requests: rate.requests, window: rate.per });
    }
    let simulator = builder.start().await.map_err(|e| {
        pagemill::Error::new(pagemill::ErrorKind::Create, format!("port {} cannot be listened on", args.port))
            .because(e)
    })?;
    // Nobody need be reading: the server serves all the same.
    let _ = writeln!(
        std::io::stdout(),
        "serving {} members at {}\naccounts: {ACCOUNT}, slack, msteams, microsoft",
        args.members,
        simulator.url()
    );
    stopped_by.wait().await;
    simulator.shutdown().await;
    Ok(())
}

/// The faults, a line each, and where they may strike.
fn faults() -> String {
    let mut out = String::new();
    for fault in Fault::all() {
        let _ = writeln!(out, "{:<14} {}", fault.name, fault.does);
        if !fault.argument.is_empty() {
            let _ = writeln!(out, "{:<14}   {}{}, otherwise {}", "", fault.name, fault.argument, fault.default);
        }
    }
    out.push_str(
        "\nWhere: @page=N, @every=N, @p=0.05 (drawn from the seed) or @request=N, otherwise every page; @times=N or @always,\n\
         otherwise once a page, except expired, cursor-loop, empty, repeat and retype, which strike always.\n",
    );
    out
}
