//! `get`: shows sandboxes, once or as they change.

use super::{Session, finished, list, watch};
use crate::{
    args::GetArgs,
    columns,
    error::{Exit, Failure},
};

pub(super) async fn run(session: &mut Session<'_, '_>, args: &GetArgs) -> Result<(), Failure> {
    if args.watch || args.watch_only {
        return watch::run(session, args).await;
    }
    let (mut found, mut incomplete, mut exit) = (Vec::new(), Vec::new(), Exit::Success);
    if args.ids.is_empty() {
        list::Found { sandboxes: found, incomplete } = list::read(&session.api, &args.filter).await?;
    } else {
        let api = &session.api;
        for (_, outcome) in list::each(&args.ids, async |id| Ok(list::one(api, id).await?)).await {
            match outcome {
                Ok(sandbox) => found.push(sandbox),
                Err(failure) => exit = session.report(&failure, exit),
            }
        }
        found.retain(|sandbox| args.filter.matches(&sandbox.fields));
    }
    found.sort_by(|one, other| columns::compare(args.sort_by, one, other));
    if exit == Exit::Success || !found.is_empty() {
        list::print_list(session.console, &found, &incomplete, args.ids.len() != 1, &args.common.output)?;
    }
    finished(exit)
}
