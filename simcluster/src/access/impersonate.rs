//! User impersonation (`kubectl --as`).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};

use super::attributes::{Action, Attributes};
use super::user::{AUTHENTICATED, User, service_account_groups, service_account_of};
use crate::query::decode;
use crate::status::ApiError;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// Returns the user that a request impersonates and the permissions that this needs, or `None`.
pub(super) fn impersonated(headers: &HeaderMap) -> Result<Option<(User, Vec<Attributes>)>, ApiError> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or("").to_owned();
    let one = |name: &str| headers.get(name).map(text).unwrap_or_default();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            extra.entry(decode(key)).or_default().push(text(value));
        }
    }
    let groups: Vec<_> = headers.get_all(GROUP).iter().map(text).filter(|group| !group.is_empty()).collect();
    let mut user = User { name: one(USER), uid: one(UID), groups, extra };
    if user.name.is_empty() {
        return if user == User::default() {
            Ok(None)
        } else {
            Err(ApiError::internal("requested impersonation details without impersonating a user"))
        };
    }
    let rights = rights(&user);
    add_default_groups(&mut user);
    Ok(Some((user, rights)))
}

/// Returns the permissions that are needed to impersonate a user: one for each name, group and other field.
fn rights(user: &User) -> Vec<Attributes> {
    let action = |group: &str, resource: &str, name: &str| Action {
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..Action::default()
    };
    let mut rights = vec![match service_account_of(&user.name) {
        Some((namespace, name)) => {
            Action { namespace: namespace.to_owned(), ..action("", "serviceaccounts", name) }
        }
        None => action("", "users", &user.name),
    }];
    rights.extend(user.groups.iter().map(|group| action("", "groups", group)));
    let own = "authentication.k8s.io";
    if !user.uid.is_empty() {
        rights.push(action(own, "uids", &user.uid));
    }
    for (key, values) in &user.extra {
        rights.extend(
            values
                .iter()
                .map(|value| Action { subresource: key.clone(), ..action(own, "userextras", value) }),
        );
    }
    rights.into_iter().map(Attributes::Resource).collect()
}

/// Adds the default groups of the user.
fn add_default_groups(user: &mut User) {
    if user.groups.is_empty()
        && let Some((namespace, _)) = service_account_of(&user.name)
    {
        user.groups = service_account_groups(namespace);
    }
    let anonymous = User::anonymous();
    if user.name == anonymous.name {
        if user.groups.is_empty() {
            user.groups = anonymous.groups;
        }
    } else if !user.is_in(AUTHENTICATED) && !user.is_in(&anonymous.groups[0]) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    /// Guards that each field needs its own permission, and that a service account has its default groups.
    #[test]
    fn impersonation_headers_need_permissions() {
        assert_eq!(impersonated(&headers(&[])), Ok(None));
        assert!(impersonated(&headers(&[(GROUP, "g")])).is_err());
        let (user, rights) = impersonated(&headers(&[(USER, "system:serviceaccount:n:s")])).unwrap().unwrap();
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:n", AUTHENTICATED]);
        let Attributes::Resource(right) = &rights[0] else { panic!("{rights:?}") };
        assert_eq!((right.combined(), &*right.namespace, &*right.name), ("serviceaccounts".into(), "n", "s"));
        let all = [(USER, "u"), (GROUP, "g"), (GROUP, "h"), (UID, "1"), ("impersonate-extra-a%2Fb", "x")];
        let (user, rights) = impersonated(&headers(&all)).unwrap().unwrap();
        assert_eq!(rights.len(), 5);
        assert_eq!(user.groups, ["g", "h", AUTHENTICATED]);
        assert_eq!(user.extra["a/b"], ["x"]);
        let (anonymous, _) = impersonated(&headers(&[(USER, "system:anonymous")])).unwrap().unwrap();
        assert_eq!(anonymous, User::anonymous());
    }
}
