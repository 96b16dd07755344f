//! Tests of the log of changes: its order, its readers and its bounds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::{
    ids::ClusterName,
    lifetime::ReapReason,
    observed::{Status, Uid},
    phase::Phase,
    spec::ObservedSpec,
};
use proptest::prelude::*;

use super::*;

fn id(name: &str) -> SandboxId {
    SandboxId::parse(name).unwrap()
}

/// Returns a state that differs from those with other numbers.
fn present(number: u32) -> Visible {
    Visible::Present(Status {
        cluster: ClusterName::DEFAULT,
        url: format!("http://h:{number}").into(),
        phase: Phase::Running,
        ready: true,
        reason: None,
        pod: Uid("p".into()),
        created: None,
        spec: ObservedSpec::default(),
        expiry: None,
    })
}

fn gone() -> Visible {
    Visible::Gone(None)
}

fn reaped() -> Reaped {
    Reaped { reason: ReapReason::Idle, at: Timestamp::UNIX_EPOCH }
}

/// Adds changes such as `a=1` and `a gone`.
fn publish(log: &ChangeLog, changes: &[&str]) {
    for change in changes {
        let (name, visible) = match change.split_once('=') {
            Some((name, number)) => (name, present(number.parse().unwrap())),
            None => (change.strip_suffix(" gone").unwrap(), gone()),
        };
        log.publish(&id(name), || visible);
    }
}

fn show(next: &Next) -> String {
    match next {
        Next::Change(change) => match &change.visible {
            Visible::Present(status) => {
                format!("{} {}={}", change.kind.name(), change.id, &status.url["http://h:".len()..])
            }
            Visible::Unreadable(_) | Visible::Gone(_) => format!("{} {}", change.kind.name(), change.id),
        },
        Next::Reset => "reset".to_owned(),
        Next::Synced(number) => format!("synced {number}"),
        Next::Ended => "ended".to_owned(),
        Next::Nothing => String::new(),
    }
}

/// Reads until there is nothing more at present.
fn read(log: &ChangeLog, cursor: &mut Cursor, only: Option<&SandboxId>) -> Vec<String> {
    let mut read = Vec::new();
    loop {
        let next = log.next(cursor, only);
        match next {
            Next::Nothing => return read,
            Next::Ended => {
                read.push(show(&next));
                return read;
            }
            _ => read.push(show(&next)),
        }
    }
}

fn start(log: &ChangeLog, start: Start, only: Option<&str>) -> Option<(Cursor, Vec<String>)> {
    let only = only.map(id);
    let mut cursor = match &only {
        Some(id) => log.cursor_of(id, start)?,
        None => log.cursor(start),
    };
    let read = read(log, &mut cursor, only.as_ref());
    Some((cursor, read))
}

/// Guards that a new reader reads the last change of each sandbox in order, then that its copy is complete, then each
/// change once.
#[test]
fn the_present_state_comes_first_and_then_each_change() {
    let log = ChangeLog::new(CAPACITY);
    publish(&log, &["a=1", "b=1", "c=1", "b gone", "a=2"]);
    let (mut cursor, first) = start(&log, Start::Present, None).unwrap();
    assert_eq!(first, ["added c=1", "url a=2", "synced 5"]);
    publish(&log, &["a=3", "a=3", "a=4", "c gone", "c gone", "c=1", "d gone"]);
    assert_eq!(read(&log, &mut cursor, None), ["url a=3", "url a=4", "deleted c", "added c=1"]);
    assert_eq!(read(&log, &mut cursor, None), [""; 0]);
    let empty = ChangeLog::new(CAPACITY);
    assert_eq!(start(&empty, Start::Present, None).unwrap().1, ["synced 0"]);
}

