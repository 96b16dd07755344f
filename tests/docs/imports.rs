//! Import circles: files of a crate that import each other, directly or over others, can only be understood together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The source directory of each crate, with the largest number of files that may import each other in a circle.
const CRATES: [(&str, usize); 7] = [
    ("lifecycle/src", 3),
    ("actors/src", 3),
    ("kubernetes/src", 6),
    ("doctor/src", 3),
    ("simcluster/src", 3),
    ("client/src", 1),
    ("src", 3),
];

/// A module's path from the crate's root: `store::window` is `["store", "window"]`.
type Module = Vec<String>;

/// The modules that each module imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Guards that a reader can take in a crate piece by piece.
#[test]
fn import_circles_stay_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, limit) in CRATES {
        let imports = imports(&root.join(folder));
        assert!(imports.len() >= 10, "{folder}: only {} modules found", imports.len());
        let largest = circles(&imports).into_iter().max_by_key(BTreeSet::len).unwrap_or_default();
        let names: Vec<_> = largest.iter().map(|module| module.join("::")).collect();
        assert!(names.len() <= limit, "{folder}: {} files import each other: {names:?}", names.len());
    }
}

/// Guards that the HTTP API knows nothing of Kubernetes' API, although both are dependencies of one crate.
#[test]
fn http_does_not_know_kubernetes() {
    let mut texts = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &[], &mut texts);
    assert!(texts.len() >= 40, "only {} modules found", texts.len());
    let code = |text: &str| text.lines().filter(|line| !line.trim().starts_with("//")).collect::<String>();
    let knows =
        |text: &str| ["kubernetes::", "kube::", "k8s_openapi::"].iter().any(|name| code(text).contains(name));
    let border: Vec<_> =
        texts.iter().filter(|(_, text)| knows(text)).map(|(module, _)| module.join("::")).collect();
    assert!(border.is_empty(), "these modules of src/http use Kubernetes: {border:?}");
}

#[test]
fn use_trees_are_expanded() {
    let text =
        "use std::fmt;\npub(crate) use crate::{\n    a::{self, b::C},\n    d as e,\n};\n// use crate::f;\n";
    assert_eq!(paths(text), ["std::fmt", "crate::a::self", "crate::a::b::C", "crate::d"]);
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let import = |from, to: &[&str]| (module(from), to.iter().copied().map(module).collect());
    let imports = [import("a", &["b"]), import("b", &["c"]), import("c", &["b"]), import("d", &["a"])].into();
    assert_eq!(circles(&imports), [BTreeSet::from([module("b"), module("c")])].into());
}

/// Reads which module imports which, test modules apart.
fn imports(folder: &Path) -> Imports {
    let mut texts = BTreeMap::new();
    read(folder, &[], &mut texts);
    let modules: BTreeSet<_> = texts.keys().cloned().collect();
    let imported = |module: &Module, text: &str| {
        let paths = paths(text);
        paths.iter().filter_map(|path| resolve(module, path, &modules)).filter(|to| to != module).collect()
    };
    texts.iter().map(|(module, text)| (module.clone(), imported(module, text))).collect()
}

/// Collects the text of all modules in a directory, each up to its own tests.
fn read(folder: &Path, parent: &[String], texts: &mut BTreeMap<Module, String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut module = parent.to_vec();
        if path.is_dir() {
            module.push(name);
            read(&path, &module, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            if !["lib", "main", "mod"].contains(&name.as_str()) {
                module.push(name);
            }
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            texts.entry(module).or_default().push_str(text);
        }
    }
}

/// Returns the paths of all `use` declarations, each written out.
fn paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let declaration = match line.split_once(") ") {
            Some((visibility, rest)) if visibility.starts_with("pub(") => rest,
            _ => line.strip_prefix("pub ").unwrap_or(line),
        };
        let Some(first) = declaration.strip_prefix("use ") else { continue };
        let mut tree = first.to_owned();
        while !tree.ends_with(';') {
            tree += lines.next().expect("a declaration ends");
        }
        expand("", tree.trim_end_matches(';'), &mut paths);
    }
    paths
}

/// Appends the paths of a use tree: `a::{b, c::{d, e}}` has three.
fn expand(before: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((prefix, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap();
        if !path.is_empty() {
            paths.push(format!("{before}{path}"));
        }
        return;
    };
    let inner = rest.strip_suffix('}').expect("braces match");
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&format!("{before}{prefix}"), &inner[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Finds the module that a path from `module` leads to: the longest part of the path that is one.
fn resolve(module: &Module, path: &str, modules: &BTreeSet<Module>) -> Option<Module> {
    let mut segments = path.split("::");
    let child_of = |module: &[String], name: &str| [module, &[name.to_owned()]].concat();
    let mut at = match segments.next()? {
        "crate" => Module::new(),
        "super" => module.split_last()?.1.to_vec(),
        "self" => module.clone(),
        child => child_of(module, child),
    };
    for segment in segments {
        if segment == "super" {
            at.pop();
            continue;
        }
        let child = child_of(&at, segment);
        if !modules.contains(&child) {
            break;
        }
        at = child;
    }
    modules.contains(&at).then_some(at)
}

/// Returns the sets of two or more modules that reach each other.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<Module>> {
    let reached: BTreeMap<_, _> = imports.keys().map(|module| (module, reachable(module, imports))).collect();
    let circle = |module| {
        let mutual = reached[module].iter().filter(|other| reached[other].contains(module));
        mutual.cloned().collect::<BTreeSet<_>>()
    };
    imports.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// Returns all modules that a module imports, directly or over others.
fn reachable(from: &Module, imports: &Imports) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in &imports[module] {
            if found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}
