//! The simulated API on localhost.

use std::io::Write;

use pagemill_simulator::{ACCOUNT, Simulator};

use crate::{
    args::{AtMost, Simulate},
    run::StoppedBy,
};

/// Serves until a signal comes.
pub(crate) async fn serve(args: Simulate, stopped_by: &StoppedBy) -> anyhow::Result<()> {
    let mut builder = Simulator::builder().members(args.members).seed(args.seed).port(args.port).gzip(args.gzip);
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
