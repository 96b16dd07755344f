//! The names of operations in the texts of errors.

use crate::named;

named! {
    /// A caller's operation, or the part of it that failed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Operation {
        /// A sandbox is created.
        CreateSandbox = "Sandbox creation",
        /// The Pod of a sandbox is created.
        CreatePod = "Pod creation",
        /// The Service of a sandbox is created.
        CreateService = "Service creation",
        /// A sandbox is deleted.
        DeleteSandbox = "Sandbox deletion",
        /// The Pod of a sandbox is deleted.
        DeletePod = "Pod deletion",
        /// The Service of a sandbox is deleted.
        DeleteService = "Service deletion",
        /// The limits of a sandbox are changed.
        ChangeLimits = "Change of the limits",
        /// A workspace is deleted.
        DeleteWorkspace = "Workspace deletion",
        /// A workspace is enlarged.
        EnlargeWorkspace = "Workspace enlargement",
        /// A sandbox is resized.
        Resize = "Resize",
        /// A sandbox moves to another cluster.
        Move = "Move",
        /// A sandbox is used.
        Touch = "Touch",
        /// The log of a sandbox is read.
        ReadLog = "Reading of the log",
        /// Anything else. It changes nothing.
        Read = "The request",
    }
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
