//! Passwords: hashed slowly, a few at a time, and compared in the same time whether there is such a person or not.

use super::AppError;
use crate::state::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Memory that one hash takes, KiB. This and the two below are the second of the equally strong minimal settings of
/// OWASP's Password Storage Cheat Sheet for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;
/// Hashed at the same time: each takes a thread, some hundredths of a second of a core and [`MEMORY_KIB`].
const AT_ONCE: usize = 2;
/// Whoever waits longer for a turn is turned away.
const TURN: Duration = Duration::from_secs(5);
/// Shortest password, characters: long enough that guessing over the network is hopeless under the throttle, short
/// enough to be typed.
const MIN_CHARS: usize = 12;
/// Longest password, characters: a phrase, not a book to be hashed.
const MAX_CHARS: usize = 128;

/// Hashes and compares.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Compared with when there is no password to compare with.
    nobodys: Arc<OnceLock<PasswordHash>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobodys: Arc::default() }
    }
}

impl Passwords {
    /// The hash of a new password, when it is good enough.
    pub(super) async fn hash(
        &self,
        pointer: &str,
        user: &str,
        password: &str,
    ) -> Result<PasswordHash, AppError> {
        check(pointer, user, password)?;
        let password = Zeroizing::new(password.to_owned());
        self.turn(move || hash(&password)).await?
    }

    /// Whether `password` is the one that was hashed; never when there is none.
    pub(super) async fn matches(
        &self,
        known: Option<&PasswordHash>,
        password: &str,
    ) -> Result<bool, AppError> {
        let (known, nobodys) = (known.cloned(), Arc::clone(&self.nobodys));
        // More than any password that was ever taken need not be looked at, only to be refused after the same time.
        let password: String = password.chars().take(MAX_CHARS + 1).collect();
        let password = Zeroizing::new(password);
        self.turn(move || {
            let compared = match &known {
                Some(known) => known,
                None => stand_in(&nobodys)?,
            };
            let parsed = phc::PasswordHash::new(&compared.0)
                .map_err(|_| AppError::Password("a kept hash does not read"))?;
            // The hash names its own parameters; those of the hasher are not used.
            let equal = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(equal && known.is_some())
        })
        .await?
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| AppError::Busy)?.map_err(|_| AppError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| AppError::Password("the hasher was interrupted"))
    }
}

fn stand_in(nobodys: &OnceLock<PasswordHash>) -> Result<&PasswordHash, AppError> {
    if let Some(made) = nobodys.get() {
        return Ok(made);
    }
    let made = hash("nobody signs in with this")?;
    Ok(nobodys.get_or_init(|| made))
}

fn hash(password: &str) -> Result<PasswordHash, AppError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| AppError::Password("bad parameters"))?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let made: phc::PasswordHash =
        hasher.hash_password(password.as_bytes()).map_err(|_| AppError::Password("no randomness"))?;
    Ok(PasswordHash(made.to_string()))
}

fn check(pointer: &str, user: &str, password: &str) -> Result<(), AppError> {
    let chars = password.chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&chars) {
        let detail =
            format!("use {MIN_CHARS} to {MAX_CHARS} characters; several words are easy to keep in mind");
        return Err(AppError::invalid(pointer, detail));
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first)
        || password.to_lowercase().contains(&user.to_lowercase())
            && chars < user.chars().count() + MIN_CHARS / 2
    {
        return Err(AppError::invalid(
            pointer,
            "this is too easy to guess: it is the name, or one character over and over",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_and_nothing_else() {
        let passwords = Passwords::default();
        let hash = passwords.hash("/password", "ann", "correct horse battery").await.expect("good");
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(passwords.matches(Some(&hash), "correct horse battery").await.expect("compared"));
        assert!(!passwords.matches(Some(&hash), "correct horse batterz").await.expect("compared"));
        assert!(!passwords.matches(None, "nobody signs in with this").await.expect("compared"));
        let again = passwords.hash("/password", "ann", "correct horse battery").await.expect("good");
        assert_ne!(hash, again, "each has a salt of its own");
        assert_eq!(format!("{hash:?}"), "PasswordHash(masked)");
    }

    #[test]
    fn what_is_easily_guessed_is_refused() {
        for bad in ["short", "aaaaaaaaaaaaaa", "annabelle-ann", &"x y".repeat(60)] {
            assert!(check("/password", "annabelle-a", bad).is_err(), "{bad}");
        }
        assert!(check("/password", "ann", "four words are fine").is_ok());
        assert!(check("/password", "ann", "üüöö ääßß 1234").is_ok(), "characters count, not bytes");
    }
}
