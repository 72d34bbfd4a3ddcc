//! One call of restic on behalf of an operation, from arguments to a judged end.

use crate::failure::{Error, Exit, Findings, Operation, is_partial, judge};
use crate::process::{self, Ended, FeedEnd, Input, LineReader};
use crate::report::{Progress, document};
use crate::repository::{Access, Repository, Role, merge};
use crate::restic::Restic;
use crate::running::Running;
use crate::secret::Masks;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::future::Future;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longest answer that is read as a whole: some hundred thousand snapshots.
const MAX_ANSWER: u64 = 256 << 20;
/// Progress per second. Each line costs restic and this process a little.
const PROGRESS_PER_SECOND: &str = "2";

/// What restic is called for.
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    pub(crate) repository: &'a Repository,
    /// What is copied from.
    pub(crate) from: Option<&'a Repository>,
    /// Command and arguments.
    pub(crate) args: Vec<OsString>,
    pub(crate) input: Input,
}

impl<'a> Call<'a> {
    pub(crate) fn new(operation: Operation, repository: &'a Repository, args: Vec<OsString>) -> Self {
        Self { operation, repository, from: None, args, input: Input::Empty }
    }

    /// A call that only reads or writes the repository, named by its first word.
    pub(crate) fn plain<const N: usize>(repository: &'a Repository, words: [&'static str; N]) -> Self {
        let operation = Operation::Plain(words.first().copied().unwrap_or_default());
        Self::new(operation, repository, words.into_iter().map(OsString::from).collect())
    }

    pub(crate) fn with(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// An operation at work: restic, and what its caller holds of it.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) restic: Restic,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: watch::Sender<Progress>,
    /// Whether it only tidies up after another one.
    tidying: bool,
}

impl Restic {
    /// Starts an operation in a task of its own.
    pub(crate) fn start<T, F>(&self, work: impl FnOnce(Task) -> F) -> Running<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let restic = self.clone();
        Running::start(|cancel, progress| work(Task { restic, cancel, progress, tidying: false }))
    }
}

impl Task {
    /// The same, but neither cancelled with it nor followed by tidying up of its own.
    pub(super) fn tidying(&self) -> Self {
        Self { cancel: CancellationToken::new(), tidying: true, ..self.clone() }
    }

    /// Calls restic; whatever came of it is judged by the caller.
    pub(crate) async fn run<T, F: Future<Output = T>>(
        &self,
        call: Call<'_>,
        stop: &CancellationToken,
        read: impl FnOnce(ChildStdout) -> F,
    ) -> Result<Ended<T>, Error> {
        let doing = "starting restic";
        let access = self.access(&call).map_err(|error| match error {
            Conflict::Files(source) => Error::Io { doing: "writing a key for ssh", source },
            Conflict::Setting(name) => Error::Invalid(format!(
                "both repositories need {name}, with different values, and restic knows one; reach one of them \
                 through rclone"
            )),
        })?;
        let masks = Masks::new(access.secrets.iter().cloned());
        let checking = call.operation == Operation::Check;
        let findings = Findings::new(masks, self.restic.settings().patience, checking);
        let locks = !call.args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--no-lock");
        let command = self.command(&call, &access);
        tracing::debug!(operation = call.operation.name(), repository = %call.repository.location(), "calling restic");
        let ended = process::run(&command, call.input, findings, stop, read)
            .await
            .map_err(|source| Error::Io { doing, source })?;
        if locks && !self.tidying && left_a_lock(&ended, stop) {
            self.give_up_lock(call.repository, ended.pid).await;
            if let Some(from) = call.from {
                self.give_up_lock(from, ended.pid).await;
            }
        }
        Ok(ended)
    }

    fn access(&self, call: &Call<'_>) -> Result<Access, Conflict> {
        let folder = &self.restic.settings().work_folder;
        let main = call.repository.access(Role::Main, folder).map_err(Conflict::Files)?;
        let Some(from) = call.from else { return Ok(main) };
        let from = from.access(Role::From, folder).map_err(Conflict::Files)?;
        merge(main, from).map_err(Conflict::Setting)
    }

