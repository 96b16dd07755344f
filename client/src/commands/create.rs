//! `create`: creates a sandbox.

use std::{fs, io, io::Read as _, path::Path};

use http::Method;
use serde_json::{Map, Value, json};

use super::{Session, list, wait};
use crate::{
    api::Call,
    args::{CreateArgs, Mount, ResourcesArgs, State},
    error::Failure,
    sandbox::Sandbox,
};

/// The largest body that is read, in bytes. The daemon accepts no more.
const BODY_MAX: u64 = 1 << 20;

pub(super) async fn run(session: &mut Session<'_, '_>, args: &CreateArgs) -> Result<(), Failure> {
    let file = args.file.as_deref().map(read).transpose()?;
    let body = body(file.unwrap_or_default(), args)?;
    let call = Call {
        path: "/api/sandboxes",
        method: Method::POST,
        body: Some(&body),
        owner: args.owner.owner.as_deref(),
    };
    let created = session.api.call(call).await?;
    let created = Sandbox::parse(created).ok_or_else(|| session.api.foreign())?;
    if !args.wait {
        return list::print_changed(session, &created, &args.common.output);
    }
    // The sandbox exists, so a failed wait shows it, too.
    let waited = wait::until(&session.api, created.id(), State::Ready, args.timeout).await;
    let mut shown = created.clone();
    if let Ok(now) = list::one(&session.api, created.id()).await {
        shown.fields = crate::sandbox::Fields {
            cluster_not_applied: created.fields.cluster_not_applied,
            profile_not_applied: created.fields.profile_not_applied,
            network_not_applied: created.fields.network_not_applied,
            resources_not_applied: created.fields.resources_not_applied,
            ..now.fields
        };
        shown.value = now.value;
    }
    list::print_changed(session, &shown, &args.common.output)?;
    waited
}

/// Reads the body of a request.
fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("cannot read the request from {}: {why}", file.display()))
    };
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(BODY_MAX + 1).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(BODY_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| failed(&error))?;
    if text.len() as u64 > BODY_MAX {
        return Err(failed(&"it is too large"));
    }
    // JSON is YAML, too. The parser's own message could quote a secret of the file.
    let value = serde_json::from_str(&text).ok().or_else(|| serde_saphyr::from_str(&text).ok());
    match value {
        Some(Value::Object(fields)) => Ok(fields),
        _ => Err(failed(&"it is not an object in JSON or YAML")),
    }
}

/// Returns the body of the POST: that of the file, changed by the flags.
fn body(mut fields: Map<String, Value>, args: &CreateArgs) -> Result<Value, Failure> {
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.as_ref().map(|text| json!(text));
    for (name, value) in [
        ("sandbox_id", &args.id),
        ("profile", &args.profile),
        ("user_id", &args.user),
        ("thread_id", &args.thread),
        ("cluster", &args.cluster),
        ("cluster_selector", &args.cluster_selector),
        ("ttl", &args.ttl),
        ("idle_timeout", &args.idle_timeout),
        ("image", &args.image),
        ("network", &args.network),
    ] {
        set(name, text(value));
    }
    set("max_shell_sessions", args.max_shell_sessions.map(Value::from));
    let mounts: Vec<_> = args.mount.iter().map(mount).collect();
    set("extra_mounts", (!mounts.is_empty()).then(|| json!(mounts)));
    for (name, pairs) in [("env", &args.env), ("labels", &args.label)] {
        merge(&mut fields, name, pairs.iter().map(|(key, value)| (&**key, json!(value))))?;
    }
    merge(&mut fields, "resources", resources(&args.resources))?;
    let workspace = [("size", &args.workspace_size), ("when_deleted", &args.when_deleted)];
    merge(
        &mut fields,
        "workspace",
        workspace.into_iter().filter_map(|(key, value)| Some((key, text(value)?))),
    )?;
    if !fields.contains_key("sandbox_id") {
        return Err(Failure::usage(
            "the id of the sandbox is missing: give it as ID, or as sandbox_id in the file".to_owned(),
        ));
    }
    Ok(Value::Object(fields))
}

/// Returns the limits that are set, as fields of a body.
pub(super) fn resources(args: &ResourcesArgs) -> impl Iterator<Item = (&'static str, Value)> {
    let ResourcesArgs { cpu, memory, ephemeral_storage } = args;
    let all = [("cpu", cpu), ("memory", memory), ("ephemeral_storage", ephemeral_storage)];
    all.into_iter().filter_map(|(name, value)| Some((name, json!(value.as_ref()?))))
}

/// Adds fields to an object of the body.
pub(super) fn merge<'a>(
    body: &mut Map<String, Value>,
    name: &str,
    fields: impl Iterator<Item = (&'a str, Value)>,
) -> Result<(), Failure> {
    let mut fields = fields.peekable();
    if fields.peek().is_none() {
        return Ok(());
    }
    let object = body.entry(name).or_insert_with(|| json!({}));
    if object.is_null() {
        *object = json!({});
    }
    let Value::Object(object) = object else {
        return Err(Failure::usage(format!(
            "{name} of the file is not an object, so flags cannot change it"
        )));
    };
    object.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    Ok(())
}

fn mount(Mount { host_path, container_path, read_only }: &Mount) -> Value {
    json!({ "host_path": host_path, "container_path": container_path, "read_only": read_only })
}
