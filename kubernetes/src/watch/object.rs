//! Watched objects as `kube` parses them.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Resource;
use serde::{Deserialize, Deserializer};

use crate::lenient;

/// An object that parses from any JSON value; a value that is not an object gives an object without a name.
///
/// `kube` parses a list as a whole, so that one item that cannot be parsed would fail the list each time.
#[derive(Debug, Clone)]
pub struct LenientObject<K>(pub K);

impl<'de, K: Deserialize<'de> + Default> Deserialize<'de> for LenientObject<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(lenient::object(deserializer)?.unwrap_or_default()))
    }
}

impl<K: Resource> Resource for LenientObject<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}
