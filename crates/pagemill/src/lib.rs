//! Streaming ETL from paginated JSON APIs into columnar tables.
