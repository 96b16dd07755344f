//! Sandboxes that take the place of one on another cluster.

use crate::named;

named! {
    /// Why a sandbox was made in place of one on another cluster. Its Pod says so, so that every replica knows it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Replacement {
        /// The other cluster was away for so long that it counted as lost.
        Lost = "lost",
        /// The sandbox moves. It counts once it is ready.
        Move = "move",
    }
}
