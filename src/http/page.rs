//! Pages for a browser: static files, which are a part of the program.
//!
//! A page needs no key, because it contains nothing about the sandboxes: it asks for the key and calls the API with it.
//! The files refer to each other by relative paths, so a proxy may serve them below a prefix.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use warp::{Filter, Rejection, filters::BoxedFilter, path::FullPath, reply::Response};

use super::entity_tag;

/// A page and the files that it loads.
pub(super) struct Page {
    /// The path to which a path with a slash at the end is redirected, because the relative paths in the page begin at
    /// the one without.
    pub(super) redirect: &'static str,
    pub(super) html: File,
    /// The files below its path.
    pub(super) files: &'static [File],
}

/// A file of a page.
pub(super) struct File {
    /// Its last path segment.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) tag: LazyLock<HeaderValue>,
}

/// Returns the [`File`] of this name in the directory of a page.
macro_rules! file {
    ($directory:literal, $name:literal) => {
        $crate::http::page::File {
            name: $name,
            text: include_str!(concat!($directory, "/", $name)),
            tag: std::sync::LazyLock::new(|| {
                $crate::http::entity_tag::of(include_bytes!(concat!($directory, "/", $name)))
            }),
        }
    };
}
pub(super) use file;

/// The browser loads nothing from elsewhere, runs no inline script, and shows the page in no frame. Text never becomes
/// markup or a script, because the scripts of the page cannot create either from a string.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The headers of every response.
pub(super) static SECURITY: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // The browser asks each time, so that a page and its scripts are of the same release.
    (CACHE_CONTROL, "no-cache"),
];

// === impl Page ===

impl Page {
    /// Returns the routes of the page and of its files.
    pub(super) fn route(
        &'static self,
        html_path: impl Filter<Extract = (), Error = Rejection> + Copy + Send + Sync + 'static,
        file_path: impl Filter<Extract = (String,), Error = Rejection> + Copy + Send + Sync + 'static,
    ) -> BoxedFilter<(Response,)> {
        let reads = || warp::get().or(warp::head()).unify().and(warp::header::headers_cloned());
        let html = |headers: HeaderMap, path: FullPath| {
            if path.as_str().ends_with('/') { self.redirected() } else { self.html.response(&headers) }
        };
        let html = html_path.and(reads()).and(warp::path::full()).map(html);
        let file = self.files(file_path).and(reads());
        let file = file.map(|file: &File, headers: HeaderMap| file.response(&headers));
        html.or(file).unify().boxed()
    }

    /// Returns the paths of the page and of its files, with any method.
    pub(super) fn paths(
        &'static self,
        html_path: impl Filter<Extract = (), Error = Rejection> + Copy + Send + Sync + 'static,
        file_path: impl Filter<Extract = (String,), Error = Rejection> + Copy + Send + Sync + 'static,
    ) -> BoxedFilter<()> {
        html_path.or(self.files(file_path).map(|_: &File| ()).untuple_one()).unify().boxed()
    }

    /// Finds the file of a path. A path with the name of no file has no route.
    fn files(
        &'static self,
        path: impl Filter<Extract = (String,), Error = Rejection> + Copy,
    ) -> impl Filter<Extract = (&'static File,), Error = Rejection> + Copy {
        path.and_then(async |name: String| {
            let file = self.files.iter().find(|file| file.name == name);
            file.ok_or_else(warp::reject::not_found)
        })
    }

    fn redirected(&self) -> Response {
        let mut response = secured(Response::default());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(LOCATION, HeaderValue::from_static(self.redirect));
        response
    }
}

// === impl File ===

impl File {
    /// Returns the file, or a 304 if the browser has it.
    fn response(&self, headers: &HeaderMap) -> Response {
        let mut response = secured(Response::default());
        if entity_tag::is_current(headers, &self.tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Bytes::from_static(self.text.as_bytes()).into();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type()));
        }
        response.headers_mut().insert(ETAG, self.tag.clone());
        response
    }

    fn media_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

fn secured(mut response: Response) -> Response {
    let headers = SECURITY.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
    response.headers_mut().extend(headers);
    response
}

#[cfg(test)]
mod tests {
    use super::{
        super::{docs, ui},
        *,
    };

    /// Guards that each script and each style that a file names is served with its type, that all are relative, and that
    /// no file names another host or makes markup from text.
    #[test]
    fn files_refer_only_to_each_other() {
        for page in [&docs::PAGE, &ui::PAGE] {
            for file in page.files.iter().chain([&page.html]) {
                refers_only_to_files_of(page, file);
                assert!(file.media_type() != "application/octet-stream", "{}", file.name);
            }
        }
    }

    fn refers_only_to_files_of(page: &Page, file: &File) {
        let folder = format!("{}/", page.redirect.trim_start_matches("../"));
        let quoted = file.text.split(['"', '\'']).skip(1);
        let is_file = |text: &&str| [".js", ".css", ".svg"].iter().any(|extension| text.ends_with(extension));
        for path in quoted.filter(is_file) {
            let name = path.strip_prefix("./").or_else(|| path.strip_prefix(&folder));
            let is_served = name.is_some_and(|name| page.files.iter().any(|file| file.name == name));
            assert!(is_served, "{folder}{}: {path}", file.name);
        }
        for before in ["src=\"", "href=\""] {
            for reference in file.text.split(before).skip(1).filter_map(|rest| rest.split('"').next()) {
                let name = reference.strip_prefix(&folder).unwrap_or(reference);
                let is_served = page.files.iter().any(|file| file.name == name);
                let is_page =
                    folder.strip_suffix('/') == reference.split('?').next() || reference.starts_with('#');
                assert!(
                    is_served || is_page || reference == "openapi.json",
                    "{folder}{}: {reference}",
                    file.name
                );
            }
        }
        let text = file.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://"), "{folder}{} names another host", file.name);
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "style=\"",
            "localStorage",
        ] {
            let is_allowed = forbidden == "localStorage" && file.name == "theme.js";
            assert!(is_allowed || !file.text.contains(forbidden), "{folder}{}: {forbidden}", file.name);
        }
    }
}
