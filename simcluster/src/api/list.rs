//! `GET` of a collection: selectors, pages, representations.

use http::StatusCode;
use serde_json::{Value, json};

use crate::form::{self, Form};
use crate::query::Query;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::Target;
use crate::selector::{FieldSelector, LabelSelector, check_fields};
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, Store};
#[cfg(feature = "kubectl")]
use crate::table;
use crate::{page, view};

/// The selectors of a list or a watch.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

/// The metadata of a list.
#[derive(Debug)]
pub(super) struct ListMeta {
    token: String,
    /// Unknown if there is a selector.
    remaining: Option<usize>,
}

/// Lists a collection.
pub(super) fn list(shared: &Shared, target: &Target, request: &Request) -> ApiResult<Reply> {
    let query = &request.query;
    let selection = Selection::of(target, query)?;
    let limit = query.number::<usize>("limit").filter(|limit| *limit > 0);
    let after = query.get("continue").map(page::decode).transpose()?;
    let asked = parse_version(query)?;
    if after.is_some() && asked.is_some_and(|version| version != 0) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    let state = shared.state();
    let current = state.store.version();
    if let Some(wanted) = asked.filter(|wanted| *wanted > current) {
        return Err(ApiError::version_too_large(wanted, current));
    }
    let exact = asked.filter(|_| query.get("resourceVersionMatch") == Some("Exact"));
    // Later pages have the version of the first, except after that version has expired.
    let version = match &after {
        Some(page) => page.version.unwrap_or(current),
        None => exact.unwrap_or(current),
    };
    let past = state.store.past(target.resource, version).map_err(|_| match &after {
        Some(page) => page.expired(),
        None => ApiError::expired("The resourceVersion for the provided list is too old."),
    })?;
    let one_more = limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
    let is_left = |o: &Object| after.as_ref().is_none_or(|page| page.is_before(o.namespace(), o.name()));
    let here = |o: &&Object| target.namespace.as_deref().is_none_or(|space| space == o.namespace());
    let all: Box<dyn Iterator<Item = Object>> = match &past {
        None => selection.candidates(&state.store, target),
        Some(past) => Box::new(past.iter().filter(here).cloned()),
    };
    // A selector of fields parses each object, so it does not look at those of earlier pages.
    let wanted = all.filter(is_left).filter(|o| selection.matches(o));
    let mut selected: Vec<_> = wanted.take(one_more).collect();
    let mut rest = None;
    if let Some(limit) = limit.filter(|limit| selected.len() > *limit) {
        selected.truncate(limit);
        if let Some(last) = selected.last() {
            let token =
                page::encode(Some(version), last.namespace(), last.name(), target.namespace.is_some());
            let later = |o: &Object| (o.namespace(), o.name()) > (last.namespace(), last.name());
            let remaining = selection.is_empty().then(|| match &past {
                None => state.store.list(target.resource, target.namespace.as_deref()).filter(later).count(),
                Some(past) => past.iter().filter(here).filter(|o| later(o)).count(),
            });
            rest = Some(ListMeta { token, remaining });
        }
    }
    drop(state);
    Ok(render(shared, target, &selected, version, rest.as_ref(), request))
}

/// Returns a list in the representation that the request accepts.
pub(super) fn render(
    #[cfg_attr(not(feature = "kubectl"), expect(unused_variables, reason = "only a table shows ages"))]
    shared: &Shared,
    target: &Target,
    objects: &[Object],
    version: u64,
    rest: Option<&ListMeta>,
    request: &Request,
) -> Reply {
    let shown: Vec<_> = objects.iter().filter_map(|object| view::of(target.resource, object)).collect();
    // The list of a view (`events.k8s.io`) contains converted objects.
    let objects = if shown.is_empty() { objects } else { shown.as_slice() };
    let mut meta = json!({"resourceVersion": version.to_string()});
    if let Some(rest) = rest {
        meta["continue"] = rest.token.clone().into();
        if let Some(remaining) = rest.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
    }
    let list = match Form::of(&request.accept) {
        Form::Plain => return Reply::json(StatusCode::OK, plain(target, objects, &meta)),
        Form::Metadata => form::metadata_list(objects, &meta),
        #[cfg(feature = "kubectl")]
        Form::Table => {
            let include = request.query.get("includeObject");
            table::many(target.resource, objects, &meta, shared.clock.now(), include)
        }
    };
    Reply::json(StatusCode::OK, list.to_string())
}

fn plain(target: &Target, objects: &[Object], meta: &Value) -> Vec<u8> {
    let size: usize = objects.iter().map(|object| object.len() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[",
        target.resource.kind,
        target.resource.api_version()
    );
    out.extend_from_slice(head.as_bytes());
    for (place, object) in objects.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        object.write_item(&mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

/// Returns the `resourceVersion` of a query, if it is set.
pub(super) fn parse_version(query: &Query) -> ApiResult<Option<u64>> {
    let Some(text) = query.get("resourceVersion") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let message = format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        );
        ApiError::unexpected(message)
    })
}

// === impl Selection ===

impl Selection {
    /// Rejects selectors that cannot be parsed. Whether the kind has the fields is checked later, as on a real server.
    pub fn check_syntax(query: &Query) -> ApiResult<()> {
        LabelSelector::parse(query.get("labelSelector").unwrap_or(""))
            .and_then(|_| check_fields(query.get("fieldSelector").unwrap_or("")))
            .map_err(ApiError::bad_request)
    }

    pub fn of(target: &Target, query: &Query) -> ApiResult<Self> {
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or(""));
        let labels = labels.map_err(ApiError::bad_request)?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or(""), target.resource);
        let mut fields = fields.map_err(ApiError::bad_request)?;
        if let Some(name) = &target.name {
            if !fields.is_empty() && fields.name() != Some(name) {
                let why = "fieldSelector metadata.name doesn't match requested name";
                return Err(ApiError::bad_request(why));
            }
            if fields.is_empty() {
                fields = FieldSelector::by_name(name);
            }
        }
        Ok(Self { labels, fields })
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns whether an object is selected. Parses it only for a selector of fields, and drops the tree with the clone: a
    /// list may have thousands of objects.
    pub fn matches(&self, object: &Object) -> bool {
        self.labels.matches(object.labels())
            && (self.fields.is_empty() || self.fields.matches(object.clone().value()))
    }

    /// Returns the selected objects, in order.
    pub fn pick<'a>(&'a self, store: &'a Store, target: &'a Target) -> impl Iterator<Item = Object> + 'a {
        self.candidates(store, target).filter(|o| self.matches(o))
    }

    /// Returns the objects of the collection among which the selected ones are, in order.
    fn candidates<'a>(&self, store: &'a Store, target: &'a Target) -> Box<dyn Iterator<Item = Object> + 'a> {
        match (self.fields.name(), &target.namespace) {
            (Some(name), Some(namespace)) => {
                Box::new(store.get(target.resource, namespace, name).into_iter())
            }
            (_, namespace) => Box::new(store.list(target.resource, namespace.as_deref())),
        }
    }
}
