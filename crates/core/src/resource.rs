//! Resources: a JSON Schema document turned into fields and an Arrow schema.
//!
//! The documents of the built-in [`catalog`](Resource::builtin) are of the same format as a user's own:
//! JSON Schema with `type`, `format`, `properties`, `items` and local `$ref`s, and a member `x-pagemill` that says
//! what JSON Schema cannot: `resource` (a name), `table`, `key` (the identifying property) and `path` (of the API).
//!
//! | JSON Schema | column |
//! |---|---|
//! | `string` | `Utf8` |
//! | `string`, `format: date-time` | `Timestamp(µs, "UTC")` |
//! | `boolean` | `Boolean` |
//! | `integer` | `Int64` |
//! | `number` | `Float64` |
//! | `object` with `properties` | `Struct` |
//! | `object` without, or no `type` at all | JSON text: `Utf8` with the `arrow.json` extension type |
//! | `array` | `List` |
//!
//! Every column is nullable, whatever `required` says: a partial response leaves members out.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::{Map, Value};

use crate::{EXTENSION_NAME, EXTRA, Error, JSON_EXTENSION, Result, TableName, escape::is_harmful};

/// What can be read: its name, its place in the API, its fields.
#[derive(Clone, Debug)]
pub struct Resource {
    name: String,
    table: TableName,
    path: Option<String>,
    key: Option<String>,
    fields: Vec<Field>,
    left_out: Vec<(usize, String)>,
    schema: SchemaRef,
    document: Arc<Value>,
}

/// A declared member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, as it is on the wire.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// What a member or an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A boolean.
    Bool,
    /// An integer of 64 bits.
    Int,
    /// A number, as a double.
    Float,
    /// A moment: microseconds since 1970-01-01T00:00:00Z.
    Time,
    /// Any JSON, kept as its text.
    Json,
    /// An object with declared members.
    Struct(Vec<Field>),
    /// An array.
    List(Box<Kind>),
}

/// The deepest a schema may nest; far below the depth that records may have.
const MAX_DEPTH: usize = 32;
/// The most columns a schema may declare, at all depths together.
const MAX_COLUMNS: usize = 2_000;
/// The longest name of a column, in bytes.
const MAX_NAME: usize = 255;

/// The built-in documents.
const CATALOG: &[(&str, &str)] = &[
    ("instant-messaging/members", include_str!("../catalog/members.json")),
    ("instant-messaging/workspaces", include_str!("../catalog/workspaces.json")),
    ("instant-messaging/channels", include_str!("../catalog/channels.json")),
    ("instant-messaging/messages", include_str!("../catalog/messages.json")),
    ("instant-messaging/attachments", include_str!("../catalog/attachments.json")),
    ("instant-messaging/groups", include_str!("../catalog/groups.json")),
];

