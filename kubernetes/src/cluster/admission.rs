//! Compares a created object with the request: a mutating admission may have changed it so that it cannot be used.

use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
};

use crate::{names, object::SandboxObject};

/// Returns the error if the answer to a create differs from the request in a field that this program relies on: the
/// name, the labels by which the object is watched and selected, and the parts of the spec that make up the URL. Parses the
/// request only where it has to.
pub fn check<K: SandboxObject>(
    id: &SandboxId,
    sent: impl FnOnce() -> Option<K>,
    answered: &K,
) -> Result<(), ClusterError> {
    let (kind, name) = (K::kind(&()), K::name(id));
    let meta = answered.meta();
    let field = if meta.name.as_deref() != Some(name.as_str()) {
        Some(format!("metadata.name (now {:?})", meta.name.as_deref().unwrap_or_default()))
    } else if let Some((label, now)) = names::altered_label(id, meta.labels.as_ref()) {
        let now = now.map_or_else(|| "now absent".to_owned(), |value| format!("now {value:?}"));
        Some(format!("metadata.labels[{label:?}] ({now})"))
    } else {
        answered.altered_spec(sent)
    };
    match field {
        None => Ok(()),
        Some(field) => Err(ClusterError::new(
            ClusterErrorKind::Mutated,
            &format!(
                "a mutating admission has changed {field} of {kind} {name:?}; exclude the namespace of the sandboxes \
                 from it"
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
