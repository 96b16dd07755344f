//! Who makes a call.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The group of all whose credentials were good.
pub(super) const AUTHENTICATED: &str = "system:authenticated";
/// The group whose members may do everything, whatever the roles say.
pub(super) const MASTERS: &str = "system:masters";
/// What stands before the name of a service account's user.
pub(super) const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Somebody who makes calls, as RBAC knows them.
///
/// ```
/// let user = simcluster::User::new("provisioner").in_group("backends");
/// assert_eq!(user.name, "provisioner");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name, which bindings name.
    pub name: String,
    /// What tells two users of one name apart; may be empty.
    pub uid: String,
    /// The groups, which bindings name too. `system:authenticated` is added when the user's token is shown.
    pub groups: Vec<String>,
    /// More that is known of the user; rights do not depend on it.
    pub extra: BTreeMap<String, Vec<String>>,
}

// === impl User ===

impl User {
    /// A user of that name, in no group yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The user as a member of one more group.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// An administrator: a member of `system:masters`, who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self::new("kubernetes-admin").in_group(MASTERS)
    }

    /// Whoever shows no credentials.
    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous").in_group("system:unauthenticated")
    }

    /// The user that a service account is.
    pub(super) fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let mut user = Self::new(format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"));
        uid.clone_into(&mut user.uid);
        user.groups = service_account_groups(namespace);
        user
    }

    /// The user once its credentials were found good.
    pub(super) fn authenticated(self) -> Self {
        if self.is_in(AUTHENTICATED) { self } else { self.in_group(AUTHENTICATED) }
    }

    /// Whether the user is a member of a group.
    pub(super) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The `UserInfo` that reviews show.
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

/// The groups of a service account in a namespace.
pub(super) fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// Namespace and name of the service account that a user name stands for.
pub(super) fn service_account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
}
