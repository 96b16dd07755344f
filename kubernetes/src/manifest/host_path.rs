//! Paths on the hosts. A host may run another operating system than this machine: a Linux daemon also serves Windows
//! hosts.
//!
//! The rules are those of Python's `os.path` and `pathlib`, because DeerFlow's provisioner uses them.

/// Returns whether a path on a host is absolute: POSIX (`/srv`), a Windows drive (`C:\srv`, `C:/srv`) or a Windows
/// share (`\\server\share`).
#[must_use]
pub fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.starts_with(r"\\") || has_windows_drive(path)
}

/// Appends names to a host directory with the separator of that directory. Removes empty components and `.`, and keeps
/// `..`.
pub(super) fn join(base: &str, names: &[&str]) -> String {
    let (root, tail, separator) =
        if has_windows_drive(base) || base.contains('\\') { split_windows(base) } else { split_posix(base) };
    let tail = tail.split(separator).filter(|name| !name.is_empty() && *name != ".");
    let names: Vec<&str> = tail.chain(names.iter().copied()).collect();
    format!("{root}{}", names.join(if separator == '/' { "/" } else { r"\" }))
}

/// Normalizes a POSIX path: removes empty components, `.` and `..`. Does not access the file system.
/// An empty path becomes `.`. Exactly two leading slashes are kept, because POSIX gives them a special meaning.
pub(super) fn normalize(path: &str) -> String {
    let root = posix_root(path);
    let mut kept: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            // The parent of the root directory is the root directory.
            ".." if !root.is_empty() => {}
            _ => kept.push(name),
        }
    }
    let normal = format!("{root}{}", kept.join("/"));
    if normal.is_empty() { ".".to_owned() } else { normal }
}

/// Returns the components that lead from a base directory to a path below it, or `None` if the path is not below it.
/// For the base directory itself there are none. Both paths must be normalized and absolute POSIX paths; for any other
/// path the result is `None`.
pub(super) fn below<'a>(path: &'a str, base: &str) -> Option<Vec<&'a str>> {
    if !path.starts_with('/') || !base.starts_with('/') {
        return None;
    }
    let names = |path: &'a str| path.split('/').filter(|name| !name.is_empty());
    let mut rest = names(path);
    let mut spelt = String::new();
    for name in base.split('/').filter(|name| !name.is_empty()) {
        if rest.next() != Some(name) {
            return None;
        }
        spelt.push('/');
        spelt.push_str(name);
    }
    // A base with exactly two leading slashes is a different root than `/`.
    (spelt == base || base == "/").then(|| rest.collect())
}

/// Splits a normalized POSIX path into its parent and its last component.
pub(super) fn split_last(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", last)) => ("/", last),
        Some((parent, last)) => (parent, last),
        None => ("", path),
    }
}

fn has_windows_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

fn posix_root(path: &str) -> &'static str {
    match path.bytes().take_while(|b| *b == b'/').count() {
        0 => "",
        2 => "//",
        _ => "/",
    }
}

fn split_posix(path: &str) -> (String, String, char) {
    let root = posix_root(path);
    (root.to_owned(), path.trim_start_matches('/').to_owned(), '/')
}

