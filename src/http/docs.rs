//! `GET /docs`: a page that shows the description of the API, and sends requests.
//!
//! The page is static files, which are a part of the program. It needs no key, because it contains nothing but the
//! description. The files refer to each other by relative paths, so a proxy may serve them below a prefix.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use warp::{Filter, Reply, filters::BoxedFilter, path::FullPath, reply::Response};

use super::{
    entity_tag,
    errors::ApiError,
    openapi::{Endpoint, static_files::StaticFiles},
    path,
};

/// A file of the page.
#[derive(Debug)]
struct File {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
    tag: LazyLock<HeaderValue>,
}

macro_rules! file {
    ($name:literal, $media_type:literal) => {
        File {
            name: $name,
            media_type: $media_type,
            text: include_str!(concat!("docs/", $name)),
            tag: LazyLock::new(|| entity_tag::of(include_bytes!(concat!("docs/", $name)))),
        }
    };
}

static PAGE: File = file!("index.html", "text/html; charset=utf-8");

/// The files below `/docs/`.
static FILES: [File; 7] = [
    file!("style.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("main.js", "text/javascript; charset=utf-8"),
    file!("call.js", "text/javascript; charset=utf-8"),
    file!("schema.js", "text/javascript; charset=utf-8"),
    file!("request.js", "text/javascript; charset=utf-8"),
    file!("dom.js", "text/javascript; charset=utf-8"),
];

/// The browser loads nothing from elsewhere, runs no inline script, and shows the page in no frame. A text never becomes
/// markup or a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The headers of every file.
static SECURITY: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-cache"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let files = StaticFiles {
        paths: ["/docs", "/docs/{file}"],
        ids: ["getDocs", "getDocsFile"],
        summary: "Return a page that shows this document",
        names: FILES.iter().map(|file| file.name).collect(),
        headers: &SECURITY,
        location: "../docs",
    };
    files.endpoints()
}

pub(super) fn route() -> BoxedFilter<(Response,)> {
    let reads = || warp::get().and(warp::header::headers_cloned());
    let page = path::docs().and(reads()).and(warp::path::full()).map(|headers, path| page(&headers, &path));
    let file = path::docs_file().and(reads()).map(|name: String, headers| {
        let file = FILES.iter().find(|file| file.name == name);
        file.map_or_else(|| ApiError::not_found().into_response(), |file| send(file, &headers))
    });
    page.or(file).unify().boxed()
}

/// Sends the page. A path with a slash at the end is redirected, because the relative paths in the page begin at `/docs`.
fn page(headers: &HeaderMap, path: &FullPath) -> Response {
    if !path.as_str().ends_with('/') {
        return send(&PAGE, headers);
    }
    let mut response = secured(Response::default());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("../docs"));
    response
}

/// Sends a file, or a 304 if the browser has it.
fn send(file: &File, headers: &HeaderMap) -> Response {
    let mut response = secured(Response::default());
    if entity_tag::is_current(headers, &file.tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Bytes::from_static(file.text.as_bytes()).into();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    }
    response.headers_mut().insert(ETAG, file.tag.clone());
    response
}

fn secured(mut response: Response) -> Response {
    let headers = SECURITY.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
    response.headers_mut().extend(headers);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the page and its scripts refer to files that exist, and that nothing comes from elsewhere.
    #[test]
    fn the_page_refers_to_its_own_files() {
        for File { name, text, .. } in FILES.iter().chain([&PAGE]) {
            for before in ["src=\"", "href=\"", "from \"./"] {
                for reference in text.split(before).skip(1).filter_map(|rest| rest.split('"').next()) {
                    let known = FILES.iter().any(|file| reference.trim_start_matches("docs/") == file.name);
                    let is_other = reference.starts_with('#') || reference == "openapi.json";
                    assert!(known || is_other, "{name} refers to {reference}");
                }
            }
            assert!(!text.contains("innerHTML") && !text.contains("style=\""), "{name}");
            let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{name}");
        }
    }
}
