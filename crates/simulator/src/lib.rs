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
//! # Faults on demand
//!
//! [`Builder::fault`] has something go wrong with the pages of lists, as often and where a [`Fault`] says; asked again,
//! a page is well unless it says otherwise.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use pagemill_simulator::Simulator;
//!
//! let simulator = Simulator::builder()
//!     .fault("fin:2000@page=3".parse()?)
//!     .fault("429:date=2@p=0.1".parse()?)
//!     .ledger(std::fs::File::create("served.ndjson")?)
//!     .start()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! | fault | what happens |
//! |---|---|
//! | `reset:BYTES` | the connection is reset after so many bytes, the head included |
//! | `fin:BYTES` | the connection ends after so many bytes |
//! | `stall:BYTES` | nothing comes after so many bytes, and the connection stays |
//! | `drip:MILLISECONDS` | a byte comes each so many milliseconds |
//! | `long-length:BYTES` | Content-Length is more than there is |
//! | `short-length:BYTES` | Content-Length is less than there is |
//! | `bad-chunk` | the size of a chunk in mid-body is no number |
//! | `no-last-chunk` | the body comes in chunks, without the last |
//! | `gzip-cut` | the gzip data ends early, and its length says so |
//! | `gzip-twice` | a second gzip member follows |
//! | `gzip-rubbish` | other bytes follow the gzip data |
//! | `gzip-checksum` | the gzip checksum is another one's |
//! | `429:HINTS` | too many requests: wait by Retry-After in seconds, as a date, by ratelimit-reset, by x-ratelimit-reset as a moment |
//! | `status:CODE` | an answer with that status and an error body |
//! | `redirect:URL` | 302 to another address |
//! | `error-body` | an error body with a status of 200 |
//! | `html` | a page of HTML with a status of 200, as a proxy sends it |
//! | `empty-body` | a status of 200, and nothing |
//! | `expired:CODE` | the second page's cursor is not known any more |
//! | `cursor-loop:PAGES` | after so many pages the cursor leads back to the first of them |
//! | `empty:PAGES` | so many pages without a record come before each page |
//! | `repeat:RECORDS` | each page begins with the last records of the page before |
//! | `differ` | the page breaks off, and has other contents when it is asked for again |
//! | `retype` | `title` is a number, an object, an array, a boolean and a string in turn |
//! | `invalid-utf8` | a byte in a string is no UTF-8 |
//! | `deep:LEVELS` | a value of a record is nested so deep |
//! | `huge:BYTES` | a string of a record is so long |
//!
//! [`Builder::ledger`] writes a line for each response, and [`Builder::stamp`] has each record say where it was served,
//! so that what arrived can be compared with what left.
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
//! | `fault` | [`Fault`]: what goes wrong, where, and how often |
//! | `mark` | what a record carries beyond the member that it is |
//! | `reply`, `connection` | an answer on its way out, and the connection that a fault can take over |
//! | `ledger` | what was served, line by line |
//! | `served` | what was served, counted |
//! | `server` | [`Simulator`]: start, look, stop |

mod accounts;
mod answer;
mod app;
mod connection;
mod cursor;
mod error;
mod fault;
mod ident;
mod ledger;
mod listing;
mod mark;
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
mod reply;
mod served;
mod server;
mod stream;
mod words;
mod write;

pub use accounts::{ACCOUNT, MICROSOFT_ACCOUNT, SLACK_ACCOUNT, TEAMS_ACCOUNT};
pub use fault::{Fault, FaultError, FaultName};
pub use ident::MAX_MEMBERS;
pub use page::{Framing, PageOptions, members_page};
pub use people::FIELDS;
pub use profile::{Profile, Provider};
pub use rate::Rate;
pub use served::Served;
pub use server::{Builder, Simulator};
