//! One endpoint in the document: a method of a path.

use std::collections::{BTreeMap, btree_map::Entry};

use http::StatusCode;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HttpMethod, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
        Schema, SecurityRequirement,
        example::{Example, ExampleBuilder},
        path::{Operation, OperationBuilder, Parameter, PathItemBuilder},
        request_body::RequestBodyBuilder,
        schema::{Object, OneOfBuilder},
    },
};

use super::{
    failures::{self, Failure},
    parameters, schemas,
};
use crate::http::errors::{self, PROBLEM_JSON};

lifecycle::named! {
    /// A group of endpoints.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Tag {
        Sandboxes = "Sandboxes",
        Events = "Events",
        Workspaces = "Workspaces",
        Settings = "Settings",
        Operation = "Operation",
        Daemon = "Daemon",
    }
}

/// An endpoint.
#[derive(Clone)]
pub(crate) struct Endpoint {
    path: &'static str,
    method: HttpMethod,
    /// Whether HEAD is answered too.
    head: bool,
    operation: Operation,
    schemas: Vec<schemas::Named>,
    failures: Vec<Failure>,
}

// === impl Tag ===

impl Tag {
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Sandboxes => "A Pod and a Service per `sandbox_id`.",
            Self::Events => "Changes of sandboxes as they happen, as Server-Sent Events.",
            Self::Workspaces => "Storage that outlives the Pods that mount it.",
            Self::Settings => "What this installation offers.",
            Self::Operation => "The reaper, and the network policies.",
            Self::Daemon => "The health of the daemon, its metrics and its description.",
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    pub(crate) fn get(path: &'static str, id: &str, tag: Tag, summary: &str) -> Self {
        Self::new(HttpMethod::Get, path, id, tag, summary)
    }

    pub(crate) fn post(path: &'static str, id: &str, tag: Tag, summary: &str) -> Self {
        Self::new(HttpMethod::Post, path, id, tag, summary)
    }

    pub(crate) fn patch(path: &'static str, id: &str, tag: Tag, summary: &str) -> Self {
        Self::new(HttpMethod::Patch, path, id, tag, summary)
    }

    pub(crate) fn delete(path: &'static str, id: &str, tag: Tag, summary: &str) -> Self {
        Self::new(HttpMethod::Delete, path, id, tag, summary)
    }

    fn new(method: HttpMethod, path: &'static str, id: &str, tag: Tag, summary: &str) -> Self {
        let operation = OperationBuilder::new()
            .operation_id(Some(id))
            .summary(Some(summary))
            .tag(tag.name())
            .parameter(parameters::request_id())
            .parameter(parameters::traceparent())
            .build();
        let endpoint =
            Self { path, method, head: false, operation, schemas: Vec::new(), failures: Vec::new() };
        let endpoint = if path.contains("{id}") {
            endpoint.with(if path.starts_with("/api/workspaces") {
                parameters::workspace_id()
            } else {
                parameters::sandbox_id()
            })
        } else if path.contains("{name}") {
            endpoint.with(parameters::cluster_name())
        } else {
            endpoint
        };
        let endpoint = endpoint.fails(failures::of_every_request());
        if path.starts_with("/api/") { endpoint.with_key(false) } else { endpoint }
    }

    /// Adds the API key, and the 401 without it.
    pub(crate) fn with_key(mut self, is_optional: bool) -> Self {
        let mut security =
            Vec::from(["ApiKey", "Bearer"].map(|name| SecurityRequirement::new(name, Vec::<String>::new())));
        if is_optional {
            security.push(SecurityRequirement::default());
        }
        self.operation.security = Some(security);
        self.fails(failures::without_key())
    }

    /// Adds HEAD, which is answered as GET without a body.
    pub(crate) fn and_head(self) -> Self {
        Self { head: true, ..self }
    }

