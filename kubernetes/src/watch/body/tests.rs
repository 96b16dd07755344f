use std::convert::Infallible;

use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;

use super::*;

const EVENT_MAX: usize = 1000;

/// The result of a body: whether it was synced at last, and why it failed.
type Shown = (bool, Option<String>);

fn body(
    max: usize,
    opened: Instant,
    chunks: &[&[u8]],
) -> (impl Body<Error = Recorded> + Unpin + use<>, Arc<ConnectionState>) {
    let frames: Vec<_> =
        chunks.iter().map(|c| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(c)))).collect();
    let state = Arc::<ConnectionState>::default();
    let body = StreamBody::new(futures::stream::iter(frames));
    (WatchBody::new(body, max, opened, Arc::clone(&state)), state)
}

fn failure(state: &ConnectionState) -> Option<String> {
    state.take_failure().map(|failed| {
        assert_eq!(failed.verb, Verb::Watch);
        failed.error.to_string()
    })
}

/// Reads these chunks and the end after them; the watch has been open for its whole timeout.
async fn read(max: usize, chunks: &[&[u8]]) -> Shown {
    let opened = Instant::now();
    tokio::time::advance(WATCH_TIMEOUT).await;
    let (mut body, state) = body(max, opened, chunks);
    let mut last = false;
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return (last, failure(&state));
        }
        last = state.take_synced();
    }
    assert!(state.take_synced(), "an orderly end is a proof");
    (last, failure(&state))
}

/// Guards that only a frame at whose end an event ends proves anything: an incomplete event is not reported yet.
#[tokio::test(start_paused = true)]
async fn only_whole_events_prove_that_the_watch_is_up_to_date() {
    for (chunks, synced) in [
        (&["{}\n"][..], true),
        (&["{", "}\n"], true),
        (&["{}", "\r\n"], true),
        (&["\n"], true),
        (&["{}\n{}\n{}\n"], true),
        (&["{}\n{"], false),
        (&["{}\n", "{"], false),
        (&["{}\n", ""], false),
    ] {
        let (mut body, state) =
            body(EVENT_MAX, Instant::now(), &chunks.iter().map(|c| c.as_bytes()).collect::<Vec<_>>());
        let mut last = false;
        for _ in chunks {
            body.frame().await.unwrap().unwrap();
            last = state.take_synced();
        }
        assert_eq!(last, synced, "{chunks:?}");
        assert!(!state.take_synced(), "each is reported once");
    }
}

/// Guards that an end counts at the watch's timeout and not before, and never in the middle of an event.
#[tokio::test(start_paused = true)]
async fn only_the_end_at_the_timeout_is_orderly() {
    let opened = Instant::now();
    for (age, failed) in [
        (0, Some("the watch was closed before its time")),
        (27, Some("the watch was closed before its time")),
        (1, None),
        (2, None),
    ] {
        tokio::time::advance(std::time::Duration::from_secs(age)).await;
        let (mut body, state) = body(EVENT_MAX, opened, &[]);
        assert_eq!(body.frame().await.is_none(), failed.is_none());
        assert_eq!(state.take_synced(), failed.is_none());
        assert_eq!(failure(&state).as_deref(), failed);
    }
    assert_eq!(read(EVENT_MAX, &[b"{}\n"]).await, (true, None));
    let torn = read(EVENT_MAX, &[b"{}\n{"]).await;
    assert_eq!(torn, (false, Some("the answer could not be understood".to_owned())));
}

/// Guards the bound on silence: half an event does not put it off, a whole one does, and what comes in time counts.
#[tokio::test(start_paused = true)]
async fn half_an_event_does_not_put_off_the_bound_on_silence() {
    for (sent, after) in [("{", SILENCE_MAX), ("{}\n", SILENCE_MAX + WATCH_TIMEOUT)] {
        let frame = async move {
            tokio::time::sleep(WATCH_TIMEOUT).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(sent.as_bytes())))
        };
        let frames = futures::stream::once(frame).chain(futures::stream::pending()).boxed();
        let state = Arc::<ConnectionState>::default();
        let begun = Instant::now();
        let mut body = WatchBody::new(StreamBody::new(frames), EVENT_MAX, begun, Arc::clone(&state));
        body.frame().await.unwrap().unwrap();
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(begun.elapsed().as_secs(), after.as_secs());
        assert_eq!(failure(&state).unwrap(), "timed out after 35s");
    }
}

proptest! {
    /// Guards the bound on memory: an event that is too long is refused as soon as that shows, one of just the length
    /// is read, and neither depends on how the body is cut.
    #[test]
    fn the_longest_event_is_the_longest_in_any_chunks(
        lengths in proptest::collection::vec(0..9_usize, 0..6), chunk in 1..12_usize, max in 1..8_usize,
    ) {
        let text: String = lengths.iter().map(|length| "x".repeat(*length) + "\n").collect();
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(chunk).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (_, failed) = runtime.unwrap().block_on(read(max, &chunks));
        prop_assert!(failed.iter().all(|failed| failed.contains("is longer than")), "{:?}", failed);
        let too_long = lengths.iter().any(|length| *length > max);
        prop_assert_eq!(failed.is_some(), too_long, "{:?}", failed);
    }
}
