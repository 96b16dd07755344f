//! The types whose JSON is one of a few names, or a number with a bound. Their own `Serialize` writes a name that a derive
//! does not know, so each has a stand-in for the document.

use lifecycle::{
    lifetime::ReapReason,
    network::{Enforced, NetworkMode},
};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// Defines a stand-in: a type, its name in the document, its description, and its schema.
macro_rules! stand_in {
    ($type:ident, $name:literal, $description:literal, $schema:expr) => {
        #[doc = $description]
        pub(crate) enum $type {}

        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema.description(Some($description)).into()
            }
        }

        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    };
}
pub(crate) use stand_in;

/// One of these texts.
pub(crate) fn one_of(names: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}

stand_in!(NetworkModeName, "NetworkMode", "A network mode.", one_of(NetworkMode::NAMES));

stand_in!(
    EnforcedName,
    "Enforced",
    "Whether the cluster enforces the network policies.",
    one_of(Enforced::NAMES)
);

stand_in!(
    ReapReasonName,
    "ReapReason",
    "The limit for which the daemon deletes a sandbox.",
    one_of(ReapReason::NAMES)
);

stand_in!(
    SessionCount,
    "ShellSessions",
    "A number of shell sessions. It can be larger than 64 bits.",
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1))
);
