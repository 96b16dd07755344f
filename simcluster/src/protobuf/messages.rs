//! The messages that are understood: the numbers of their fields and the names these have in JSON, from the
//! `generated.proto` files of `k8s.io/api` and `k8s.io/apimachinery`.

/// The fields of a message.
pub(super) type Message = [Field];

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub number: u64,
    /// Its name in JSON.
    pub name: &'static str,
    pub kind: Kind,
    /// Whether it is a list.
    pub many: bool,
}

/// The type of a field.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    /// Base64 in JSON.
    Bytes,
    /// Zero is none.
    Int,
    /// Zero is a value.
    OptionalInt,
    /// False is none.
    Bool,
    /// False is a value.
    OptionalBool,
    Time,
    Quantity,
    IntOrText,
    Message(&'static Message),
    /// By text, in any order.
    Map(&'static Kind),
}

use Kind::{Bool, Bytes, Int, IntOrText, Map, OptionalBool, OptionalInt, Quantity, Text, Time};

/// The message of a kind; `None` if it is not understood.
pub(super) fn of(version: &str, kind: &str) -> Option<&'static Message> {
    Some(match (version, kind) {
        ("v1", "Namespace") => &NAMESPACE,
        ("v1", "ServiceAccount") => &SERVICE_ACCOUNT,
        ("v1", "ConfigMap") => &CONFIG_MAP,
        ("v1", "Secret") => &SECRET,
        ("v1", "Service") => &SERVICE,
        ("v1", "ResourceQuota") => &QUOTA,
        (_, "DeleteOptions") => &DELETE_OPTIONS,
        ("policy/v1", "Eviction") => &EVICTION,
        ("rbac.authorization.k8s.io/v1", "Role" | "ClusterRole") => &ROLE,
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => &BINDING,
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => &RULES_REVIEW,
        (
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview",
        ) => &ACCESS_REVIEW,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => &SELF_REVIEW,
        ("authentication.k8s.io/v1", "TokenReview") => &TOKEN_REVIEW,
        ("authentication.k8s.io/v1", "TokenRequest") => &TOKEN_REQUEST,
        _ => return None,
    })
}

const fn one(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: false }
}

const fn many(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: true }
}

const fn below(number: u64, name: &'static str, message: &'static Message) -> Field {
    one(number, name, Kind::Message(message))
}

const fn lists(number: u64, name: &'static str, message: &'static Message) -> Field {
    many(number, name, Kind::Message(message))
}

// === messages around and inside others ===

pub(super) static ENVELOPE: [Field; 2] = [below(1, "typeMeta", &TYPE_META), one(2, "raw", Bytes)];
static TYPE_META: [Field; 2] = [one(1, "apiVersion", Text), one(2, "kind", Text)];
pub(super) static TIME: [Field; 1] = [one(1, "seconds", Int)];
pub(super) static QUANTITY: [Field; 1] = [one(1, "string", Text)];
pub(super) static INT_OR_TEXT: [Field; 3] = [one(1, "type", Int), one(2, "int", Int), one(3, "text", Text)];
static META: [Field; 13] = [
    one(1, "name", Text),
    one(2, "generateName", Text),
    one(3, "namespace", Text),
    one(5, "uid", Text),
    one(6, "resourceVersion", Text),
    one(7, "generation", Int),
    one(8, "creationTimestamp", Time),
    one(9, "deletionTimestamp", Time),
    one(10, "deletionGracePeriodSeconds", OptionalInt),
    one(11, "labels", Map(&Text)),
    one(12, "annotations", Map(&Text)),
    lists(13, "ownerReferences", &OWNER),
    many(14, "finalizers", Text),
];
static OWNER: [Field; 6] = [
    one(1, "kind", Text),
    one(3, "name", Text),
    one(4, "uid", Text),
    one(5, "apiVersion", Text),
    one(6, "controller", OptionalBool),
    one(7, "blockOwnerDeletion", OptionalBool),
];
static REFERENCE: [Field; 7] = [
    one(1, "kind", Text),
    one(2, "namespace", Text),
    one(3, "name", Text),
    one(4, "uid", Text),
    one(5, "apiVersion", Text),
    one(6, "resourceVersion", Text),
    one(7, "fieldPath", Text),
];
static LOCAL_REFERENCE: [Field; 1] = [one(1, "name", Text)];

// === the core group ===

