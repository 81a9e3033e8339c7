//! Passwords: argon2id, always on a blocking thread, few at once, and not too many in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::Secret;
use super::token::is_token;

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

/// The bytes of a password that an account may be given.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=1024;

/// Why an account may not be given this password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRule {
    /// It is too short or too long.
    #[error("a password has {} to {} bytes", LENGTH.start(), LENGTH.end())]
    Length,
    /// No Basic header can hold it (RFC 7617 §2).
    #[error("a password has no control characters: it could not be sent")]
    Control,
    /// It would be judged as a token.
    #[error("a password must not look like a token: it would be judged as one")]
    Token,
}

/// A password that an account may be given. Passwords from before this rule still log in.
#[derive(Debug, Clone)]
pub struct NewPassword(Secret);

impl NewPassword {
    /// The password itself, for who shows it to its owner.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl TryFrom<Secret> for NewPassword {
    type Error = PasswordRule;

    fn try_from(secret: Secret) -> Result<Self, PasswordRule> {
        if !LENGTH.contains(&secret.expose().len()) {
            return Err(PasswordRule::Length);
        }
        if secret.expose().contains(char::is_control) {
            return Err(PasswordRule::Control);
        }
        if is_token(&secret) {
            return Err(PasswordRule::Token);
        }
        Ok(Self(secret))
    }
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

pub(super) fn hash_now(password: &Secret) -> Result<String, PasswordError> {
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
    pub async fn hash(&self, password: NewPassword) -> Result<String, PasswordError> {
        self.run(move || hash_now(&password.0)).await
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
        let new = NewPassword::try_from(right.clone()).unwrap();
        let hash = passwords.hash(new.clone()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash(new).await.unwrap(), hash);
        assert_eq!(passwords.verify(right.clone(), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify(wrong, Some(hash)).await, Ok(false));
        assert_eq!(passwords.verify(right.clone(), None).await, Ok(false));
        assert_eq!(passwords.computed(), 5);
        let bad = passwords.verify(right, Some("plain".to_owned())).await;
        assert!(matches!(bad, Err(PasswordError::Failed(_))), "{bad:?}");
    }

    #[test]
    fn passwords_that_can_be_sent_and_are_no_tokens() {
        let rule = |text: &str| NewPassword::try_from(Secret::new(text)).map(|_| ()).err();
        for good in ["12345678", "mcr_1234", "mit Umlaut ä", &"x".repeat(1024)] {
            assert_eq!(rule(good), None, "{good}");
        }
        for short_or_long in ["", "x", "1234567", &"x".repeat(1025)] {
            assert_eq!(rule(short_or_long), Some(PasswordRule::Length), "{short_or_long}");
        }
        for control in ["two\nlines\nof it", "a null byte\0", "a tab\tin it", "\u{85}a next line"] {
            assert_eq!(rule(control), Some(PasswordRule::Control), "{control:?}");
        }
        assert_eq!(rule(&format!("mcr_{}", "0".repeat(64))), Some(PasswordRule::Token));
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
