//! The bodies of requests in the description of the API. Their parsers are in [`super`]. The test
//! `the_parsers_read_the_described_fields` compares the names.

use lifecycle::{
    ids::{
        CLUSTER_NAME_PATTERN, PATH_MAX, PATH_SEGMENT_MAX, PROFILE_NAME_PATTERN, SANDBOX_ID_MAX,
        SANDBOX_ID_PATTERN, THREAD_ID_PATTERN, USER_ID_PATTERN,
    },
    network::NetworkMode,
    placement::Terms,
    workspace::WhenDeleted,
};
use serde_json::{Value, json};
use utoipa::openapi::{
    RefOr, Schema,
    schema::{AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type},
};

use super::{
    SELECTOR_MAX,
    overrides::{ENV_MAX, LABELS_MAX},
};

/// A number and a unit, possibly several. It matches every duration that the parser accepts, and some others.
pub(in crate::http) const DURATION_PATTERN: &str = r"^ *[0-9]+ *[A-Za-z]+[0-9A-Za-z ]*$";

/// The body of a POST of a sandbox.
pub(in crate::http) fn create() -> Object {
    let mounts = object()
        .description(Some("A directory of the node."))
        .property("host_path", path("The path on the node, inside DeerFlow's state directory."))
        .required("host_path")
        .property("container_path", path("The path in the sandbox."))
        .required("container_path")
        .property("read_only", flag("Whether the sandbox cannot write to it."));
    let mounts = ArrayBuilder::new()
        .items(mounts)
        .description(Some("Further directories of the node that the sandbox has."))
        .max_items(Some(10))
        .default(Some(json!([])));
    let id = string("The id that the client chooses. It is a part of the names of the Pod and the Service.");
    let id = id.pattern(Some(SANDBOX_ID_PATTERN)).min_length(Some(1)).max_length(Some(SANDBOX_ID_MAX));
    let thread = or_null("The conversation whose data is mounted. Default: the `sandbox_id`.");
    let user = string("The user whose data is mounted.").default(Some("default".into()));
    let skills = path("The directory below which skills are mounted.").default(Some("/mnt/skills".into()));
    let sessions = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(1))
        .description(Some("The maximum number of shell sessions. If absent or null, the image decides."));
    let profile = or_null("The profile of the Pod. Default: the profile `default`, if there is one.");
    let cluster = or_null("The cluster on which it is created. Default: the daemon chooses.");
    let selector =
        or_null("A label selector for the clusters on which it may be created, such as `region=eu`.")
            .max_length(Some(SELECTOR_MAX));
    let workspace = object()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("Changes of the profile's workspace, as far as the profile allows it."))
        .property("size", amount("The size, such as `10Gi`."))
        .property("when_deleted", when_deleted())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    object()
        .description(Some("The sandbox to create."))
        .property("sandbox_id", id.examples([Value::from("abc-123")]))
        .required("sandbox_id")
        .property("thread_id", thread.pattern(Some(THREAD_ID_PATTERN)))
        .property("user_id", user.pattern(Some(USER_ID_PATTERN)).max_length(Some(PATH_SEGMENT_MAX)))
        .property("extra_mounts", mounts)
        .property("include_legacy_skills", flag("Whether to mount skills of the old layout as well."))
        .property("skills_container_path", skills)
        .property("max_shell_sessions", sessions)
        .property("provision_lark_cli_runtime", flag("Whether the sandbox includes the Lark command line."))
        .property(
            "provision_lark_cli_broker",
            flag("Whether the sandbox includes the broker of the Lark command line."),
        )
        .property("profile", profile.pattern(Some(PROFILE_NAME_PATTERN)))
        .property("cluster", cluster.pattern(Some(CLUSTER_NAME_PATTERN)))
        .property("cluster_selector", selector)
        .property("resources", resources("The limits of the container, as far as the profile allows it."))
        .property("env", texts("Variables of the container, as far as the profile allows it.", ENV_MAX))
        .property("labels", texts("Labels of the Pod, as far as the profile allows it.", LABELS_MAX))
        .property("image", or_null("The image, as far as the profile allows it."))
        .property("network", network())
        .property("workspace", workspace)
        .property(
            "ttl",
            duration("The lifetime since the creation. Default: that of the profile, else of the settings."),
        )
        .property("idle_timeout", duration("The lifetime since the last activity. Default as of `ttl`."))
        .build()
}

