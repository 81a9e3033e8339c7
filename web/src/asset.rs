//! What the pages are drawn with: embedded, and served under names with their hash in them.

use actix_web::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, VARY};
use actix_web::{HttpRequest, HttpResponse};

/// One file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Whether a client takes gzip (RFC 9110 §12.5.3).
pub(crate) fn takes_gzip(request: &HttpRequest) -> bool {
    let said = request.headers().get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| matches!(name, "gzip" | "*"));
        named && parts.all(|part| !matches!(part.strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000")))
    })
}

/// The file of this name, which may be kept for ever; nothing when there is none.
pub(crate) fn serve(request: &HttpRequest, name: &str) -> Option<HttpResponse> {
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(asset.media_type)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((ETAG, format!("\"{name}\"")))
        .insert_header((VARY, "accept-encoding"));
    Some(if takes_gzip(request) {
        response.insert_header((CONTENT_ENCODING, "gzip")).body(asset.gzip)
    } else {
        response.body(asset.plain)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_for_whoever_takes_it() {
        for (said, takes) in [
            ("gzip, br", true),
            ("br;q=1, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, said)).to_http_request();
            assert_eq!(takes_gzip(&request), takes, "{said}");
        }
    }

    #[test]
    fn together_they_are_small() {
        let compressed: usize = ASSETS.iter().map(|asset| asset.gzip.len()).sum();
        assert!(compressed < 12 * 1024, "{compressed}");
        let script =
            ASSETS.iter().find(|asset| asset.name.starts_with("mcr.") && asset.name.ends_with(".js"));
        assert!(script.unwrap().plain.len() <= 8 * 1024);
    }
}
