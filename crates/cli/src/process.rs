//! What the process asks of the system before it does anything.

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Keeps what is in memory, the token above all, out of core dumps and away from debuggers of the same user.
///
/// Where the system refuses, nothing is lost but this.
pub(crate) fn keep_secrets() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Has a file that would become larger than the system allows be an error of the write, and not the end of the process.
/// Called within a runtime.
pub(crate) fn outlive_full_files() {
    // A signal that is listened to no longer kills, and stays so when nobody listens any more.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}
