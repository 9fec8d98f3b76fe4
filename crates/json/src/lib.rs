//! Bytes of JSON pages in, nested Arrow record batches out: sans-IO, strict, incremental.
//!
//! | module | what it does |
//! |---|---|
//! | [`decoder`](Decoder) | the loop: takes bytes, gives batches; at the end of a page, its envelope and its bad records |
//! | `window` | holds the bytes that are being looked at, with what stage 1 says of them |
//! | `scan` | stage 1: blocks of 64 bytes to bitmaps and an index of brackets and the ends of strings, UTF-8 checked; one kernel per instruction set |
//! | `page` | framing: where the records are; the envelope around them |
//! | `record` | stage 2: one record, walked along its schema straight into the columns; no tree, no tape |
//! | `skip` | values that no column takes apart: checked just as strictly, and passed; or left out, and just passed |
//! | `tokens` | the tokens that these three read, and the errors they give |
//! | `column` | the columns in the making, one file per shape |
//! | `text`, `number`, `time` | exact scalars; times by the kernel's instruction set as well |
//! | `raw` | the few unsafe functions besides those of an instruction set |
//! | `extra`, `misfit`, `names` | `_extra` in the making; counts of values outside their columns; names that may not come twice |
//!
//! ```
//! use bytes::Bytes;
//! use pagemill_core::Resource;
//! use pagemill_json::{Decoder, Next, Options};
//!
//! let members = Resource::builtin("instant-messaging/members")?;
//! let mut decoder = Decoder::new(&members, Options::default());
//! let mut page = Bytes::from_static(br#"{"result":[{"id":"U1","emails":[]}],"next_cursor":null}"#);
//! while let Some(_full_batch) = decoder.decode(&mut page)? {}
//! let page = decoder.finish_page()?;
//! assert_eq!(page.rest.num_rows(), 1);
//! assert_eq!(page.next, Next::End);
//! # Ok::<(), pagemill_core::Error>(())
//! ```

mod column;
mod decoder;
mod extra;
mod misfit;
mod names;
mod number;
mod options;
mod page;
mod raw;
mod record;
mod scan;
mod skip;
mod text;
mod time;
mod tokens;
mod window;

pub use decoder::Decoder;
pub use options::{DecodeError, Framing, Limits, Next, Options, Page, Unknown};
pub use scan::{KernelName, count_structurals};
