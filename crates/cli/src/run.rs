//! Pipelines, from their start to their report, or to their end by a signal.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use pagemill::{FileOptions, FileSource, HttpOptions, HttpSource, Pipeline, Progress};
use pagemill_simulator::Simulator;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    args::{Convert, Demo, Export, OutputOptions, RequestOptions},
    plan, show,
};

/// Which signal ended the run, if one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoppedBy(Arc<AtomicU8>);

impl StoppedBy {
    /// The exit code that says so.
    pub(crate) fn code(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            code => Some(code),
        }
    }

    /// Waits for SIGINT or SIGTERM. A second one ends the process at once.
    pub(crate) async fn wait(&self) {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        let code = tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        self.0.store(code, Ordering::Relaxed);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(i32::from(code));
        });
    }
}

/// Exports members of a simulator in this process.
pub(crate) async fn demo(args: Demo, stopped_by: &StoppedBy) -> anyhow::Result<()> {
    let simulator = Simulator::builder().members(args.members).start().await?;
    show::line(args.output.json, &format!("serving {} simulated members at {}", args.members, simulator.url()));
    let resource = plan::resource("instant-messaging/members")?;
    let account = pagemill_simulator::ACCOUNT;
    let request = plan::request(account, &RequestOptions { limit: Some(1_000), ..RequestOptions::default() });
    let options = HttpOptions {
        base_url: simulator.url(),
        decode: plan::decode(&args.output),
        page_budget: plan::page_budget(&args.output),
        ..HttpOptions::default()
    };
    let token = SecretString::from("any token will do");
    let source = HttpSource::new(&resource, &request, token, options)?;
    let progress = source.progress();
    let pipeline = plan::pipeline(source, &resource, Some(account), &args.out, &args.output)?
        .config("members", args.members.to_string());
    finish(pipeline, progress, &args.out, &args.output, stopped_by).await
}

/// Exports a resource of the API.
pub(crate) async fn export(args: Export, stopped_by: &StoppedBy) -> anyhow::Result<()> {
    let resource = plan::wanted(&args.resource, &args.output)?;
    let token = plan::token(args.token_file.as_deref())?;
    if let Some(field) = args.request.key_by.as_deref().filter(|field| Some(*field) != resource.key()) {
        show::line(
            false,
            &format!("of records with the same {field}, or without it, the API keeps one or none: rows may be missing"),
        );
    }
    let request = plan::request(&args.account, &args.request);
    let defaults = HttpOptions::default();
    let base_url =
        args.base_url.or_else(|| std::env::var("TRUTO_API_BASE_URL").ok()).unwrap_or(defaults.base_url.clone());
    let mut decode = plan::decode(&args.output);
    decode.limits.page = args.request.max_page.map_or(defaults.decode.limits.page, |size| size.0);
    let options = HttpOptions {
        base_url: base_url.clone(),
        pace: plan::pace(&args.request),
        decode,
        page_budget: plan::page_budget(&args.output),
        ..defaults
    };
    let source = HttpSource::new(&resource, &request, token, options)?;
    let progress = source.progress();
    let fingerprint = source.fingerprint();
    let pipeline = plan::pipeline(source, &resource, Some(&args.account), &args.out, &args.output)?
        .config("base_url", base_url)
        .config("request", fingerprint);
    finish(pipeline, progress, &args.out, &args.output, stopped_by).await
}

/// Turns saved pages into tables.
pub(crate) async fn convert(args: Convert, stopped_by: &StoppedBy) -> anyhow::Result<()> {
    let resource = plan::wanted(&args.resource, &args.output)?;
    let options = FileOptions {
        decode: plan::decode(&args.output),
        // Files are not asked for again, so that nothing is gained by holding much of one; and the next batch is never far.
        page_budget: plan::page_budget(&args.output) / 8,
        ..FileOptions::default()
    };
    let source = FileSource::new(&resource, &args.input, options)?;
    let progress = source.progress();
    let state = source.state()?;
    let inputs: Vec<_> = args.input.iter().map(|path| path.display().to_string()).collect();
    let pipeline = plan::pipeline(source, &resource, args.account.as_deref(), &args.out, &args.output)?
        .config("input", inputs.join("\n"))
        .pages(state);
    finish(pipeline, progress, &args.out, &args.output, stopped_by).await
}

/// Runs, showing how it goes, and reports.
async fn finish(
    pipeline: Pipeline,
    progress: Progress,
    out: &Path,
    output: &OutputOptions,
    stopped_by: &StoppedBy,
) -> anyhow::Result<()> {
    let shown = show::Live::start(progress);
    let result = pipeline.run_until(stopped_by.wait()).await;
    let elapsed = shown.stop();
    let report = result?;
    show::report(&report, out, output.json, elapsed)
}
