//! Tokens: the secret, its hash as the state keeps it, and the text that people copy.

use crate::error::Result;
use crate::fingerprint::CaFingerprint;
use crate::random::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use omni_common::ids::TokenId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const SECRET_LEN: usize = 32;
const ID_LEN: usize = 16;
const CA_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
const BODY_LEN: usize = ID_LEN + CA_LEN + SECRET_LEN + CHECKSUM_LEN;
/// Longest text looked at; a token is about 125 characters.
const MAX_TEXT: usize = 512;

/// The secret part of a token: 256 random bits, so a plain hash protects it and no slow one is needed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; SECRET_LEN]);

impl Secret {
    /// A fresh secret.
    pub fn generate() -> Result<Self> {
        random().map(Self)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(masked)")
    }
}

/// SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a presented secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether `secret` is the one that was hashed. Takes the same time for every wrong answer.
    pub fn matches(&self, secret: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }
}

/// What a token lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TokenKind {
    /// Enrol a machine.
    Join,
    /// Call the API.
    Api,
    /// Call the API as the person who signed in for it.
    Session,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Join => "omni-join1.",
            Self::Api => "omni-api1.",
            Self::Session => "omni-session1.",
        }
    }
}

/// A token as a person copies it: `omni-join1.…` or `omni-api1.…`; a session's is kept by programs alone.
///
/// The rest is base64url of `id (16) | CA fingerprint (32) | secret (32) | checksum (4)`. The checksum covers
/// the prefix too, so a torn paste is told apart from a token that the cluster does not know.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    /// What it is for.
    pub kind: TokenKind,
    /// Which token.
    pub id: TokenId,
    /// The secret, 32 bytes.
    pub secret: Vec<u8>,
    /// The cluster's root, so that the holder authenticates the cluster before sending anything.
    pub ca: CaFingerprint,
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It begins like nothing omni hands out.
    #[error("this is not an omni token: one begins with `omni-join1.` or `omni-api1.`")]
    Prefix,
    /// Characters are missing, added or changed.
    #[error("the token is damaged: copy it again as a whole")]
    Damaged,
}

impl TokenText {
    /// Puts a token together.
    pub fn new(kind: TokenKind, id: TokenId, secret: &Secret, ca: CaFingerprint) -> Self {
        Self { kind, id, secret: secret.as_bytes().to_vec(), ca }
    }

    /// What is stored of its secret.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }
}

impl fmt::Display for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = Zeroizing::new(Vec::with_capacity(BODY_LEN));
        body.extend_from_slice(self.id.0.as_bytes());
        body.extend_from_slice(self.ca.as_bytes());
        body.extend_from_slice(&self.secret);
        let sum = checksum(self.kind, &body);
        body.extend_from_slice(&sum);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*body));
        write!(f, "{}{}", self.kind.prefix(), *text)
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}(masked)", self.kind.prefix(), self.id)
    }
}

impl FromStr for TokenText {
    type Err = InvalidToken;

    /// Blanks around the text are ignored.
    fn from_str(text: &str) -> std::result::Result<Self, InvalidToken> {
        let text = text.trim();
        let (kind, encoded) = split_prefix(text).ok_or(InvalidToken::Prefix)?;
        if text.len() > MAX_TEXT {
            return Err(InvalidToken::Damaged);
        }
        let body = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| InvalidToken::Damaged)?);
        read_body(kind, &body).ok_or(InvalidToken::Damaged)
    }
}

fn split_prefix(text: &str) -> Option<(TokenKind, &str)> {
    [TokenKind::Join, TokenKind::Api, TokenKind::Session]
        .into_iter()
        .find_map(|kind| text.strip_prefix(kind.prefix()).map(|rest| (kind, rest)))
}

fn read_body(kind: TokenKind, body: &[u8]) -> Option<TokenText> {
    let (content, sum) = body.split_last_chunk::<CHECKSUM_LEN>()?;
    if checksum(kind, content) != *sum {
        return None;
    }
    let (id, rest) = content.split_first_chunk::<ID_LEN>()?;
    let (ca, secret) = rest.split_first_chunk::<CA_LEN>()?;
    (secret.len() == SECRET_LEN).then(|| TokenText {
        kind,
        id: TokenId(Uuid::from_bytes(*id)),
        secret: secret.to_vec(),
        ca: CaFingerprint::from_bytes(*ca),
    })
}

fn checksum(kind: TokenKind, content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let digest = Sha256::new().chain_update(kind.prefix()).chain_update(content).finalize();
    *digest.first_chunk().expect("a digest is longer than its checksum")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(kind: TokenKind) -> TokenText {
        TokenText {
            kind,
            id: TokenId::from_u128(0x42),
            secret: vec![9; SECRET_LEN],
            ca: CaFingerprint::of(b"root"),
        }
    }

    #[test]
    fn a_cut_or_changed_token_is_damaged_not_unknown() {
        for kind in [TokenKind::Join, TokenKind::Api, TokenKind::Session] {
            let text = token(kind).to_string();
            let body = kind.prefix().len();
            for end in body..text.len() {
                assert_eq!(text[..end].parse::<TokenText>(), Err(InvalidToken::Damaged), "cut to {end}");
            }
            for position in body..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).expect("ASCII");
                assert_eq!(changed.parse::<TokenText>(), Err(InvalidToken::Damaged), "changed at {position}");
            }
            assert_eq!(format!("{text}{text}").parse::<TokenText>(), Err(InvalidToken::Damaged));
        }
    }

    #[test]
    fn a_token_cannot_change_its_kind() {
        let text = token(TokenKind::Join).to_string();
        let turned = text.replace(TokenKind::Join.prefix(), TokenKind::Api.prefix());
        assert_eq!(turned.parse::<TokenText>(), Err(InvalidToken::Damaged));
        assert_eq!("ghp_1234".parse::<TokenText>(), Err(InvalidToken::Prefix));
        assert_eq!("".parse::<TokenText>(), Err(InvalidToken::Prefix));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let token = token(TokenKind::Join);
        let shown = format!("{token:?}");
        assert!(shown.contains(&token.id.to_string()) && shown.contains("masked"), "{shown}");
        let secret = Secret::generate().expect("random source works");
        assert_eq!(format!("{secret:?}"), "Secret(masked)");
    }

    #[test]
    fn only_the_secret_itself_matches_its_hash() {
        let secret = Secret::generate().expect("random source works");
        assert!(secret.hash().matches(secret.as_bytes()));
        assert!(!secret.hash().matches(&secret.as_bytes()[1..]));
        assert!(!secret.hash().matches(b""));
    }

    proptest! {
        #[test]
        fn every_token_survives_its_text(id: u128, secret: [u8; SECRET_LEN], ca: [u8; 32], join: bool) {
            let token = TokenText {
                kind: if join { TokenKind::Join } else { TokenKind::Api },
                id: TokenId::from_u128(id),
                secret: secret.to_vec(),
                ca: CaFingerprint::from_bytes(ca),
            };
            prop_assert_eq!(format!(" {token}\n").parse::<TokenText>(), Ok(token));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(omni-join1\\.|omni-api1\\.)?.{0,200}") {
            prop_assert!(text.parse::<TokenText>().is_err());
        }
    }
}
