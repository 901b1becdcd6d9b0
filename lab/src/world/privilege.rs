//! The right to make networks: root has it, and others have it in a user namespace of their
//! own, where the system allows one.

use super::LabError;
use super::command::{run, tool};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

/// How the lab came to its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// This is root: namespaces are seen by everyone on the machine, and nodes run as nobody.
    Root,
    /// This is an ordinary user in a namespace of its own: nobody else sees the networks, they
    /// go with this process, and nodes run as the same user.
    UserNamespace,
}

/// Takes the right to make networks. Has to run before the process has a second thread: the
/// kernel moves only whole processes into a user namespace.
pub fn take() -> Result<Privilege, LabError> {
    if Uid::effective().is_root() {
        return Ok(Privilege::Root);
    }
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let not_allowed = |what: &str, error: std::io::Error| LabError::NotAllowed {
        why: format!("{what}: {error}"),
    };
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    unshare(flags).map_err(|error| not_allowed("no user namespace", error.into()))?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        std::fs::write(&path, text).map_err(|error| not_allowed(&path, error))?;
    }
    // The names of its namespaces are its own business.
    for args in [
        &["--make-rprivate", "/"][..],
        &["-t", "tmpfs", "none", "/run"],
    ] {
        let mut mount = tool("mount");
        mount.args(args);
        run(mount, "").map_err(|error| LabError::NotAllowed {
            why: error.to_string(),
        })?;
    }
    Ok(Privilege::UserNamespace)
}
