//! The tables, columns and names of a resource, worked out once.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use pagemill_core::{EXTRA, Error, Resource, Result, TableName, TableSchema, quarantine};

/// The column that says whose data a row is.
pub(crate) const ACCOUNT: &str = "integrated_account_id";
/// The column with the ordinal, in the run, of the record a row belongs to.
pub(crate) const ROW: &str = "_row";
/// The column with the position of a row in its list, from 0.
const INDEX: &str = "_index";
/// The name of the column of a list whose items are not objects.
const VALUE: &str = "value";

/// How one table is cut out of an object, or out of the items of a list.
#[derive(Debug)]
pub(crate) struct TablePlan {
    pub(crate) name: TableName,
    pub(crate) schema: SchemaRef,
    /// How many of the columns, at the front, are keys.
    pub(crate) keys: usize,
    /// True when a row is an object, which has an `_extra`; false when it is a bare value.
    pub(crate) object: bool,
    /// What stands behind the columns after the keys, in order.
    pub(crate) nodes: Vec<Node>,
    /// The tables of the lists among `nodes`, in order.
    pub(crate) children: Vec<TablePlan>,
}

/// A nested column.
#[derive(Debug)]
pub(crate) enum Node {
    /// It is a flat column.
    Leaf,
    /// Its members are flat columns.
    Struct(Vec<Node>),
    /// Its length is a flat column; its items are the rows of the next child.
    List,
}

/// All tables of a resource.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The nested columns.
    pub(crate) input: SchemaRef,
    /// Where the key is among the nested columns.
    pub(crate) key: Option<usize>,
    /// The table of the records.
    pub(crate) root: TablePlan,
}

impl Plan {
    pub(crate) fn new(resource: &Resource) -> Result<Self> {
        let input = resource.schema();
        let key = resource.key().and_then(|key| input.fields().iter().position(|f| f.name() == key));
        let key_field = key.and_then(|i| input.fields().get(i)).map(|f| {
            let name = format!("{}_{}", resource.table(), f.name());
            (Field::new(name, f.data_type().clone(), true), f.name().clone())
        });
        let mut planner = Planner { key: key_field, tables: HashMap::new() };
        planner
            .tables
            .insert(lower(quarantine::schema(resource.table()).name.as_str()), "the records set aside".into());
        let root = planner.record(resource.table().clone(), input.fields())?;
        Ok(Self { input, key, root })
    }

    /// Root first, then children depth first.
    pub(crate) fn tables(&self) -> Vec<TableSchema> {
        fn visit(table: &TablePlan, out: &mut Vec<TableSchema>) {
            out.push(TableSchema { name: table.name.clone(), schema: Arc::clone(&table.schema) });
            table.children.iter().for_each(|child| visit(child, out));
        }
        let mut out = Vec::new();
        visit(&self.root, &mut out);
        out
    }
}

/// Refuses columns other than the declared ones.
pub(crate) fn same_columns(found: &Schema, declared: &Schema) -> Result<()> {
    if std::ptr::eq(found, declared) || found == declared {
        return Ok(());
    }
    Err(Error::config("the batch does not have the columns of its resource")
        .advise("read and transform with the same schema document"))
}

/// The columns of one table, each with what it comes from.
#[derive(Default)]
pub(crate) struct Columns {
    fields: Vec<Field>,
    origins: HashMap<String, String>,
}

impl Columns {
    /// Adds a column of the table `table`.
    pub(crate) fn add(&mut self, table: &TableName, field: Field, origin: String) -> Result<()> {
        if let Some(other) = self.origins.get(&lower(field.name())) {
            return Err(Error::config(format!(
                "two columns of the table {table} would be called {:?}: {other}, and {origin}",
                field.name()
            ))
            .advise("rename one of the properties in the schema document; letter case does not tell names apart"));
        }
        self.origins.insert(lower(field.name()), origin);
        self.fields.push(field);
        Ok(())
    }

    /// Adds the two columns that every table begins with.
    pub(crate) fn add_keys(&mut self, table: &TableName) -> Result<()> {
        self.add(table, Field::new(ACCOUNT, DataType::Utf8, true), "the account".into())?;
        self.add(table, Field::new(ROW, DataType::Int64, false), "the ordinal of the record".into())
    }

    pub(crate) fn schema(self) -> SchemaRef {
        Arc::new(Schema::new(self.fields))
    }
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// A list on the way to its table.
struct List<'a> {
    /// Its name within its table, structs joined by `_`.
    name: String,
    /// Its path within the record.
    path: String,
    item: &'a Field,
}

