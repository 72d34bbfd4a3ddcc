//! `omni exec`: a program in a container, as if it ran here.

use crate::args::ExecArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::names;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::{Context, Result};
use bytes::Bytes;
use crossterm::terminal;
use omni_common::api::v1::ExecStart;
use omni_sdk::{ExecEvent, ExecReader, ExecWriter};
use std::io::{self, IsTerminal, Read};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Pieces of input waiting to be sent; a slow connection makes our reader wait.
const INPUT_QUEUE: usize = 16;
/// Largest piece of input read at once, bytes.
const INPUT_PIECE: usize = 16 << 10;
/// A shell shows a process ended by signal N as 128 + N.
const SIGNALLED: u8 = 128;

/// Runs the program and ends as it does.
pub(crate) async fn run(args: &ExecArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let wiring = Wiring::of(args)?;
    let container = names::container(&session.client, &args.name, args.host.as_deref()).await?;
    let (host, id) = (container.host.to_string(), &container.container.id);
    let (writer, reader) = session.client.exec(&host, id, start(args, wiring)).await?;
    let raw = wiring.tty.then(RawTerminal::enter).transpose()?;
    let ended = converse(writer, reader, wiring, out).await;
    drop(raw);
    ended
}

/// What of ours the program is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wiring {
    tty: bool,
    stdin: bool,
}

impl Wiring {
    fn of(args: &ExecArgs) -> Result<Self, Failure> {
        Self::choose(args, io::stdin().is_terminal(), io::stdout().is_terminal())
    }

    /// In a terminal both are on by themselves. Elsewhere input must be asked for, or a loop that reads lines
    /// would lose them to the first program it runs.
    fn choose(args: &ExecArgs, stdin_is_terminal: bool, stdout_is_terminal: bool) -> Result<Self, Failure> {
        let at_terminal = stdin_is_terminal && stdout_is_terminal;
        if args.tty && !stdin_is_terminal {
            return Err(Failure::Usage("standard input is no terminal; leave out `-t`".to_owned()));
        }
        let tty = !args.no_tty && (args.tty || at_terminal);
        Ok(Self { tty, stdin: args.interactive || tty })
    }
}

fn start(args: &ExecArgs, wiring: Wiring) -> ExecStart {
    let size = wiring.tty.then(|| terminal::size().ok()).flatten();
    let term = crate::settings::process_env("TERM").filter(|_| wiring.tty).map(|term| format!("TERM={term}"));
    ExecStart {
        command: args.command.clone(),
        tty: wiring.tty,
        stdin: wiring.stdin,
        env: term.into_iter().chain(args.env.iter().cloned()).collect(),
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        cols: size.map(|(cols, _)| cols),
        rows: size.map(|(_, rows)| rows),
    }
}

/// Our terminal without line editing, echo and signals; as it was before when dropped.
struct RawTerminal;

impl RawTerminal {
    fn enter() -> Result<Self> {
        terminal::enable_raw_mode().context("cannot switch the terminal to raw mode")?;
        Ok(Self)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // There is no better way to restore it than this one.
        terminal::disable_raw_mode().ok();
    }
}

/// Signals that matter while a program runs.
struct Signals {
    resized: Signal,
    terminated: Signal,
    hung_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            terminated: signal(SignalKind::terminate())?,
            hung_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Carries input and output until the program ends, we are told to end, or the connection breaks.
///
/// Both directions run by themselves: a program that waits for us to read must not wait for us to stop writing.
async fn converse(
    writer: ExecWriter,
    reader: ExecReader,
    wiring: Wiring,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let signals = Signals::listen().context("cannot listen for signals")?;
    let input = wiring.stdin.then(read_stdin);
    tokio::select! {
        ended = receive(reader, out) => ended,
        ended = send(writer, input, signals, wiring) => Ok(ended),
    }
}

/// Passes output on until the program has ended.
async fn receive(mut reader: ExecReader, out: &mut Printer) -> Result<ExitStatus> {
    loop {
        match reader.next().await? {
            ExecEvent::Started => {}
            ExecEvent::Stdout(bytes) => out.bytes(&bytes)?,
            ExecEvent::Stderr(bytes) => out.talk_bytes(&bytes),
            ExecEvent::Exit(code) => return Ok(ExitStatus::Program(u8::try_from(code).unwrap_or(u8::MAX))),
        }
    }
}

/// Passes input and sizes on. Ends only when a signal tells us to: how the program or the connection ended is
/// for the other direction to say.
async fn send(
    mut writer: ExecWriter,
    mut input: Option<mpsc::Receiver<Bytes>>,
    mut signals: Signals,
    wiring: Wiring,
) -> ExitStatus {
    loop {
        let sent = tokio::select! {
            piece = next_piece(&mut input) => match piece {
                Some(bytes) => writer.input(bytes).await,
                None => {
                    input = None;
                    writer.end_of_input().await
                }
            },
            _ = signals.resized.recv(), if wiring.tty => match terminal::size() {
                Ok((cols, rows)) => writer.resize(cols, rows).await,
                Err(_) => Ok(()),
            },
            _ = signals.terminated.recv() => return ExitStatus::Program(SIGNALLED + 15),
            _ = signals.hung_up.recv() => return ExitStatus::Program(SIGNALLED + 1),
        };
        if sent.is_err() {
            // Nobody listens any more; the reason comes, or has come, on the other direction.
            input = None;
        }
    }
}

/// The next piece of input; never, when there is none to come.
async fn next_piece(input: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match input {
        Some(pieces) => pieces.recv().await,
        None => std::future::pending().await,
    }
}

/// Reads standard input on a thread of its own: a read that blocks cannot be called off, and must not keep
/// the program from ending. The channel closes at the end of input.
fn read_stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(INPUT_QUEUE);
    std::thread::spawn(move || {
        let mut piece = vec![0; INPUT_PIECE];
        loop {
            let length = match io::stdin().read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            if sender.blocking_send(Bytes::copy_from_slice(&piece[..length])).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn typed(line: &str) -> ExecArgs {
        match Cli::try_parse_from(line.split(' ')).expect(line).command {
            Command::Exec(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_before_the_command_are_ours_and_those_after_it_are_not() {
        for line in
            ["omni exec -it web -- sh -c x", "omni exec web -it -- sh -c x", "omni exec -it web sh -c x"]
        {
            let args = typed(line);
            assert!(args.interactive && args.tty, "{line}");
            assert_eq!((args.name.as_str(), args.command.join(" ")), ("web", "sh -c x".to_owned()), "{line}");
        }
    }

    #[test]
    fn a_terminal_is_given_by_itself_only_to_people() {
        let choose = |line, stdin, stdout| Wiring::choose(&typed(line), stdin, stdout);
        let wiring = |tty, stdin| Ok(Wiring { tty, stdin });
        assert_eq!(choose("omni exec web sh", true, true), wiring(true, true));
        assert_eq!(choose("omni exec web sh", true, false), wiring(false, false));
        assert_eq!(choose("omni exec web sh", false, true), wiring(false, false));
        assert_eq!(choose("omni exec -i web sh", false, false), wiring(false, true));
        assert_eq!(choose("omni exec -T web sh", true, true), wiring(false, false));
        assert!(choose("omni exec -t web sh", false, true).is_err());
    }
}