/// Guards that a reader of one sandbox reads only its changes, and ends with its end; and that there is no reader of a
/// sandbox that does not exist.
#[test]
fn a_reader_of_one_sandbox_ends_with_it() {
    let log = ChangeLog::new(CAPACITY);
    publish(&log, &["a=1", "b=1", "a=2"]);
    let (mut cursor, first) = start(&log, Start::Present, Some("a")).unwrap();
    assert_eq!(first, ["url a=2", "synced 3"]);
    publish(&log, &["b=2", "a=3", "b=3", "a gone", "a=4"]);
    let only = id("a");
    assert_eq!(read(&log, &mut cursor, Some(&only)), ["url a=3", "deleted a", "ended"]);
    assert_eq!(start(&log, Start::Present, Some("c")), None);
    publish(&log, &["a gone"]);
    for begin in [Start::Present, Start::Reset, Start::After(log.position(8 + 1))] {
        assert_eq!(start(&log, begin, Some("a")), None, "{begin:?}");
    }
}

/// Guards that a reader that resumes at any position reads exactly the changes after it, of one sandbox and of all, and
/// an end that it has missed.
#[test]
fn a_reader_resumes_at_each_position() {
    let log = ChangeLog::new(CAPACITY);
    publish(&log, &["a=1", "b=1", "a=2", "a gone", "b=2"]);
    let all = ["added a=1", "added b=1", "url a=2", "deleted a", "url b=2", "synced 5"];
    for number in 0..=5 {
        let (_, read) = start(&log, Start::After(log.position(number)), None).unwrap();
        assert_eq!(read, all[usize::try_from(number).unwrap()..]);
    }
    for (number, wanted) in [
        (0, Some(&["added a=1", "url a=2", "deleted a", "ended"][..])),
        (1, Some(&["url a=2", "deleted a", "ended"])),
        (2, Some(&["url a=2", "deleted a", "ended"])),
        (3, Some(&["deleted a", "ended"])),
        (4, None),
    ] {
        let read = start(&log, Start::After(log.position(number)), Some("a")).map(|(_, read)| read);
        assert_eq!(read, wanted.map(|wanted| wanted.iter().map(|&text| text.to_owned()).collect()));
    }
    let (_, read) = start(&log, Start::After(log.position(2)), Some("b")).unwrap();
    assert_eq!(read, ["url b=2", "synced 5"]);
}

/// Guards that an unknown position leads to a reset and the present state: of another process, of the future, or too old.
#[test]
fn an_unknown_position_is_a_reset() {
    let log = ChangeLog::new(2);
    publish(&log, &["a=1", "b=1", "a=2", "b=2"]);
    let position = |number| log.position(number);
    let other = Position { epoch: log.epoch ^ 1, number: 3 };
    for unknown in [Start::After(other), Start::After(position(5)), Start::After(position(1)), Start::Reset] {
        let (_, read) = start(&log, unknown, None).unwrap();
        assert_eq!(read, ["reset", "url a=2", "url b=2", "synced 4"], "{unknown:?}");
        let (_, read) = start(&log, unknown, Some("a")).unwrap();
        assert_eq!(read, ["reset", "url a=2", "synced 4"], "{unknown:?}");
    }
    assert_eq!(start(&log, Start::After(position(2)), None).unwrap().1, ["url a=2", "url b=2", "synced 4"]);
}

/// Guards that a slow reader is cut to the present state, also while it still reads the present state, and that one of a
/// quiet sandbox is not, however many changes of others it does not read.
#[test]
fn a_slow_reader_is_cut_to_the_present_state() {
    let log = ChangeLog::new(3);
    publish(&log, &["a=1", "b=1"]);
    let (mut slow, _) = start(&log, Start::Present, None).unwrap();
    let mut slower = log.cursor(Start::Present);
    assert_eq!(show(&log.next(&mut slower, None)), "added a=1");
    let (mut quiet, _) = start(&log, Start::Present, Some("a")).unwrap();
    let only = id("a");
    publish(&log, &["b=2", "b=3", "b=4", "b=5"]);
    let wanted = ["reset", "added a=1", "url b=5", "synced 6"];
    assert_eq!(read(&log, &mut slow, None), wanted);
    assert_eq!(read(&log, &mut slower, None), wanted);
    publish(&log, &["a=2"]);
    assert_eq!(read(&log, &mut quiet, Some(&only)), ["url a=2"]);
    publish(&log, &["a=3", "a=4", "a=5", "a=6"]);
    assert_eq!(read(&log, &mut quiet, Some(&only)), ["reset", "url a=6", "synced 11"]);
    publish(&log, &["a gone", "b=6", "b=7", "b=8"]);
    assert_eq!(read(&log, &mut quiet, Some(&only)), ["reset", "ended"]);
}