/// A table being planned.
struct Draft<'a> {
    name: &'a TableName,
    columns: Columns,
    lists: Vec<List<'a>>,
}

impl<'a> Draft<'a> {
    /// Inlines `field` as `name`, declared at `path`.
    fn inline(&mut self, field: &'a Field, name: String, path: String) -> Result<Node> {
        match field.data_type() {
            DataType::Struct(fields) => {
                let member =
                    |f: &'a Arc<Field>| self.inline(f, format!("{name}_{}", f.name()), format!("{path}.{}", f.name()));
                Ok(Node::Struct(fields.iter().map(member).collect::<Result<_>>()?))
            }
            DataType::List(item) => {
                let count = Field::new(format!("{name}_count"), DataType::Int64, true);
                self.columns.add(self.name, count, format!("the length of `{path}`"))?;
                self.lists.push(List { name, path: format!("{path}[]"), item });
                Ok(Node::List)
            }
            _ => {
                self.columns.add(self.name, field.clone().with_name(name), format!("`{path}`"))?;
                Ok(Node::Leaf)
            }
        }
    }
}

struct Planner {
    /// The key's column in child tables, and the member it is.
    key: Option<(Field, String)>,
    /// What each table comes from, by its name in lower case.
    tables: HashMap<String, String>,
}

impl Planner {
    fn record(&mut self, name: TableName, fields: &Fields) -> Result<TablePlan> {
        self.claim(&name, "the records".into())?;
        let mut draft = Draft { name: &name, columns: Columns::default(), lists: Vec::new() };
        draft.columns.add_keys(&name)?;
        let nodes =
            fields.iter().map(|f| draft.inline(f, f.name().clone(), f.name().clone())).collect::<Result<Vec<_>>>()?;
        let Draft { columns, lists, .. } = draft;
        self.finish(&name, columns, nodes, lists, &[], true)
    }

    /// The table of a list; `ancestors` are the tables of the lists around it, outermost first.
    fn list(&mut self, name: TableName, list: &List<'_>, ancestors: &[TableName]) -> Result<TablePlan> {
        self.claim(&name, format!("the list `{}`", list.path))?;
        let mut draft = Draft { name: &name, columns: Columns::default(), lists: Vec::new() };
        draft.columns.add_keys(&name)?;
        if let Some((field, member)) = &self.key {
            draft.columns.add(&name, field.clone(), format!("the key `{member}` of the record"))?;
        }
        let position = |name: &str| Field::new(name, DataType::Int64, false);
        for ancestor in ancestors {
            let origin = format!("the position in the table {ancestor}");
            draft.columns.add(&name, position(&format!("{ancestor}{INDEX}")), origin)?;
        }
        draft.columns.add(&name, position(INDEX), "the position in the list".into())?;
        let path = &list.path;
        let (nodes, object) = match list.item.data_type() {
            DataType::Struct(fields) => {
                let member = |f| draft.inline(f, Field::name(f).clone(), format!("{path}.{}", Field::name(f)));
                (fields.iter().map(|f| &**f).map(member).collect::<Result<Vec<_>>>()?, true)
            }
            _ => (vec![draft.inline(list.item, VALUE.into(), path.clone())?], false),
        };
        let Draft { columns, lists, .. } = draft;
        let around: Vec<_> = ancestors.iter().chain([&name]).cloned().collect();
        self.finish(&name, columns, nodes, lists, &around, object)
    }

    fn finish(
        &mut self,
        name: &TableName,
        columns: Columns,
        nodes: Vec<Node>,
        lists: Vec<List<'_>>,
        around: &[TableName],
        object: bool,
    ) -> Result<TablePlan> {
        let keys = 2 + if around.is_empty() { 0 } else { usize::from(self.key.is_some()) + around.len() };
        let children =
            lists.iter().map(|list| self.list(name.child(&list.name)?, list, around)).collect::<Result<_>>()?;
        debug_assert!(!object || columns.fields.last().is_some_and(|f| f.name() == EXTRA));
        Ok(TablePlan { name: name.clone(), schema: columns.schema(), keys, object, nodes, children })
    }

