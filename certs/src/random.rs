//! The system's random source.

use crate::error::{Error, Result};
use ring::rand::{SecureRandom, SystemRandom};

/// `N` unpredictable bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}
