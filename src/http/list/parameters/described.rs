//! The parameters of a list in the description of the API.

use lifecycle::{
    ids::{PROFILE_NAME_PATTERN, THREAD_ID_PATTERN, USER_ID_PATTERN},
    phase::Phase,
};
use serde_json::{Value, json};
use utoipa::openapi::{
    path::{Parameter, ParameterIn},
    schema::{ArrayBuilder, ObjectBuilder, Type},
};

use crate::http::{
    openapi::{
        failures::{Failure, invalid_parameter},
        names, parameters,
    },
    request::Problem,
};

/// Returns the parameters.
pub(in crate::http::list) fn parameters() -> Vec<Parameter> {
    let string = || ObjectBuilder::new().schema_type(Type::String);
    let any_of = |name, text: &str, value: ObjectBuilder, example: &str| {
        let schema = ArrayBuilder::new().items(value);
        parameters::optional(ParameterIn::Query, name, text, schema, json!([example]))
    };
    let one = |name, text: &str, schema: ObjectBuilder, example: Value| {
        parameters::optional(ParameterIn::Query, name, text, schema, example)
    };
    let id = |pattern: &str| string().pattern(Some(pattern));
    let profile = || id(PROFILE_NAME_PATTERN);
    vec![
        any_of("status", "Only sandboxes with this status.", names::one_of(Phase::NAMES), "Running"),
        any_of("reason", "Only sandboxes with this reason.", string().min_length(Some(1)), "Unschedulable"),
        any_of("user_id", "Only sandboxes whose POST had this user.", id(USER_ID_PATTERN), "alice"),
        any_of(
            "thread_id",
            "Only sandboxes whose POST had this thread.",
            id(THREAD_ID_PATTERN),
            "thread-456",
        ),
        any_of("profile", "Only sandboxes with this profile.", profile(), "large"),
        any_of(
            "cluster",
            "Only sandboxes in this cluster. The only one is `default`. A cluster that does not exist is a 422.",
            profile(),
            "default",
        ),
        any_of(
            "label",
            "Only sandboxes whose labels match this label selector.",
            string(),
            "team in (search)",
        ),
        one(
            "limit",
            "At most this many sandboxes.",
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)),
            json!(100),
        ),
        one("continue", "The token of the page before.", string(), json!("MS9hYmMtMTIz")),
    ]
}

/// Returns the errors of invalid parameters.
pub(in crate::http::list) fn failures() -> Vec<Failure> {
    vec![invalid_parameter("status", Problem::one_of(&Phase::NAMES), "running")]
}

#[cfg(test)]
mod tests {
    use super::{super::NAMES, *};

    /// Guards that the description has the parameters that are read.
    #[test]
    fn each_parameter_is_described() {
        let described: Vec<_> = parameters().into_iter().map(|parameter| parameter.name).collect();
        assert_eq!(described, NAMES);
    }
}
