//! The session: a cookie that holds the registry's token, encrypted, and nothing more.
//!
//! Nobody but this program reads it, and it is good for nothing but asking the registry as its owner. A restart ends no
//! session as long as the key is the same.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

/// The most bytes of a token: a cookie may have 4096 in all (RFC 6265 §6.1).
pub(crate) const LONGEST: usize = 2800;

/// The registry's token of somebody who is signed in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// One that the registry gave; nothing when it cannot be put into a header or a cookie.
    pub(crate) fn new(token: &str) -> Option<Self> {
        let fits =
            !token.is_empty() && token.len() <= LONGEST && token.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(token.to_owned()))
    }

    /// The token itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Seals tokens, and opens what it has sealed.
#[derive(Clone)]
pub(crate) struct Sealer(Arc<LessSafeKey>);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// What sealed text is for: a key that should be used for anything else opens none of it.
const PURPOSE: &[u8] = b"mcr-web session";

impl Sealer {
    /// With this key.
    pub(crate) fn new(key: &[u8; 32]) -> Option<Self> {
        Some(Self(Arc::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?))))
    }

    /// Encrypts and authenticates the token; nothing without randomness.
    pub(crate) fn seal(&self, token: &Token) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut text = token.0.clone().into_bytes();
        let (unique, purpose) = (Nonce::assume_unique_for_key(nonce), Aad::from(PURPOSE));
        self.0.seal_in_place_append_tag(unique, purpose, &mut text).ok()?;
        Some(BASE64.encode([&nonce[..], &text].concat()))
    }

    /// The token that was sealed; nothing when it was not this key.
    pub(crate) fn open(&self, sealed: &str) -> Option<Token> {
        let mut bytes = BASE64.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let (nonce, purpose) = (Nonce::assume_unique_for_key(*nonce), Aad::from(PURPOSE));
        let text = self.0.open_in_place(nonce, purpose, text).ok()?;
        Token::new(std::str::from_utf8(text).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_its_own_key_opens_a_session(token in "[!-~]{1,2800}", at in any::<prop::sample::Index>()) {
            let (ours, theirs) = (Sealer::new(&[1; 32]).unwrap(), Sealer::new(&[2; 32]).unwrap());
            let token = Token::new(&token).unwrap();
            let sealed = ours.seal(&token).unwrap();
            prop_assert!(sealed.len() < 4000 && sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(ours.open(&sealed), Some(token.clone()));
            prop_assert!(theirs.open(&sealed).is_none());
            prop_assert_ne!(ours.seal(&token).unwrap(), sealed.clone());
            let mut forged = sealed.into_bytes();
            let at = at.index(forged.len());
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            prop_assert!(ours.open(&String::from_utf8(forged).unwrap()).is_none());
        }

        #[test]
        fn any_text_is_a_session_or_none(text in ".{0,100}") {
            prop_assert!(Sealer::new(&[1; 32]).unwrap().open(&text).is_none());
        }
    }

    #[test]
    fn what_fits_into_no_header_is_no_token() {
        for text in ["", "a b", "a\nb", "ä", &"a".repeat(LONGEST + 1)] {
            assert!(Token::new(text).is_none(), "{text:?}");
        }
    }
}
