//! The unified instant-messaging API on localhost: deterministic by seed, for tests, demos and benches.
