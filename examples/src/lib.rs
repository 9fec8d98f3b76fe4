//! What the examples share: members to export.
//!
//! With `TRUTO_API_TOKEN` and `TRUTO_ACCOUNT` set, the examples read the real API; without, a simulator in the same process.

use pagemill::{HttpOptions, HttpSource, Request, Resource};
use pagemill_simulator::{ACCOUNT, Simulator};
use secrecy::SecretString;

/// Members to export, and the simulator that serves them, if one does: it stops when it is dropped.
pub struct Members {
    /// What is read.
    pub resource: Resource,
    /// The account that is read.
    pub account: String,
    /// Where from.
    pub source: HttpSource,
    /// Who answers, unless the real API does.
    pub simulator: Option<Simulator>,
}

/// The members of the account in the environment, or `count` simulated ones.
///
/// # Errors
/// When the environment says something that cannot be, or the simulator cannot start.
pub async fn members(count: u64) -> Result<Members, Box<dyn std::error::Error>> {
    let resource = Resource::builtin("instant-messaging/members")?;
    let environment = (std::env::var("TRUTO_API_TOKEN"), std::env::var("TRUTO_ACCOUNT"));
    let (token, account, options, simulator) = match environment {
        (Ok(token), Ok(account)) => (token, account, HttpOptions::default(), None),
        _ => {
            let simulator = Simulator::builder().members(count).seed(1).start().await?;
            let options = HttpOptions { base_url: simulator.url(), ..HttpOptions::default() };
            ("any".to_owned(), ACCOUNT.to_owned(), options, Some(simulator))
        }
    };
    let request = Request::new(&account).limit(500);
    let source = HttpSource::new(&resource, &request, SecretString::from(token), options)?;
    Ok(Members { resource, account, source, simulator })
}

/// The first argument, or `default`: where the example writes.
#[must_use]
pub fn out(default: &str) -> String {
    std::env::args().nth(1).unwrap_or_else(|| default.to_owned())
}
