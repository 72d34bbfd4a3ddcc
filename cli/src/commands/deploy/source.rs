//! Where a project comes from: the Git commit of its folder, when there is one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// A repository that takes longer to answer is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(3);

/// `git 1a2b3c4d5e6f`, with `-dirty` behind it when files that Git knows were changed since. Absent without Git, and
/// in a folder that is not in a repository.
pub(crate) async fn of_folder(folder: &Path) -> Option<String> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        // Looking must not take the lock from someone who works there.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let commit = text.trim();
    (output.status.success() && !commit.is_empty()).then(|| format!("git {commit}"))
}
