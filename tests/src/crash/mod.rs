//! Runs that die, whose disk fails, or whose power is cut, at each call on the disk; and what must hold afterwards.
//!
//! Pages of records are served, each time with a number that was never used before, and written by a
//! [`FileSink`](pagemill::FileSink) whose disk is ours. After each mishap, readers must see what was published before, or all
//! of the new; and the runs after it must end with each record once, in order, each page from one serving.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tree`] | what is on a disk, and the place that a run writes to |
//! | [`memory`] | a file system in memory that knows which states a power cut may leave |
//! | [`faults`] | a disk that dies, fails or panics at the k-th call |
//! | [`lines`] | a plain format, for speed |
//! | [`workload`] | the pages, the ledger of what was served, the steps of a run |
//! | [`readers`] | files turned into rows by other people's code |
//! | [`verdict`] | what must hold |
//! | [`broken`] | broken variants of the protocol, each of which must be found out |
//! | [`cases`] | all the places where something can go wrong |
//! | [`damage`] | what an unfinished run has left, damaged |

pub mod broken;
pub mod cases;
pub mod damage;
pub mod faults;
pub mod lines;
pub mod memory;
pub mod readers;
pub mod tree;
pub mod verdict;
pub mod workload;
