//! The deadlines of a request, each computed from the one around it.
//!
//! ```text
//!   client gives up            30 s POST    15 s DELETE    10 s GET, LIST
//!   └ HTTP answers by          25 s         12 s            8 s
//!     └ actor has answered by  24 s         11 s            -
//!       └ a POST has waited by 22 s
//!         └ a call ends by      8 s write, 5 s read; an actor waits 10 s for it at the most
//! ```

use std::time::Duration;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// When DeerFlow's client gives up on a POST.
pub const CLIENT_CREATE: Duration = seconds(30);

/// When DeerFlow's client gives up on a DELETE.
pub const CLIENT_DELETE: Duration = seconds(15);

/// When DeerFlow's client gives up on a GET, a LIST or a question for presence.
pub const CLIENT_READ: Duration = seconds(10);

/// When a POST has its answer: early enough for a slow network to bring it.
pub const HTTP_CREATE: Duration = CLIENT_CREATE.saturating_sub(seconds(5));

/// When a DELETE, a PATCH or a touch has its answer.
pub const HTTP_DELETE: Duration = CLIENT_DELETE.saturating_sub(seconds(3));

/// When a GET or a LIST has its answer. They are answered from memory and wait only for the first list.
pub const HTTP_READ: Duration = CLIENT_READ.saturating_sub(seconds(2));

/// When a sandbox's actor has answered a POST. The work may go on.
pub const CREATE: Duration = HTTP_CREATE.saturating_sub(seconds(1));

/// When a sandbox's actor has answered a DELETE, a PATCH or a touch. The work may go on.
pub const DELETE: Duration = HTTP_DELETE.saturating_sub(seconds(1));

/// How long a POST may wait in the actor for an old Pod to go, so that its refusal comes in time.
pub const POST_PATIENCE: Duration = CREATE.saturating_sub(seconds(2));

/// How long a write to the API server may take, retries included. A POST may need a write, a read and another write.
pub const WRITE: Duration = seconds(8);

/// How long a read from the API server may take, retries included.
pub const READ: Duration = seconds(5);

/// How long an actor waits for a call. The call's own deadline comes first; this one keeps a mailbox from being held
/// for ever.
pub const CALL: Duration = WRITE.saturating_add(seconds(2));

/// How long a POST may wait for its turn among all creates: after that there is no time left for a call.
pub const CREATE_TURN: Duration = CREATE.saturating_sub(CALL);

/// How long a request waits for the first list after the start.
pub const FIRST_LIST: Duration = HTTP_READ.saturating_sub(seconds(3));

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that each deadline comes before the one around it, and that a POST has time for a write, a read and
    /// another write.
    #[test]
    fn inner_deadlines_come_first() {
        for chain in [
            &[CLIENT_CREATE, HTTP_CREATE, CREATE, POST_PATIENCE, CREATE_TURN, CALL, WRITE, READ][..],
            &[CLIENT_DELETE, HTTP_DELETE, DELETE, CALL],
            &[CLIENT_READ, HTTP_READ, FIRST_LIST],
        ] {
            assert!(chain.windows(2).all(|pair| pair[0] > pair[1]), "{chain:?}");
        }
        assert!(WRITE + READ + WRITE <= POST_PATIENCE);
    }
}
