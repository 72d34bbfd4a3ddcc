//! A program in a container: its terminal or its outputs, its input, its exit code.

use super::{Ended, Failure, Reply, RequestStream};
use crate::docker::bytes::{ExecIo, start_exec};
use crate::docker::demux::Demux;
use crate::docker::{DockerError, Engine, ExecState, Handle, check_reference};
use omni_common::wire::{ExecRequest, OutputStream, ReplyFrame, RequestInput};
use omni_transport::FrameReader;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// Output is handed on in pieces of at most this many bytes.
const PIECE: usize = 32 << 10;
/// Most bytes of command and environment together: what a kernel takes is not much more.
const MAX_COMMAND: usize = 128 << 10;
/// A terminal that has just been started may not take a size yet.
const RESIZE_ATTEMPTS: u32 = 5;
const RESIZE_WAIT: Duration = Duration::from_millis(50);
/// The engine may take a moment to notice that a program whose outputs are closed has ended.
const EXIT_ATTEMPTS: u32 = 40;
const EXIT_WAIT: Duration = Duration::from_millis(50);
/// A program left alone may end by itself when its input ends; then it is asked to; then it is killed.
const GRACE: Duration = Duration::from_millis(500);
const TERM_GRACE: Duration = Duration::from_secs(2);

/// Answers an exec request.
pub(super) async fn run(
    docker: &Handle,
    request: ExecRequest,
    stream: &mut RequestStream,
) -> Result<(), Ended> {
    check(&request)?;
    let engine = docker.engine()?;
    let container = engine.inspect(&request.container).await?;
    let exec = engine.create_exec(&request).await?;
    let io = start_exec(docker.socket(), &exec, request.tty, request.size).await?;
    stream.reply.send(&ReplyFrame::Started).await?;
    let program = Program { engine: &engine, exec: &exec, request: &request };
    let ended = program.attend(io, stream).await;
    if ended.is_err() {
        end_program(&engine, &exec, &container.id).await;
    }
    ended?;
    let code = program.exit_code().await?;
    stream.reply.send(&ReplyFrame::Exit { code }).await
}

fn check(request: &ExecRequest) -> Result<(), Failure> {
    check_reference(&request.container)?;
    if request.command.first().is_none_or(String::is_empty) {
        return Err(Failure::invalid("there is no program to run"));
    }
    if let Some(bad) = request.env.iter().find(|pair| pair.find('=').is_none_or(|at| at == 0)) {
        return Err(Failure::invalid(format!("`{bad}` is no environment variable: write KEY=value")));
    }
    let size: usize = request.command.iter().chain(&request.env).map(String::len).sum();
    if size > MAX_COMMAND {
        return Err(Failure::invalid(format!(
            "command and environment have {size} bytes, at most {MAX_COMMAND} are taken"
        )));
    }
    Ok(())
}

/// A program that has been started.
struct Program<'a> {
    engine: &'a Engine,
    exec: &'a str,
    request: &'a ExecRequest,
}

