//! Query options and media types. All are checked before the request has any effect.

use serde_json::Value;

use super::list::Selection;
use crate::calls::Verb;
use crate::form::Form;
use crate::patch::PatchKind;
use crate::query::Query;
use crate::request::Request;
use crate::route::Target;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::text_at;

/// The maximum length of a field manager's name, in bytes (`FieldManagerMaxLength`).
const MANAGER_LIMIT: usize = 128;
/// The supported media types of bodies.
const BODY_TYPES: &[&str] = &[
    "application/json",
    "application/yaml",
    #[cfg(feature = "kubectl")]
    "application/vnd.kubernetes.protobuf",
];
/// The media types of responses that the server's messages list. The last one is not supported here.
const ANSWER_TYPES: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const NOT_OLDER: &str = "NotOlderThan";

/// Rejects invalid options.
pub(super) fn check(target: &Target, request: &Request) -> ApiResult<()> {
    if target.sub != Some(crate::resource::Sub::Log) && !Form::is_known(&request.accept) {
        return Err(ApiError::not_acceptable(ANSWER_TYPES));
    }
    let query = &request.query;
    for key in ["limit", "timeoutSeconds", "gracePeriodSeconds"] {
        if let Some(text) = query.get(key).filter(|text| text.parse::<i64>().is_err()) {
            let why = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
            return Err(ApiError::bad_request(why));
        }
    }
    if matches!(request.verb, Verb::List | Verb::Watch | Verb::DeleteCollection) {
        Selection::check_syntax(query)?;
    }
    let (kind, causes) = match request.verb {
        Verb::Get => return Ok(()),
        Verb::List => ("ListOptions", check_list(query)),
        Verb::Watch => ("ListOptions", check_watch(query)),
        Verb::Create => ("CreateOptions", check_write(query)),
        Verb::Update => ("UpdateOptions", check_write(query)),
        Verb::Patch => ("PatchOptions", check_patch(request)),
        Verb::Delete => ("DeleteOptions", check_dry_run(query.get("dryRun"))),
        Verb::DeleteCollection => match check_list(query) {
            causes if causes.is_empty() => ("DeleteOptions", check_dry_run(query.get("dryRun"))),
            causes => ("ListOptions", causes),
        },
    };
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid_kind("meta.k8s.io", kind, "", &causes)) }
}

/// Returns whether the request is a dry run.
pub(super) fn is_dry_run(query: &Query) -> bool {
    query.get("dryRun").is_some()
}

/// Parses a body of JSON or YAML. The error is the parser's.
pub(super) fn parse(request: &Request) -> ApiResult<Result<Value, ParseError>> {
    let kind = request.content_type.split(';').next().unwrap_or("").trim();
    match kind {
        "application/yaml" | "application/apply-patch+yaml" => Ok(from_yaml(&request.body)),
        other if other.contains('/') && other != "application/json" => {
            Err(ApiError::unsupported_media(&BODY_TYPES.join(", ")))
        }
        // Without a valid media type the body is treated as JSON.
        _ => Ok(serde_json::from_slice(&request.body).map_err(ParseError::Json)),
    }
}

/// Parses a body. The error names it.
pub(super) fn parse_or_refuse(request: &Request, name: &str) -> ApiResult<Value> {
    parse(request)?.map_err(|error| ApiError::bad_request(format!("{name} could not be read: {error:?}")))
}

/// Parses YAML.
fn from_yaml(body: &[u8]) -> Result<Value, ParseError> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|error| ParseError::Yaml(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| ParseError::Yaml(error.to_string()))
}

/// Why a body could not be parsed.
#[derive(Debug)]
pub(super) enum ParseError {
    Json(serde_json::Error),
    Yaml(String),
}

/// Rejects invalid delete options.
pub(super) fn check_delete(options: &Value) -> ApiResult<()> {
    let mut causes = check_dry_run(options["dryRun"][0].as_str());
    let policy = text_at(options, &["propagationPolicy"]);
    let policies = ["Foreground", "Background", "Orphan", "nil"];
    if options["orphanDependents"].is_boolean() && !policy.is_empty() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid_text("propagationPolicy", policy, why));
    }
    if !policy.is_empty() && !policies.contains(&policy) {
        causes.push(Cause::unsupported("propagationPolicy", policy, &policies));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_kind("meta.k8s.io", "DeleteOptions", "", &causes))
}

