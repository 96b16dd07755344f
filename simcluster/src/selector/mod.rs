//! Label and field selectors: parsed once a request, matched against objects.

mod field;
mod label;
pub(crate) mod requirements;

pub(crate) use field::{FieldSelector, check_syntax as check_fields};
pub(crate) use label::LabelSelector;
