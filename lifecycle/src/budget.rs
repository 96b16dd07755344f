//! The deadlines of a request, each computed from the one around it.
//!
//! ```text
//!   client gives up            30 s POST    15 s DELETE    10 s GET, LIST
//!   └ HTTP answers by          25 s         12 s            8 s
//!     └ actor has answered by  24 s         11 s            -
//!       └ a POST has waited, and its create ends, by 22 s
//!         └ a failed call is tried again within  8 s write, 5 s read
//! ```
//!
//! A write without an answer is not given up while the API server answers reads: an admission webhook may take 30 s. A
//! create may take the rest of its caller's time, because its sandbox may never be requested again. Any other write
//! goes on after its caller has been answered, for up to a minute.

use std::time::Duration;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The time after which DeerFlow's client gives up on a POST.
pub const CLIENT_CREATE: Duration = seconds(30);

/// The time after which DeerFlow's client gives up on a DELETE.
pub const CLIENT_DELETE: Duration = seconds(15);

/// The time after which DeerFlow's client gives up on a GET, a LIST or a check for existence.
pub const CLIENT_READ: Duration = seconds(10);

/// The deadline of a POST's response. It leaves time for a slow network to deliver it.
pub const HTTP_CREATE: Duration = CLIENT_CREATE.saturating_sub(seconds(5));

/// The deadline of the response to a DELETE, a PATCH or a touch.
pub const HTTP_DELETE: Duration = CLIENT_DELETE.saturating_sub(seconds(3));

/// The deadline of the response to a GET or a LIST. They are answered from memory and wait only for the first list.
pub const HTTP_READ: Duration = CLIENT_READ.saturating_sub(seconds(2));

/// The longest time that a caller can wait for a sandbox to be ready, and the time without a `timeout` of its own.
pub const WAIT: Duration = CLIENT_CREATE.saturating_sub(seconds(5));

/// The deadline of the response to a request that waits. It leaves time for the answer after [`WAIT`].
pub const HTTP_WAIT: Duration = CLIENT_CREATE.saturating_sub(seconds(3));

/// The deadline of an actor's answer to a POST. The operation may continue after it.
pub const CREATE: Duration = HTTP_CREATE.saturating_sub(seconds(1));

/// The deadline of an actor's answer to a DELETE, a PATCH or a touch. The operation may continue after it.
pub const DELETE: Duration = HTTP_DELETE.saturating_sub(seconds(1));

/// The time that a POST may wait in the actor until an old Pod is gone, and until its objects are created. It leaves
/// time for a read, and to answer with an error.
pub const POST_PATIENCE: Duration = CREATE.saturating_sub(seconds(2));

/// The time in which a failed write to the API server is tried again. After as long without an answer, a read shows
/// whether the answer was lost. A POST may need a write, a read and another write.
pub const WRITE: Duration = seconds(8);

/// The deadline of a write that its caller, if any, need not wait for: all but creates. The API server itself gives up
/// on a request after 60 s.
pub const UNATTENDED_WRITE: Duration = seconds(60);

/// The deadline of a read from the API server, including retries.
pub const READ: Duration = seconds(5);

/// The time that an actor waits for the activity probes of a sandbox.
pub const PROBE: Duration = seconds(10);

/// How much longer than a call's own deadline an actor waits for it. This limits how long a call that misses its
/// deadline can block a mailbox.
pub const CALL_GRACE: Duration = seconds(2);

/// The time that a POST may wait for a slot among all creates. After it, no time is left for a write.
pub const CREATE_SLOT: Duration = CREATE.saturating_sub(WRITE).saturating_sub(CALL_GRACE);

/// The time that a request waits for the first list after the start.
pub const FIRST_LIST: Duration = HTTP_READ.saturating_sub(seconds(3));

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that each deadline comes before the one around it, and that a POST has time for a write, a read and
    /// another write.
    #[test]
    fn inner_deadlines_come_first() {
        for chain in [
            &[CLIENT_CREATE, HTTP_CREATE, CREATE, POST_PATIENCE, CREATE_SLOT, WRITE, READ][..],
            &[CLIENT_DELETE, HTTP_DELETE, DELETE, WRITE],
            &[CLIENT_READ, HTTP_READ, FIRST_LIST],
            &[CLIENT_CREATE, HTTP_WAIT, WAIT],
        ] {
            assert!(chain.windows(2).all(|pair| pair[0] > pair[1]), "{chain:?}");
        }
        assert!(WRITE + READ + WRITE <= POST_PATIENCE);
        assert!(POST_PATIENCE + CALL_GRACE <= CREATE);
    }
}
