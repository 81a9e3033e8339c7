//! Passwords: argon2id, always on a blocking thread, few at once.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::Secret;

/// Hashes and verifies passwords: 19 MiB, 2 passes, 1 lane, the first choice of OWASP's cheat sheet.
#[derive(Debug, Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
}

/// A password could not be hashed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct PasswordError(String);

fn argon2id() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { places: Arc::new(Semaphore::new(cores)) }
    }
}

impl Passwords {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let failed = |error: &dyn std::fmt::Display| PasswordError(error.to_string());
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|error| failed(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        done.await.map_err(|error| failed(&error))
    }

    /// The password's hash in PHC form, with a random salt.
    ///
    /// # Errors
    /// When there is no randomness or no memory.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        self.run(move || argon2id().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| PasswordError(error.to_string()))
    }

    /// Whether the password is the one that was hashed. Without a hash it takes as long, and is not.
    ///
    /// # Errors
    /// When the work could not be done.
    pub async fn verify(&self, password: Secret, hash: Option<String>) -> Result<bool, PasswordError> {
        self.run(move || {
            let known = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok());
            match known {
                Some(hash) => argon2id().verify_password(password.expose().as_bytes(), &hash).is_ok(),
                None => {
                    // The same work, so that time does not tell which names exist.
                    let _same_work = argon2id().hash_password(password.expose().as_bytes());
                    false
                }
            }
        })
        .await
    }
}
