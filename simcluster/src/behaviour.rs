//! How a Pod fares on the node: the words of the annotation, of the settings and of the control endpoint.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration;
use crate::store::text_at;

/// The annotation that chooses how a Pod behaves: a [`Behaviour`] as text.
pub const ANNOTATION: &str = "simcluster/behaviour";

/// How a Pod behaves. As text, in an annotation or in JSON, it is a [`Course`] and settings, in any order, with commas
/// between: `crash-loop, failures=2`, `pull=30s`, `start=5s, terminate=1m`.
///
/// ```
/// use simcluster::{Behaviour, Course};
/// let behaviour: Behaviour = "image-pull-error, failures=2".parse().unwrap();
/// assert_eq!((behaviour.course, behaviour.failures), (Course::ImagePullError, Some(2)));
/// assert_eq!(behaviour.to_string(), "image-pull-error, failures=2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Behaviour {
    /// The states that the Pod goes through.
    pub course: Course,
    /// `failures=N`: how often it fails before all goes well; `None` for always. For pulls, mounts, crashes and starts.
    pub failures: Option<u32>,
    /// `start=DURATION`: how much longer than usual `ContainerCreating` lasts.
    pub start: Option<Duration>,
    /// `pull=DURATION`: how long it takes to pull the image, or to fail to.
    pub pull: Option<Duration>,
    /// `boot=DURATION`: how long its container runs before its probes succeed.
    pub boot: Option<Duration>,
    /// `after=DURATION`: how long it is ready before its course takes it; `None` for [`Times::crash`](crate::Times).
    pub after: Option<Duration>,
    /// `terminate=DURATION`: how long its containers take to end once told to. If that is more than the grace period,
    /// they are killed at its end.
    pub terminate: Option<Duration>,
}

/// The states that a Pod goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Course {
    /// `normal`: starts, gets ready, runs until it is deleted.
    #[default]
    Normal,
    /// `image-pull-error`: its image cannot be pulled (`ErrImagePull`, `ImagePullBackOff`).
    ImagePullError,
    /// `image-never-pull`: its image is absent and must not be pulled (`ErrImageNeverPull`).
    ImageNeverPull,
    /// `crash-loop`: exits with status 3 again and again (`CrashLoopBackOff`).
    CrashLoop,
    /// `oom`: is killed for its memory again and again (`OOMKilled`).
    Oom,
    /// `run-error`: its container cannot be started (`RunContainerError`). So fares any Pod that mounts a relative
    /// `hostPath`, whatever its course.
    RunError,
    /// `mount-error`: a volume cannot be mounted; it stays in `ContainerCreating` (`FailedMount`).
    MountError,
    /// `never-ready`: runs, but its readiness probe fails (`Unhealthy`).
    NeverReady,
    /// `readiness-lost`: gets ready, and then its readiness probe fails.
    ReadinessLost,
    /// `creating`: stays in `ContainerCreating`.
    Creating,
    /// `unschedulable`: no node ever takes it.
    Unschedulable,
    /// `succeed`: exits with status 0 and is not started again.
    Succeed,
    /// `fail`: exits with status 3 and is not started again.
    Fail,
    /// `evicted`: the node ends the Pod because memory is low (phase `Failed`, reason `Evicted`).
    Evicted,
    /// `node-lost`: its kubelet goes silent. It becomes unready, is deleted once it no longer tolerates that (reason
    /// `NodeLost`), and keeps terminating for ever. Its phase does not change, as in Kubernetes today.
    NodeLost,
    /// `unknown`: as `node-lost`, and its phase is `Unknown`, which the API has and clients must expect.
    Unknown,
    /// `stuck-terminating`: is normal, but once deleted never ends.
    StuckTerminating,
}

/// Not a valid behaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BehaviourError {
    /// No course has that name.
    #[error("{0:?} is not a behaviour: expected one of {list}", list = Course::list())]
    UnknownCourse(String),
    /// More than one course.
    #[error("a Pod has one course, and {0:?} is a second one")]
    SecondCourse(String),
    /// No setting has that name.
    #[error(
        "{0:?} is not a setting of a behaviour: expected one of failures, start, pull, boot, after, terminate"
    )]
    UnknownSetting(String),
    /// The value of a setting cannot be read.
    #[error("{value:?} is not valid for {key}: expected {wanted}")]
    Value {
        /// The setting.
        key: String,
        /// The value that was given.
        value: String,
        /// The values that the setting takes.
        wanted: &'static str,
    },
}

// === impl Course ===

impl Course {
    /// All courses, with their words.
    const WORDS: [(Self, &str); 17] = [
        (Self::Normal, "normal"),
        (Self::ImagePullError, "image-pull-error"),
        (Self::ImageNeverPull, "image-never-pull"),
        (Self::CrashLoop, "crash-loop"),
        (Self::Oom, "oom"),
        (Self::RunError, "run-error"),
        (Self::MountError, "mount-error"),
        (Self::NeverReady, "never-ready"),
        (Self::ReadinessLost, "readiness-lost"),
        (Self::Creating, "creating"),
        (Self::Unschedulable, "unschedulable"),
        (Self::Succeed, "succeed"),
        (Self::Fail, "fail"),
        (Self::Evicted, "evicted"),
        (Self::NodeLost, "node-lost"),
        (Self::Unknown, "unknown"),
        (Self::StuckTerminating, "stuck-terminating"),
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(course, _)| *course == self).map_or("normal", |(_, word)| word)
    }

    fn list() -> String {
        Self::WORDS.map(|(_, word)| word).join(", ")
    }
}

