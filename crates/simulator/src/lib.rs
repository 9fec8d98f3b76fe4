//! The unified instant-messaging API on localhost: deterministic by seed, for tests, demos and benches.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use pagemill_simulator::{ACCOUNT, Simulator};
//!
//! let simulator = Simulator::builder().members(20_000).seed(7).start().await?;
//! println!("{}/unified/instant-messaging/members?integrated_account_id={ACCOUNT}", simulator.url());
//! # Ok(())
//! # }
//! ```
//!
//! From the seed to the socket:
//!
//! | module | what it holds |
//! |---|---|
//! | `random` | numbers computed from (seed, index, purpose) |
//! | `profile` | how often odd things happen |
//! | `ident` | identifiers that lead back to their index |
//! | `words`, `moment` | names, sentences, timestamps |
//! | `places` | organizations, workspaces, groups, channels, and who is in which |
//! | `people` | the members, each made when it is asked for |
//! | `write` | JSON text, by hand |
//! | `record`, `remote` | a member as the unified API writes it, and as its provider does |
//! | `listing` | records by index, cut into windows |
//! | `page` | records in their frame; [`members_page`] for those who need no server |
//! | `accounts` | the accounts, and what each lists |
//! | `query`, `cursor`, `error`, `rate` | the parts of the protocol |
//! | `answer` | from a request to an answer |
//! | `stream` | a whole listing as one answer |
//! | `app` | the HTTP application; every response passes one function |
//! | `served` | what was served |
//! | `server` | [`Simulator`]: start, look, stop |

mod accounts;
mod answer;
mod app;
mod cursor;
mod error;
mod ident;
mod listing;
mod moment;
mod page;
mod people;
mod places;
mod profile;
mod query;
mod random;
mod rate;
mod record;
mod remote;
mod served;
mod server;
mod stream;
mod words;
mod write;

pub use accounts::{ACCOUNT, MICROSOFT_ACCOUNT, SLACK_ACCOUNT, TEAMS_ACCOUNT};
pub use ident::MAX_MEMBERS;
pub use page::{Framing, PageOptions, members_page};
pub use people::FIELDS;
pub use profile::{Profile, Provider};
pub use rate::Rate;
pub use served::Served;
pub use server::{Builder, Simulator};
