//! The names of operations in the texts of errors.

use std::fmt;

/// A caller's operation, or the part of it that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A sandbox is created.
    CreateSandbox,
    /// The Pod of a sandbox is created.
    CreatePod,
    /// The Service of a sandbox is created.
    CreateService,
    /// A sandbox is deleted.
    DeleteSandbox,
    /// The Pod of a sandbox is deleted.
    DeletePod,
    /// The Service of a sandbox is deleted.
    DeleteService,
    /// The limits of a sandbox are changed.
    ChangeLimits,
    /// A workspace is deleted.
    DeleteWorkspace,
    /// A workspace is enlarged.
    EnlargeWorkspace,
    /// A sandbox is resized.
    Resize,
    /// A sandbox moves to another cluster.
    Move,
    /// A sandbox is used.
    Touch,
    /// The log of a sandbox is read.
    ReadLog,
    /// Anything else. It changes nothing.
    Read,
}

// === impl Operation ===

impl Operation {
    /// Returns what is known of the operation after its deadline has passed, as the end of a sentence.
    pub(crate) const fn after_its_deadline(self) -> &'static str {
        match self {
            Self::CreateSandbox | Self::CreatePod | Self::CreateService => {
                "; whether the sandbox was made is not known"
            }
            Self::DeleteSandbox
            | Self::DeletePod
            | Self::DeleteService
            | Self::ChangeLimits
            | Self::DeleteWorkspace
            | Self::EnlargeWorkspace
            | Self::Resize
            | Self::Move
            | Self::Touch => " and goes on",
            Self::ReadLog | Self::Read => "",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateSandbox => "Sandbox creation",
            Self::CreatePod => "Pod creation",
            Self::CreateService => "Service creation",
            Self::DeleteSandbox => "Sandbox deletion",
            Self::DeletePod => "Pod deletion",
            Self::DeleteService => "Service deletion",
            Self::ChangeLimits => "Change of the limits",
            Self::DeleteWorkspace => "Workspace deletion",
            Self::EnlargeWorkspace => "Workspace enlargement",
            Self::Resize => "Resize",
            Self::Move => "Move",
            Self::Touch => "Touch",
            Self::ReadLog => "Reading of the log",
            Self::Read => "The request",
        })
    }
}
