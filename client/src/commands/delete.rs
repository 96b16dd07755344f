//! `delete`: deletes sandboxes.

use http::Method;

use super::{Session, finished, list, wait};
use crate::{
    api::{self, Api, Call},
    args::{DeleteArgs, State},
    error::{Exit, Failure},
    text::lines,
};

pub(super) async fn run(session: &mut Session<'_, '_>, args: &DeleteArgs) -> Result<(), Failure> {
    let ids = chosen(session, args).await?;
    if args.dry_run {
        let lines = lines(ids.iter().map(|id| format!("sandbox {id:?} deleted (dry run)")));
        return session.console.print(&lines);
    }
    let mut exit = Exit::Success;
    // Each batch is reported before the next one starts.
    for batch in ids.chunks(list::AT_ONCE) {
        let api = &session.api;
        for (id, outcome) in list::each(batch, async |id| delete(api, id, args).await).await {
            match outcome {
                Ok(()) => session.console.print(&format!("sandbox {id:?} deleted\n"))?,
                Err(failure) => exit = session.report(&failure, exit),
            }
        }
    }
    finished(exit)
}

/// Returns the ids to delete, those that the user confirms with `--interactive`.
async fn chosen(session: &mut Session<'_, '_>, args: &DeleteArgs) -> Result<Vec<String>, Failure> {
    let ids = wait::ids(session, &args.ids, args.all, &args.filter).await?;
    if !args.interactive {
        return Ok(ids);
    }
    let mut chosen = Vec::new();
    for id in ids {
        if session.console.ask(&format!("delete sandbox {id:?}?"))? {
            chosen.push(id);
        }
    }
    Ok(chosen)
}

async fn delete(api: &Api, id: &str, args: &DeleteArgs) -> Result<(), Failure> {
    let path = api::sandbox(id);
    let owner = args.owner.owner.as_deref();
    api.call(Call { path: &path, method: Method::DELETE, body: None, owner }).await?;
    if args.wait { wait::until(api, id, State::Deleted, args.timeout).await } else { Ok(()) }
}