/// Splits a Windows path into its drive or share, with the separator, and the rest. Converts slashes to backslashes.
fn split_windows(path: &str) -> (String, String, char) {
    let path = path.replace('/', r"\");
    let (root, tail) = if let Some(share) = path.strip_prefix(r"\\") {
        let mut parts = share.splitn(3, '\\');
        let server = parts.next().unwrap_or_default();
        let share = parts.next().map(|share| format!(r"{share}\")).unwrap_or_default();
        (format!(r"\\{server}\{share}"), parts.next().unwrap_or_default().to_owned())
    } else {
        let (drive, rest) = match path.as_bytes() {
            [_, b':', ..] => path.split_at(2),
            _ => ("", path.as_str()),
        };
        match rest.strip_prefix('\\') {
            Some(tail) => (format!(r"{drive}\"), tail.to_owned()),
            None => (drive.to_owned(), rest.to_owned()),
        }
    };
    (root, tail, '\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Guards that `join` gives the same result as Python's `pathlib`.
    #[test]
    fn joins_in_the_bases_own_style() {
        for (base, joined) in [
            ("/srv/deer-flow", "/srv/deer-flow/a/b"),
            ("/srv/deer-flow/", "/srv/deer-flow/a/b"),
            ("//srv//x/./y/", "//srv/x/y/a/b"),
            ("///srv", "/srv/a/b"),
            ("/srv/../x", "/srv/../x/a/b"),
            ("/", "/a/b"),
            ("", "a/b"),
            (".", "a/b"),
            ("relative", "relative/a/b"),
            (r"C:\deer-flow", r"C:\deer-flow\a\b"),
            (r"C:\", r"C:\a\b"),
            ("C:/deer-flow//x/", r"C:\deer-flow\x\a\b"),
            (r"\\server\share", r"\\server\share\a\b"),
            (r"\\server\share\dir\", r"\\server\share\dir\a\b"),
            (r"\rooted", r"\rooted\a\b"),
            (r"loose\dir", r"loose\dir\a\b"),
            (r"C:loose\dir", r"C:loose\dir\a\b"),
            ("C:loose", "C:loose/a/b"),
        ] {
            assert_eq!(join(base, &["a", "b"]), joined, "{base:?}");
        }
    }

    /// Guards that `normalize` gives the same result as Python's `posixpath.normpath`.
    #[test]
    fn normalizes_as_posixpath() {
        for (path, normal) in [
            ("", "."),
            (".", "."),
            ("/", "/"),
            ("//", "//"),
            ("///", "/"),
            ("/srv//x/./y/", "/srv/x/y"),
            ("//srv/x", "//srv/x"),
            ("///srv/x", "/srv/x"),
            ("/srv/../../etc", "/etc"),
            ("/..", "/"),
            ("//..", "//"),
            ("a/../..", ".."),
            ("../../a/..", "../.."),
            ("a/..", "."),
            (r"C:\x", r"C:\x"),
        ] {
            assert_eq!(normalize(path), normal, "{path:?}");
        }
    }

    /// Guards that paths are compared by whole components: `/srv/deer-flow-evil` is not below `/srv/deer-flow`.
    #[test]
    fn below_goes_by_whole_names() {
        let names = |path, base| below(path, base).map(|names| names.join("/"));
        assert_eq!(names("/srv/deer-flow/x/y", "/srv/deer-flow").as_deref(), Some("x/y"));
        assert_eq!(names("//srv/deer-flow/x", "/srv/deer-flow").as_deref(), Some("x"));
        assert_eq!(names("/srv/deer-flow", "/srv/deer-flow").as_deref(), Some(""));
        assert_eq!(names("/etc", "/").as_deref(), Some("etc"));
        for (path, base) in [
            ("/srv/deer-flow-evil", "/srv/deer-flow"),
            ("/srv", "/srv/deer-flow"),
            ("/srv/x", "//srv"),
            ("/srv/x", "srv"),
            ("/srv/x", ""),
            ("/srv/x", r"C:\srv"),
        ] {
            assert_eq!(names(path, base), None, "{path} in {base}");
        }
    }

    #[test]
    fn absolute_is_known_for_every_kind_of_host() {
        for path in ["/", "/srv", r"C:\x", "c:/x", r"\\server\share"] {
            assert!(is_absolute(path), "{path}");
        }
        for path in ["", "srv", "./srv", "C:", "C:x", r"\x", "1:/x", "~/x"] {
            assert!(!is_absolute(path), "{path}");
        }
    }

    proptest! {
        /// Guards that a normalized absolute path has no `..`, and that normalizing it again changes nothing.
        #[test]
        fn normal_absolute_paths_hold_no_way_up(path in "/[a./]{0,24}") {
            let normal = normalize(&path);
            prop_assert!(normal.split('/').all(|name| name != ".."), "{}", normal);
            prop_assert_eq!(normalize(&normal), normal);
        }
    }
}