    fn command(&self, call: &Call<'_>, access: &Access) -> process::Command {
        let settings = self.restic.settings();
        let mut environment = access.environment.clone();
        for (name, value) in [
            ("PATH", settings.path.clone()),
            ("HOME", settings.home.clone().into()),
            ("TMPDIR", settings.work_folder.clone().into()),
            ("RESTIC_CACHE_DIR", settings.cache_folder.clone().into()),
            ("RESTIC_PROGRESS_FPS", PROGRESS_PER_SECOND.into()),
            // Messages are read by us, and retention counts the same days on every host.
            ("LC_ALL", "C".into()),
            ("TZ", "UTC".into()),
        ] {
            environment.insert(name.to_owned(), value);
        }
        let mut args = vec!["--json".into(), "--cleanup-cache".into()];
        args.extend(
            access.options.iter().flat_map(|(key, value)| ["-o".into(), format!("{key}={value}").into()]),
        );
        args.extend(access.ca_files.iter().flat_map(|file| ["--cacert".into(), file.clone()]));
        args.extend(call.args.iter().cloned());
        process::Command {
            program: self.restic.binary().to_owned(),
            args,
            environment,
            grace: settings.grace,
        }
    }

    /// Judges how a call ended.
    pub(crate) fn judge<T>(
        &self,
        operation: Operation,
        repository: &Repository,
        mut ended: Ended<T>,
    ) -> Result<(T, Findings), Error> {
        match ended.fed {
            FeedEnd::Failed(detail) => return Err(Error::Source { detail }),
            FeedEnd::Empty => return Err(Error::EmptyStream),
            FeedEnd::Whole | FeedEnd::Broken => {}
        }
        let place = repository.location().to_string();
        let cancelled = self.cancel.is_cancelled();
        if let Some(error) = judge(operation, &place, ended.exit, cancelled, &ended.findings) {
            return Err(error);
        }
        if is_partial(operation, ended.exit) {
            ended.findings.note_partial();
        }
        match ended.output {
            Some(output) => Ok((output, ended.findings)),
            None => Err(Error::Answer {
                operation: operation.name(),
                detail: "it ended, and something else kept its output open".into(),
            }),
        }
    }

    /// Calls restic for its whole answer.
    pub(crate) async fn text(&self, call: Call<'_>) -> Result<String, Error> {
        let (operation, repository) = (call.operation, call.repository);
        let ended = self.run(call, &self.cancel.child_token(), whole).await?;
        match self.judge(operation, repository, ended)?.0 {
            Some(text) => Ok(text),
            None => Err(Error::Answer {
                operation: operation.name(),
                detail: format!("it is longer than {} MiB; ask for less", MAX_ANSWER >> 20),
            }),
        }
    }

    /// Calls restic for a document of JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let operation = call.operation.name();
        let text = self.text(call).await?;
        // Some commands append text, so the document ends where it ends.
        let mut documents = serde_json::Deserializer::from_str(document(&text)).into_iter();
        match documents.next() {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(Error::Answer { operation, detail: error.to_string() }),
            None => Err(Error::Answer { operation, detail: "there is no JSON in it".into() }),
        }
    }

    /// Calls restic and hands on the lines of its answer; progress in them is published.
    pub(crate) async fn lines(
        &self,
        call: Call<'_>,
        mut line: impl FnMut(&str) -> Option<Progress> + Send,
    ) -> Result<Findings, Error> {
        let (operation, repository) = (call.operation, call.repository);
        let read = async |stdout| {
            let mut lines = LineReader::new(stdout);
            while let Ok(Some(text)) = lines.next().await {
                if let Some(progress) = line(&text).or_else(|| Progress::from_counter(&text)) {
                    self.progress.send_replace(progress);
                }
            }
        };
        let ended = self.run(call, &self.cancel.child_token(), read).await?;
        Ok(self.judge(operation, repository, ended)?.1)
    }
}

/// Whether a lock may have stayed: after a kill, and after an interrupt, because for the first moments of its
/// life (200 ms in 0.14) restic does not remove it then. A repository that does not let us work will not let
/// us tidy up either.
fn left_a_lock<T>(ended: &Ended<T>, stop: &CancellationToken) -> bool {
    let killed = matches!(ended.exit, Exit::Signal(_));
    let interrupted = stop.is_cancelled() && ended.exit != Exit::Code(0);
    (killed || interrupted) && !ended.findings.gave_up()
}

enum Conflict {
    Files(std::io::Error),
    Setting(String),
}

/// All of an answer, unless it is too long.
async fn whole(stdout: ChildStdout) -> Option<String> {
    let mut bytes = Vec::new();
    let mut stdout = stdout.take(MAX_ANSWER + 1);
    stdout.read_to_end(&mut bytes).await.ok()?;
    if bytes.len() as u64 > MAX_ANSWER {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