impl Resource {
    /// The names of the built-in resources.
    pub fn catalog() -> impl Iterator<Item = &'static str> {
        CATALOG.iter().map(|(name, _)| *name)
    }

    /// A resource of the catalog.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when there is none of that name.
    pub fn builtin(name: &str) -> Result<Self> {
        let Some((_, text)) = CATALOG.iter().find(|(n, _)| *n == name) else {
            let known: Vec<_> = Self::catalog().collect();
            return Err(Error::config(format!("there is no built-in resource {name:?}"))
                .advise(format!("use one of {}, or a path to a JSON Schema file", known.join(", "))));
        };
        Self::from_json_schema(text)
    }

    /// A resource of the caller's own, from the text of a JSON Schema document.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config), with the JSON pointer of the place, when the document is not JSON, says
    /// something that no column can hold (`oneOf`, tuples, several types), or names columns that collide.
    pub fn from_json_schema(text: &str) -> Result<Self> {
        let document: Value =
            serde_json::from_str(text).map_err(|e| Error::config("the schema document is not JSON").because(e))?;
        let about = document.get("x-pagemill").cloned().unwrap_or(Value::Null);
        let word = |name: &str| about.get(name).and_then(Value::as_str).map(str::to_owned);
        let title = document.get("title").and_then(Value::as_str).map(str::to_owned);
        let table = word("table").or_else(|| word("resource").and_then(|r| r.rsplit('/').next().map(str::to_owned)));
        let table = table.or(title).ok_or_else(|| {
            Error::config("the schema document does not name its table")
                .advise("add \"x-pagemill\": {\"table\": \"members\", \"key\": \"id\"}")
        })?;
        let table = TableName::new(table)?;
        let kind = Reader { root: &document, columns: 0 }.kind(&document, "#", 0)?;
        let Kind::Struct(fields) = kind else {
            return Err(Error::config("the schema document must describe an object with properties"));
        };
        let key = word("key");
        if let Some(key) = &key
            && !fields.iter().any(|f| f.name == *key && matches!(f.kind, Kind::Text | Kind::Int))
        {
            return Err(Error::config(format!("the key {key:?} is no string or integer property of the schema")));
        }
        let schema = Arc::new(Schema::new(with_extra(&fields)));
        Ok(Self {
            name: word("resource").unwrap_or_else(|| table.to_string()),
            path: word("path"),
            table,
            key,
            fields,
            left_out: Vec::new(),
            schema,
            document: Arc::new(document),
        })
    }

    /// The same without the declared field `name`: it gets no column, and is no unknown member either. What is in it is
    /// passed with no more care than finding its end takes.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when it is not declared, or the key.
    pub fn without(mut self, name: &str) -> Result<Self> {
        let Some(position) = self.fields.iter().position(|f| f.name == name) else {
            let known: Vec<_> = self.fields.iter().map(|f| f.name.as_str()).collect();
            return Err(Error::config(format!("{} has no field {name:?} to leave out", self.name))
                .advise(format!("its fields are {}", known.join(", "))));
        };
        if self.key.as_deref() == Some(name) {
            return Err(Error::config(format!("the key {name:?} cannot be left out")));
        }
        self.fields.remove(position);
        // Its position in the document: they are in order.
        let position = self.left_out.iter().fold(position, |at, (other, _)| at + usize::from(*other <= at));
        self.left_out.push((position, name.to_owned()));
        self.left_out.sort_unstable();
        self.schema = Arc::new(Schema::new(with_extra(&self.fields)));
        Ok(self)
    }

    /// The fields that were left out, and the places at which to insert them, one after the other, among the fields.
    #[must_use]
    pub fn left_out(&self) -> &[(usize, String)] {
        &self.left_out
    }

    /// Its name, such as `instant-messaging/members`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its root table, such as `members`.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// Its path in the API, such as `/unified/instant-messaging/members`.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The property that identifies a record, such as `id`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Its declared fields, in the document's order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The columns of a decoded batch: the fields, and an `_extra` at the end of the record and of each object in a list.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The document it was made from.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }
}

/// The Arrow fields of an object that has an `_extra` of its own.
fn with_extra(fields: &[Field]) -> Fields {
    fields.iter().map(arrow_field).chain([json_field(EXTRA)]).collect()
}

fn arrow_field(field: &Field) -> ArrowField {
    match &field.kind {
        Kind::Json => json_field(&field.name),
        kind => ArrowField::new(&field.name, arrow_type(kind), true),
    }
}

/// A nullable text column whose values are JSON documents.
#[must_use]
pub fn json_field(name: &str) -> ArrowField {
    let about = [(EXTENSION_NAME, JSON_EXTENSION), ("ARROW:extension:metadata", "")];
    ArrowField::new(name, DataType::Utf8, true)
        .with_metadata(about.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect())
}

/// True when `field` is a text column whose values are JSON documents.
#[must_use]
pub fn is_json(field: &ArrowField) -> bool {
    field.metadata().get(EXTENSION_NAME).is_some_and(|name| name == JSON_EXTENSION)
}

fn arrow_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Bool => DataType::Boolean,
        Kind::Int => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Struct(fields) => DataType::Struct(fields.iter().map(arrow_field).collect()),
        Kind::List(item) => DataType::List(Arc::new(match &**item {
            Kind::Json => json_field("item"),
            Kind::Struct(fields) => ArrowField::new("item", DataType::Struct(with_extra(fields)), true),
            kind => ArrowField::new("item", arrow_type(kind), true),
        })),
    }
}

/// Walks a schema document.
struct Reader<'a> {
    root: &'a Value,
    columns: usize,
}

