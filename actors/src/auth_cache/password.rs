//! Passwords: argon2id, always on a blocking thread, few at once, and not too many in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::Secret;

/// Most passwords that wait for a core. A hash takes some tens of milliseconds, so whoever comes later is better
/// told to come again than kept.
const LINE: usize = 256;

/// Hashes and verifies passwords: 19 MiB, 2 passes, 1 lane, the first choice of OWASP's cheat sheet.
///
/// Clones share the cores and the line.
#[derive(Debug, Clone)]
pub struct Passwords {
    line: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    computed: Arc<AtomicU64>,
}

/// Why a password was neither hashed nor verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many wait already.
    #[error("too many passwords wait to be verified")]
    Busy,
    /// There is no memory or no randomness, or the stored hash is not valid.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

fn argon2id() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &Secret) -> Result<String, PasswordError> {
    argon2id().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string()).map_err(failed)
}

fn verify_now(password: &Secret, hash: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(hash).map_err(failed)?;
    match argon2id().verify_password(password.expose().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        // Anything else is no verdict: nobody is refused because the memory was short.
        Err(error) => Err(failed(error)),
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            line: Arc::new(Semaphore::new(LINE)),
            cores: Arc::new(Semaphore::new(cores)),
            computed: Arc::default(),
        }
    }
}

impl Passwords {
    /// Runs one computation of a hash when its turn comes.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let waiting = self.line.try_acquire().map_err(|_| PasswordError::Busy)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(failed)?;
        drop(waiting);
        self.computed.fetch_add(1, Ordering::Relaxed);
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            // Not before: when whoever asked goes away, the core is still busy.
            drop(core);
            result
        });
        done.await.map_err(failed)?
    }

    /// How many hashes have been computed, for whatever reason.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// The password's hash in PHC form, with a random salt.
    ///
    /// # Errors
    /// When there is no randomness or no memory, or too many wait.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        self.run(move || hash_now(&password)).await
    }

    /// Whether the password is the one that was hashed. Without a hash it takes as long, and is not, so that time does
    /// not tell which names exist.
    ///
    /// # Errors
    /// When the work could not be done, or too many wait; neither says anything of the password.
    pub async fn verify(&self, password: Secret, hash: Option<String>) -> Result<bool, PasswordError> {
        self.run(move || match hash {
            Some(hash) => verify_now(&password, &hash),
            None => hash_now(&password).map(|_| false),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn only_the_same_password_is_right_and_no_hash_is_like_another() {
        let passwords = Passwords::default();
        let (right, wrong) = (Secret::new("correct horse"), Secret::new("correct horse "));
        let hash = passwords.hash(right.clone()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash(right.clone()).await.unwrap(), hash);
        assert_eq!(passwords.verify(right.clone(), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify(wrong, Some(hash)).await, Ok(false));
        assert_eq!(passwords.verify(right.clone(), None).await, Ok(false));
        assert_eq!(passwords.computed(), 5);
        let bad = passwords.verify(right, Some("plain".to_owned())).await;
        assert!(matches!(bad, Err(PasswordError::Failed(_))), "{bad:?}");
    }

    #[actix::test]
    async fn whoever_finds_the_line_full_is_told_so() {
        let passwords = Passwords { line: Arc::new(Semaphore::new(2)), ..Passwords::default() };
        let cores = u32::try_from(passwords.cores.available_permits()).unwrap();
        let busy = Arc::clone(&passwords.cores).acquire_many_owned(cores).await.unwrap();
        let verify = || passwords.verify(Secret::new("x"), None);
        let (first, second, third, ()) =
            futures_util::join!(verify(), verify(), verify(), async { drop(busy) });
        assert_eq!((first, second, third), (Ok(false), Ok(false), Err(PasswordError::Busy)));
        assert_eq!(verify().await, Ok(false));
    }
}
