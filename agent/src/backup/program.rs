//! A program in a container as a stream: its output as fast as it is read, its last words, its exit code.

use super::seam::{Ended, Exec, Program};
use crate::config::DockerSocket;
use crate::docker::bytes::{ExecIo, start_exec};
use crate::docker::demux::Demux;
use crate::docker::{DockerError, Engine, ExecState};
use crate::executors::end_program;
use omni_common::wire::{ExecRequest, OutputStream};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf};
use tokio::sync::oneshot;

/// Bytes of output that wait to be read.
const BUFFER: usize = 256 << 10;
/// Bytes moved at once.
const PIECE: usize = 64 << 10;
/// Bytes of stderr kept, from its end.
const MAX_WORDS: usize = 2 << 10;
/// The engine may take a moment to notice that a program whose outputs are closed has ended.
const EXIT_ATTEMPTS: u32 = 100;
const EXIT_WAIT: Duration = Duration::from_millis(50);

/// Starts a program.
pub(super) async fn start(
    engine: &Engine,
    socket: &DockerSocket,
    exec: Exec,
) -> Result<Program, DockerError> {
    let request = ExecRequest {
        container: exec.container,
        command: exec.command,
        tty: false,
        stdin: exec.input,
        env: exec.environment,
        user: None,
        workdir: None,
        size: None,
    };
    let id = engine.create_exec(&request).await?;
    let io = start_exec(socket, &id, false, None).await?;
    let (output, input) = tokio::io::split(io);
    let (writer, reader) = tokio::io::duplex(BUFFER);
    let (ended_in, ended) = oneshot::channel();
    let carrier = Carrier { engine: engine.clone(), exec: id, container: request.container };
    tokio::spawn(async move {
        let end = carrier.carry(output, writer).await;
        // Nobody may be waiting for it any more.
        ended_in.send(end).ok();
    });
    let input = exec.input.then(|| Box::new(input) as Box<_>);
    Ok(Program { output: Box::new(reader), input, ended })
}

struct Carrier {
    engine: Engine,
    exec: String,
    container: String,
}

impl Carrier {
    /// Carries the output to its reader, and says how the program ended. When the reader goes, the program is ended.
    async fn carry(&self, mut output: ReadHalf<ExecIo>, mut writer: DuplexStream) -> Ended {
        let mut words = Vec::new();
        match carry_output(&mut output, &mut writer, &mut words).await {
            Ok(()) => {
                let code = self.exit_code().await;
                Ended { code, words: text(&words) }
            }
            Err(reason) => {
                drop(output);
                end_program(&self.engine, &self.exec, &self.container).await;
                Ended { code: None, words: format!("{} {reason}", text(&words)).trim().to_owned() }
            }
        }
    }

    async fn exit_code(&self) -> Option<i64> {
        for _ in 0..EXIT_ATTEMPTS {
            match self.engine.exec_state(&self.exec).await {
                Ok(ExecState { running: false, exit_code, .. }) => return exit_code,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "exit code of a program not known yet"),
            }
            tokio::time::sleep(EXIT_WAIT).await;
        }
        None
    }
}

async fn carry_output(
    output: &mut ReadHalf<ExecIo>,
    writer: &mut DuplexStream,
    words: &mut Vec<u8>,
) -> Result<(), String> {
    let mut demux = Demux::default();
    let mut buffer = vec![0; PIECE];
    let mut out = Vec::with_capacity(PIECE);
    loop {
        let count = output.read(&mut buffer).await.map_err(|error| error.to_string())?;
        if count == 0 {
            break;
        }
        out.clear();
        let fed = demux.feed(&buffer[..count], |piece| match piece.stream {
            OutputStream::Stdout => out.extend_from_slice(piece.bytes),
            OutputStream::Stderr => keep_end(words, piece.bytes),
        });
        fed.map_err(|error| error.to_string())?;
        writer.write_all(&out).await.map_err(|_| "nobody reads it any more".to_owned())?;
    }
    if !demux.is_between_frames() {
        return Err("the engine broke off in the middle of its output".to_owned());
    }
    // Whoever reads sees the end only now; that it was a good one it learns from the exit code.
    writer.shutdown().await.map_err(|error| error.to_string())
}

fn keep_end(words: &mut Vec<u8>, more: &[u8]) {
    words.extend_from_slice(more);
    if words.len() > MAX_WORDS {
        words.drain(..words.len() - MAX_WORDS);
    }
}

fn text(words: &[u8]) -> String {
    String::from_utf8_lossy(words).trim().to_owned()
}
