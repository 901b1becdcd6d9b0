//! Network namespaces: their names, and threads inside them.

use super::LabError;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Where `ip netns` keeps them.
pub const FOLDER: &str = "/run/netns";
/// How every name of the lab begins.
pub const PREFIX: &str = "andon-lab-";

/// A named network namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Netns(String);

impl Netns {
    /// The namespace of `name` in the lab that is called `tag`.
    pub fn of(tag: &str, name: &str) -> Self {
        Self(format!("{PREFIX}{tag}-{name}"))
    }

    /// Its name for `ip netns`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.0)
    }

    /// Moves the calling thread into it, for good.
    pub fn enter(&self) -> Result<(), LabError> {
        let what = || format!("enter the namespace {}", self.0);
        let file = File::open(self.path()).map_err(LabError::io(what()))?;
        setns(&file, CloneFlags::CLONE_NEWNET).map_err(|error| LabError::io(what())(error.into()))
    }

    /// Runs something in it, on a thread that ends with it.
    pub fn run<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, LabError> + Send,
    ) -> Result<T, LabError> {
        let entered = || {
            self.enter()?;
            work()
        };
        std::thread::scope(|scope| match scope.spawn(entered).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Sets kernel parameters of it, `net/ipv4/ip_forward` and the like. One that this kernel
    /// does not have is left out: each is about convenience, and a network that does not work
    /// is told by the grid that does not get well.
    pub fn set(&self, parameters: &[(String, String)]) -> Result<(), LabError> {
        self.run(|| {
            for (name, value) in parameters {
                match std::fs::write(format!("/proc/sys/{name}"), value) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(LabError::io(format!("set {name}"))(error));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}
