use std::time::Duration;

use jiff::Timestamp;
use lifecycle::{phase::Reason, timeline::Snapshot};

use super::*;

/// A wall clock that stands still.
struct Noon;

impl Clock for Noon {
    fn wall(&self) -> Timestamp {
        "2026-01-02T12:00:00Z".parse().unwrap()
    }
}

fn id(n: usize) -> SandboxId {
    SandboxId::parse(&format!("s-{n}")).unwrap()
}

/// Adds a warning of 256 bytes to the timeline of a sandbox that callers see or do not see.
fn warn(timelines: &Timelines, open: &mut Open, n: usize, is_shown: bool) {
    let name = format!("Problem{n:03}");
    let message = "x".repeat(256 - name.len());
    let reason = Some(Arc::new(Reason::new(&name, Some(&message))));
    let seen = Snapshot { pod: None, service: None, reason, is_shown, is_listed: false };
    timelines.change(open, |timeline, clocks, text_max| timeline.observe(&seen, clocks, text_max));
}

fn text(open: &Open) -> usize {
    open.as_ref().map_or(0, |timeline| timeline.text_len())
}

/// Guards that the texts of all open timelines have a bound, that a timeline which comes late keeps its steps and has no texts,
/// and that an end makes room again.
#[tokio::test(start_paused = true)]
async fn all_texts_have_a_bound() {
    let timelines = Timelines::new(Arc::new(Noon));
    let each = TEXT_MAX / 256;
    let mut open: Vec<Open> = (0..=TEXT_TOTAL_MAX / TEXT_MAX).map(|_| None).collect();
    for open in &mut open {
        for n in 0..each + 2 {
            warn(&timelines, open, n, true);
        }
    }
    let last = open.len() - 1;
    assert!(open[..last].iter().all(|open| text(open) == TEXT_MAX));
    assert_eq!(text(&open[last]), 0);
    assert_eq!(timelines.text.load(Ordering::Relaxed), TEXT_TOTAL_MAX);
    let report = timelines.report(open[last].as_ref().unwrap());
    assert_eq!(report.omitted, u32::try_from(each + 2).unwrap());
    warn(&timelines, &mut open[0], 99, true);
    assert_eq!(text(&open[0]), TEXT_MAX, "a new warning takes the place of an old one");
    timelines.end(&id(0), &mut open[0]);
    warn(&timelines, &mut open[last], 0, true);
    assert_eq!(text(&open[last]), 256);
    for (n, open) in open.iter_mut().enumerate() {
        timelines.end(&id(n), open);
    }
    assert_eq!(timelines.text.load(Ordering::Relaxed), 0);
}

/// Guards that a timeline that has ended is kept for an hour with its last warnings, if callers have seen its sandbox.
#[tokio::test(start_paused = true)]
async fn ended_timelines_are_small_and_kept_for_an_hour() {
    let timelines = Timelines::new(Arc::new(Noon));
    for n in 0..2 {
        let mut open = None;
        for warning in 0..10 {
            warn(&timelines, &mut open, warning, n == 0);
        }
        timelines.end(&id(n), &mut open);
        assert!(open.is_none());
    }
    let report = timelines.report_ended(&id(0)).unwrap();
    assert_eq!((report.steps.len(), report.omitted), (ENDED_TEXT_MAX / 256, 6));
    assert_eq!(timelines.report_ended(&id(1)), None);
    timelines.record_late(&id(0), Step::Gone);
    tokio::time::advance(Duration::from_secs(3599)).await;
    assert_eq!(timelines.report_ended(&id(0)).unwrap().steps.len(), 5);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(timelines.report_ended(&id(0)), None);
}

/// Guards that timelines share the names of images, of which only the last are kept.
#[test]
fn names_of_images_are_shared() {
    let timelines = Timelines::new(Arc::new(Noon));
    let first = timelines.share_image("image-0");
    assert!(Arc::ptr_eq(&first, &timelines.share_image("image-0")));
    for n in 1..=IMAGES_MAX {
        timelines.share_image(&format!("image-{n}"));
    }
    assert!(!Arc::ptr_eq(&first, &timelines.share_image("image-0")));
    assert_eq!(timelines.images.lock().len(), IMAGES_MAX);
}
