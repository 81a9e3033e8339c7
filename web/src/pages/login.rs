//! Signing in and out.

use actix_web::http::Method;
use askama::Template;
use mcr_api::{LoginAnswer, LoginRequest};
use serde_json::Value;

use super::{Frame, render};
use crate::failure::Failure;
use crate::session::{LONGEST, Token};
use crate::visit::{Reply, Visit};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    next: &'a str,
    username: &'a str,
    /// What went wrong the last time.
    problem: Option<String>,
}

/// A place of this site, as a browser writes it in a URL; anything else is its first page. What it may hold may stand in a header.
fn local(next: &str) -> &str {
    let is_written = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let stays = next.starts_with('/') && !next.starts_with("//") && is_written;
    if stays { next } else { "/" }
}

fn page(visit: &Visit, username: &str, next: &str, problem: Option<String>) -> Result<Reply, Failure> {
    render(&LoginPage { frame: Frame::of(visit, ""), next: local(next), username, problem })
}

/// Asks for a name and a password.
pub(crate) async fn show(visit: Visit) -> Result<Reply, Failure> {
    page(&visit, "", visit.parameter("next"), None)
}

/// Signs somebody in, or asks again.
pub(crate) async fn log_in(visit: Visit) -> Result<Reply, Failure> {
    let (name, password, next) = (visit.field("username"), visit.field("password"), visit.field("next"));
    let body = LoginRequest { username: name.to_owned(), password: password.to_owned(), totp_code: None };
    let asked = visit.registry().change(&visit.asker, Method::POST, "/v1/auth/login", Some(&body)).await;
    let answer: LoginAnswer = match asked {
        Ok(answer) => answer,
        Err(failure @ Failure::Refused { status: 401, .. }) if failure.is("BAD_CREDENTIALS") => {
            return page(&visit, name, next, Some("Name or password is not right.".to_owned()));
        }
        Err(failure @ (Failure::Refused { .. } | Failure::Unreachable)) => {
            let told = failure.told();
            return page(&visit, name, next, Some(format!("{} {}", told.why, told.advice)));
        }
        Err(failure) => return Err(failure),
    };
    let Some(token) = Token::new(&answer.token) else {
        let problem =
            format!("The provider's token does not fit into a cookie: it may have {LONGEST} bytes.");
        return page(&visit, name, next, Some(problem));
    };
    Ok(Reply::SignedIn(token, local(next).to_owned()))
}

/// Ends the session, and the token with it.
pub(crate) async fn log_out(visit: Visit) -> Result<Reply, Failure> {
    visit.forget();
    let asked =
        visit.registry().change::<Value>(&visit.asker, Method::POST, "/v1/auth/logout", None::<&()>).await;
    if let Err(failure) = asked {
        // Whoever signs out is signed out here, whatever the registry says.
        log::warn!("a token was not given back: {failure:?}");
    }
    Ok(Reply::SignedOut)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wherever_somebody_wants_to_go_can_be_said_in_a_header(next in "/?\\PC{0,20}|[/\\\\]?.{0,20}") {
            let place = local(&next);
            prop_assert!(HeaderValue::from_str(place).is_ok(), "{place:?}");
            prop_assert!(place.starts_with('/') && !place.starts_with("//") && !place.contains('\\'));
        }
    }

    #[test]
    fn nobody_is_sent_elsewhere_after_the_login() {
        assert_eq!(local("/r/a?x=1"), "/r/a?x=1");
        for next in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "javascript:x",
            "/a\r\nb",
            "/\t/evil.example",
            "/\u{e9}",
        ] {
            assert_eq!(local(next), "/", "{next:?}");
        }
    }
}
