//! Where pages come from: a paginated HTTP API, or saved pages on disk.
