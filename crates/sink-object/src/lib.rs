//! Tables in an object store: S3, GCS, Azure, or anything else that `object_store` speaks to.
//!
//! [`ObjectSink`] is a [`Store`](pagemill_sink::Store): give it to [`FileSink::to`](pagemill_sink::FileSink::to). The features `s3`, `gcs`
//! and `azure` are those of `object_store`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`store`](ObjectSink) | the steps of a run, in their order |
//! | `keys` | which object is what |
//! | `attempt` | an attempt's journal, object by object |
//! | `adopt` | which attempt a run goes on from |
//! | `conditions` | a store that disregards what keeps runs apart is refused |
//! | `upload` | a part on its way, in pieces |
//! | `publish` | the commit: one conditional put |
//! | `sweep` | removing what attempts have left |
//! | [`published`](ObjectPublished) | what is published, for readers |
//! | `calls` | calls, each tried a few times |
//!
//! # What a reader sees
//!
//! The manifest. Files are written where they stay, so a listing of a table's prefix also shows those of attempts that are at work,
//! or died: whoever reads goes through the manifest, which names each file with its rows, bytes and hash.
//!
//! # Why two runs cannot harm each other
//!
//! There is no lock, and no clock is trusted. `gc` goes by age, and by it may take a run at work for dead: that one then publishes nothing.
//!
//! - **A key is written once.** Every attempt has 128 random bits in the keys of its parts, its journal and its uploads, and its parts have
//!   their dataset's name there, because another dataset may have a table of the same name. One that goes on
//!   from another does not write to that one's keys: it names that one's parts in its own journal, where they are.
//! - **One put decides.** The manifest is created if it is absent (replaced if it is still the one that was to be replaced). Whoever
//!   gets no answer, or is told that something is there, reads it back and compares the attempt's id: it is ours, or somebody
//!   else's, or cannot be read; then nothing is removed, and the error says that the outcome is unknown.
//! - **Nothing is removed that somebody may need.** What is to be removed is closed first, so that nobody goes on from it any more; then all
//!   journals are read, and last the manifest; only parts that none of them names are removed. An attempt whose parts were removed
//!   all the same, because another one has published, finds that out and says so.
//! - **A sweep by age and a commit see each other.** Before its manifest is put, a run leaves the mark `committing` and then looks for the
//!   mark `doomed`; a sweep by age leaves `doomed` and then looks for `committing`. Whichever comes second sees the other: the run gives
//!   up, or the sweep leaves it alone. Once the manifest may be on its way, `committing` stays until another run has published, since a
//!   put whose answer was lost may arrive at any time.
//! - **What is stale is told by a manifest that is read after the attempts.** An attempt can take the place of the manifest that stood when
//!   it began, and of no other. Were the manifest read first, one that replaced it meanwhile, and an attempt to replace that, would
//!   look like an attempt that is over.
//! - **A segment counts when its journal object is there** and every one before it, by number and not by listing; its parts are looked at
//!   after they were sent, and hashed before they are gone on from.
//!
//! What two runs at the same time cost is the work of the one that loses.

mod adopt;
mod attempt;
mod calls;
mod conditions;
mod keys;
mod publish;
mod published;
mod store;
mod sweep;
mod upload;

pub use calls::{Cause, Remote};
pub use published::ObjectPublished;
pub use store::ObjectSink;
