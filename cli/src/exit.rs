//! Exit codes. Scripts branch on them, so they are part of the interface: documented, tested, never reused.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// What was asked for is done.
    Done,
    /// It failed, for a reason that has no code of its own.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// The cluster said no: who asks may not, or a policy or state forbids it.
    Refused,
    /// No controller answered.
    Unreachable,
    /// It was waited for as long as asked, and did not come.
    TimedOut,
    /// `deploy --plan`: something would change.
    Changes,
    /// `exec` ends as its program did.
    Program(u8),
}

impl ExitStatus {
    /// The number the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unreachable => 5,
            Self::TimedOut => 6,
            Self::Changes => 10,
            Self::Program(code) => code,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// The last paragraph of `omni --help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  usage: the command line makes no sense
  3  not found
  4  refused: not allowed, or not in this state
  5  no controller reachable
  6  timed out waiting
 10  changes: `omni deploy --plan` found some
`omni exec` ends with the exit code of its program.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_under_its_number() {
        let words = [
            (ExitStatus::Done, "done"),
            (ExitStatus::Failed, "failed"),
            (ExitStatus::Usage, "usage"),
            (ExitStatus::NotFound, "not found"),
            (ExitStatus::Refused, "refused"),
            (ExitStatus::Unreachable, "no controller reachable"),
            (ExitStatus::TimedOut, "timed out"),
            (ExitStatus::Changes, "changes"),
        ];
        for (status, word) in words {
            assert!(EXIT_CODES.contains(&format!("\n{:>3}  {word}", status.code())), "{word}");
        }
        assert_eq!(ExitStatus::Program(137).code(), 137);
    }
}
