//! The next step of a claim. Pure.

use std::time::Duration;

use serde_json::Value;

use super::names::{BIND_COMPLETED, LOCAL_PATH, NO_PROVISIONER, SELECTED_NODE};
use crate::duration;
use crate::fields::items;
use crate::store::text_at;
use crate::validate::quantity::Quantity;

/// How long a provisioner or a resizer takes, unless the class says otherwise.
const MOMENT: Duration = Duration::from_millis(100);

/// The inputs that decide about a claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub claim: &'a Value,
    /// The class that the claim names.
    pub class: Option<&'a Value>,
    /// The volume that the claim names.
    pub volume: Option<&'a Value>,
    /// The name of the default class.
    pub default_class: Option<&'a str>,
    /// Whether a Pod with this claim runs.
    pub in_use: bool,
    /// The state of the snapshot that the claim names as its source.
    pub source: Source,
}

/// The state of the snapshot that a claim names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Source {
    /// It names none, or it exists.
    #[default]
    Usable,
    /// It does not exist.
    Missing,
    /// It does not exist, and an Event says so.
    Reported,
}

/// A change of a claim, and maybe of its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Give it the default class, which did not exist when it was created.
    SetClass,
    /// Make a volume and bind it.
    Provision,
    /// Report that its source does not exist.
    Refuse,
    /// Bind it to the volume that it names.
    Bind,
    /// Its volume is gone.
    Lose,
    /// Begin to make its volume larger.
    StartExpansion,
    /// Make its volume larger.
    Expand,
    /// Make its file system as large as its volume.
    ResizeFileSystem,
}

/// Returns the name of the snapshot whose data the volume of a claim is to have.
pub(super) fn snapshot_of(claim: &Value) -> Option<&str> {
    let sources = ["dataSourceRef", "dataSource"].map(|key| &claim["spec"][key]);
    let source = sources.into_iter().find(|source| source["kind"] == "VolumeSnapshot")?;
    source["name"].as_str()
}

/// Whether a claim has been bound to a volume.
pub(crate) fn is_bound(claim: &Value) -> bool {
    let marked = claim["metadata"]["annotations"].get(BIND_COMPLETED).is_some();
    marked && !text_at(claim, &["spec", "volumeName"]).is_empty()
}

// === impl View ===

impl View<'_> {
    /// Returns the next step and the time until then; `None` if nothing happens by itself.
    pub fn next(&self) -> Option<(Duration, Step)> {
        let now = Duration::ZERO;
        if self.claim["status"]["phase"] == "Lost" {
            return None;
        }
        if is_bound(self.claim) {
            return match self.volume {
                None => Some((now, Step::Lose)),
                Some(_) => self.expansion(),
            };
        }
        if self.claim["metadata"].get("deletionTimestamp").is_some() {
            return None;
        }
        if !text_at(self.claim, &["spec", "volumeName"]).is_empty() {
            return self.volume.filter(|volume| self.takes(volume)).map(|_| (now, Step::Bind));
        }
        if self.claim["spec"].get("storageClassName").is_none() {
            return self.default_class.map(|_| (now, Step::SetClass));
        }
        let wait = self.provisioning()?;
        // The provisioner of kind ignores the source, and makes an empty directory.
        let reads_source = self.class.is_some_and(|class| text_at(class, &["provisioner"]) != LOCAL_PATH);
        match self.source {
            Source::Missing if reads_source => Some((wait, Step::Refuse)),
            Source::Reported if reads_source => None,
            _ => Some((wait, Step::Provision)),
        }
    }

    /// Whether the volume is free, or reserved for this claim.
    fn takes(&self, volume: &Value) -> bool {
        let reference = &volume["spec"]["claimRef"];
        let meta = |key| text_at(self.claim, &["metadata", key]);
        let uid = text_at(reference, &["uid"]);
        reference.is_null()
            || (reference["name"] == meta("name")
                && reference["namespace"] == meta("namespace")
                && (uid.is_empty() || uid == meta("uid")))
    }

    /// Returns how long a provisioner takes; `None` if none makes a volume.
    fn provisioning(&self) -> Option<Duration> {
        let class = self.class?;
        let provisioner = text_at(class, &["provisioner"]);
        let waits = class["volumeBindingMode"] == "WaitForFirstConsumer";
        let selected = self.claim["metadata"]["annotations"].get(SELECTED_NODE).is_some();
        if provisioner == NO_PROVISIONER || (waits && !selected) {
            return None;
        }
        // A directory of one node cannot be shared between nodes, and needs one.
        let single = |mode: &Value| mode == "ReadWriteOnce" || mode == "ReadWriteOncePod";
        let mut modes = items(&self.claim["spec"]["accessModes"]);
        if provisioner == LOCAL_PATH && !(selected && modes.all(single)) {
            return None;
        }
        parameter(class, "simcluster/provision")
    }

    fn expansion(&self) -> Option<(Duration, Step)> {
        let (class, status) = (self.class?, &self.claim["status"]);
        let wait = parameter(class, "simcluster/expand")?;
        match text_at(status, &["allocatedResourceStatuses", "storage"]) {
            "ControllerResizeInProgress" => return Some((wait, Step::Expand)),
            "NodeResizePending" => return self.in_use.then_some((wait, Step::ResizeFileSystem)),
            _ => {}
        }
        let wanted = Quantity::from_json(self.claim["spec"]["resources"]["requests"].get("storage")?)?;
        let has = Quantity::from_json(status["capacity"].get("storage")?)?;
        let resizer = text_at(class, &["provisioner"]);
        let grows = class["allowVolumeExpansion"] == true && resizer != LOCAL_PATH && wanted.exceeds(has);
        grows.then_some((Duration::ZERO, Step::StartExpansion))
    }
}

