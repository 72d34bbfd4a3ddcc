//! Output of restic 0.14.0 and 0.18.0, captured while each of these things was done for real:
//! `fixtures/VERSION/NAME.txt` holds the exit code, stdout and stderr. Paths, the host's name and repeated
//! lines have been shortened; nothing else was changed.

use crate::failure::{Error, Exit, Findings, Operation, judge};
use crate::secret::Masks;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const VERSIONS: [&str; 2] = ["0.14", "0.18"];

pub(crate) struct Captured {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Captured {
    pub(crate) fn read(version: &str, name: &str) -> Self {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", version].iter().collect();
        let path = path.join(format!("{name}.txt"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (code, rest) = text.split_once("\n---- stdout\n").expect("a fixture has a stdout");
        let (stdout, stderr) = rest.split_once("\n---- stderr\n").expect("a fixture has a stderr");
        let code =
            code.strip_prefix("code ").and_then(|code| code.parse().ok()).expect("a fixture has a code");
        Self { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    pub(crate) fn findings(&self, operation: Operation) -> Findings {
        let patience = Duration::from_secs(180);
        let mut findings = Findings::new(Masks::default(), patience, operation == Operation::Check);
        for line in self.stderr.lines() {
            findings.line(line, Instant::now());
        }
        findings
    }

    pub(crate) fn error(&self, operation: Operation) -> Option<Error> {
        judge(operation, "/srv/t/repo", Exit::Code(self.code), false, &self.findings(operation))
    }
}
