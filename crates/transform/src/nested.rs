//! One table, with lists and structs as they are.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    datatypes::{Schema, SchemaRef},
};
use pagemill_core::{Batch, Hold, Resource, Result, Table, TableName, TableSchema, Transform};

use crate::{
    flatten::ordinals,
    keys::Account,
    plan::{Columns, same_columns},
};

/// Keeps records nested: `integrated_account_id`, `_row` (the record's ordinal in the run), and the columns as they are.
#[derive(Debug)]
pub struct Nested {
    table: TableName,
    input: SchemaRef,
    account: Account,
}

impl Nested {
    /// For batches of `resource`, all of one account.
    #[must_use]
    pub fn new(resource: &Resource, account: Option<String>) -> Self {
        Self { table: resource.table().clone(), input: resource.schema(), account: Account::new(account) }
    }

    fn schema(&self) -> Result<SchemaRef> {
        let mut columns = Columns::default();
        columns.add_keys(&self.table)?;
        for field in self.input.fields() {
            columns.add(&self.table, field.as_ref().clone(), format!("`{}`", field.name()))?;
        }
        Ok(columns.schema())
    }
}

impl Transform for Nested {
    fn tables(&self, input: &Schema) -> Result<Vec<TableSchema>> {
        same_columns(input, &self.input)?;
        Ok(vec![TableSchema { name: self.table.clone(), schema: self.schema()? }])
    }

    fn apply(&self, batch: &Batch) -> Result<Vec<Table>> {
        let records = &batch.records;
        same_columns(records.schema_ref(), &self.input)?;
        if records.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(ordinals(batch)?));
        let keys = [self.account.column(records.num_rows())?, rows];
        let columns = keys.into_iter().chain(records.columns().iter().cloned()).collect();
        let rows = RecordBatch::try_new(self.schema()?, columns)?;
        Ok(vec![Table { name: self.table.clone(), rows, hold: Hold::default() }])
    }
}
