//! Query strings and forms: pairs in the order they came, repeated keys kept, unknown keys ignored. Pure.

use super::error::{ApiError, Code};
use actix_web::http::StatusCode;

/// The longest list that is answered at once, in entries.
pub const MAX_PAGE: usize = 10_000;

/// How many pairs are read. Clients send a hundred at most, and each takes a hundred bytes while the request lasts.
const MAX_PAIRS: usize = 1000;

/// Decoded `key=value` pairs.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `application/x-www-form-urlencoded`; any text has a meaning. What comes after the first thousand pairs is
    /// ignored.
    pub fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().take(MAX_PAIRS).collect())
    }

    /// The first value of `key`, if it is there and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The first value of `key` as a media type. None has a space in it (RFC 6838 §4.2), so a space is the plus of
    /// `+json` that a client sent as it is, and a form's encoding reads as one.
    pub fn media_type(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| value.replace(' ', "+"))
    }

    /// Every value of `key`, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Every value of `key`, in order, whether they come one by one or with commas between them; none that is empty.
    pub fn listed<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(key).flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty())
    }

    /// `n`: how many entries a page shall have; the most there can be when it is absent or larger.
    ///
    /// # Errors
    /// When it is no number.
    pub fn page_size(&self) -> Result<usize, ApiError> {
        let Some(n) = self.get("n") else { return Ok(MAX_PAGE) };
        if n.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(n.parse().map_or(MAX_PAGE, |n: usize| n.min(MAX_PAGE)));
        }
        let message = "n is the number of entries wanted, such as n=100";
        Err(ApiError::new(StatusCode::BAD_REQUEST, Code::PaginationNumberInvalid, message)
            .detail(serde_json::json!({"n": n.chars().take(32).collect::<String>()})))
    }

    /// `last`: where the page begins; empty for the first page.
    pub fn last(&self) -> String {
        self.get("last").unwrap_or_default().to_owned()
    }
}

/// Writes a query string from pairs.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repeated_keys_are_kept_in_order() {
        let query = Query::parse(b"tag=b&tag=a&digest=sha256%3Aab&from=t%2Fx&empty=");
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((query.get("digest"), query.get("from")), (Some("sha256:ab"), Some("t/x")));
        assert_eq!((query.get("empty"), query.get("none")), (None, None));
        let query = Query::parse(b"a=b,c&a=&a=,d%20,&b=x&a=b");
        assert_eq!(query.listed("a").collect::<Vec<_>>(), ["b", "c", "d", "b"]);
    }

    #[test]
    fn a_media_type_keeps_its_plus_however_it_was_sent() {
        for sent in ["application/spdx+json", "application/spdx%2Bjson", "application%2Fspdx%2bjson"] {
            let query = Query::parse(format!("artifactType={sent}").as_bytes());
            assert_eq!(query.media_type("artifactType").as_deref(), Some("application/spdx+json"), "{sent}");
        }
        assert_eq!(Query::parse(b"artifactType=").media_type("artifactType"), None);
    }

    #[test]
    fn no_text_makes_more_pairs_than_there_is_use_for() {
        let query = Query::parse("a&".repeat(MAX_PAIRS + 1).as_bytes());
        assert_eq!(query.all("a").count(), MAX_PAIRS);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(pairs in prop::collection::vec(("\\PC{1,8}", "\\PC{1,12}"), 0..5)) {
            let borrowed: Vec<(&str, &str)> =
                pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(Query::parse(encode(&borrowed).as_bytes()).0, pairs);
        }

        #[test]
        fn any_bytes_have_a_meaning(bytes in prop::collection::vec(any::<u8>(), 0..80), n in "\\PC{0,12}") {
            let _ = (Query::parse(&bytes).page_size(), Query::parse(&bytes).last());
            let _ = Query::parse(encode(&[("n", &n)]).as_bytes()).page_size().map(|size| assert!(size <= MAX_PAGE));
        }
    }

    #[test]
    fn page_sizes() {
        let size =
            |query: &str| Query::parse(query.as_bytes()).page_size().map_err(|error| error.status().as_u16());
        assert_eq!((size(""), size("n=0"), size("n=7")), (Ok(MAX_PAGE), Ok(0), Ok(7)));
        assert_eq!(size("n=99999999999999999999999"), Ok(MAX_PAGE));
        assert_eq!((size("n=-1"), size("n=x"), size("n=1e3")), (Err(400), Err(400), Err(400)));
    }
}
