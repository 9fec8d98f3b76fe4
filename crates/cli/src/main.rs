//! The `pagemill` command.
//!
//! | module | what it does |
//! |---|---|
//! | `args` | what was typed |
//! | `place` | where tables are: a folder, or a prefix in an object store |
//! | `store` | object stores, as far as they were built in |
//! | `plan` | what it means: sources, transforms, sinks and how they share the memory |
//! | `run` | a pipeline from its start to its report, or to its end by a signal |
//! | `show` | progress, the table at the end, the report as JSON; whatever is shown is escaped there |
//! | `process` | what the process asks of the system first |
//! | `schema`, `simulate` | the commands without a pipeline |
//! | `verify`, `list_files`, `gc` | the commands that look after what was published |
//! | `exit` | exit codes |

mod args;
mod exit;
mod gc;
mod list_files;
mod place;
mod plan;
mod process;
mod run;
mod schema;
mod show;
mod simulate;
mod store;
mod verify;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use tokio::task::block_in_place;

fn main() -> ExitCode {
    process::keep_secrets();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no errors. Output that nobody reads any more is none either.
        Err(help) if !help.use_stderr() => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            show::lines(&error.to_string());
            return ExitCode::from(64);
        }
    };
    start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into(), None),
    };
    let stopped_by = run::StoppedBy::default();
    let result = runtime.block_on(async {
        process::outlive_full_files();
        dispatch(cli.command, &stopped_by).await
    });
    // Work that was told to stop may still be in a system call; the process need not wait for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, stopped_by.code()),
    }
}

async fn dispatch(command: Command, stopped_by: &run::StoppedBy) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => run::demo(args, stopped_by).await,
        Command::Export(args) => run::export(*args, stopped_by).await,
        Command::Convert(args) => run::convert(args, stopped_by).await,
        Command::Schema(args) => schema::show(&args),
        // They wait for a disk or a store where they are.
        Command::Verify(args) => block_in_place(|| verify::run(&args)),
        Command::ListFiles(args) => block_in_place(|| list_files::run(&args)),
        Command::Gc(args) => block_in_place(|| gc::run(&args)),
        Command::Simulate(args) => simulate::serve(args, stopped_by).await,
    }
}

/// Prints an error with its causes.
fn fail(error: &anyhow::Error, stopped_by: Option<u8>) -> ExitCode {
    show::line(false, &format!("pagemill: {error}"));
    for cause in error.chain().skip(1) {
        show::line(false, &format!("  because: {cause}"));
    }
    ExitCode::from(exit::code(error, stopped_by))
}

/// Logs go to standard error: warnings unless PAGEMILL_LOG says otherwise.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PAGEMILL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| show::Log)
        .with_ansi(false)
        .with_target(false)
        .init();
}
