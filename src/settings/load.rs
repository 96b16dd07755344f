//! Reading the settings. Only this module reads files; everything else is a function of values.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use kubernetes::connect::ServiceAddress;
use lifecycle::{ids::ClusterName, placement::Terms};

use super::{
    Clusters, Log, Settings,
    clusters::{self, Table},
    embedded,
    environment::{CONFIG_VARIABLE, Environment},
    file,
    format::Invalid,
    http::{self, API_KEY, API_KEY_FILE},
    lifetimes, log, probing,
    problem::{Origin, Problem, Problems},
    profiles,
    reader::{Reader, Reported},
    reaping,
    sections::SETTINGS,
    setting::Declaration as _,
    sources::{FlagValues, RawValue, Sources},
    tables::WrittenTables,
};

/// The largest settings file that is read, in bytes: the example, with all comments, is a hundredth of it.
const FILE_MAX: u64 = 1024 * 1024;

/// The largest file with an API key that is read, in bytes: more than a request's headers could carry.
const KEY_FILE_MAX: u64 = 64 * 1024;

/// Settings, with their values as text and the origin of each.
#[derive(Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Whether there is a settings file.
    pub has_file: bool,
    /// The values as text, for [`super::show::to_toml`].
    pub values: Sources,
    /// The values of each cluster, by its name.
    pub values_of_clusters: ValuesOfClusters,
    /// The profiles as they were written.
    pub profiles: WrittenTables,
    /// The clusters as they were written.
    pub clusters: WrittenTables,
}

/// The values of each cluster as text: those of its table, and of the other settings.
pub type ValuesOfClusters = BTreeMap<ClusterName, Sources>;

/// Reads the settings for a daemon, which requires an API key unless it listens on a loopback address.
///
/// `config` is the file of the command line. Without it the file of the environment is used, and without both there is
/// no file.
///
/// # Errors
/// Every problem, not only the first.
pub fn for_serving(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
) -> Result<Loaded, Problems> {
    load(config, environment, flags, true)
}

/// Reads the settings for a command that does not listen; otherwise as [`for_serving`].
///
/// # Errors
/// Every problem, not only the first.
pub fn for_looking(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
) -> Result<Loaded, Problems> {
    load(config, environment, flags, false)
}

/// Reads the log settings from the environment and the flags, for a command that needs no other setting.
///
/// # Errors
/// An invalid log format or level.
pub fn log_only(environment: &Environment, flags: &FlagValues) -> Result<Log, Problems> {
    let sources = Sources::new(&SETTINGS, Vec::new(), |name| environment.get(name), flags, &mut Vec::new());
    let of_log = SETTINGS.iter().filter(|spec| log::is_log(spec));
    let reader = Reader::new(&sources, of_log, false);
    log::read(&reader).map_err(|Reported| Problems(reader.into_problems()))
}

