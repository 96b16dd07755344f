//! How an object looks after a write, to tell a lost answer from a slow one.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The effect of a write.
#[derive(Debug, Clone, Copy)]
pub enum Effect<'a> {
    /// The object exists.
    Created,
    /// The object with this uid is gone or terminating.
    Deleted(&'a str),
    /// The object has these annotations, and not those without a value.
    Annotated(&'a BTreeMap<&'static str, Option<String>>),
}

// === impl Effect ===

impl Effect<'_> {
    /// Returns whether the object with the name of the call shows the effect. `object` is `None` if there is no such object.
    pub fn is_shown_by(self, object: Option<&ObjectMeta>) -> bool {
        match (self, object) {
            (Self::Created, object) => object.is_some(),
            (Self::Deleted(_) | Self::Annotated(_), None) => true,
            (Self::Deleted(uid), Some(object)) => {
                object.uid.as_deref() != Some(uid) || object.deletion_timestamp.is_some()
            }
            (Self::Annotated(wanted), Some(object)) => {
                let present = object.annotations.as_ref();
                wanted.iter().all(|(key, text)| present.and_then(|all| all.get(*key)) == text.as_ref())
            }
        }
    }
}

#[cfg(test)]
mod tests;
