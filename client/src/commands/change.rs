//! `touch`, `limits` and `move`: uses and changes of sandboxes.

use http::Method;
use serde_json::{Map, Value, json};

use super::{Session, create, finished, list};
use crate::{
    api::{self, Api, Call},
    args::{LimitsArgs, MoveArgs, TouchArgs},
    error::{Exit, Failure},
    sandbox::Sandbox,
};

/// The word for the default of the settings.
const DEFAULT: &str = "default";

pub(super) async fn touch(session: &mut Session<'_, '_>, args: &TouchArgs) -> Result<(), Failure> {
    let api = &session.api;
    let owner = args.owner.owner.as_deref();
    let outcomes = list::each(&args.ids, async |id| {
        let path = format!("{}/touch", api::sandbox(id));
        answered(api, Call { path: &path, method: Method::POST, body: None, owner }).await
    });
    let (mut touched, mut exit) = (Vec::new(), Exit::Success);
    for (_, outcome) in outcomes.await {
        match outcome {
            Ok(sandbox) => touched.push(sandbox),
            Err(failure) => exit = session.report(&failure, exit),
        }
    }
    if !touched.is_empty() {
        list::print(session.console, &touched, args.ids.len() > 1, &args.common.output)?;
    }
    finished(exit)
}

pub(super) async fn limits(session: &mut Session<'_, '_>, args: &LimitsArgs) -> Result<(), Failure> {
    let mut body = Map::new();
    for (name, value) in [("ttl", &args.ttl), ("idle_timeout", &args.idle_timeout)] {
        if let Some(value) = value {
            body.insert(name.to_owned(), if value == DEFAULT { Value::Null } else { json!(value) });
        }
    }
    create::merge(&mut body, "resources", create::resources(&args.resources))?;
    let (path, body) = (api::sandbox(&args.id), Value::Object(body));
    let owner = args.owner.owner.as_deref();
    let call = Call { path: &path, method: Method::PATCH, body: Some(&body), owner };
    let changed = answered(&session.api, call).await?;
    if let Some(resize) = changed.fields.resize.as_ref().filter(|resize| resize.state != "Done") {
        let why = resize.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        session.console.note(&crate::text::printable(&format!("resize: {}{why}", resize.state)));
    }
    list::print(session.console, &[changed], false, &args.common.output)
}

pub(super) async fn move_to(session: &mut Session<'_, '_>, args: &MoveArgs) -> Result<(), Failure> {
    let path = format!("{}/move", api::sandbox(&args.id));
    let body = json!({"cluster": args.cluster});
    let owner = args.owner.owner.as_deref();
    let call = Call { path: &path, method: Method::POST, body: Some(&body), owner };
    let moved = answered(&session.api, call).await?;
    if moved.fields.cluster.as_deref() != Some(&*args.cluster) {
        let text =
            format!("{} is being created on {}; it moves once it is ready there", args.id, args.cluster);
        session.console.note(&crate::text::printable(&text));
    }
    list::print(session.console, &[moved], false, &args.common.output)
}

/// Sends a call whose answer is a sandbox.
async fn answered(api: &Api, call: Call<'_>) -> Result<Sandbox, Failure> {
    let value = api.call(call).await?;
    Ok(Sandbox::parse(value).ok_or_else(|| api.foreign())?)
}
