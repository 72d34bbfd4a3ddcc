//! Why a connection was closed, as a QUIC application error code.

use std::fmt;

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// A named reason for closing a connection. Codes are only ever appended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CloseCode {
            $($(#[$doc])* $name,)*
            /// A code from a newer version.
            Other(u32),
        }

        impl CloseCode {
            /// Every code this version names.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number on the wire.
            pub fn value(self) -> u32 {
                match self {
                    $(Self::$name => $value,)*
                    Self::Other(value) => value,
                }
            }

            /// A stable short name, for metrics and logs.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(_) => "other",
                }
            }
        }

        impl From<u32> for CloseCode {
            fn from(value: u32) -> Self {
                match value {
                    $($value => Self::$name,)*
                    other => Self::Other(other),
                }
            }
        }
    };
}

close_codes! {
    /// The work is done.
    Done = 0, "done";
    /// This side is stopping; come back or go elsewhere.
    ShuttingDown = 1, "shutting_down";
    /// A frame could not be decoded.
    BadFrame = 2, "bad_frame";
    /// A frame announced more bytes than its stream allows.
    FrameTooLarge = 3, "frame_too_large";
    /// The peer's certificate is for another role than the protocol needs.
    WrongRole = 4, "wrong_role";
    /// The peer's identity has been revoked.
    Revoked = 5, "revoked";
    /// The two sides share no protocol version.
    UnsupportedProtocol = 6, "unsupported_protocol";
    /// The peer opened more streams or sent more frames than allowed.
    Flood = 7, "flood";
    /// A newer session of the same host took over.
    Superseded = 8, "superseded";
    /// The peer did not say hello in time.
    HelloTimeout = 9, "hello_timeout";
    /// The peer stopped reading or answering.
    Stalled = 10, "stalled";
    /// The peer broke the order of the protocol.
    OutOfOrder = 11, "out_of_order";
    /// The peer is not a known member of this cluster.
    UnknownPeer = 12, "unknown_peer";
    /// Something failed on this side.
    Internal = 13, "internal";
    /// The connection is too old and must be made again under a fresh certificate.
    TooOld = 14, "too_old";
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(value) => write!(f, "other({value})"),
            named => f.write_str(named.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    #[test]
    fn numbers_and_names_are_unique_and_go_both_ways() {
        let mut names = std::collections::BTreeSet::new();
        for (position, code) in CloseCode::ALL.iter().enumerate() {
            assert_eq!(code.value() as usize, position, "codes are appended in order");
            assert_eq!(CloseCode::from(code.value()), *code);
            assert!(names.insert(code.name()));
        }
        assert_eq!(CloseCode::from(999), CloseCode::Other(999));
    }
}
