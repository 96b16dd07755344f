//! The types of the API: their fields, and how several writers share each field.
//!
//! Everything that depends on types uses this one table: the check of fields, strategic merges, the ownership of fields
//! and the `OpenAPI` document.

mod parse;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::resource::Resource;

/// A type with fields.
#[derive(Debug)]
pub(crate) struct Struct {
    /// As in the table: `PodSpec`, `networking.NetworkPolicy`.
    pub name: &'static str,
    /// Whether it has one owner as a whole: its last writer.
    pub atomic: bool,
    pub fields: BTreeMap<&'static str, Field>,
}

/// One field of a type.
#[derive(Debug)]
pub(crate) struct Field {
    pub shape: Shape,
    pub sharing: Sharing,
    /// The key that identifies the items of a list in a strategic merge; `None` if a merge replaces the list.
    pub merge_key: Option<&'static str>,
}

/// The type of a field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Int32,
    Int64,
    Double,
    Bool,
    Bytes,
    Quantity,
    /// A number or a text.
    IntOrText,
    /// Whole seconds; written as `null` where it is unset.
    Time,
    /// As `Time`, with microseconds.
    MicroTime,
    Anything,
    /// A type by its name.
    One(&'static str),
    List(Box<Shape>),
    Map(Box<Shape>),
}

/// How several writers share a list or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each member has its owners. The value for scalars.
    Members,
    /// It has one owner.
    Whole,
    /// A list of scalars, each of which has its owners.
    Set,
    /// A list of items that these members identify.
    Keyed(Vec<&'static str>),
}

static TYPES: LazyLock<BTreeMap<&'static str, Struct>> =
    LazyLock::new(|| parse::table(include_str!("types.txt")));

/// Returns the type with a name.
pub(crate) fn named(name: &str) -> Option<&'static Struct> {
    TYPES.get(name)
}

/// Returns the type of a resource's objects.
pub(crate) fn of(resource: &Resource) -> Option<&'static Struct> {
    named(&type_name(resource.group, resource.kind))
}

/// The name of a kind in the table. Outside the core group it begins with the first word of the group.
pub(crate) fn type_name(group: &str, kind: &str) -> String {
    match group.split('.').next().unwrap_or("") {
        "" => kind.to_owned(),
        first => format!("{first}.{kind}"),
    }
}

// === impl Shape ===

impl Shape {
    /// Returns the type of the value, if it has fields.
    pub fn below(&self) -> Option<&'static Struct> {
        match self {
            Self::One(name) => named(name),
            _ => None,
        }
    }

    /// Returns the name of the type in Go, for errors.
    pub fn go(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Double => "float64".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Quantity => "resource.Quantity".to_owned(),
            Self::IntOrText => "intstr.IntOrString".to_owned(),
            Self::Time => "v1.Time".to_owned(),
            Self::MicroTime => "v1.MicroTime".to_owned(),
            Self::Anything => "interface {}".to_owned(),
            Self::One(name) => format!("v1.{}", bare(name)),
            Self::List(item) => format!("[]{}", item.go()),
            Self::Map(item) => format!("map[string]{}", item.go()),
        }
    }
}

/// A type's name without its group.
pub(crate) fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::RESOURCES;

    /// Guards the table: every type that a field names is there, and every kind that is served.
    #[test]
    fn the_table_is_closed() {
        fn check(shape: &Shape) {
            match shape {
                Shape::One(name) => assert!(named(name).is_some(), "{name}"),
                Shape::List(item) | Shape::Map(item) => check(item),
                _ => {}
            }
        }
        for kind in TYPES.values() {
            kind.fields.values().for_each(|field| check(&field.shape));
        }
        for resource in &RESOURCES {
            assert!(of(resource).is_some(), "{}", resource.qualified());
        }
    }

    #[test]
    fn fields_say_how_they_are_shared() {
        let container = named("Container").unwrap();
        let ports = &container.fields["ports"];
        assert_eq!(ports.sharing, Sharing::Keyed(vec!["containerPort", "protocol"]));
        assert_eq!(ports.merge_key, Some("containerPort"));
        assert_eq!(container.fields["args"].sharing, Sharing::Whole);
        assert_eq!(container.fields["args"].merge_key, None);
        assert_eq!(named("ObjectMeta").unwrap().fields["finalizers"].sharing, Sharing::Set);
        assert!(named("LabelSelector").unwrap().atomic);
    }
}