/// The body of a PATCH of a sandbox.
pub(in crate::http) fn change() -> Object {
    object()
        .description(Some(
            "The new limits of a sandbox, its new resources, or both. At least one field is needed.",
        ))
        .property(
            "ttl",
            duration("The lifetime since the creation. Null restores the default in the settings."),
        )
        .property("idle_timeout", duration("The lifetime since the last activity. Null as for `ttl`."))
        .property("resources", resources("The limits of the container, which are changed in place."))
        .min_properties(Some(1))
        .build()
}

/// The body of a PATCH of a workspace.
pub(in crate::http) fn workspace_size() -> Object {
    object()
        .description(Some("The new size of a workspace."))
        .property(
            "size",
            ObjectBuilder::from(amount("The size, such as `10Gi`. It cannot shrink."))
                .schema_type(SchemaType::from_iter([Type::String, Type::Number])),
        )
        .required("size")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

/// The body of a move.
pub(in crate::http) fn move_to() -> Object {
    let cluster = string("The cluster to which the sandbox moves.").pattern(Some(CLUSTER_NAME_PATTERN));
    object()
        .description(Some("Where a sandbox moves."))
        .property("cluster", cluster)
        .required("cluster")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

/// The body of a PATCH of a cluster.
pub(in crate::http) fn cluster_change() -> Object {
    let weight = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(Terms::WEIGHT_MAX))
        .description(Some(
            "The share of the new sandboxes, in relation to the other clusters. With 0 it gets none.",
        ));
    let drain = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some("Whether it gets no new sandboxes, whatever its weight."));
    object()
        .description(Some("The change of a cluster. At least one field is needed."))
        .property("weight", weight)
        .property("drain", drain)
        .min_properties(Some(1))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

fn string(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn or_null(description: &str) -> ObjectBuilder {
    string(description).schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

fn flag(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some(description))
        .default(Some(Value::Bool(false)))
}

fn path(description: &str) -> ObjectBuilder {
    string(description).max_length(Some(PATH_MAX))
}

fn duration(description: &str) -> ObjectBuilder {
    let description = format!("{description} Such as `90s`, `15m` or `2h 30m`, between 1s and 365d.");
    or_null(&description).pattern(Some(DURATION_PATTERN)).examples([Value::from("2h 30m")])
}

fn amount(description: &str) -> Object {
    or_null(description).schema_type(SchemaType::from_iter([Type::String, Type::Number, Type::Null])).build()
}

fn resources(description: &str) -> ObjectBuilder {
    object()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(description))
        .property("cpu", amount("Such as `500m` or `2`."))
        .property("memory", amount("Such as `4Gi`."))
        .property("ephemeral_storage", amount("Such as `10Gi`."))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn texts(description: &str, max: usize) -> ObjectBuilder {
    let value = RefOr::from(ObjectBuilder::new().schema_type(Type::String));
    object()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(description))
        .additional_properties(Some(AdditionalProperties::<Schema>::RefOr(value)))
        .max_properties(Some(max))
}

fn network() -> ObjectBuilder {
    let names = NetworkMode::ALL.map(|mode| Value::from(mode.name()));
    or_null("The network mode, as far as the profile allows it.")
        .enum_values(Some(names.into_iter().chain([Value::Null])))
}

fn when_deleted() -> ObjectBuilder {
    let names = [WhenDeleted::Keep, WhenDeleted::Delete].map(|choice| json!(choice));
    or_null("Whether it is kept or deleted after the last sandbox.")
        .enum_values(Some(names.into_iter().chain([Value::Null])))
}
