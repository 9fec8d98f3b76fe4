//! Files that roll, staging, manifest, publish: where tables go.