impl Program<'_> {
    /// Carries output and input until the program closes its outputs or the asking side goes away.
    async fn attend(&self, io: ExecIo, stream: &mut RequestStream) -> Result<(), Ended> {
        let (mut output, input) = tokio::io::split(io);
        let RequestStream { input: frames, reply, over } = stream;
        let carry_input = self.carry_input(frames, input);
        tokio::select! {
            ended = self.carry_output(&mut output, reply) => ended,
            () = carry_input => Err(Ended::Gone),
            () = over.cancelled() => Err(Ended::Gone),
        }
    }

    async fn carry_output(&self, output: &mut ReadHalf<ExecIo>, reply: &mut Reply) -> Result<(), Ended> {
        let mut demux = (!self.request.tty).then(Demux::default);
        let mut buffer = vec![0; PIECE];
        loop {
            let read = tokio::select! {
                read = output.read(&mut buffer) => read,
                () = reply.gone() => return Err(Ended::Gone),
            };
            let bytes = match read {
                Ok(0) => return Ok(()),
                Ok(count) => &buffer[..count],
                Err(error) => {
                    return Err(Failure::failed(format!("the program's output broke off: {error}")).into());
                }
            };
            for frame in outputs(demux.as_mut(), bytes)? {
                reply.send(&frame).await?;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Carries input until the asking side goes away. Input that ends is no reason to leave: output goes on.
    async fn carry_input(&self, frames: &mut FrameReader<RequestInput>, mut input: WriteHalf<ExecIo>) {
        if let Some((cols, rows)) = self.request.size.filter(|_| self.request.tty) {
            self.resize(cols, rows, RESIZE_ATTEMPTS).await;
        }
        loop {
            match frames.next().await {
                Ok(Some(RequestInput::Stdin(bytes))) if self.request.stdin => {
                    // A program that has closed its input is not a reason to stop listening for a new size.
                    input.write_all(&bytes).await.ok();
                }
                Ok(Some(RequestInput::Eof)) => {
                    input.shutdown().await.ok();
                }
                Ok(Some(RequestInput::Resize { cols, rows })) => self.resize(cols, rows, 1).await,
                Ok(Some(RequestInput::Stdin(_) | RequestInput::Image(_))) => {}
                // The asking side may say all it has to say at once and only listen from then on.
                Ok(None) => {
                    input.shutdown().await.ok();
                    return std::future::pending().await;
                }
                Err(error) => {
                    tracing::debug!(%error, "input of a program broke off");
                    return;
                }
            }
        }
    }

    async fn resize(&self, cols: u16, rows: u16, attempts: u32) {
        for attempt in 1..=attempts {
            match self.engine.resize_exec(self.exec, cols, rows).await {
                Ok(()) => return,
                Err(error) if attempt == attempts => tracing::debug!(%error, "terminal not resized"),
                Err(_) => tokio::time::sleep(RESIZE_WAIT).await,
            }
        }
    }

    async fn exit_code(&self) -> Result<i64, Failure> {
        for _ in 0..EXIT_ATTEMPTS {
            if let ExecState { running: false, exit_code: Some(code), .. } =
                self.engine.exec_state(self.exec).await?
            {
                return Ok(code);
            }
            tokio::time::sleep(EXIT_WAIT).await;
        }
        Err(Failure::failed("the program closed its outputs but goes on"))
    }
}

/// Ends a program whose asking side has gone. Its input has ended with the connection, which is enough for
/// most. The engine cannot kill a program started by exec, so the rest is done through its process, after
/// making sure that the process is in the container: its number may have been given away.
pub(crate) async fn end_program(engine: &Engine, exec: &str, container: &str) {
    for (wait, signal) in
        [(GRACE, None), (TERM_GRACE, Some(Signal::HangUp)), (Duration::ZERO, Some(Signal::Kill))]
    {
        let process = match engine.exec_state(exec).await {
            Ok(ExecState { running: true, pid: Some(pid), .. }) => pid,
            Ok(_) | Err(DockerError::NotFound(_)) => return,
            Err(error) => {
                return tracing::warn!(container, %error, "program may go on after its user left");
            }
        };
        if let Some(signal) = signal {
            signal.send(process, container);
        }
        tokio::time::sleep(wait).await;
    }
}

/// What an abandoned program is sent.
#[derive(Clone, Copy, Debug)]
enum Signal {
    /// As from a terminal that was closed.
    HangUp,
    Kill,
}

impl Signal {
    fn send(self, process: i64, container: &str) {
        let Some(pid) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else {
            return;
        };
        let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        if !groups.contains(container) {
            return tracing::debug!(
                process,
                container,
                "process is not visible in the container, left alone"
            );
        }
        let signal = match self {
            Self::HangUp => rustix::process::Signal::HUP,
            Self::Kill => rustix::process::Signal::KILL,
        };
        if let Err(error) = rustix::process::kill_process(pid, signal) {
            tracing::warn!(process, container, %error, "abandoned program not signalled");
        }
    }
}

/// Output bytes as reply frames.
fn outputs(demux: Option<&mut Demux>, bytes: &[u8]) -> Result<Vec<ReplyFrame>, Failure> {
    let frame = |stream, data: &[u8]| ReplyFrame::Output { stream, data: data.to_vec() };
    let Some(demux) = demux else {
        return Ok(vec![frame(OutputStream::Stdout, bytes)]);
    };
    let mut frames = Vec::new();
    demux
        .feed(bytes, |piece| {
            if !piece.bytes.is_empty() {
                frames.push(frame(piece.stream, piece.bytes));
            }
        })
        .map_err(Failure::failed)?;
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(command: &[&str], env: &[&str]) -> ExecRequest {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ExecRequest {
            container: "web".into(),
            command: owned(command),
            tty: false,
            stdin: false,
            env: owned(env),
            user: None,
            workdir: None,
            size: None,
        }
    }

    #[test]
    fn nonsense_is_refused_before_the_engine_is_asked() {
        assert_eq!(check(&request(&["sh"], &["A=b", "C="])), Ok(()));
        let long = "x".repeat(MAX_COMMAND + 1);
        for bad in [
            request(&[], &[]),
            request(&[""], &[]),
            request(&["sh"], &["=x"]),
            request(&["sh"], &["x"]),
            request(&[&long], &[]),
        ] {
            assert_eq!(check(&bad).expect_err("refused").code, "invalid");
        }
    }

    #[test]
    fn outputs_of_a_program_are_told_apart() {
        let bytes = [
            crate::docker::demux::frame(OutputStream::Stdout, b"out"),
            crate::docker::demux::frame(OutputStream::Stderr, b"err"),
        ]
        .concat();
        let frames = outputs(Some(&mut Demux::default()), &bytes).expect("valid");
        let expected = [(OutputStream::Stdout, "out"), (OutputStream::Stderr, "err")]
            .map(|(stream, text)| ReplyFrame::Output { stream, data: text.into() });
        assert_eq!(frames, expected);
    }
}