fn load(
    config: Option<&Path>,
    environment: &Environment,
    flags: &FlagValues,
    serving: bool,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut in_file = file::File::default();
    let named = named(config, environment);
    let has_file = named.is_some();
    if let Some((path, named_by)) = named {
        // Without the file the other settings would be checked against wrong values.
        let text = read(&path, FILE_MAX).map_err(|error| {
            let path = path.display().to_string();
            Problems(vec![Problem::new(format!(
                "the settings file {path:?} ({named_by}) cannot be read: {error}"
            ))])
        })?;
        in_file = file::parse(&path, &text, &mut problems).map_err(Problems)?;
    }
    let mut sources =
        Sources::new(&SETTINGS, in_file.values, |name| environment.get(name), flags, &mut problems);
    problems.extend(http::choose_key(&mut sources).err());
    embedded::set_node_host_default(&mut sources);
    embedded::set_network_sources_default(&mut sources);
    problems.extend(read_key_file(&mut sources).err());

    let profiles = profiles::parse(&in_file.profiles, &mut problems);
    let tables = clusters::parse(&in_file.clusters, profiles.as_ref(), &mut problems);
    let mut reader = Reader::new(&sources, SETTINGS.iter(), serving);
    let settings = sections(&mut reader, tables, environment.in_cluster().as_ref());
    problems.extend(reader.into_problems());
    let (Ok((mut settings, values_of_clusters)), Some(profiles), true) =
        (settings, profiles, problems.is_empty())
    else {
        return Err(Problems(problems));
    };
    profiles::resolve(&profiles, &mut settings.clusters, settings.policy.max, &mut problems);
    if settings.embedded.is_none() {
        problems.extend(clusters::overlaps(&settings.clusters));
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let file::File { profiles, clusters, .. } = in_file;
    Ok(Loaded { settings, has_file, values: sources, values_of_clusters, profiles, clusters })
}

/// Reads all sections, so that the problems of each are reported. Returns also the values of each cluster.
fn sections(
    reader: &mut Reader<'_>,
    tables: BTreeMap<ClusterName, Table>,
    in_cluster: Option<&ServiceAddress>,
) -> Result<(Settings, ValuesOfClusters), Reported> {
    let http = http::read(reader);
    let policy = lifetimes::read(reader);
    let clusters = read_clusters(reader, tables, in_cluster);
    let mut policy = policy?;
    probing::read_timing(reader, &mut policy)?;
    let (clusters, values) = clusters?;
    let settings = Settings {
        http: http?,
        clusters,
        cluster_loss_timeout: clusters::read_loss_timeout(reader)?,
        policy,
        reap_limits: reaping::read(reader)?,
        embedded: embedded::read(reader)?,
        log: log::read(reader)?,
    };
    Ok((settings, values))
}

/// Reads the settings of each cluster. Without a table the settings of the file are those of the only cluster, or of each
/// embedded one.
fn read_clusters(
    reader: &mut Reader<'_>,
    tables: BTreeMap<ClusterName, Table>,
    in_cluster: Option<&ServiceAddress>,
) -> Result<(Clusters, ValuesOfClusters), Reported> {
    let is_embedded = embedded::read(reader)?.is_some();
    let mut values = ValuesOfClusters::new();
    let mut terms = BTreeMap::new();
    if tables.is_empty() {
        let names = if is_embedded { embedded::names(reader)? } else { vec![ClusterName::DEFAULT] };
        values.extend(names.into_iter().map(|name| (name, reader.sources.clone())));
    } else if is_embedded {
        embedded::check_tables(reader, tables.len())?;
    }
    let mut own_server = BTreeSet::new();
    let mut kubeconfigs = BTreeMap::new();
    for (name, table) in tables {
        if let Some(field) = table.kubeconfig_field(&name) {
            kubeconfigs.insert(name.clone(), field);
        }
        if table.names_server() {
            own_server.insert(name.clone());
        }
        values.insert(name.clone(), reader.sources.with(table.values));
        terms.insert(name, table.terms);
    }
    let read = |(name, values): (&ClusterName, &Sources)| {
        // The Pod's service account must not replace the missing kubeconfig of another cluster.
        let in_cluster = in_cluster.filter(|_| !own_server.contains(name)).cloned();
        // Embedded clusters store no data, so their sandboxes can move.
        let terms = terms.remove(name).unwrap_or(Terms { shares_data: is_embedded, ..Terms::default() });
        clusters::read(name.clone(), terms, values, kubeconfigs.remove(name), in_cluster)
    };
    let read = values.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok((Clusters::new(read).ok_or(Reported)?, values))
}

fn named(config: Option<&Path>, environment: &Environment) -> Option<(PathBuf, &'static str)> {
    if let Some(path) = config {
        return Some((path.to_owned(), "named by --config"));
    }
    let path = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty())?;
    Some((path.into(), "named by the environment variable SANDBOX_PROVISIONER_CONFIG"))
}

/// Sets the API key from the file with the API key, without the line end that editors and `echo` add.
fn read_key_file(sources: &mut Sources) -> Result<(), Problem> {
    let Some(RawValue { text: path, origin }) = sources.get(&API_KEY_FILE) else { return Ok(()) };
    let content = read(Path::new(path), KEY_FILE_MAX).map_err(|error| {
        let what = format!("{path:?} from {origin} cannot be read: {error}");
        Problem::not_allowed(&API_KEY_FILE.spec(&http::SECTION), &what)
    })?;
    let key = content.strip_suffix('\n').unwrap_or(&content);
    let key = key.strip_suffix('\r').unwrap_or(key);
    let origin = Origin::Within(Box::new(origin.clone()));
    // An empty text would mean that there is no key.
    if key.is_empty() {
        return Err(Problem::invalid(&API_KEY.spec(&http::SECTION), key, &origin, &Invalid::default()));
    }
    sources.set(&API_KEY, RawValue { text: key.to_owned(), origin });
    Ok(())
}

/// Returns the text of a file, or an error if it has more than `most` bytes: a device may be endless.
fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(text)
}
