//! The user of a request.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The group of all authenticated users.
pub(super) const AUTHENTICATED: &str = "system:authenticated";
/// The group whose members may do everything, independent of roles.
pub(super) const MASTERS: &str = "system:masters";
/// The prefix of the user names of service accounts.
pub(super) const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A user, as RBAC knows it.
///
/// ```
/// let user = simcluster::User::new("provisioner").in_group("backends");
/// assert_eq!(user.name, "provisioner");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name. Bindings refer to it.
    pub name: String,
    /// Distinguishes two users with the same name; may be empty.
    pub uid: String,
    /// The groups. Bindings refer to them. `system:authenticated` is added after authentication.
    pub groups: Vec<String>,
    /// More attributes of the user. Permissions do not depend on them.
    pub extra: BTreeMap<String, Vec<String>>,
}

// === impl User ===

impl User {
    /// Creates a user without groups.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a group.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Returns an administrator: a member of `system:masters`, who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self::new("kubernetes-admin").in_group(MASTERS)
    }

    /// Returns the user of requests without credentials.
    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous").in_group("system:unauthenticated")
    }

    /// Returns the user of a service account.
    pub(super) fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let mut user = Self::new(format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"));
        uid.clone_into(&mut user.uid);
        user.groups = service_account_groups(namespace);
        user
    }

    /// Adds the group of authenticated users.
    pub(super) fn authenticated(self) -> Self {
        if self.is_in(AUTHENTICATED) { self } else { self.in_group(AUTHENTICATED) }
    }

    /// Returns whether the user is in a group.
    pub(super) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Returns the `UserInfo` for reviews.
    pub(super) fn info(&self) -> Value {
        let mut info = json!({"username": self.name});
        if !self.uid.is_empty() {
            info["uid"] = self.uid.as_str().into();
        }
        if !self.groups.is_empty() {
            info["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// Returns the groups of a service account in a namespace.
pub(super) fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// Returns the namespace and the name of the service account that a user name refers to.
pub(super) fn service_account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
}
