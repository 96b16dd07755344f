//! Kubeconfig files, with which `kubectl` and other clients find a cluster.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The first line. It marks a file that may be overwritten.
const MARK: &str = "# Written by an embedded cluster, for as long as it runs. A new one replaces it.";

/// The address and the credentials for a cluster. `Display` writes the file.
///
/// ```
/// let config = simcluster::Kubeconfig::new("https://127.0.0.1:6443").token("let-me-in");
/// assert!(config.to_string().contains("server: \"https://127.0.0.1:6443\""));
/// ```
#[derive(Clone)]
pub struct Kubeconfig {
    server: String,
    authority: Option<String>,
    token: Option<String>,
    namespace: String,
}

/// Why a kubeconfig was not written.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file was written by another program, and may have credentials that exist nowhere else.
    #[error("{} exists and was not written by an embedded cluster; choose another file or remove it", path.display())]
    Foreign {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

// === impl Kubeconfig ===

impl Kubeconfig {
    /// Creates a kubeconfig for an API server at a URL, without credentials.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self { server: server.into(), authority: None, token: None, namespace: "default".to_owned() }
    }

    /// Sets the certificate authority of the server, as PEM.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<String>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// Sets the bearer token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the default namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Writes the file atomically, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// [`KubeconfigError::Foreign`] for a file of another program; [`KubeconfigError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), KubeconfigError> {
        let failed = |source| KubeconfigError::Io { path: path.to_owned(), source };
        if !is_replaceable(path).map_err(failed)? {
            return Err(KubeconfigError::Foreign { path: path.to_owned() });
        }
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(hidden);
        let written = create_private(&beside).and_then(|mut file| {
            file.write_all(self.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)
        });
        written.map_err(|source| {
            // A second error, of the cleanup, adds nothing to the first.
            let _ = fs::remove_file(&beside);
            failed(source)
        })
    }
}

impl fmt::Display for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every JSON string is a YAML string.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        writeln!(f, "{MARK}")?;
        writeln!(f, "apiVersion: v1\nkind: Config\ncurrent-context: embedded")?;
        writeln!(f, "clusters:\n- name: embedded\n  cluster:\n    server: {}", quoted(&self.server))?;
        if let Some(pem) = &self.authority {
            writeln!(f, "    certificate-authority-data: {}", STANDARD.encode(pem))?;
        }
        match &self.token {
            Some(token) => writeln!(f, "users:\n- name: embedded\n  user:\n    token: {}", quoted(token))?,
            None => writeln!(f, "users:\n- name: embedded\n  user: {{}}")?,
        }
        writeln!(f, "contexts:\n- name: embedded\n  context:\n    cluster: embedded\n    user: embedded")?;
        writeln!(f, "    namespace: {}", quoted(&self.namespace))
    }
}

impl fmt::Debug for Kubeconfig {
    /// Hides the token, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("server", &self.server)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .finish_non_exhaustive()
    }
}

/// Returns whether the path has no file, an empty file, or a file that a cluster wrote.
fn is_replaceable(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MARK.len() as u64).read_to_end(&mut start)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(start.is_empty() || start == MARK.as_bytes())
}

/// Creates a file with mode 0600 from the start.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary directory, removed on drop.
    struct TemporaryDirectory(PathBuf);

    impl TemporaryDirectory {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("kubeconfig-{}", uuid::Uuid::new_v4()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for TemporaryDirectory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Guards users' own kubeconfigs, whose credentials may exist nowhere else.
    #[test]
    fn files_of_other_programs_are_not_replaced() {
        let folder = TemporaryDirectory::new();
        let path = folder.0.join("config");
        Kubeconfig::new("https://one").write(&path).unwrap();
        Kubeconfig::new("https://two").token("t").write(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("https://two"));
        fs::write(&path, "apiVersion: v1\n").unwrap();
        let refused = Kubeconfig::new("https://three").write(&path);
        assert!(matches!(refused, Err(KubeconfigError::Foreign { .. })), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "apiVersion: v1\n");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "temporary files are removed");
        let nowhere = Kubeconfig::new("https://four").write(&folder.0.join("no/such/folder"));
        assert!(matches!(nowhere, Err(KubeconfigError::Io { .. })), "{nowhere:?}");
    }

    /// Guards the token: only its owner may read the file, and logs do not show it.
    #[cfg(unix)]
    #[test]
    fn the_token_stays_secret() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = TemporaryDirectory::new();
        let path = folder.0.join("config");
        let config = Kubeconfig::new("https://one").token("hunter2");
        config.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