/// Guards that a reader that follows a sandbox does not end with it, and sees its next one; that it reads the end that it has
/// missed; and that changes of others never reset it while the sandbox does not exist.
#[test]
fn a_follower_of_one_sandbox_goes_on() {
    let log = ChangeLog::new(3);
    let only = id("a");
    let read = |cursor: &mut Cursor| {
        let next = std::iter::from_fn(|| Some(show(&log.follow(cursor, &only))));
        next.take_while(|shown| !shown.is_empty()).collect::<Vec<_>>()
    };
    let mut follower = log.cursor(Start::Present);
    assert_eq!(read(&mut follower), ["synced 0"]);
    publish(&log, &["b=1", "b=2", "b=3", "b=4", "b=5"]);
    assert_eq!(read(&mut follower), [""; 0]);
    publish(&log, &["a=1", "a=2"]);
    assert_eq!(read(&mut follower), ["url a=2"]);
    publish(&log, &["a=3", "a gone", "a=4"]);
    assert_eq!(read(&mut follower), ["url a=3", "deleted a", "added a=4"]);
    let missed = Start::After(log.position(9));
    assert!(log.has_missed(&only, log.position(9)) && !log.has_missed(&only, log.position(10)));
    publish(&log, &["a gone"]);
    assert_eq!(read(&mut follower), ["deleted a"]);
    assert_eq!(read(&mut log.cursor(missed)), ["added a=4", "deleted a", "synced 11"]);
    let mut late = log.cursor(Start::After(log.position(10)));
    publish(&log, &["b=6", "b=7", "b=8"]);
    assert_eq!(read(&mut follower), [""; 0]);
    assert_eq!(read(&mut late), ["reset", "synced 14"], "its end is no longer kept");
    publish(&log, &["b=1", "b=2", "b=3", "a=5"]);
    assert_eq!(read(&mut late), ["added a=5"]);
    assert_eq!(log.latest(&only).map(|latest| latest.number), Some(18));
    log.close();
    assert_eq!(show(&log.follow(&mut follower, &only)), "ended");
}

/// Guards that an end is a reap only if one was started and has not failed, and that a reap that is confirmed after the end
/// is told.
#[test]
fn the_end_of_a_reap_has_its_reason() {
    let log = ChangeLog::new(CAPACITY);
    let end = |changes: &[&str]| {
        publish(&log, changes);
        let records = log.records();
        records.recent.back().unwrap().visible.clone()
    };
    publish(&log, &["a=1"]);
    log.reap_started(&id("a"), reaped());
    publish(&log, &["a=2"]);
    assert_eq!(end(&["a gone"]), Visible::Gone(Some(reaped())));
    assert!(!log.reaped(&id("a"), reaped()), "it was told");
    assert_eq!(end(&["a=1", "a gone"]), gone(), "another life");
    publish(&log, &["a=1"]);
    log.reap_started(&id("a"), reaped());
    log.reap_failed(&id("a"));
    assert_eq!(end(&["a gone"]), gone());
    assert!(log.reaped(&id("a"), reaped()));
    assert_eq!(end(&[]), Visible::Gone(Some(reaped())));
    publish(&log, &["a=1"]);
    assert!(!log.reaped(&id("a"), reaped()), "its Service is still there");
    assert_eq!(end(&["a gone"]), Visible::Gone(Some(reaped())));
    assert!(!log.reaped(&id("b"), reaped()) && log.records().reaping.is_empty());
}

/// Guards that all readers end when the log is closed.
#[test]
fn readers_end_with_the_log() {
    let log = ChangeLog::new(CAPACITY);
    publish(&log, &["a=1"]);
    let (mut all, mut one) = (log.cursor(Start::Present), log.cursor_of(&id("a"), Start::Present).unwrap());
    log.close();
    assert_eq!(read(&log, &mut all, None), ["ended"]);
    assert_eq!(read(&log, &mut one, Some(&id("a"))), ["ended"]);
}

