//! The inverse of flattening, which shows that nothing was lost.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray},
    buffer::{BooleanBuffer, NullBuffer, OffsetBuffer},
    compute::concat_batches,
    datatypes::{DataType, Field, Fields, Int64Type, SchemaRef},
};
use pagemill_core::{Error, Resource, Result, Table};

use crate::{
    extra::Paths,
    keys::{Keys, Spread},
    plan::{Node, Plan, TablePlan},
};

/// Puts flat tables back together: the inverse of [`Flatten`](crate::Flatten).
#[derive(Debug)]
pub struct Unflatten {
    plan: Plan,
}

impl Unflatten {
    /// For the tables of `resource`.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when the resource has no flat tables because names collide.
    pub fn new(resource: &Resource) -> Result<Self> {
        Ok(Self { plan: Plan::new(resource)? })
    }

    /// The nested records of `tables`: all the tables of one batch, or of several batches, each table's in order.
    ///
    /// A table without rows may be left out. The account is not looked at.
    ///
    /// # Errors
    /// [`Data`](pagemill_core::ErrorKind::Data) when the tables are not of this resource, or do not fit together:
    /// rows are missing, doubled, out of order, or carry another record's keys.
    pub fn apply(&self, tables: &[Table]) -> Result<RecordBatch> {
        let mut all = Tables::default();
        for known in self.plan.tables() {
            let parts: Vec<_> = tables.iter().filter(|t| t.name == known.name).map(|t| &t.rows).collect();
            if parts.iter().any(|part| part.schema_ref() != &known.schema) {
                return Err(Error::data(format!("the table {} has other columns than its resource", known.name)));
            }
            all.add(known.name.as_str(), known.schema, &parts)?;
        }
        if let Some(stranger) = tables.iter().find(|t| !all.rows.contains_key(t.name.as_str())) {
            return Err(Error::data(format!("the resource has no table {}", stranger.name)));
        }
        let root = &self.plan.root;
        let rows = all.rows(root)?;
        let ordinals = rows.column(1).as_primitive::<Int64Type>().values().clone();
        let key = self.plan.key.and_then(|i| root_column(&root.nodes, i)).map(|i| rows.column(root.keys + i).clone());
        let keys = Keys::root(ordinals, key);
        let (columns, _) = all.object(root, self.plan.input.fields(), &rows, &keys)?;
        Ok(RecordBatch::try_new(Arc::clone(&self.plan.input), columns)?)
    }
}

/// Which flat column the nested column `i` begins at.
fn root_column(nodes: &[Node], i: usize) -> Option<usize> {
    fn width(node: &Node) -> usize {
        match node {
            Node::Leaf | Node::List => 1,
            Node::Struct(nodes) => nodes.iter().map(width).sum(),
        }
    }
    Some(nodes.get(..i)?.iter().map(width).sum())
}

/// A nested column, all but the validity of structs.
enum Part<'a> {
    Column(ArrayRef),
    Struct {
        fields: &'a Fields,
        parts: Vec<Part<'a>>,
        /// Where any value is within.
        any: BooleanBuffer,
    },
}

impl Part<'_> {
    fn any(&self) -> BooleanBuffer {
        match self {
            Self::Column(array) => present(array),
            Self::Struct { any, .. } => any.clone(),
        }
    }

    /// Collects, over all structs, the rows where one has no value within, and its number and path.
    fn blanks(&self, name: &str, structs: &mut usize, blank: &mut BooleanBuffer, paths: &mut Paths) {
        let Self::Struct { fields, parts, any } = self else { return };
        let (number, mut within) = (*structs, Paths::default());
        *structs += 1;
        *blank |= &!any;
        for (field, part) in fields.iter().zip(parts) {
            part.blanks(field.name(), structs, blank, &mut within);
        }
        paths.add(name, number, within);
    }

    /// The column; `mentioned` says, for each struct in turn, where `_extra` has it.
    fn finish(self, mentioned: &mut impl Iterator<Item = BooleanBuffer>) -> Result<ArrayRef> {
        match self {
            Self::Column(array) => Ok(array),
            Self::Struct { fields, parts, any } => {
                let valid = mentioned.next().map_or_else(|| any.clone(), |mentioned| &any | &mentioned);
                let columns = parts.into_iter().map(|part| part.finish(mentioned)).collect::<Result<_>>()?;
                Ok(Arc::new(StructArray::try_new(fields.clone(), columns, Some(NullBuffer::new(valid)))?))
            }
        }
    }
}

/// Where an array has values.
fn present(array: &ArrayRef) -> BooleanBuffer {
    array.nulls().map_or_else(|| BooleanBuffer::new_set(array.len()), |nulls| nulls.inner().clone())
}

/// Flat tables by name, those without rows as well.
#[derive(Default)]
struct Tables {
    rows: HashMap<String, RecordBatch>,
}

