//! `GET /ui`: a page that shows the sandboxes and changes them through the API.
//!
//! The page is static files, which are part of the program. It needs no key, because it contains nothing about the
//! sandboxes: it asks for the key and calls the API with it. The files refer to each other by relative paths, so a proxy
//! may serve them below a prefix.

use std::{str::FromStr, sync::LazyLock};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use warp::{Filter, Rejection, filters::BoxedFilter, path::FullPath, reply::Response};

use super::{
    entity_tag,
    openapi::{Endpoint, static_files::StaticFiles},
};

/// A file of the page.
struct File {
    /// Its last path segment.
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    tag: LazyLock<HeaderValue>,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static PAGE: File = File {
    name: "",
    content_type: HTML,
    text: include_str!("ui/index.html"),
    tag: LazyLock::new(|| entity_tag::of(include_bytes!("ui/index.html"))),
};

macro_rules! files {
    ($($content_type:ident: $($name:literal)*;)*) => {
        /// The files below `/ui/`.
        static FILES: [File; 29] = [$($(File {
            name: $name,
            content_type: $content_type,
            text: include_str!(concat!("ui/", $name)),
            tag: LazyLock::new(|| entity_tag::of(include_bytes!(concat!("ui/", $name)))),
        },)*)*];
    };
}

files! {
    CSS: "style.css" "detail.css";
    SVG: "icon.svg";
    JAVASCRIPT: "actions.js" "address.js" "api.js" "clock.js" "columns.js" "commands.js" "connection.js" "detail.js"
        "dialog.js" "dom.js" "filters.js" "format.js" "keys.js" "limits.js" "main.js" "metrics.js" "model.js" "notice.js" "order.js"
        "overview.js" "sse.js" "stream.js" "table.js" "theme.js" "timeline.js" "window.js";
}

/// The browser loads nothing from elsewhere, runs no inline script, and shows the page in no frame. Text never becomes
/// markup or a script, because the scripts of the page cannot create either from a string.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The headers of every response of this route.
static SECURITY: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // The browser asks each time, so that a page and its scripts are of the same release.
    (CACHE_CONTROL, "no-cache"),
];

/// A path segment that is the name of a file. A path with another one has no route.
struct KnownFile(&'static File);

impl FromStr for KnownFile {
    type Err = ();

    fn from_str(segment: &str) -> Result<Self, ()> {
        FILES.iter().find(|file| file.name == segment).map(Self).ok_or(())
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let files = StaticFiles {
        paths: ["/ui", "/ui/{file}"],
        ids: ["getUi", "getUiFile"],
        summary: "Return a page that shows the sandboxes live",
        names: FILES.iter().map(|file| file.name).collect(),
        headers: &SECURITY,
        location: "../ui",
    };
    files.endpoints().into_iter().map(Endpoint::and_head).collect()
}

pub(super) fn route() -> BoxedFilter<(Response,)> {
    let reads = || warp::get().or(warp::head()).unify().and(warp::header::headers_cloned());
    let page =
        warp::path!("ui").and(reads()).and(warp::path::full()).map(|headers, path| page(&headers, &path));
    let file =
        warp::path!("ui" / KnownFile).and(reads()).map(|KnownFile(file), headers| send(file, &headers));
    page.or(file).unify().boxed()
}

/// The paths of the page and of its files, with any method.
pub(super) fn paths() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::path!("ui").or(warp::path!("ui" / KnownFile).map(|_: KnownFile| ()).untuple_one()).unify()
}

/// Sends the page. `/ui/` is redirected, because the relative paths in the page begin at `/ui`.
fn page(headers: &HeaderMap, path: &FullPath) -> Response {
    if !path.as_str().ends_with('/') {
        return send(&PAGE, headers);
    }
    let mut response = secured(Response::default());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("../ui"));
    response
}

/// Sends a file, or a 304 if the browser has it.
fn send(file: &File, headers: &HeaderMap) -> Response {
    let is_known = entity_tag::is_current(headers, &file.tag);
    let mut response = secured(Response::new(if is_known { "" } else { file.text }.into()));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(ETAG, file.tag.clone());
    response
}

fn secured(mut response: Response) -> Response {
    for (name, value) in &SECURITY {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that each script and each style that a file names is served, that all are relative, and that no file names
    /// another host or makes markup from text.
    #[test]
    fn files_refer_only_to_each_other() {
        for file in FILES.iter().chain([&PAGE]) {
            let quoted = file.text.split(['"', '\'']).skip(1);
            let is_file = |text: &&str| [".js", ".css"].iter().any(|extension| text.ends_with(extension));
            for path in quoted.filter(is_file) {
                let name = path.strip_prefix("./").or_else(|| path.strip_prefix("ui/"));
                let is_served = name.is_some_and(|name| FILES.iter().any(|file| file.name == name));
                assert!(is_served, "{}: {path}", file.name);
            }
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://"), "{} names another host", file.name);
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"]
            {
                let is_allowed = forbidden == "localStorage" && file.name == "theme.js";
                assert!(is_allowed || !file.text.contains(forbidden), "{}: {forbidden}", file.name);
            }
        }
    }
}
