//! Passwords: made at random, kept as argon2id hashes, and remembered for a while once they fitted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use casque_format::digest::{Digest, Hasher};
use tokio::sync::Semaphore;

use crate::error::DepotError;

/// For how long a password that fitted is known to fit: the many `Range` requests of one download cost one hash.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many of them.
const MOST: usize = 10_000;
/// Hashes at a time, each with 19 MiB.
const AT_ONCE: usize = 4;
/// Characters that nobody confuses: those of Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Returns a new secret of 160 bits.
pub fn generate() -> Result<String, DepotError> {
    let bytes: [u8; 32] = random()?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect())
}

/// Returns random bytes.
pub fn random<const N: usize>() -> Result<[u8; N], DepotError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| DepotError::Secret { reason: error.to_string() })?;
    Ok(bytes)
}

/// Returns what is kept of a password.
pub fn hash(password: &str) -> Result<String, DepotError> {
    let failed = |error: argon2::password_hash::Error| DepotError::Secret { reason: error.to_string() };
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(failed)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

fn fits(hash: &str, password: &str) -> bool {
    let parsed = PasswordHash::new(hash);
    parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Judges passwords.
pub struct Passwords {
    /// Whoever reads the memory of this process learns no password from what is remembered.
    key: [u8; 32],
    /// What fitted, and when: digests of key, hash and password. A changed hash makes them worthless.
    fitted: Mutex<HashMap<Digest, Instant>>,
    permits: Semaphore,
    /// How many hashes were made to judge one.
    judged: Arc<AtomicU64>,
    /// What the password of an account that is not there is compared with, so that it costs the same.
    nobody: String,
}

impl Passwords {
    /// Remembers nothing yet.
    pub fn new() -> Result<Self, DepotError> {
        let nobody = hash(&generate()?)?;
        let permits = Semaphore::new(AT_ONCE);
        Ok(Self { key: random()?, fitted: Mutex::default(), permits, judged: Arc::default(), nobody })
    }

    fn entry(&self, hash: &str, password: &str) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(&self.key);
        hasher.update(hash.as_bytes());
        hasher.update(&[0]);
        hasher.update(password.as_bytes());
        hasher.finish()
    }

    /// Returns how many passwords were judged by a hash, which is what judging one costs.
    pub fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    /// Whether this password is known to fit.
    pub fn is_remembered(&self, hash: Option<&str>, password: &str, now: Instant) -> bool {
        let Some(hash) = hash else { return false };
        let fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        fitted.get(&self.entry(hash, password)).is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }

    /// Whether the password fits; at the same cost when there is no account.
    pub async fn fits(&self, hash: Option<&str>, password: &str, now: Instant) -> bool {
        let Ok(_permit) = self.permits.acquire().await else { return false };
        let compared = hash.unwrap_or(&self.nobody).to_owned();
        let tried = password.to_owned();
        let judged = Arc::clone(&self.judged);
        let work = move || {
            judged.fetch_add(1, Ordering::Relaxed);
            fits(&compared, &tried)
        };
        let fits = tokio::task::spawn_blocking(work).await.unwrap_or(false);
        let Some(hash) = hash.filter(|_| fits) else { return false };
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if fitted.len() >= MOST {
            fitted.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        }
        if fitted.len() < MOST {
            fitted.insert(self.entry(hash, password), now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_that_fitted_is_remembered_until_it_is_changed_or_old() {
        let (password, now) = (generate().unwrap(), Instant::now());
        let (hash_of, other) = (hash(&password).unwrap(), hash("another").unwrap());
        let passwords = Passwords::new().unwrap();
        assert!(!passwords.is_remembered(Some(&hash_of), &password, now));
        assert!(!passwords.fits(Some(&hash_of), "wrong", now).await);
        assert!(!passwords.is_remembered(Some(&hash_of), "wrong", now));
        assert!(passwords.fits(Some(&hash_of), &password, now).await);
        assert!(passwords.is_remembered(Some(&hash_of), &password, now));
        assert!(!passwords.is_remembered(Some(&hash_of), "wrong", now));
        assert!(!passwords.is_remembered(Some(&other), &password, now), "the password was changed");
        assert!(!passwords.is_remembered(Some(&hash_of), &password, now + REMEMBERED));
        assert!(!passwords.fits(None, &password, now).await);
    }

    #[test]
    fn hashes_are_argon2id_and_secrets_are_long() {
        assert!(hash("a").unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert!(one.len() == 32 && one != other);
    }
}
