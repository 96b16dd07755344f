//! The version of a list, for `If-None-Match`.

use fleet::position::{Position, Revision};
use http::{
    HeaderMap, HeaderValue,
    header::{ETAG, IF_NONE_MATCH, VARY},
};

use crate::http::entity_tag;

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// The entity tag of a list. It is weak: two lists with the same tag have the same meaning, but their bytes may differ, as
/// one of them may be compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ETag(HeaderValue);

// === impl ETag ===

impl ETag {
    /// Returns the tag of a list that has the changes up to this position. A list also shows which clusters it leaves out
    /// and whether the network policies are enforced, which are not changes of a sandbox.
    pub(super) fn new(version: &Position, revision: &Revision) -> Self {
        let marks = revision.marks();
        let tag = HeaderValue::try_from(format!("W/\"{version}{marks}\""));
        Self(tag.unwrap_or(HeaderValue::from_static("W/\"\"")))
    }

    /// Returns whether one of these values of `If-None-Match` names the tag.
    pub(super) fn is_in(&self, values: &[HeaderValue]) -> bool {
        entity_tag::is_in(values.iter(), &self.0)
    }

    /// Adds the tag to the headers of an answer.
    pub(super) fn add_to(self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.0);
        headers.insert(VARY, ACCEPT_ENCODING);
    }
}

/// Returns the values of `If-None-Match`.
pub(super) fn if_none_match(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(IF_NONE_MATCH).iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use actors::view;
    use fleet::position::MemberRevision;
    use lifecycle::{ids::ClusterName, network::Enforced};

    use super::*;

    fn tag(enforced: Enforced) -> ETag {
        let member =
            MemberRevision { cluster: ClusterName::DEFAULT, view: Some(view::Revision(1)), enforced };
        ETag::new(&"0000002a-7".parse().unwrap(), &[member].into_iter().collect())
    }

    /// Guards which values of `If-None-Match` name a list.
    #[test]
    fn tags_are_compared_weakly() {
        let tag = tag(Enforced::Unknown);
        for (values, matches) in [
            (&[][..], false),
            (&["W/\"0000002a-7\""], true),
            (&["\"0000002a-7\""], true),
            (&["*"], true),
            (&["\"x\", W/\"0000002a-7\""], true),
            (&["\"x\"", "\"0000002a-7\""], true),
            (&["0000002a-7"], false),
            (&["W/\"0000002a-70\""], false),
            (&["W/\"0000002b-7\""], false),
            (&[""], false),
        ] {
            let values: Vec<_> = values.iter().map(|value| HeaderValue::from_static(value)).collect();
            assert_eq!(tag.is_in(&values), matches, "{values:?}");
        }
    }

    /// Guards that the result of a check of the network is part of the tag.
    #[test]
    fn the_network_is_part_of_the_tag() {
        let tags = [Enforced::Unknown, Enforced::Yes, Enforced::No].map(|enforced| tag(enforced).0);
        assert_eq!(tags, ["W/\"0000002a-7\"", "W/\"0000002a-7+enforced\"", "W/\"0000002a-7+unenforced\""]);
    }
}