impl Reader<'_> {
    fn kind(&mut self, node: &Value, at: &str, depth: usize) -> Result<Kind> {
        let refuse = |what: String| Err(Error::config(format!("{what} at {at} of the schema document")));
        if depth > MAX_DEPTH {
            return refuse(format!("more than {MAX_DEPTH} levels, or a $ref to itself,"));
        }
        let Value::Object(node) = node else {
            return if *node == Value::Bool(true) { Ok(Kind::Json) } else { refuse("no schema".into()) };
        };
        if let Some(reference) = node.get("$ref") {
            let target = reference.as_str().and_then(|r| r.strip_prefix('#')).and_then(|p| self.root.pointer(p));
            return match target {
                Some(target) => self.kind(target, at, depth + 1),
                None => refuse(format!("the $ref {reference} points to nothing in this document")),
            };
        }
        if let Some(word) = ["oneOf", "anyOf", "allOf", "not", "if", "patternProperties", "prefixItems"]
            .iter()
            .find(|w| node.contains_key(**w))
        {
            return refuse(format!("{word:?} is not supported: one column holds one type;"));
        }
        match Self::type_name(node, at)? {
            "string" if node.get("format").and_then(Value::as_str) == Some("date-time") => Ok(Kind::Time),
            "string" => Ok(Kind::Text),
            "boolean" => Ok(Kind::Bool),
            "integer" => Ok(Kind::Int),
            "number" => Ok(Kind::Float),
            "" => Ok(Kind::Json),
            "object" => match node.get("properties") {
                None => Ok(Kind::Json),
                Some(Value::Object(properties)) if properties.is_empty() => Ok(Kind::Json),
                Some(Value::Object(properties)) => self.fields(properties, at, depth),
                Some(_) => refuse("\"properties\" that is no object".into()),
            },
            "array" => match node.get("items") {
                None => Ok(Kind::List(Box::new(Kind::Json))),
                Some(items) => Ok(Kind::List(Box::new(self.kind(items, &format!("{at}/items"), depth + 1)?))),
            },
            other => refuse(format!("the type {other:?} is not supported")),
        }
    }

    /// The one type besides `null`; empty when none is given.
    fn type_name<'v>(node: &'v Map<String, Value>, at: &str) -> Result<&'v str> {
        let refuse =
            || Error::config(format!("\"type\" at {at} of the schema document must be one name, or one and \"null\""));
        match node.get("type") {
            None if node.contains_key("properties") => Ok("object"),
            None if node.contains_key("items") => Ok("array"),
            None => Ok(""),
            Some(Value::String(name)) => Ok(name),
            Some(Value::Array(names)) => {
                let mut names = names.iter().filter_map(Value::as_str).filter(|n| *n != "null");
                match (names.next(), names.next()) {
                    (Some(name), None) => Ok(name),
                    _ => Err(refuse()),
                }
            }
            Some(_) => Err(refuse()),
        }
    }

    fn fields(&mut self, properties: &Map<String, Value>, at: &str, depth: usize) -> Result<Kind> {
        let mut fields = Vec::with_capacity(properties.len());
        let mut seen = HashSet::new();
        for (name, node) in properties {
            let at = format!("{at}/properties/{name}");
            self.columns += 1;
            if self.columns > MAX_COLUMNS {
                return Err(Error::config(format!("the schema declares more than {MAX_COLUMNS} columns")));
            }
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(is_harmful) {
                return Err(Error::config(format!("{name:?} at {at} cannot name a column"))
                    .advise(format!("use 1 to {MAX_NAME} bytes without control characters or marks of direction")));
            }
            if name.eq_ignore_ascii_case(EXTRA) || !seen.insert(name.to_lowercase()) {
                return Err(Error::config(format!("the column name {name:?} at {at} is taken"))
                    .advise("rename the property; names that differ only in case collide, and so does `_extra`"));
            }
            fields.push(Field { name: name.clone(), kind: self.kind(node, &at, depth + 1)? });
        }
        Ok(Kind::Struct(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_left_out_and_their_places_kept() {
        let all = Resource::builtin("instant-messaging/members").expect("it is built in");
        let names: Vec<_> = all.fields().iter().map(|f| f.name.clone()).collect();
        let mut less = all.clone();
        for name in [&names[5], &names[2], &names[3], &names[9]] {
            less = less.without(name).expect("a field");
            assert!(less.schema().field_with_name(name).is_err());
        }
        let mut back: Vec<_> = less.fields().iter().map(|f| f.name.clone()).collect();
        for (position, name) in less.left_out() {
            back.insert(*position, name.clone());
        }
        assert_eq!(back, names);
        assert!(all.clone().without("id").is_err());
        assert!(all.without("no such field").is_err());
    }

    #[test]
    fn the_whole_catalog_loads_under_its_own_names() {
        for name in Resource::catalog() {
            let resource = Resource::builtin(name).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(resource.name(), name);
            assert_eq!(resource.path(), Some(format!("/unified/{name}").as_str()));
            assert_eq!(resource.key(), Some("id"));
        }
    }

    #[test]
    fn members_have_their_26_properties_in_the_documents_order() {
        let members = Resource::builtin("instant-messaging/members").expect("built in");
        let names: Vec<_> = members.fields().iter().map(|f| f.name.as_str()).collect();
        assert_eq!(
            names.join(" "),
            "id activated_at avatar bio created_at emails first_name groups is_email_verified languages \
             last_active_at last_login_at last_name name organizations phones remote_data status \
             status_changed_at timezone title type updated_at urls username workspaces"
        );
        let schema = members.schema();
        assert_eq!(schema.fields().len(), 27);
        assert!(is_json(schema.field_with_name("remote_data").expect("column")));
        assert_eq!(
            schema.field_with_name("created_at").expect("column").data_type(),
            &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        );
        let DataType::List(item) = schema.field_with_name("groups").expect("column").data_type() else {
            panic!("groups is a list")
        };
        let DataType::Struct(fields) = item.data_type() else { panic!("of objects") };
        let names: Vec<_> = fields.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["id", "name", "organization", "type", "workspace", "_extra"]);
    }

    #[test]
    fn what_no_column_can_hold_is_refused_by_name_and_place() {
        let refused = |properties: &str| {
            let text = format!(r#"{{"x-pagemill":{{"table":"t"}},"type":"object","properties":{properties}}}"#);
            Resource::from_json_schema(&text).expect_err(properties).to_string()
        };
        assert!(refused(r#"{"a":{"oneOf":[]}}"#).contains("\"oneOf\" is not supported"));
        assert!(refused(r#"{"a":{"oneOf":[]}}"#).contains("#/properties/a"));
        assert!(refused(r#"{"a":{"type":["string","integer"]}}"#).contains("must be one name"));
        assert!(refused(r#"{"a":{"type":"string"},"A":{"type":"string"}}"#).contains("is taken"));
        assert!(refused(r#"{"_extra":{"type":"string"}}"#).contains("is taken"));
        assert!(refused(r##"{"a":{"$ref":"#/properties/a"}}"##).contains("a $ref to itself"));
        assert!(refused(r##"{"a":{"$ref":"#/$defs/x"}}"##).contains("points to nothing"));
    }

    #[test]
    fn columns_names_and_depth_have_limits() {
        let of = |properties: String| {
            Resource::from_json_schema(&format!(r#"{{"x-pagemill":{{"table":"t"}},"properties":{{{properties}}}}}"#))
        };
        let columns = |n: usize| (0..n).map(|n| format!(r#""c{n}":{{}}"#)).collect::<Vec<_>>().join(",");
        let named = |n: usize| format!(r#""{}":{{}}"#, "n".repeat(n));
        let deep =
            |n: usize| (1..n).fold(r#""x":{}"#.to_owned(), |inner, _| format!(r#""x":{{"properties":{{{inner}}}}}"#));
        let limits: [(usize, &dyn Fn(usize) -> String); 3] =
            [(MAX_COLUMNS, &columns), (MAX_NAME, &named), (MAX_DEPTH, &deep)];
        for (limit, text) in limits {
            for (n, fits) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
                let result = of(text(n));
                assert_eq!(
                    result.as_ref().err().map(Error::kind),
                    (!fits).then_some(crate::ErrorKind::Config),
                    "{n}: {result:?}"
                );
            }
        }
    }

    #[test]
    fn refs_nulls_and_untyped_members_are_read() {
        let text = r##"{"x-pagemill":{"table":"t","key":"id"},"$defs":{"o":{"properties":{"n":{"type":["null","number"]}}}},
            "type":"object","properties":{"id":{"type":"integer"},"o":{"$ref":"#/$defs/o"},"any":{},"m":{"type":"array","items":{"type":"array","items":{"type":"string"}}}}}"##;
        let resource = Resource::from_json_schema(text).expect("reads");
        let kinds: Vec<_> = resource.fields().iter().map(|f| f.kind.clone()).collect();
        let number = Field { name: "n".into(), kind: Kind::Float };
        let matrix = Kind::List(Box::new(Kind::List(Box::new(Kind::Text))));
        assert_eq!(kinds, [Kind::Int, Kind::Struct(vec![number]), Kind::Json, matrix]);
    }
}