/// Returns a duration from a class's parameters, which is how tests slow a provisioner; `None` for `never`.
fn parameter(class: &Value, key: &str) -> Option<Duration> {
    match text_at(class, &["parameters", key]) {
        "never" => None,
        text => Some(duration::parse(text).unwrap_or(MOMENT)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn claim() -> Value {
        json!({
            "metadata": {"name": "a", "namespace": "ns", "uid": "u", "annotations": {}},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "c",
                "resources": {"requests": {"storage": "1Gi"}},
            },
            "status": {"phase": "Pending"},
        })
    }

    fn bound() -> Value {
        let mut claim = claim();
        claim["metadata"]["annotations"][BIND_COMPLETED] = "yes".into();
        claim["spec"]["volumeName"] = "v".into();
        claim["status"] = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
        claim
    }

    fn class(provisioner: &str, mode: &str) -> Value {
        json!({"provisioner": provisioner, "volumeBindingMode": mode, "allowVolumeExpansion": true})
    }

    fn view<'a>(claim: &'a Value, class: Option<&'a Value>, volume: Option<&'a Value>) -> View<'a> {
        View { claim, class, volume, default_class: None, in_use: false, source: Source::Usable }
    }

    /// Guards when a volume is made: by the class's mode, its provisioner, the claim's modes and the chosen node.
    #[test]
    fn a_volume_is_made_when_class_and_claim_allow_it() {
        let made = Some((MOMENT, Step::Provision));
        let (wait, rwo) = ("WaitForFirstConsumer", "ReadWriteOnce");
        for (provisioner, mode, access, selected, expected) in [
            ("csi.a", "Immediate", rwo, false, made),
            ("csi.a", "Immediate", "ReadWriteMany", false, made),
            ("csi.a", wait, rwo, false, None),
            ("csi.a", wait, rwo, true, made),
            (LOCAL_PATH, wait, rwo, true, made),
            (LOCAL_PATH, wait, "ReadWriteOncePod", true, made),
            (LOCAL_PATH, wait, "ReadWriteMany", true, None),
            (LOCAL_PATH, "Immediate", rwo, false, None),
            (NO_PROVISIONER, "Immediate", rwo, false, None),
        ] {
            let (mut claim, class) = (claim(), class(provisioner, mode));
            claim["spec"]["accessModes"] = json!([access]);
            if selected {
                claim["metadata"]["annotations"][SELECTED_NODE] = "n".into();
            }
            assert_eq!(view(&claim, Some(&class), None).next(), expected, "{provisioner} {mode} {access}");
            assert_eq!(view(&claim, None, None).next(), None, "no such class");
        }
        let mut slow = class("csi.a", "Immediate");
        slow["parameters"] = json!({"simcluster/provision": "5s"});
        let five = Some((Duration::from_secs(5), Step::Provision));
        assert_eq!(view(&claim(), Some(&slow), None).next(), five);
        slow["parameters"] = json!({"simcluster/provision": "never"});
        assert_eq!(view(&claim(), Some(&slow), None).next(), None);
    }

    /// Guards that a claim whose snapshot does not exist gets no volume and is reported once, and that the provisioner of kind
    /// ignores the snapshot.
    #[test]
    fn a_missing_snapshot_is_reported_once() {
        let (mut claim, csi, kind) =
            (claim(), class("csi.a", "Immediate"), class(LOCAL_PATH, "WaitForFirstConsumer"));
        claim["metadata"]["annotations"][SELECTED_NODE] = "n".into();
        for (class, source, expected) in [
            (&csi, Source::Usable, Some(Step::Provision)),
            (&csi, Source::Missing, Some(Step::Refuse)),
            (&csi, Source::Reported, None),
            (&kind, Source::Missing, Some(Step::Provision)),
        ] {
            let next = View { source, ..view(&claim, Some(class), None) }.next();
            assert_eq!(next.map(|(_, step)| step), expected, "{source:?}");
        }
        let snapshot =
            json!({"kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "golden"});
        assert_eq!(snapshot_of(&claim), None);
        claim["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "other"});
        assert_eq!(snapshot_of(&claim), None);
        claim["spec"]["dataSource"] = snapshot;
        assert_eq!(snapshot_of(&claim), Some("golden"));
    }

    /// Guards that a claim takes no other claim's volume, and that a claim that is deleted gets none.
    #[test]
    fn a_claim_takes_a_free_volume_or_its_own() {
        let mut named = claim();
        named["spec"]["volumeName"] = "v".into();
        let own = json!({"name": "a", "namespace": "ns", "uid": "u"});
        for (reference, taken) in [
            (Value::Null, true),
            (own, true),
            (json!({"name": "a", "namespace": "ns"}), true),
            (json!({"name": "a", "namespace": "ns", "uid": "other"}), false),
            (json!({"name": "b", "namespace": "ns"}), false),
        ] {
            let volume = json!({"spec": {"claimRef": reference}});
            let expected = taken.then_some((NOW, Step::Bind));
            assert_eq!(view(&named, None, Some(&volume)).next(), expected, "{volume}");
        }
        assert_eq!(view(&named, None, None).next(), None);
        named["metadata"]["deletionTimestamp"] = "t".into();
        assert_eq!(view(&named, None, Some(&json!({}))).next(), None);
    }

    /// Guards that a bound claim without its volume is lost, and stays so.
    #[test]
    fn a_claim_without_its_volume_is_lost() {
        let mut claim = bound();
        assert_eq!(view(&claim, None, None).next(), Some((NOW, Step::Lose)));
        claim["status"]["phase"] = "Lost".into();
        assert_eq!(view(&claim, None, None).next(), None);
        assert_eq!(view(&claim, None, Some(&json!({}))).next(), None);
    }

    /// Guards the steps of an expansion, and that the last one waits for a Pod.
    #[test]
    fn a_file_system_grows_only_under_a_pod() {
        let (volume, class) = (json!({}), class("csi.a", "Immediate"));
        let mut claim = bound();
        assert_eq!(view(&claim, Some(&class), Some(&volume)).next(), None);
        claim["spec"]["resources"]["requests"]["storage"] = "2Gi".into();
        assert_eq!(view(&claim, Some(&class), Some(&volume)).next(), Some((NOW, Step::StartExpansion)));
        let local = self::class(LOCAL_PATH, "WaitForFirstConsumer");
        assert_eq!(view(&claim, Some(&local), Some(&volume)).next(), None, "it has no resizer");
        claim["status"]["allocatedResourceStatuses"]["storage"] = "ControllerResizeInProgress".into();
        assert_eq!(view(&claim, Some(&class), Some(&volume)).next(), Some((MOMENT, Step::Expand)));
        claim["status"]["allocatedResourceStatuses"]["storage"] = "NodeResizePending".into();
        assert_eq!(view(&claim, Some(&class), Some(&volume)).next(), None);
        let used = View { in_use: true, ..view(&claim, Some(&class), Some(&volume)) };
        assert_eq!(used.next(), Some((MOMENT, Step::ResizeFileSystem)));
    }

    /// Guards that only a claim that names no class gets the default one.
    #[test]
    fn a_claim_without_a_class_gets_the_default_one() {
        let mut claim = claim();
        claim["spec"]["storageClassName"] = "".into();
        let next = |claim: &Value| View { default_class: Some("d"), ..view(claim, None, None) }.next();
        assert_eq!(next(&claim), None);
        claim["spec"].as_object_mut().unwrap().remove("storageClassName");
        assert_eq!(next(&claim), Some((NOW, Step::SetClass)));
        assert_eq!(view(&claim, None, None).next(), None);
    }
}
