//! The positions in the logs of all clusters.

use std::{fmt, str::FromStr};

use actors::view;
use lifecycle::{ids::ClusterName, network::Enforced};

/// A position in the streams of all clusters, as clients send it back after a disconnect.
///
/// Its text is that of each cluster's position, joined with dots. A cluster recognizes its own by the epoch. A cluster
/// without a position is new to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(Vec<Option<view::Position>>);

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the present state.
    Present,
    /// With the first change after this position.
    After(Position),
    /// With a reset, because the client's position cannot be read.
    Reset,
}

/// The revision of a list: equal revisions mean equal lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(Vec<MemberRevision>);

/// The state on which the list of one cluster depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRevision {
    /// The cluster.
    pub cluster: ClusterName,
    /// The revision of its view; `None` if the list leaves the cluster out.
    pub view: Option<view::Revision>,
    /// Whether it enforces network policies.
    pub enforced: Enforced,
}

/// The positions of at most so many clusters are read, so that a long text costs nothing.
const PARTS_MAX: usize = 64;

// === impl Position ===

impl FromIterator<view::Position> for Position {
    fn from_iter<I: IntoIterator<Item = view::Position>>(positions: I) -> Self {
        Self(positions.into_iter().map(Some).collect())
    }
}

impl Position {
    /// Creates a position of these positions of the clusters.
    pub(crate) fn new(positions: Vec<Option<view::Position>>) -> Self {
        Self(positions)
    }

    /// Returns where the stream of a member begins whose log is at the position `now`.
    #[must_use]
    pub(crate) fn of_member(&self, now: view::Position) -> Option<view::Position> {
        self.0.iter().flatten().copied().find(|position| position.is_of_the_log_of(now))
    }

    /// Returns whether there is a position, and each is one in one of the logs that are at these positions.
    pub(crate) fn is_of_the_logs_of(&self, now: &[view::Position]) -> bool {
        let mut positions = self.0.iter().flatten().peekable();
        positions.peek().is_some()
            && positions.all(|position| now.iter().any(|now| position.is_of_the_log_of(*now)))
    }

    /// Sets the position of one member.
    pub(crate) fn set(&mut self, member: usize, position: Option<view::Position>) {
        if let Some(place) = self.0.get_mut(member) {
            *place = position;
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, position) in self.0.iter().flatten().enumerate() {
            let dot = if n > 0 { "." } else { "" };
            write!(f, "{dot}{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Position {
    type Err = view::PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let positions = text.split('.').take(PARTS_MAX + 1).map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if positions.len() > PARTS_MAX {
            Err(view::PositionError)
        } else {
            Ok(positions.into_iter().collect())
        }
    }
}

// === impl Revision ===

impl FromIterator<MemberRevision> for Revision {
    fn from_iter<I: IntoIterator<Item = MemberRevision>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

impl Revision {
    /// Returns whether the list includes the cluster.
    #[must_use]
    pub fn includes(&self, cluster: &ClusterName) -> bool {
        self.0.iter().any(|member| member.cluster == *cluster && member.view.is_some())
    }

    /// Returns what a list shows besides the sandboxes' changes, for its entity tag.
    #[must_use]
    pub fn marks(&self) -> String {
        let mark = |member: &MemberRevision| match (member.view, member.enforced) {
            (None, _) => "+away",
            (Some(_), Enforced::Unknown) => "",
            (Some(_), Enforced::Yes) => "+enforced",
            (Some(_), Enforced::No) => "+unenforced",
        };
        self.0.iter().map(mark).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    /// Guards that a position is read back, whatever the number of clusters, and that other texts are not positions.
    #[test]
    fn only_positions_are_read() {
        for text in ["0000002a-7", "0000002a-7.0000003b-9", "0000002a-0.0000003b-1.0000004c-2"] {
            assert_eq!(position(text).to_string(), text);
        }
        let long = vec!["0000002a-7"; PARTS_MAX + 1].join(".");
        for text in ["", ".", "0000002a-7.", ".0000002a-7", "0000002a-7,0000003b-9", "x", &long] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
    }

    /// Guards that a member finds its own position by the epoch, at whatever place.
    #[test]
    fn a_member_recognizes_its_own() {
        let all = position("0000002a-7.0000003b-9");
        let log = |text: &str| text.parse::<view::Position>().unwrap();
        assert_eq!(all.of_member(log("0000003b-12")), Some(log("0000003b-9")));
        assert_eq!(all.of_member(log("0000002a-7")), Some(log("0000002a-7")));
        assert_eq!(
            all.of_member(log("0000005d-1")),
            None,
            "the process was restarted, or the cluster is new"
        );
    }

    /// Guards that the marks tell which clusters are left out, and that a single fresh cluster has none.
    #[test]
    fn marks_tell_what_is_left_out() {
        let of = |view, enforced| MemberRevision { cluster: ClusterName::DEFAULT, view, enforced };
        let fresh = |enforced| of(Some(view::Revision(1)), enforced);
        let away = of(None, Enforced::Unknown);
        for (members, wanted) in [
            (vec![fresh(Enforced::Unknown)], ""),
            (vec![fresh(Enforced::Yes)], "+enforced"),
            (vec![fresh(Enforced::No)], "+unenforced"),
            (vec![fresh(Enforced::Yes), away, fresh(Enforced::Unknown)], "+enforced,+away,"),
        ] {
            assert_eq!(members.into_iter().collect::<Revision>().marks(), wanted);
        }
    }
}