// === impl Behaviour ===

impl From<Course> for Behaviour {
    fn from(course: Course) -> Self {
        Self { course, ..Self::default() }
    }
}

impl Behaviour {
    /// Parses a Pod's annotation; `None` without one. An invalid one is logged and ignored.
    pub(crate) fn of(pod: &Value) -> Option<Self> {
        let text = text_at(pod, &["metadata", "annotations", ANNOTATION]);
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(behaviour) => Some(behaviour),
            Err(error) => {
                tracing::warn!(pod = text_at(pod, &["metadata", "name"]), %error, "the Pod behaves as any other");
                None
            }
        }
    }

    /// Whether it fails after having failed so often.
    pub(crate) fn fails(&self, before: u32) -> bool {
        self.failures.is_none_or(|failures| before < failures)
    }

    /// Whether its container ends by itself and is started again.
    pub(crate) fn crashes(&self, restarts: u32) -> bool {
        matches!(self.course, Course::CrashLoop | Course::Oom) && self.fails(restarts)
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, BehaviourError> {
        let mut behaviour = Self::default();
        let mut named = false;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            if let Some((key, value)) = part.split_once('=') {
                behaviour.set(key.trim(), value.trim())?;
                continue;
            }
            if named {
                return Err(BehaviourError::SecondCourse(part.to_owned()));
            }
            let course = Course::WORDS.iter().find(|(_, word)| *word == part);
            behaviour.course = course.ok_or_else(|| BehaviourError::UnknownCourse(part.to_owned()))?.0;
            named = true;
        }
        Ok(behaviour)
    }
}

impl Behaviour {
    fn set(&mut self, key: &str, value: &str) -> Result<(), BehaviourError> {
        let wrong = |wanted| BehaviourError::Value { key: key.to_owned(), value: value.to_owned(), wanted };
        if key == "failures" {
            self.failures = Some(value.parse().map_err(|_| wrong("a whole number"))?);
            return Ok(());
        }
        let duration = self.durations().into_iter().find(|(known, _)| *known == key);
        let (_, duration) = duration.ok_or_else(|| BehaviourError::UnknownSetting(key.to_owned()))?;
        let given = duration::parse(value);
        *duration = Some(given.ok_or_else(|| wrong("a duration such as 500ms or 1m 30s"))?);
        Ok(())
    }

    /// The settings that are durations, with their names.
    fn durations(&mut self) -> [(&'static str, &mut Option<Duration>); 5] {
        [
            ("start", &mut self.start),
            ("pull", &mut self.pull),
            ("boot", &mut self.boot),
            ("after", &mut self.after),
            ("terminate", &mut self.terminate),
        ]
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.course.as_str())?;
        if let Some(failures) = self.failures {
            write!(f, ", failures={failures}")?;
        }
        let mut copy = *self;
        for (key, value) in copy.durations() {
            if let Some(value) = value {
                let value = SignedDuration::try_from(*value).unwrap_or(SignedDuration::MAX);
                write!(f, ", {key}={value:#}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Behaviour {
    type Error = BehaviourError;

    fn try_from(text: String) -> Result<Self, BehaviourError> {
        text.parse()
    }
}

impl From<Behaviour> for String {
    fn from(behaviour: Behaviour) -> Self {
        behaviour.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_read_back_as_it_was_written() {
        for (course, _) in Course::WORDS {
            let whole = Behaviour {
                course,
                failures: Some(2),
                start: Some(Duration::from_millis(1500)),
                pull: Some(Duration::from_secs(90)),
                boot: Some(Duration::from_secs(100)),
                after: Some(Duration::ZERO),
                terminate: Some(Duration::from_secs(3600)),
            };
            assert_eq!(whole.to_string().parse(), Ok(whole), "{whole}");
            assert_eq!(course.as_str().parse(), Ok(Behaviour::from(course)));
        }
    }

    #[test]
    fn an_invalid_behaviour_is_refused_with_its_reason() {
        let error = |text: &str| text.parse::<Behaviour>().unwrap_err().to_string();
        assert!(
            error("crash")
                .starts_with("\"crash\" is not a behaviour: expected one of normal, image-pull-error")
        );
        assert_eq!(error("oom, fail"), "a Pod has one course, and \"fail\" is a second one");
        assert!(error("oom, x=1").starts_with("\"x\" is not a setting"));
        assert_eq!(error("failures=-1"), "\"-1\" is not valid for failures: expected a whole number");
        assert!(error("pull=-1s").contains("a duration such as 500ms"));
    }
}
