//! The schemas of the document, from those that are derived from types.
//!
//! A derived schema differs from the JSON in two ways. A flattened field is an `allOf`, which readers and generators of
//! clients find hard to follow. A field that is left out without a value is described as null.

use std::collections::BTreeMap;

use super::names;
use utoipa::{
    ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{
            AdditionalProperties, AllOfBuilder, ArrayBuilder, Object, ObjectBuilder, OneOf, SchemaType, Type,
        },
    },
};

/// Where a schema is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// In the body of a request: null is not the same as an absent field.
    Request,
    /// In an answer, where a field without a value is absent if the schema does not require it.
    Response,
}

/// A schema with its name.
pub(crate) type Named = (String, Use, RefOr<Schema>);

/// Returns the schema of a type, and those that it refers to.
pub(crate) fn named<T: ToSchema>(used: Use) -> Vec<Named> {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    schemas.push((T::name().into_owned(), T::schema()));
    schemas.into_iter().map(|(name, schema)| (name, used, schema)).collect()
}

/// Returns the schemas as the document has them: without `allOf`, without null for absent fields, and only those that
/// something refers to.
pub(super) fn plain(schemas: impl IntoIterator<Item = Named>) -> BTreeMap<String, RefOr<Schema>> {
    let schemas: BTreeMap<_, _> =
        schemas.into_iter().map(|(name, used, schema)| (name, (used, schema))).collect();
    let flat = |schema: &RefOr<Schema>| match schema {
        RefOr::T(Schema::AllOf(all)) => {
            let mut whole = merged(&all.items, &schemas);
            whole.description.clone_from(&all.description);
            RefOr::T(Schema::Object(whole))
        }
        other => other.clone(),
    };
    let plain = schemas.iter().map(|(name, (used, schema))| {
        let schema = flat(schema);
        let mut schema = if *used == Use::Response { without_null(schema) } else { schema };
        in_one_line(&mut schema);
        (name.clone(), schema)
    });
    plain.collect()
}

/// Returns one object with the fields of all.
fn merged(parts: &[RefOr<Schema>], schemas: &BTreeMap<String, (Use, RefOr<Schema>)>) -> Object {
    let mut whole = Object::with_type(Type::Object);
    // The fields of the type itself are last in an `allOf`, and first here.
    for part in parts.iter().rev() {
        let (part, is_optional) = match part {
            RefOr::T(Schema::OneOf(OneOf { items, .. })) => match &items[..] {
                [part, null] if is_null(null) => (part, true),
                _ => continue,
            },
            part => (part, false),
        };
        let part = match part {
            RefOr::Ref(Ref { ref_location, .. }) => {
                let name = ref_location.rsplit('/').next().unwrap_or_default();
                match schemas.get(name) {
                    Some((_, RefOr::T(schema))) => schema,
                    _ => continue,
                }
            }
            RefOr::T(schema) => schema,
        };
        let part = match part {
            Schema::AllOf(all) => merged(&all.items, schemas),
            Schema::Object(object) => object.clone(),
            _ => continue,
        };
        whole.properties.extend(part.properties);
        whole.required.extend(part.required.into_iter().filter(|_| !is_optional));
    }
    whole
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}

/// Joins the lines of a comment.
fn in_one_line(schema: &mut RefOr<Schema>) {
    let join = |text: &mut Option<String>| {
        if let Some(text) = text {
            *text = text.replace('\n', " ");
        }
    };
    match schema {
        RefOr::Ref(reference) => reference.description = reference.description.replace('\n', " "),
        RefOr::T(Schema::Object(object)) => {
            join(&mut object.description);
            object.properties.values_mut().for_each(in_one_line);
        }
        RefOr::T(Schema::Array(array)) => join(&mut array.description),
        RefOr::T(Schema::OneOf(one)) => {
            join(&mut one.description);
            one.items.iter_mut().for_each(in_one_line);
        }
        RefOr::T(_) => {}
    }
}

/// Returns the schema without null for the fields that are not required.
fn without_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = schema else { return schema };
    for (name, property) in &mut object.properties {
        if !object.required.contains(name) {
            *property = not_null(property);
        }
    }
    RefOr::T(Schema::Object(object))
}

fn not_null(schema: &RefOr<Schema>) -> RefOr<Schema> {
    let not_null = |types: &SchemaType| match types {
        SchemaType::Array(types) => {
            let types: Vec<_> = types.iter().filter(|kind| **kind != Type::Null).cloned().collect();
            match <[Type; 1]>::try_from(types) {
                Ok([kind]) => SchemaType::Type(kind),
                Err(types) => SchemaType::Array(types),
            }
        }
        other => other.clone(),
    };
    match schema {
        RefOr::T(Schema::OneOf(OneOf { items, description, .. })) => match &items[..] {
            [RefOr::Ref(one), null] if is_null(null) => {
                let mut one = one.clone();
                if let Some(description) = description {
                    one.description.clone_from(description);
                }
                RefOr::Ref(one)
            }
            _ => schema.clone(),
        },
        RefOr::T(Schema::Object(object)) => {
            let mut object = object.clone();
            object.schema_type = not_null(&object.schema_type);
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::Array(array)) => {
            let mut array = array.clone();
            array.schema_type = not_null(&array.schema_type);
            RefOr::T(Schema::Array(array))
        }
        other => other.clone(),
    }
}

/// A text.
pub(crate) fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

/// Any object.
pub(super) fn any(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(description))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
}

/// The body of an error with one of these reasons. Its `detail` is a list for invalid fields, and else a text.
pub(super) fn error(has_fields: bool, reasons: &[&'static str], is_required: bool) -> RefOr<Schema> {
    let mut part = ObjectBuilder::new().schema_type(Type::Object);
    part = if has_fields {
        part.property("detail", ArrayBuilder::new().items(Ref::from_schema_name("FieldError")))
    } else {
        part.property("detail", ObjectBuilder::new().schema_type(Type::String))
    };
    if !reasons.is_empty() {
        part = part.property("reason", names::one_of(reasons.iter().copied()));
    }
    if is_required {
        part = part.required("reason");
    }
    AllOfBuilder::new().item(Ref::from_schema_name("Error")).item(part).into()
}
