//! Programs in containers.

use super::agent::{AGENT_DEADLINE, next, silent, unexpected};
use super::ports::AgentStream;
use super::{App, AppError, Call};
use crate::state::Reach;
use omni_common::api::v1::{ExecStart, ReadQuery};
use omni_common::wire::{AgentRequest, ExecRequest, ReplyFrame, RequestInput};
use tokio::time::timeout;

/// Bytes of a command with its arguments and environment, as much as many kernels take for one argument.
const MAX_COMMAND: usize = 128 << 10;
/// Bytes of a command shown in the audit trail.
const AUDIT_TEXT: usize = 200;

/// A program that runs.
pub struct ExecSession {
    host: String,
    stream: AgentStream,
}

impl App {
    /// Starts a program in a container, after noting it in the audit trail.
    pub async fn exec(
        &self,
        call: &Call,
        host: &str,
        container: &str,
        start: ExecStart,
    ) -> Result<ExecSession, AppError> {
        check(&start)?;
        let state = self.read(ReadQuery::default()).await?;
        let seen = self.find_container(&state, host, container, Reach(&call.places))?;
        let target = format!("{}/{}", seen.host.name, seen.container().name);
        self.note(call, "container.exec", target, Some(shown(&start.command))).await?;
        let opening = async {
            let mut stream = self.open(seen.host, request(&seen.id, start)).await?;
            match next(&seen.host.name, &mut stream).await? {
                Some(ReplyFrame::Started) => Ok(stream),
                _ => Err(unexpected(&seen.host.name)),
            }
        };
        let stream =
            timeout(AGENT_DEADLINE, opening).await.unwrap_or_else(|_| Err(silent(&seen.host.name)))?;
        Ok(ExecSession { host: seen.host.name.clone(), stream })
    }
}

impl ExecSession {
    /// Its two directions, to be used at once.
    pub fn split(self) -> (ExecInputs, ExecOutputs) {
        let AgentStream { input, replies } = self.stream;
        let outputs = ExecOutputs { host: self.host.clone(), replies };
        let inputs = ExecInputs { host: self.host, input };
        (inputs, outputs)
    }
}

/// Towards a program.
pub struct ExecInputs {
    host: String,
    input: Box<dyn super::ports::AgentInput>,
}

impl ExecInputs {
    /// Sends input; waits while the program does not read.
    pub async fn send(&mut self, input: RequestInput) -> Result<(), AppError> {
        self.input.send(input).await.map_err(|error| super::agent::lost(&self.host, error))
    }
}

/// From a program.
pub struct ExecOutputs {
    host: String,
    replies: Box<dyn super::ports::AgentReplies>,
}

impl ExecOutputs {
    /// Its next output or its exit; absent when the agent said neither at the end.
    pub async fn next(&mut self) -> Result<Option<ReplyFrame>, AppError> {
        match self.replies.next().await {
            Ok(Some(ReplyFrame::Failed { code, message })) => {
                Err(AppError::Agent { host: self.host.clone(), code, message })
            }
            Ok(frame) => Ok(frame),
            Err(error) => Err(super::agent::lost(&self.host, error)),
        }
    }

    /// The agent broke the order of the protocol.
    pub fn unexpected(&self) -> AppError {
        unexpected(&self.host)
    }
}

fn check(start: &ExecStart) -> Result<(), AppError> {
    if start.command.first().is_none_or(String::is_empty) {
        return Err(AppError::invalid("/command", "name a program"));
    }
    let size: usize = start.command.iter().chain(&start.env).map(|text| text.len() + 1).sum();
    if size > MAX_COMMAND {
        let detail = format!("{size} bytes of command and environment are more than {MAX_COMMAND}");
        return Err(AppError::invalid("/command", detail));
    }
    if let Some(bad) = start.env.iter().position(|pair| !pair.contains('=')) {
        return Err(AppError::invalid(format!("/env/{bad}"), "write `KEY=value`"));
    }
    Ok(())
}

/// The command without its environment, which may hold secrets.
fn shown(command: &[String]) -> String {
    let mut text: String = command.join(" ").chars().take(AUDIT_TEXT + 1).collect();
    if text.chars().count() > AUDIT_TEXT {
        text.pop();
        text.push('…');
    }
    text
}

fn request(container: &str, start: ExecStart) -> AgentRequest {
    AgentRequest::Exec(ExecRequest {
        container: container.to_owned(),
        command: start.command,
        tty: start.tty,
        stdin: start.stdin,
        env: start.env,
        user: start.user,
        workdir: start.workdir,
        size: start.cols.zip(start.rows),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &[&str], env: &[&str]) -> ExecStart {
        ExecStart {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            env: env.iter().map(|&pair| pair.to_owned()).collect(),
            ..ExecStart::default()
        }
    }

    #[test]
    fn a_command_names_a_program_and_fits() {
        assert!(check(&start(&["sh", "-c", ""], &["A="])).is_ok());
        assert!(check(&start(&[], &[])).is_err());
        assert!(check(&start(&[""], &[])).is_err());
        assert!(check(&start(&["sh"], &["A"])).is_err());
        assert!(check(&start(&[&"x".repeat(MAX_COMMAND)], &[])).is_err());
    }

    #[test]
    fn the_audit_trail_shows_a_cut_command() {
        assert_eq!(shown(&["ls".to_owned(), "-l".to_owned()]), "ls -l");
        assert_eq!(shown(&["é".repeat(500)]).chars().count(), AUDIT_TEXT + 1);
    }
}
