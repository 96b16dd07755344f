//! Parses the table of types. The table is part of the program, so tests find its mistakes. An unknown shape becomes
//! `Shape::Anything`.

use std::collections::BTreeMap;

use super::{Field, Shape, Sharing, Struct};

pub(super) fn table(text: &'static str) -> BTreeMap<&'static str, Struct> {
    let mut types = BTreeMap::new();
    let mut current: Option<Struct> = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(field) = line.strip_prefix(' ') {
            let mut words = field.split(' ');
            if let (Some(kind), Some(name), Some(shape)) = (&mut current, words.next(), words.next()) {
                kind.fields.insert(name, self::field(shape, &words.collect::<Vec<_>>()));
            }
            continue;
        }
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let next = Struct { name, atomic: rest == "atomic", fields: BTreeMap::new() };
        if let Some(done) = current.replace(next) {
            types.insert(done.name, done);
        }
    }
    types.extend(current.map(|last| (last.name, last)));
    types
}

fn field(shape: &'static str, rest: &[&'static str]) -> Field {
    let shape = self::shape(shape);
    let patch_key = rest.iter().find_map(|word| word.strip_prefix("patch="));
    let (sharing, own_key) = match rest.first() {
        Some(&"atomic") => (Sharing::Whole, None),
        Some(&"set") => (Sharing::Set, None),
        Some(keys) if !keys.starts_with("patch=") => {
            (Sharing::Keyed(keys.split(',').collect()), keys.split(',').next())
        }
        // A list without a merge strategy is replaced whole.
        _ if matches!(shape, Shape::List(_)) => (Sharing::Whole, None),
        _ => (Sharing::Members, None),
    };
    Field { shape, sharing, merge_key: patch_key.or(own_key) }
}

fn shape(text: &'static str) -> Shape {
    let between =
        |open, close| text.strip_prefix(open).and_then(|rest: &'static str| rest.strip_suffix(close));
    if let Some(item) = between('[', ']') {
        return Shape::List(Box::new(shape(item)));
    }
    if let Some(item) = between('{', '}') {
        return Shape::Map(Box::new(shape(item)));
    }
    match text {
        "string" => Shape::Text,
        "int32" => Shape::Int32,
        "int64" => Shape::Int64,
        "double" => Shape::Double,
        "bool" => Shape::Bool,
        "bytes" => Shape::Bytes,
        "quantity" => Shape::Quantity,
        "intstr" => Shape::IntOrText,
        "time" => Shape::Time,
        "microtime" => Shape::MicroTime,
        "any" => Shape::Anything,
        name => Shape::One(name),
    }
}
