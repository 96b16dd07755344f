//! Server-side apply: `PATCH` with a configuration.

use http::StatusCode;

use super::update::{Origin, change, check_name_and_namespace, find};
use super::{create, decode, managed_fields, options};
use crate::ownership::{self, Applied};
use crate::reply::Reply;
use crate::request::Request;
use crate::resource::Sub;
use crate::route::Target;
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};
use crate::view;

/// Applies the configuration in the body.
pub(super) fn apply(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let config = options::parse(request)?
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error:?}")))?;
    if config["metadata"]["managedFields"].as_array().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let decoded = decode::check(target.resource, config, request.query.get("fieldValidation"))?;
    check_name_and_namespace(&decoded.value, target)?;
    let mut config = view::stored(target.resource, decoded.value);
    if target.sub != Some(Sub::Status) {
        drop(config.as_object_mut().and_then(|fields| fields.remove("status")));
    }
    let writer = managed_fields::writer(shared, target, request);
    let mut state = shared.state();
    let (status, object) = match find(&state, target) {
        Err(missing) if target.sub.is_some() => return Err(missing),
        Err(_) => {
            let object = create::create_object(&mut state, shared, target, request, config)?;
            (StatusCode::CREATED, object)
        }
        Ok(old) => {
            let Some(kind) = ownership::kind_of(old.resource) else {
                return Err(ApiError::internal("the kind has no schema"));
            };
            let force = request.query.is_on("force");
            let merged = match ownership::apply(old.value(), &config, kind, &writer, force) {
                Applied::Done(merged) => merged,
                Applied::Conflicts(message, causes) => {
                    return Err(ApiError::apply_conflict(message, &causes));
                }
            };
            let origin = Origin::Apply(config);
            (StatusCode::OK, change(&mut state, shared, target, request, &old, merged, &origin)?)
        }
    };
    drop(state);
    Ok(Reply::object(status, target.resource, &object, request, shared).with_warnings(decoded.warnings))
}
