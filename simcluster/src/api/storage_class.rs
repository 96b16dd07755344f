//! The admission plugins `DefaultStorageClass` and `PersistentVolumeClaimResize`.

use serde_json::Value;

use crate::resource::{CLAIMS, CLASSES};
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, Store, text_at};
use crate::validate::quantity::Quantity;

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Returns the default class: the newest that is marked so.
pub(crate) fn default_class(store: &Store) -> Option<Object> {
    let marked = |class: &Object| class.value()["metadata"]["annotations"][IS_DEFAULT] == "true";
    let created = |class: &Object| text_at(class.value(), &["metadata", "creationTimestamp"]).to_owned();
    // Of several made at once the first by name wins.
    let newer = |a: &Object, b: &Object| created(a).cmp(&created(b)).then_with(|| b.name().cmp(a.name()));
    store.list(CLASSES, None).filter(marked).max_by(newer)
}

/// Sets the class of a claim that names none. The empty name stands for no class.
pub(crate) fn set_class(store: &Store, claim: &mut Value) {
    if claim["spec"].get("storageClassName").is_none_or(Value::is_null)
        && let Some(class) = default_class(store)
    {
        claim["spec"]["storageClassName"] = class.name().into();
    }
}

/// Rejects the growth of a claim whose class does not allow it.
pub(super) fn admit_growth(store: &Store, old: &Object, new: &Value) -> ApiResult<()> {
    let size = |claim: &Value| Quantity::from_json(claim["spec"]["resources"]["requests"].get("storage")?);
    let grows = size(old.value()).zip(size(new)).is_some_and(|(was, is)| is.exceeds(was));
    if !grows {
        return Ok(());
    }
    if old.value()["status"]["phase"] != "Bound" {
        let why = "Only bound persistent volume claims can be expanded";
        return Err(ApiError::forbidden(CLAIMS, old.name(), why));
    }
    let class = store.get(CLASSES, "", text_at(new, &["spec", "storageClassName"]));
    if class.is_some_and(|class| class.value()["allowVolumeExpansion"] == true) {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
               support resize";
    Err(ApiError::forbidden(CLAIMS, old.name(), why))
}
