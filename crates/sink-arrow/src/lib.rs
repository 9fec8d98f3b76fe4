//! The Arrow IPC formats (file and stream) of Pagemill's file sink.
