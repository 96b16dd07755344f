//! Where the readers of the clusters begin.

use actors::view;

use crate::position::Start;

/// Where a reader of several clusters begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begin {
    /// Whether the client empties its copy first.
    pub(crate) is_reset: bool,
    /// For each cluster, the position after which it begins; `None` if it begins with the present state.
    pub(crate) after: Vec<Option<view::Position>>,
}

// === impl Start ===

impl Start {
    /// Returns where the reader of a single cluster begins whose log is at the position `now`, and the position up to which
    /// its changes are known by then.
    #[must_use]
    pub fn of_member(&self, now: view::Position) -> (view::Start, view::Position) {
        match self {
            Self::Present => (view::Start::Present, now.beginning()),
            Self::Reset => (view::Start::Reset, now.beginning()),
            // The process was restarted.
            Self::After(position) => match position.of_member(now) {
                Some(position) => (view::Start::After(position), position),
                None => (view::Start::Reset, now.beginning()),
            },
        }
    }
}

// === impl Begin ===

impl Begin {
    /// Returns where a reader of clusters begins whose logs are at these positions.
    pub(crate) fn of(start: &Start, now: &[view::Position]) -> Self {
        let present = |is_reset| Self { is_reset, after: vec![None; now.len()] };
        let position = match start {
            Start::Present => return present(false),
            Start::Reset => return present(true),
            Start::After(position) => position,
        };
        // A position of another process: the client's copy may have sandboxes that do not exist any more.
        if !position.is_of_the_logs_of(now) {
            return present(true);
        }
        // The client has nothing of a cluster that was added since, or that was stale all the time.
        Self { is_reset: false, after: now.iter().map(|now| position.of_member(*now)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> view::Position {
        text.parse().unwrap()
    }

    /// Guards where each cluster begins: after its own position, with its present state if the client has nothing of it, and
    /// that all begin with a reset if the client may have more than the clusters.
    #[test]
    fn each_cluster_begins_after_its_own_position() {
        let [west, east, new] = ["0000002a-50", "0000003b-9", "0000004c-3"].map(position);
        let after = |text: &str| Start::After(text.parse().unwrap());
        let begins = |start: Start| {
            let Begin { is_reset, after } = Begin::of(&start, &[east, new, west]);
            let shown =
                after.iter().map(|after| after.map_or("present".to_owned(), |after| after.to_string()));
            format!("{}{}", if is_reset { "reset " } else { "" }, shown.collect::<Vec<_>>().join(" "))
        };
        for (start, wanted) in [
            (Start::Present, "present present present"),
            (Start::Reset, "reset present present present"),
            (after("0000003b-7.0000004c-1.0000002a-48"), "0000003b-7 0000004c-1 0000002a-48"),
            (after("0000002a-48.0000003b-7.0000004c-1"), "0000003b-7 0000004c-1 0000002a-48"),
            (after("0000003b-7.0000004c-1.0000002a-0"), "0000003b-7 0000004c-1 0000002a-0"),
            (after("0000003b-7.0000002a-48"), "0000003b-7 present 0000002a-48"),
            (after("0000003b-0"), "0000003b-0 present present"),
            (after("0000003b-7.0000005d-1"), "reset present present present"),
            (after("0000005d-1"), "reset present present present"),
            (after("0000005d-0.0000006e-0"), "reset present present present"),
        ] {
            assert_eq!(begins(start.clone()), wanted, "{start:?}");
        }
    }
}