impl Tables {
    fn add(&mut self, name: &str, schema: SchemaRef, parts: &[&RecordBatch]) -> Result<()> {
        let rows = match parts {
            [part] => (*part).clone(),
            parts => concat_batches(&schema, parts.iter().copied())?,
        };
        self.rows.insert(name.to_owned(), rows);
        Ok(())
    }

    fn rows(&self, plan: &TablePlan) -> Result<RecordBatch> {
        self.rows.get(plan.name.as_str()).cloned().ok_or_else(|| Error::internal("a planned table is unknown"))
    }

    /// The columns of objects, and where any of them has a value.
    fn object(
        &self,
        plan: &TablePlan,
        fields: &Fields,
        rows: &RecordBatch,
        keys: &Keys,
    ) -> Result<(Vec<ArrayRef>, BooleanBuffer)> {
        let mut columns = rows.columns().iter().skip(plan.keys);
        let mut children = plan.children.iter();
        let parts = self.parts(&plan.nodes, fields, keys, &mut columns, &mut children)?;
        let mut any = BooleanBuffer::new_unset(rows.num_rows());
        parts.iter().for_each(|part| any |= &part.any());

        let (mut structs, mut blank, mut paths) = (0, BooleanBuffer::new_unset(rows.num_rows()), Paths::default());
        for (field, part) in fields.iter().zip(&parts) {
            part.blanks(field.name(), &mut structs, &mut blank, &mut paths);
        }
        let mut mentioned = vec![Vec::new(); structs];
        let extra = rows.columns().last().and_then(|c| c.as_string_opt::<i32>()).filter(|_| plan.object);
        for (row, text) in extra.into_iter().flatten().enumerate() {
            if let Some(text) = text.filter(|_| blank.value(row)) {
                paths.walk(text, &mut |n| mentioned.iter_mut().skip(n).take(1).for_each(|rows| rows.push(row)))?;
            }
        }
        let mut mentioned = mentioned.into_iter().map(|mentions| {
            let mut mentions = mentions.into_iter().peekable();
            BooleanBuffer::collect_bool(rows.num_rows(), |row| mentions.next_if_eq(&row).is_some())
        });
        let columns = parts.into_iter().map(|part| part.finish(&mut mentioned)).collect::<Result<_>>()?;
        Ok((columns, any))
    }

    fn parts<'a>(
        &self,
        nodes: &[Node],
        fields: &'a Fields,
        keys: &Keys,
        columns: &mut dyn Iterator<Item = &ArrayRef>,
        children: &mut std::slice::Iter<'_, TablePlan>,
    ) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::with_capacity(nodes.len());
        for (node, field) in nodes.iter().zip(fields) {
            parts.push(match node {
                Node::Struct(nodes) => {
                    let DataType::Struct(fields) = field.data_type() else { return Err(unplanned()) };
                    let parts = self.parts(nodes, fields, keys, columns, children)?;
                    let mut any = BooleanBuffer::new_unset(keys.len());
                    parts.iter().for_each(|part| any |= &part.any());
                    Part::Struct { fields, parts, any }
                }
                Node::Leaf => Part::Column(columns.next().ok_or_else(unplanned)?.clone()),
                Node::List => {
                    let DataType::List(item) = field.data_type() else { return Err(unplanned()) };
                    let counts = columns.next().ok_or_else(unplanned)?;
                    Part::Column(self.list(children.next().ok_or_else(unplanned)?, item, counts, keys)?)
                }
            });
        }
        Ok(parts)
    }

    /// The lists whose items are the rows of `plan`, in order.
    fn list(&self, plan: &TablePlan, item: &Arc<Field>, counts: &ArrayRef, parents: &Keys) -> Result<ArrayRef> {
        let rows = self.rows(plan)?;
        let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(unplanned)?;
        let unfit =
            |what: &str| Error::data(format!("the rows of the table {} do not fit its parent: {what}", plan.name));
        let spread =
            Spread::new(counts, rows.num_rows()).map_err(|e| unfit("more or fewer than counted").because(e))?;
        let keys = parents.child(spread)?;
        if !keys.columns().eq(rows.columns().iter().take(plan.keys).skip(1).cloned()) {
            return Err(unfit("out of order, or with another record's keys"));
        }
        let items: ArrayRef = match item.data_type() {
            DataType::Struct(fields) => {
                let (columns, any) = self.object(plan, fields, &rows, &keys)?;
                Arc::new(StructArray::try_new(fields.clone(), columns, Some(NullBuffer::new(any)))?)
            }
            _ => {
                let fields = Fields::from(vec![Arc::clone(item)]);
                let (columns, _) = self.object(plan, &fields, &rows, &keys)?;
                columns.into_iter().next().ok_or_else(unplanned)?
            }
        };
        i32::try_from(items.len()).map_err(|_| unfit("more than one column can hold"))?;
        let lens = counts.iter().map(|len| len.and_then(|len| usize::try_from(len).ok()).unwrap_or(0));
        let list =
            ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lens), items, counts.nulls().cloned());
        Ok(Arc::new(list?))
    }
}

fn unplanned() -> Error {
    Error::internal("a column is not of the planned type")
}