static NAMESPACE: [Field; 2] = [below(1, "metadata", &META), below(2, "spec", &NAMESPACE_SPEC)];
static NAMESPACE_SPEC: [Field; 1] = [many(1, "finalizers", Text)];
static SERVICE_ACCOUNT: [Field; 4] = [
    below(1, "metadata", &META),
    lists(2, "secrets", &REFERENCE),
    lists(3, "imagePullSecrets", &LOCAL_REFERENCE),
    one(4, "automountServiceAccountToken", OptionalBool),
];
static CONFIG_MAP: [Field; 4] = [
    below(1, "metadata", &META),
    one(2, "data", Map(&Text)),
    one(3, "binaryData", Map(&Bytes)),
    one(4, "immutable", OptionalBool),
];
static SECRET: [Field; 5] = [
    below(1, "metadata", &META),
    one(2, "data", Map(&Bytes)),
    one(3, "type", Text),
    one(4, "stringData", Map(&Text)),
    one(5, "immutable", OptionalBool),
];
static SERVICE: [Field; 2] = [below(1, "metadata", &META), below(2, "spec", &SERVICE_SPEC)];
static SERVICE_SPEC: [Field; 19] = [
    lists(1, "ports", &SERVICE_PORT),
    one(2, "selector", Map(&Text)),
    one(3, "clusterIP", Text),
    one(4, "type", Text),
    many(5, "externalIPs", Text),
    one(7, "sessionAffinity", Text),
    one(8, "loadBalancerIP", Text),
    many(9, "loadBalancerSourceRanges", Text),
    one(10, "externalName", Text),
    one(11, "externalTrafficPolicy", Text),
    one(12, "healthCheckNodePort", Int),
    one(13, "publishNotReadyAddresses", Bool),
    one(17, "ipFamilyPolicy", Text),
    many(18, "clusterIPs", Text),
    many(19, "ipFamilies", Text),
    one(20, "allocateLoadBalancerNodePorts", OptionalBool),
    one(21, "loadBalancerClass", Text),
    one(22, "internalTrafficPolicy", Text),
    one(23, "trafficDistribution", Text),
];
static SERVICE_PORT: [Field; 6] = [
    one(1, "name", Text),
    one(2, "protocol", Text),
    one(3, "port", Int),
    one(4, "targetPort", IntOrText),
    one(5, "nodePort", Int),
    one(6, "appProtocol", Text),
];
static QUOTA: [Field; 2] = [below(1, "metadata", &META), below(2, "spec", &QUOTA_SPEC)];
static QUOTA_SPEC: [Field; 2] = [one(1, "hard", Map(&Quantity)), many(2, "scopes", Text)];
static DELETE_OPTIONS: [Field; 5] = [
    one(1, "gracePeriodSeconds", OptionalInt),
    below(2, "preconditions", &PRECONDITIONS),
    one(3, "orphanDependents", OptionalBool),
    one(4, "propagationPolicy", Text),
    many(5, "dryRun", Text),
];
static PRECONDITIONS: [Field; 2] = [one(1, "uid", Text), one(2, "resourceVersion", Text)];
static EVICTION: [Field; 2] = [below(1, "metadata", &META), below(2, "deleteOptions", &DELETE_OPTIONS)];

// === rights ===

static ROLE: [Field; 2] = [below(1, "metadata", &META), lists(2, "rules", &RULE)];
static RULE: [Field; 5] = [
    many(1, "verbs", Text),
    many(2, "apiGroups", Text),
    many(3, "resources", Text),
    many(4, "resourceNames", Text),
    many(5, "nonResourceURLs", Text),
];
static BINDING: [Field; 3] =
    [below(1, "metadata", &META), lists(2, "subjects", &SUBJECT), below(3, "roleRef", &ROLE_REFERENCE)];
static SUBJECT: [Field; 4] =
    [one(1, "kind", Text), one(2, "apiGroup", Text), one(3, "name", Text), one(4, "namespace", Text)];
static ROLE_REFERENCE: [Field; 3] = [one(1, "apiGroup", Text), one(2, "kind", Text), one(3, "name", Text)];

// === questions ===

static SELF_REVIEW: [Field; 1] = [below(1, "metadata", &META)];
static ACCESS_REVIEW: [Field; 2] = [below(1, "metadata", &META), below(2, "spec", &ACCESS_SPEC)];
/// A review of one's own rights has the first two only.
static ACCESS_SPEC: [Field; 5] = [
    below(1, "resourceAttributes", &OF_RESOURCE),
    below(2, "nonResourceAttributes", &OF_PATH),
    one(3, "user", Text),
    many(4, "groups", Text),
    one(6, "uid", Text),
];
static OF_RESOURCE: [Field; 7] = [
    one(1, "namespace", Text),
    one(2, "verb", Text),
    one(3, "group", Text),
    one(4, "version", Text),
    one(5, "resource", Text),
    one(6, "subresource", Text),
    one(7, "name", Text),
];
static OF_PATH: [Field; 2] = [one(1, "path", Text), one(2, "verb", Text)];
static RULES_REVIEW: [Field; 2] = [below(1, "metadata", &META), below(2, "spec", &RULES_SPEC)];
static RULES_SPEC: [Field; 1] = [one(1, "namespace", Text)];
static TOKEN_REVIEW: [Field; 2] = [below(1, "metadata", &META), below(2, "spec", &TOKEN_REVIEW_SPEC)];
static TOKEN_REVIEW_SPEC: [Field; 2] = [one(1, "token", Text), many(2, "audiences", Text)];
static TOKEN_REQUEST: [Field; 2] = [below(1, "metadata", &META), below(2, "spec", &TOKEN_REQUEST_SPEC)];
static TOKEN_REQUEST_SPEC: [Field; 3] = [
    many(1, "audiences", Text),
    below(3, "boundObjectRef", &BOUND),
    one(4, "expirationSeconds", OptionalInt),
];
static BOUND: [Field; 4] =
    [one(1, "kind", Text), one(2, "apiVersion", Text), one(3, "name", Text), one(4, "uid", Text)];