    /// Sets the description, in Markdown.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.operation.description = Some(text.to_owned());
        self
    }

    pub(crate) fn with(mut self, parameter: Parameter) -> Self {
        self.operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
        self
    }

    /// Adds a JSON body with examples.
    pub(crate) fn body(mut self, name: &str, schema: Object, examples: &[(&str, Value)]) -> Self {
        self.schemas.push((name.to_owned(), schemas::Use::Request, schema.into()));
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(name))).examples_from_iter(
            examples.iter().map(|(summary, value)| {
                (key(summary), ExampleBuilder::new().summary(*summary).value(Some(value.clone())).build())
            }),
        );
        let body = RequestBodyBuilder::new()
            .content("application/json", content.build())
            .required(Some(Required::True))
            .build();
        self.operation.request_body = Some(RefOr::T(body));
        self
    }

    /// Adds the 200 with a JSON body.
    pub(crate) fn ok<T: ToSchema>(mut self, description: &str, example: Value) -> Self {
        let schema = self.schema::<T>(schemas::Use::Response);
        self.ok_with(description, schema, example, |response| response)
    }

    /// Adds the 200 with a JSON body of this schema, and with more headers.
    pub(crate) fn ok_with(
        self,
        description: &str,
        schema: impl Into<RefOr<Schema>>,
        example: Value,
        and: impl FnOnce(ResponseBuilder) -> ResponseBuilder,
    ) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
        self.answers("200", and(response(description).content("application/json", content)))
    }

    /// Adds an answer.
    pub(crate) fn answers(mut self, status: &str, response: ResponseBuilder) -> Self {
        self.operation.responses.responses.insert(status.to_owned(), RefOr::T(response.build()));
        self
    }

    /// Adds errors.
    pub(crate) fn fails(mut self, failures: impl IntoIterator<Item = Failure>) -> Self {
        self.failures.extend(failures);
        self
    }

    /// Registers a schema, and returns a reference to it.
    pub(crate) fn schema<T: ToSchema>(&mut self, used: schemas::Use) -> RefOr<Schema> {
        self.schemas.extend(schemas::named::<T>(used));
        Ref::from_schema_name(T::name()).into()
    }

    pub(super) fn schemas(&self) -> Vec<schemas::Named> {
        [&self.schemas[..], &errors::schemas()].concat()
    }

    /// Returns the examples of the errors, by the names that the answers refer to.
    pub(super) fn examples(&self) -> BTreeMap<String, Example> {
        let example = |failure: &Failure| {
            let text = failure.error.to_string();
            let example = ExampleBuilder::new().summary(text).value(Some(failure.error.body()));
            (failure.key(), example.build())
        };
        self.failures.iter().filter(|failure| !failure.is_text()).map(example).collect()
    }

    pub(super) fn into_path_item(mut self) -> (&'static str, PathItem) {
        let mut by_status: BTreeMap<u16, Vec<&Failure>> = BTreeMap::new();
        for failure in &self.failures {
            by_status.entry(failure.error.status().as_u16()).or_default().push(failure);
        }
        for (status, failures) in by_status {
            let response = failed(status, &failures);
            match self.operation.responses.responses.entry(status.to_string()) {
                Entry::Vacant(entry) => drop(entry.insert(RefOr::T(response))),
                Entry::Occupied(mut entry) => {
                    if let RefOr::T(answer) = entry.get_mut() {
                        add_contents(answer, response);
                    }
                }
            }
        }
        let mut item = PathItemBuilder::new();
        if self.head {
            item = item.operation(HttpMethod::Head, without_bodies(&self.operation));
        }
        (self.path, item.operation(self.method, self.operation).build())
    }
}

/// Adds the contents of another answer with the same status.
fn add_contents(answer: &mut Response, other: Response) {
    for (kind, content) in other.content {
        match (answer.content.get_mut(&kind), content) {
            (Some(RefOr::T(present)), RefOr::T(content)) => {
                let both = [present.schema.take(), content.schema].into_iter().flatten();
                present.schema = Some(both.fold(OneOfBuilder::new(), OneOfBuilder::item).into());
                present.examples.extend(content.examples);
            }
            (_, content) => drop(answer.content.insert(kind, content)),
        }
    }
}

/// Returns the operation of HEAD.
fn without_bodies(get: &Operation) -> Operation {
    let mut head = get.clone();
    head.operation_id = get.operation_id.as_deref().map(|id| id.replacen("get", "head", 1));
    head.description = Some("Answers as GET, without a body.".to_owned());
    for response in head.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.clear();
        }
    }
    head
}

/// Returns an answer with the header that all answers have.
pub(crate) fn response(description: &str) -> ResponseBuilder {
    let id = parameters::header("The id of the request, which is also in the logs.", "5d1f30c2-00002a");
    ResponseBuilder::new().description(description).header("X-Request-Id", id)
}

/// Returns the answer with one of these errors, which have the same status.
fn failed(status: u16, failures: &[&Failure]) -> Response {
    let mut reasons: Vec<_> = failures.iter().filter_map(|failure| failure.error.reason()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let meaning = failures::meaning(status);
    let description = match &reasons[..] {
        [] => meaning.to_owned(),
        reasons => format!("{meaning} Its `reason`: `{}`.", reasons.join("`, `")),
    };
    let has_all = failures.iter().all(|failure| failure.error.reason().is_some());
    let schema =
        schemas::error(failures.iter().any(|failure| failure.error.detail().is_array()), &reasons, has_all);
    let mut response = response(&description);
    for (name, header) in parameters::of_failures(failures) {
        response = response.header(name, header);
    }
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    if status == StatusCode::UNAUTHORIZED {
        let text = ContentBuilder::new()
            .schema(Some(schemas::text("The word `Unauthorized`. It is sent without a `Content-Type`.")))
            .example(Some("Unauthorized".into()));
        return response.content("text/plain", text.build()).content(PROBLEM_JSON, problem).build();
    }
    let mut content = Content::new(Some(schema));
    for failure in failures {
        let example = Ref::new(format!("#/components/examples/{}", failure.key()));
        content.examples.insert(failure.name().to_owned(), RefOr::Ref(example));
    }
    response.content("application/json", content).content(PROBLEM_JSON, problem).build()
}

/// Returns a text as the key of an example.
fn key(text: &str) -> String {
    text.to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}
