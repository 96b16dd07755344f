//! `wait`: waits until sandboxes are ready or deleted.

use std::{cmp::min, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{Session, finished, list};
use crate::{
    api::{self, Api, Call},
    args::{FilterArgs, State, WaitArgs},
    error::{CallError, Exit, Failure},
    sandbox::Sandbox,
    text::printable,
};

/// The longest wait of one call, as the daemon bounds it.
const CALL_MAX: Duration = Duration::from_secs(25);

/// How much later than its wait a call is answered at the latest.
const MARGIN: Duration = Duration::from_secs(5);

/// The pause after a failure or an early answer.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(session: &mut Session<'_, '_>, args: &WaitArgs) -> Result<(), Failure> {
    let ids = ids(session, &args.ids, args.all, &args.filter).await?;
    let mut exit = Exit::Success;
    let api = &session.api;
    // All at the same time: they share the time.
    let waits = ids.iter().map(async |id| (id, until(api, id, args.state, args.timeout).await));
    for (id, outcome) in futures::future::join_all(waits).await {
        match outcome {
            Ok(()) => session.console.print(&format!("sandbox {id:?} {}\n", args.state.reached()))?,
            Err(failure) => exit = session.report(&failure, exit),
        }
    }
    finished(exit)
}

/// Returns the ids of a command: those that it names, or those that the filter selects now.
pub(super) async fn ids(
    session: &mut Session<'_, '_>,
    named: &[String],
    all: bool,
    filter: &FilterArgs,
) -> Result<Vec<String>, Failure> {
    if !named.is_empty() && !filter.is_empty() {
        return Err(Failure::usage("give either ids or a selection, not both".to_owned()));
    }
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    if !all && filter.is_empty() {
        return Err(Failure::usage(
            "which sandboxes? Give their ids, a selection such as --status, or --all".to_owned(),
        ));
    }
    let list::Found { sandboxes: found, incomplete } = list::read(&session.api, filter).await?;
    list::warn(session.console, "sandboxes", &incomplete);
    if found.is_empty() {
        session.console.note("No sandboxes found.");
    }
    Ok(found.iter().map(|sandbox| sandbox.id().to_owned()).collect())
}

/// Waits until a sandbox has reached the state.
pub(super) async fn until(api: &Api, id: &str, state: State, limit: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let step = match state {
            State::Ready => ready(api, id, left).await,
            State::Deleted => deleted(api, id, deadline).await,
        };
        let last = match step {
            Ok(Step::Reached) => return Ok(()),
            Ok(Step::NotYet(sandbox)) => why_not(&sandbox),
            Ok(Step::Never(sandbox)) => {
                let text = format!("sandbox {id:?} does not become ready by itself: {}", why_not(&sandbox));
                return Err(Failure::Other(Exit::Failed, text));
            }
            Err(error) if error.is_temporary() => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        if Instant::now() + PAUSE > deadline {
            let limit = humantime::format_duration(limit);
            let text = format!("sandbox {id:?} was not {} within {limit}: {last}", state.reached());
            return Err(Failure::Other(Exit::TimedOut, text));
        }
        // Without a pause, a daemon that answers at once would be asked in a loop.
        sleep(PAUSE).await;
    }
}

/// The outcome of one call.
enum Step {
    Reached,
    NotYet(Box<Sandbox>),
    Never(Box<Sandbox>),
}

async fn ready(api: &Api, id: &str, left: Duration) -> Result<Step, CallError> {
    let wait = min(left, CALL_MAX);
    // The daemon's shortest wait is a millisecond.
    let query = match wait.as_millis() {
        0 => String::new(),
        milliseconds => format!("?wait=ready&timeout={milliseconds}ms"),
    };
    let path = api::sandbox(id) + &query;
    let call = Call { path: &path, ..Call::default() };
    let value = api.call_within(call, wait + min(MARGIN, api.timeout())).await?;
    let sandbox = Box::new(Sandbox::parse(value).ok_or_else(|| api.foreign())?);
    Ok(match &sandbox.fields {
        fields if fields.ready => Step::Reached,
        fields if fields.is_stuck() => Step::Never(sandbox),
        _ => Step::NotYet(sandbox),
    })
}

/// Waits for the end of the sandbox's stream of events, then looks.
async fn deleted(api: &Api, id: &str, deadline: Instant) -> Result<Step, CallError> {
    match list::one(api, id).await {
        Err(error) if error.is_not_found() => Ok(Step::Reached),
        Err(error) => Err(error),
        Ok(sandbox) => {
            let path = format!("{}/events", api::sandbox(id));
            match api.open(&path, None).await {
                Err(error) if error.is_not_found() => return Ok(Step::Reached),
                Err(error) => return Err(error),
                Ok(mut stream) => {
                    let end = async { while let Some(Ok(_)) = stream.next().await {} };
                    // Whether it ended or the time is up, the next look tells.
                    let _ = timeout_at(deadline, end).await;
                }
            }
            match list::one(api, id).await {
                Err(error) if error.is_not_found() => Ok(Step::Reached),
                Err(error) => Err(error),
                Ok(_) => Ok(Step::NotYet(Box::new(sandbox))),
            }
        }
    }
}

/// Returns why a sandbox is not ready, in a sentence.
fn why_not(sandbox: &Sandbox) -> String {
    let fields = &sandbox.fields;
    let mut text = format!("it is {}", fields.shown_status());
    for more in [&fields.reason, &fields.message, &fields.hint].into_iter().flatten() {
        text += ", ";
        text += &printable(more);
    }
    text
}

// === impl State ===

impl State {
    /// Returns the words for a sandbox that has reached this state.
    fn reached(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Deleted => "deleted",
        }
    }
}