fn check_dry_run(value: Option<&str>) -> Vec<Cause> {
    let message = |value| format!("Unsupported value: [{value:?}]: supported values: \"All\"");
    let wrong = value.filter(|value| *value != "All").map(message);
    wrong.map(|message| Cause::new("FieldValueNotSupported", "dryRun", message)).into_iter().collect()
}

fn check_write(query: &Query) -> Vec<Cause> {
    let mut causes = check_dry_run(query.get("dryRun"));
    if let Some(manager) = query.get("fieldManager") {
        if manager.len() > MANAGER_LIMIT {
            causes.push(Cause::too_long("fieldManager", MANAGER_LIMIT));
        }
        if manager.chars().any(char::is_control) {
            let why = "should only contain printable characters";
            causes.push(Cause::invalid_text("fieldManager", manager, why));
        }
    }
    let levels = ["", "Ignore", "Strict", "Warn"];
    let level = query.get("fieldValidation").unwrap_or("");
    causes.extend(Cause::unless_supported("fieldValidation", level, &levels));
    causes
}

fn check_patch(request: &Request) -> Vec<Cause> {
    let query = &request.query;
    let mut causes = Vec::new();
    match PatchKind::of(&request.content_type) {
        #[cfg(feature = "kubectl")]
        Ok(PatchKind::Apply) if query.get("fieldManager").is_none() => {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
        #[cfg(feature = "kubectl")]
        Ok(PatchKind::Apply) => {}
        Ok(_) if query.get("force").is_some() => {
            causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
        }
        // An unknown type of patch is rejected later, with the list of known types.
        Ok(_) | Err(_) => {}
    }
    causes.extend(check_write(query));
    causes
}

fn check_list(query: &Query) -> Vec<Cause> {
    let field = "resourceVersionMatch";
    let mut causes = Vec::new();
    if let Some(how) = query.get(field) {
        if query.get("resourceVersion").is_none() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            causes.push(Cause::forbidden(field, why));
        }
        if query.get("continue").is_some() {
            causes
                .push(Cause::forbidden(field, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if how != "Exact" && how != NOT_OLDER {
            causes.push(Cause::unsupported(field, how, &["Exact", NOT_OLDER, ""]));
        }
        if how == "Exact" && query.get("resourceVersion") == Some("0") {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(Cause::forbidden(field, why));
        }
    }
    if query.get("sendInitialEvents").is_some() {
        causes.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

fn check_watch(query: &Query) -> Vec<Cause> {
    let field = "resourceVersionMatch";
    let (how, initial) = (query.get(field), query.get("sendInitialEvents").is_some());
    let mut causes = Vec::new();
    if initial && how != Some(NOT_OLDER) {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(Cause::forbidden(field, why));
    }
    let Some(how) = how else { return causes };
    if !initial {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(Cause::forbidden(field, why));
    }
    if how != NOT_OLDER {
        causes.push(Cause::unsupported(field, how, &[NOT_OLDER]));
    }
    if query.get("continue").is_some() {
        causes.push(Cause::forbidden(field, "resourceVersionMatch is forbidden when continue is provided"));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_list_and_watch_options_are_rejected() {
        let list = |text| check_list(&Query::parse(text)).len();
        assert_eq!(list("resourceVersion=5&resourceVersionMatch=Exact"), 0);
        assert_eq!(list("resourceVersionMatch=Exact"), 1);
        assert_eq!(list("resourceVersion=0&resourceVersionMatch=Exact"), 1);
        assert_eq!(list("resourceVersion=5&resourceVersionMatch=Roughly"), 1);
        assert_eq!(list("sendInitialEvents=true"), 1);
        let watch = |text| check_watch(&Query::parse(text)).len();
        assert_eq!(watch("resourceVersion=5"), 0);
        assert_eq!(watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), 0);
        assert_eq!(watch("sendInitialEvents=true"), 1);
        assert_eq!(watch("resourceVersionMatch=NotOlderThan"), 1);
    }

    #[test]
    fn yaml_and_json_are_parsed() {
        let wanted = serde_json::json!({"a": {"b": [1, "x"]}});
        assert_eq!(from_yaml(b"a:\n  b:\n  - 1\n  - x\n").unwrap(), wanted);
        assert_eq!(from_yaml(b"{\"a\": {\"b\": [1, \"x\"]}}").unwrap(), wanted);
        assert!(from_yaml(b"a: [").is_err());
    }
}