/// Guards that a position is read back, and that any other text is not a position.
#[test]
fn positions_are_read_back() {
    for position in [Position { epoch: 0, number: 0 }, Position { epoch: u32::MAX, number: u64::MAX }] {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    assert_eq!(Position { epoch: 0xab, number: 17 }.to_string(), "000000ab-17");
    for text in [
        "",
        "-",
        "17",
        "ab-17",
        "000000ab-",
        "000000ab-+17",
        "000000ab-017",
        "000000AB-17",
        "000000ab-18446744073709551616",
        "000000ab-17 ",
        "é",
    ] {
        assert_eq!(text.parse::<Position>(), Err(PositionError), "{text:?}");
    }
}

/// A step of a history in the property below.
#[derive(Debug, Clone)]
enum Step {
    /// The sandbox with this number has this state, or is gone.
    Publish(usize, Option<u32>),
    /// The reader with this number reads so many times.
    Read(usize, usize),
    /// The reader disconnects and resumes at its last position.
    Resume(usize),
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A client that keeps a copy.
struct Client {
    cursor: Cursor,
    copy: BTreeMap<SandboxId, Visible>,
    /// Whether the copy is complete as far as it has read.
    complete: bool,
    last_id: Option<Position>,
}

// === impl Client ===

impl Client {
    fn new(log: &ChangeLog) -> Self {
        let cursor = log.cursor(Start::Present);
        Self { cursor, copy: BTreeMap::new(), complete: false, last_id: None }
    }

    /// Applies the next item. Returns whether there was one.
    fn read(&mut self, log: &ChangeLog) -> bool {
        match log.next(&mut self.cursor, None) {
            Next::Nothing | Next::Ended => return false,
            Next::Reset => {
                self.copy.clear();
                self.complete = false;
            }
            Next::Synced(number) => {
                self.complete = true;
                self.last_id = Some(log.position(number));
            }
            Next::Change(change) => {
                self.last_id = Some(log.position(change.number));
                if change.visible.is_gone() {
                    self.copy.remove(&change.id);
                } else {
                    self.copy.insert(change.id.clone(), change.visible.clone());
                }
            }
        }
        true
    }

    fn resume(&mut self, log: &ChangeLog) {
        self.cursor = log.cursor(self.last_id.map_or(Start::Present, Start::After));
        if self.last_id.is_none() {
            self.copy.clear();
        }
    }
}

proptest! {
    /// Guards that the copy of each client, however slow it is and however often it disconnects, is the present state once
    /// it has read everything; that it then knows so; and that the log stays within its bounds.
    #[test]
    fn every_copy_becomes_the_present_state(
        capacity in 1_usize..6,
        steps in prop::collection::vec(
            prop_oneof![
                (0..NAMES.len(), prop::option::weighted(0.8, 0_u32..3)).prop_map(|(n, state)| Step::Publish(n, state)),
                (0..3_usize, 1..5_usize).prop_map(|(n, times)| Step::Read(n, times)),
                (0..3_usize).prop_map(Step::Resume),
            ],
            0..60,
        ),
    ) {
        let log = ChangeLog::new(capacity);
        let mut clients: Vec<_> = (0..3).map(|_| Client::new(&log)).collect();
        let mut state = BTreeMap::new();
        for step in steps {
            match step {
                Step::Publish(n, Some(number)) => {
                    log.publish(&id(NAMES[n]), || present(number));
                    state.insert(id(NAMES[n]), present(number));
                }
                Step::Publish(n, None) => {
                    log.publish(&id(NAMES[n]), gone);
                    state.remove(&id(NAMES[n]));
                }
                Step::Read(n, times) => {
                    for _ in 0..times {
                        clients[n].read(&log);
                    }
                }
                Step::Resume(n) => clients[n].resume(&log),
            }
            let records = log.records();
            prop_assert!(records.recent.len() <= capacity);
            prop_assert_eq!(records.present.len(), state.len());
            prop_assert!(records.latest.len() <= state.len() + capacity);
        }
        for client in &mut clients {
            while client.read(&log) {}
            prop_assert!(client.complete);
            prop_assert_eq!(&client.copy, &state);
        }
    }
}
