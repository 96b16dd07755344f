//! The settings file with the environment. The text before a line of `%` is the file. Each line after it is a variable
//! as `NAME=value`.

use std::{ffi::OsString, fs, path::PathBuf, sync::LazyLock};

use sandbox_provisioner::settings::{
    environment::Environment,
    load::{self, Loaded},
    problem::{Problem, Problems},
    show,
    sources::FlagValues,
};

/// The API key that is always configured, and that no output may contain.
const KEY: &str = "qK7-secret-zz9";

/// Checks that any text gives settings or problems of one line each, that printed settings read as the same settings,
/// and that no output contains the key.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (file, variables) = text.split_once("\n%\n").unwrap_or((text, ""));
    let variables = |name: &str| {
        let given = variables.lines().filter_map(|line| line.split_once('='));
        // This is the only file that is read.
        let allowed = !matches!(name, "PROVISIONER_API_KEY_FILE" | "SANDBOX_PROVISIONER_CONFIG");
        given.filter(|(given, _)| *given == name && allowed).map(|(_, value)| OsString::from(value)).next()
    };
    if file.contains("api_key_file") {
        return;
    }
    let with_key =
        |name: &str| if name == "PROVISIONER_API_KEY" { Some(KEY.into()) } else { variables(name) };
    let loaded = read(file, &Environment::from_lookup(with_key));
    // A key in the file is a secret too, but this check cannot distinguish it from other text.
    match loaded {
        Ok(loaded) => {
            assert!(!format!("{:?}", loaded.settings).contains(KEY));
            let shown = show::to_toml(&loaded);
            assert!(!shown.contains(KEY), "{shown}");
            let again = read(
                &shown,
                &Environment::from_lookup(|name| (name == "PROVISIONER_API_KEY").then(|| KEY.into())),
            );
            let again = again.unwrap_or_else(|problems| panic!("{shown}\nis refused: {problems}"));
            let effective = |loaded: &Loaded| {
                let mut settings = loaded.settings.clone();
                // Whether the process runs in a Pod is not a setting.
                for cluster in settings.clusters.iter_mut() {
                    cluster.kubernetes.connect.in_cluster = None;
                }
                format!("{settings:?}")
            };
            assert_eq!(effective(&again), effective(&loaded), "{shown}");
        }
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            for problem in problems {
                is_one_line(&problem);
            }
        }
    }
}

fn is_one_line(problem: &Problem) {
    let told = problem.to_string();
    assert!(!told.contains(char::is_control), "{told:?}");
    assert!(!told.contains(KEY), "{told}");
}

fn read(file: &str, environment: &Environment) -> Result<Loaded, Problems> {
    // The program reads a file, so this does too. Each process and thread has a file of its own.
    thread_local! {
        static PLACE: PathBuf = place();
    }
    PLACE.with(|path| {
        fs::write(path, file).expect("a file can be written");
        let loaded = load::for_looking(Some(path), environment, &FlagValues::default());
        fs::remove_file(path).expect("and removed");
        loaded
    })
}

fn place() -> PathBuf {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(std::env::temp_dir);
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    DIRECTORY.join(format!("sandbox-provisioner-fuzz-{}-{number}.toml", std::process::id()))
}
