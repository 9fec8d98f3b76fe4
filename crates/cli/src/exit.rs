//! Exit codes: what a scheduler should do next.

use pagemill::{Error, ErrorKind};

/// The exit code of an error, after BSD's sysexits.
///
/// | code | meaning | a scheduler should |
/// |---|---|---|
/// | 64 | the command line is wrong | have it corrected |
/// | 65 | the data is | have a human look |
/// | 69 | the source is unavailable, after all retries | run again |
/// | 70 | a bug of ours | report it |
/// | 73, 74 | the files cannot be created, read or written | fix it, run again |
/// | 75 | another run holds the slot, or the wait is too long | run again later |
/// | 76 | the outcome of the commit is unknown; nothing was deleted | run again |
/// | 77 | 401 or 403 | fix the token, run again |
/// | 78 | what was asked for cannot be: refused before any request, or by the API (400, 404, 422) | fix it |
/// | 130, 143 | stopped by SIGINT or SIGTERM | run again |
pub(crate) fn code(error: &anyhow::Error, stopped_by: Option<u8>) -> u8 {
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::Config | ErrorKind::Rejected) => 78,
        Some(ErrorKind::Data) => 65,
        Some(ErrorKind::Unavailable) => 69,
        Some(ErrorKind::Denied) => 77,
        Some(ErrorKind::Create) => 73,
        Some(ErrorKind::Io) => 74,
        Some(ErrorKind::Busy) => 75,
        Some(ErrorKind::Unknown) => 76,
        Some(ErrorKind::Cancelled) => stopped_by.unwrap_or(130),
        _ => 70,
    }
}
