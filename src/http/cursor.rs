//! Where a page of a list begins, when that is a name that its reader may not see: sealed, so that it says nothing.
//!
//! A sealed cursor is encrypted and authenticated with a key of this registry, and good for one principal and one list.
//! It is as long for a short name as for a long one. It begins with a character that no name has.

use std::sync::Arc;

use actix_web::http::StatusCode;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use mcr_actors::db::Db;
use mcr_actors::db::queries::identity::EnsureSecret;
use mcr_actors::registry::StartError;

use super::error::{ApiError, Code};

/// What a sealed cursor begins with.
const MARK: char = '~';
/// The bytes that are sealed: a length, and the longest name with room.
const SEALED: usize = 2 + 510;

/// Seals cursors, and opens its own.
#[derive(Clone)]
pub struct Cursors(Arc<LessSafeKey>);

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors")
    }
}

impl Cursors {
    /// With the key that is kept in the database, so that a cursor is good after a restart.
    ///
    /// # Errors
    /// When the database fails, or there is no randomness.
    pub async fn load(db: &Db) -> Result<Self, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError::Actor(error.to_string());
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|error| failed(&error))?;
        let key = db.write(EnsureSecret { name: "cursors", fresh }).await.map_err(|error| failed(&error))?;
        Self::with_key(&key).ok_or_else(|| failed(&"the key of cursors is none"))
    }

    fn with_key(key: &[u8; 32]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// Seals the name after which `reader`'s page of `list` begins.
    ///
    /// # Errors
    /// When the name is longer than any, or there is no randomness.
    pub fn seal(&self, list: &str, reader: &str, name: &str) -> Result<String, ApiError> {
        let failed = || {
            let message = "a cursor could not be made; try again";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unsupported, message)
        };
        let mut text = vec![0; SEALED];
        let length = u16::try_from(name.len()).map_err(|_| failed())?;
        text[..2].copy_from_slice(&length.to_be_bytes());
        text.get_mut(2..2 + name.len()).ok_or_else(failed)?.copy_from_slice(name.as_bytes());
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| failed())?;
        let sealed = self.0.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound_to(list, reader)),
            &mut text,
        );
        sealed.map_err(|_| failed())?;
        Ok(format!("{MARK}{}", BASE64.encode([&nonce[..], &text].concat())))
    }

    /// The name in `cursor`: what was sealed for this list and reader, or the text itself where it is not sealed.
    ///
    /// # Errors
    /// 400 when it is sealed, but not for them.
    pub fn open(&self, list: &str, reader: &str, cursor: &str) -> Result<String, ApiError> {
        let Some(sealed) = cursor.strip_prefix(MARK) else { return Ok(cursor.to_owned()) };
        self.unseal(list, reader, sealed).ok_or_else(|| {
            let message = "last is no cursor of this list and this account: begin the list anew without it";
            ApiError::new(StatusCode::BAD_REQUEST, Code::PaginationNumberInvalid, message)
        })
    }

    /// What was sealed in `cursor` for this list and reader; nothing when it was not.
    pub fn open_sealed(&self, list: &str, reader: &str, cursor: &str) -> Option<String> {
        self.unseal(list, reader, cursor.strip_prefix(MARK)?)
    }

    fn unseal(&self, list: &str, reader: &str, sealed: &str) -> Option<String> {
        let mut bytes = BASE64.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.0.open_in_place(nonce, Aad::from(bound_to(list, reader)), text).ok()?;
        let (length, text) = text.split_first_chunk::<2>()?;
        let name = text.get(..usize::from(u16::from_be_bytes(*length)))?;
        String::from_utf8(name.to_vec()).ok()
    }
}

/// The list with its length before it, so that no two pairs are one text.
fn bound_to(list: &str, reader: &str) -> Vec<u8> {
    format!("{}:{list}{reader}", list.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_whom_it_was_sealed_for_opens_a_cursor(
            name in "[a-z0-9/._-]{0,255}",
            other in "[a-z0-9/._-]{0,255}",
            flipped in any::<prop::sample::Index>(),
        ) {
            let (ours, others) = (Cursors::with_key(&[1; 32]).unwrap(), Cursors::with_key(&[2; 32]).unwrap());
            let sealed = ours.seal("/v2/_catalog", "ada", &name).unwrap();
            prop_assert_eq!(sealed.len(), ours.seal("/v2/_catalog", "ada", &other).unwrap().len());
            prop_assert_eq!(ours.open("/v2/_catalog", "ada", &sealed).ok(), Some(name.clone()));
            for (cursors, list, reader) in
                [(&ours, "/v2/_catalog", "bob"), (&ours, "/v2/_catalo", "gada"), (&others, "/v2/_catalog", "ada")]
            {
                prop_assert!(cursors.open(list, reader, &sealed).is_err());
            }
            let mut bytes = sealed.into_bytes();
            let place = 1 + flipped.index(bytes.len() - 1);
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            prop_assert!(ours.open("/v2/_catalog", "ada", &String::from_utf8(bytes).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_a_name_or_opened_or_refused(text in "~?\\PC{0,80}") {
            let opened = Cursors::with_key(&[1; 32]).unwrap().open("list", "ada", &text);
            prop_assert_eq!(opened.is_err(), text.starts_with('~'));
        }
    }
}
