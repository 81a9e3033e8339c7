//! What a request may weigh, and how many there may be at once on one connection, before anybody looks at them: what a
//! request brings stays in memory until it is answered, and the HTTP/2 library sets no limits.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::uri::{Authority, PathAndQuery};

use crate::http::error::{ApiError, Code};
use crate::http::listen;
use crate::http::origin::is_of_proxy;
use crate::http::state::HttpOptions;

/// The longest path with its query, in bytes. A push by digest may name 100 tags of 128 bytes.
const MAX_URL: usize = 16 * 1024;
/// Most headers; HTTP/1.1 has at most 96 of them anyway.
const MAX_HEADERS: usize = 128;
/// Most bytes of all headers and the authority together.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Most requests in flight on a connection that is not a trusted proxy's.
const MAX_IN_FLIGHT: usize = 128;

/// Lets a request pass that is of a bearable size and has not too many beside it.
///
/// # Errors
/// 503 when too many requests of its connection are in flight, 414 when its URL and 431 when its headers are too large.
pub(super) fn check(request: &HttpRequest, options: &HttpOptions) -> Result<(), ApiError> {
    if listen::in_flight(request) > MAX_IN_FLIGHT && !is_of_proxy(request, options) {
        let message =
            format!("more than {MAX_IN_FLIGHT} requests are in flight on this connection; try again");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
            .header(header::RETRY_AFTER, "1"));
    }
    if request.uri().path_and_query().map(PathAndQuery::as_str).map_or(0, str::len) > MAX_URL {
        let message = format!("a path with its query has at most {MAX_URL} bytes; ask for less at once");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, Code::SizeInvalid, message));
    }
    let authority = request.uri().authority().map(Authority::as_str).map_or(0, str::len);
    if authority + weight(request.headers()) > MAX_HEADER_BYTES || request.headers().len() > MAX_HEADERS {
        let message =
            format!("a request has at most {MAX_HEADERS} headers with {MAX_HEADER_BYTES} bytes together");
        return Err(ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Code::SizeInvalid, message));
    }
    Ok(())
}

/// The bytes of names and values.
fn weight(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::test::TestRequest;

    use super::*;

    /// The status that a request is refused with; 0 when it is not.
    fn refused(request: TestRequest) -> u16 {
        let options = HttpOptions {
            tls: true,
            public_url: None,
            trusted_proxies: Vec::new(),
            read_timeout: Duration::from_secs(30),
            allow_tag_delete: false,
            allow_sparse: false,
            max_manifest_size: 4 << 20,
            admin: Default::default(),
            audit_pulls: false,
        };
        check(&request.to_http_request(), &options).err().map_or(0, |error| error.status().as_u16())
    }

    fn of_length(length: usize) -> TestRequest {
        TestRequest::with_uri(&format!("/v2/?{}", "a".repeat(length - "/v2/?".len())))
    }

    #[test]
    fn a_url_has_room_for_every_tag_that_a_push_may_name_and_no_more() {
        let tags: String = (0..100).map(|tag| format!("&tag={tag:0>128}")).collect();
        let name = "n".repeat(255);
        let digest = "d".repeat("sha512:".len() + 128);
        let longest = format!("/v2/{name}/manifests/{digest}?{tags}");
        assert_eq!(refused(TestRequest::with_uri(&longest)), 0);
        assert_eq!((refused(of_length(MAX_URL)), refused(of_length(MAX_URL + 1))), (0, 414));
        let path = format!("/{}", "a".repeat(MAX_URL));
        assert_eq!(refused(TestRequest::with_uri(&path)), 414);
    }

    #[test]
    fn headers_are_few_and_short() {
        let many = |count: usize| {
            (0..count).fold(TestRequest::default(), |request, _| request.append_header(("x", "y")))
        };
        assert_eq!((refused(many(MAX_HEADERS)), refused(many(MAX_HEADERS + 1))), (0, 431));
        let long = |bytes: usize| {
            let value = "y".repeat(bytes / 4 - 1);
            (0..4).fold(TestRequest::default(), |request, _| request.append_header(("x", value.clone())))
        };
        assert_eq!((refused(long(MAX_HEADER_BYTES)), refused(long(MAX_HEADER_BYTES + 4))), (0, 431));
        let authority = TestRequest::with_uri(&format!("https://{}/v2/", "a".repeat(100)));
        let value = "y".repeat(MAX_HEADER_BYTES - 100);
        assert_eq!(refused(authority.append_header(("x", value))), 431);
    }
}
