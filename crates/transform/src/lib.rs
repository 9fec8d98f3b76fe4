//! Nested record batches to flat tables and back.
