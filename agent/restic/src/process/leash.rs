//! What ends restic when this process dies, and keeps it from mistaking that death for the end of a stream.
//!
//! When a process is killed, the kernel closes its pipes. A restic that reads a stream would see the end of
//! it, and save a snapshot of half a database that looks like any other. So a second process holds the
//! writing end of restic's input too: a shell that waits on a pipe of its own, the lifeline. As long as it
//! holds on, the input has no end.
//!
//! - The lifeline breaks: this process is dead, or has dropped the leash. The shell interrupts restic, gives
//!   it filler to read (restic 0.18 looks at an interrupt only between two pieces of input), kills it
//!   after the grace time, and only then lets go.
//! - `release`: the stream has ended well. The shell lets go of the input and goes on watching.
//! - `done`: restic has ended. The shell ends.
//!
//! It is a shell because the workspace has no unsafe code, and a process that should outlive this one cannot
//! be forked without. It costs a megabyte while an operation runs.

use std::ffi::OsStr;
use std::io::{self, PipeWriter, Write};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Every host that runs containers has one.
pub(super) const SHELL: &str = "/bin/sh";

/// `$1`: tenths of a second between SIGINT and SIGKILL. Signals for the whole group of a service must not end
/// it before its charge. The pipe is opened anew for the filler, because this process has made its own end
/// non-blocking.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
read -r pid || exit 0
holding=yes
while read -r word; do
  case $word in
    release) exec >/dev/null; holding= ;;
    done) exit 0 ;;
  esac
done
kill -INT "$pid" 2>/dev/null
if [ "$holding" ]; then head -c 67108864 /dev/zero >/proc/self/fd/1 2>/dev/null & fi
left=$1
while [ "$left" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; left=$((left - 1)); done
kill -0 "$pid" 2>/dev/null && kill -KILL "-$pid" 2>/dev/null
wait
"#;

/// Holds one restic. Dropping it ends restic, like the death of this process.
pub(super) struct Leash {
    shell: Child,
    lifeline: PipeWriter,
}

impl Leash {
    /// A leash that holds nobody yet, but `input` already.
    pub(super) fn new(input: PipeWriter, path: &OsStr, grace: Duration) -> io::Result<Self> {
        let (reader, lifeline) = io::pipe()?;
        let tenths = (grace.as_millis() / 100).max(1);
        let shell = Command::new(SHELL)
            .args(["-c", SCRIPT, "leash", &tenths.to_string()])
            .env_clear()
            .env("PATH", path)
            .current_dir("/")
            .stdin(reader)
            .stdout(input)
            .stderr(Stdio::null())
            // Out of reach of what a terminal sends to the group of this process.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell, lifeline })
    }

    /// From now on it holds this process, the leader of its group.
    pub(super) fn hold(&mut self, pid: u32) -> io::Result<()> {
        self.say(&pid.to_string())
    }

    /// Lets restic see the end of its input, once this process lets go of it too.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.say("release")
    }

    /// restic has ended.
    pub(super) async fn done(mut self) {
        // A shell that somebody has killed leaves nothing to do.
        self.say("done").ok();
        let Self { mut shell, lifeline } = self;
        drop(lifeline);
        if let Err(error) = shell.wait().await {
            tracing::debug!(%error, "the shell that held restic cannot be waited for");
        }
    }

    /// A few bytes into an empty pipe: this does not block.
    fn say(&mut self, word: &str) -> io::Result<()> {
        self.lifeline.write_all(format!("{word}\n").as_bytes())
    }
}
