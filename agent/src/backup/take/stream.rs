//! What a program in a container writes, as a snapshot of one file.

use super::methods::Save;
use super::trim::Trimmed;
use crate::backup::context::Context;
use crate::backup::facts::Facts;
use crate::backup::facts::stream::{Kind, Watch, Watched};
use crate::backup::failure::Failure;
use crate::backup::repository::Opened;
use crate::backup::seam::{Ended, Exec};
use omni_restic::{BackupReport, Labels, Source, StreamBackup};
use tokio::io::AsyncRead;

/// Takes it. A program that does not end well, or whose dump has no end, leaves no snapshot.
pub(super) async fn take(
    context: &Context<'_>,
    opened: &Opened,
    labels: Labels,
    container: String,
    save: Save,
) -> Result<(BackupReport, Facts), Failure> {
    let name =
        save.file.parse().map_err(|error| Failure::new("invalid", format!("{}: {error}", save.file)))?;
    let backup = StreamBackup { name, labels, limits: opened.limits };
    let watch = Watch::new(save.kind);
    let exec = Exec { container, command: save.command, environment: save.environment, input: false };
    // A stream cannot be begun anew by restic alone: each attempt starts the program again.
    let report = opened
        .unlocked(|| async {
            let watch = watch.renew(save.kind);
            let program = context.shared.docker.run(exec.clone()).await;
            let program =
                program.map_err(|error| omni_restic::Error::Source { detail: error.to_string() })?;
            let (ended, program_name) = (program.ended, save.name.clone());
            let verdict = {
                let watch = watch.clone();
                async move {
                    let ended = ended.await.unwrap_or(Ended { code: None, words: String::new() });
                    ended.verdict(&program_name)?;
                    watch.complete()
                }
            };
            let output: Box<dyn AsyncRead + Send + Unpin> = match save.kind {
                Kind::Rdb => Box::new(Trimmed::new(program.output)),
                _ => program.output,
            };
            let source = Source::new(Watched { inner: output, watch }, verdict);
            context.attend(opened.restic.backup_stream(&opened.repository, &backup, source)).await
        })
        .await?;
    Ok((report, watch.facts()))
}