    fn claim(&mut self, name: &TableName, origin: String) -> Result<()> {
        if let Some(other) = self.tables.get(&lower(name.as_str())) {
            return Err(Error::config(format!("two tables would be called {name}: {other}, and {origin}"))
                .advise("rename one of the properties in the schema document; letter case does not tell names apart"));
        }
        self.tables.insert(lower(name.as_str()), origin);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(properties: &str, table: &str) -> Result<Plan> {
        let text = format!(
            r#"{{"x-pagemill":{{"table":"{table}","key":"id"}},"properties":{{"id":{{"type":"string"}},{properties}}}}}"#
        );
        Plan::new(&Resource::from_json_schema(&text).expect("a schema"))
    }

    fn outline(plan: &Plan) -> Vec<String> {
        let names = |s: &Schema| s.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join(" ");
        plan.tables().iter().map(|t| format!("{}: {}", t.name, names(&t.schema))).collect()
    }

    #[test]
    fn members_have_a_root_and_seven_children_in_the_documents_order() {
        let plan = Plan::new(&Resource::builtin("instant-messaging/members").expect("built in")).expect("plans");
        let names: Vec<_> = plan.tables().iter().map(|t| t.name.to_string()).collect();
        assert_eq!(
            names.join(" "),
            "members members_emails members_groups members_languages members_organizations members_phones \
             members_urls members_workspaces"
        );
        let outline = outline(&plan);
        assert!(
            outline[0]
                .starts_with("members: integrated_account_id _row id activated_at avatar bio created_at emails_count ")
        );
        assert!(outline[0].ends_with(" workspaces_count _extra"));
        assert_eq!(
            outline[2],
            "members_groups: integrated_account_id _row members_id _index id name organization_id organization_name \
             type workspace_id workspace_name _extra"
        );
        assert_eq!(outline[3], "members_languages: integrated_account_id _row members_id _index value");
    }

    #[test]
    fn lists_in_lists_carry_the_positions_of_all_lists_around_them() {
        let plan = plan(
            r#""s":{"properties":{"l":{"items":{"properties":{"m":{"items":{"type":"integer"}}}}}}},
               "n":{"items":{"items":{"type":"string"}}}"#,
            "t",
        );
        assert_eq!(
            outline(&plan.expect("plans")),
            [
                "t: integrated_account_id _row id s_l_count n_count _extra",
                "t_s_l: integrated_account_id _row t_id _index m_count _extra",
                "t_s_l_m: integrated_account_id _row t_id t_s_l_index _index value",
                "t_n: integrated_account_id _row t_id _index value_count",
                "t_n_value: integrated_account_id _row t_id t_n_index _index value",
            ]
        );
    }

    #[test]
    fn json_columns_stay_json_columns() {
        let plan = plan(r#""s":{"properties":{"j":{}}},"l":{"items":{}}"#, "t").expect("plans");
        let json = |t: &TableSchema, c| pagemill_core::resource::is_json(t.schema.field_with_name(c).expect("column"));
        assert!(json(&plan.tables()[0], "s_j"));
        assert!(json(&plan.tables()[0], "_extra"));
        assert!(json(&plan.tables()[1], "value"));
    }

    #[test]
    fn collisions_name_both_origins() {
        let refused = |properties: &str, table: &str| {
            let error = plan(properties, table).expect_err(properties);
            assert_eq!(error.kind(), pagemill_core::ErrorKind::Config);
            error.to_string()
        };
        let text = refused(r#""a_b":{"type":"string"},"A":{"properties":{"b":{"type":"string"}}}"#, "t");
        assert!(text.contains("`a_b`") && text.contains("`A.b`") && text.contains("table t"), "{text}");
        let text = refused(r#""l_count":{"type":"integer"},"l":{"items":{"type":"string"}}"#, "t");
        assert!(text.contains("`l_count`") && text.contains("the length of `l`"), "{text}");
        let text = refused(r#""_row":{"type":"integer"}"#, "t");
        assert!(text.contains("the ordinal of the record") && text.contains("`_row`"), "{text}");
        let text = refused(r#""l":{"items":{"properties":{"t_id":{"type":"string"}}}}"#, "t");
        assert!(text.contains("the key `id`") && text.contains("`l[].t_id`"), "{text}");
        let text = refused(r#""l":{"items":{"type":"string"}}"#, "integrated_account");
        assert!(text.contains("the account") && text.contains("the key `id`"), "{text}");
        let text = refused(
            r#""a_b":{"items":{"properties":{"x":{}}}},"a":{"items":{"properties":{"b":{"items":{"type":"string"}}}}}"#,
            "t",
        );
        assert!(text.contains("`a_b[]`") && text.contains("`a[].b[]`"), "{text}");
        let text = refused(r#""_quarantine":{"items":{"type":"string"}}"#, "t");
        assert!(text.contains("the records set aside"), "{text}");
        let text = refused(r#""ключи":{"items":{"type":"string"}}"#, "t");
        assert!(text.contains("cannot name a table"), "{text}");
    }
}
