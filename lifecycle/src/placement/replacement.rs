//! Sandboxes that take the place of one on another cluster.

/// Why a sandbox was made in place of one on another cluster. Its Pod says so, so that every replica knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Replacement {
    /// The other cluster was away for so long that it counted as lost.
    Lost,
    /// The sandbox moves. It counts once it is ready.
    Move,
}

// === impl Replacement ===

impl Replacement {
    /// Both reasons with their names.
    pub const ALL: [(&'static str, Self); 2] = [("lost", Self::Lost), ("move", Self::Move)];

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Move => "move",
        }
    }

    /// Parses a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, reason)| *reason)
    }
}
