//! What is one's own: the session, the password, robot tokens.

use actix_web::http::Method;
use askama::Template;
use mcr_api::{List, NewOwnToken, NewTokenAnswer, PasswordChange, TokenModel};
use serde_json::Value;

use super::{Frame, render};
use crate::failure::Failure;
use crate::registry::segment;
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

struct Row {
    id: String,
    name: String,
    roles: String,
    made: Moment,
    ends: Moment,
    used: Option<Moment>,
    is_over: bool,
}

#[derive(Template)]
#[template(path = "me.html")]
struct MePage {
    frame: Frame,
    roles: String,
    ends: Option<Moment>,
    tokens: Vec<Row>,
    /// Why there are no tokens to show, where the account is kept elsewhere.
    elsewhere: Option<String>,
    /// A token just made, with its name.
    made: Option<(String, String)>,
    done: Option<&'static str>,
    problem: Option<(&'static str, String)>,
}

/// What there is to say beside what is always there.
#[derive(Default)]
struct News {
    made: Option<(String, String)>,
    done: Option<&'static str>,
    problem: Option<(&'static str, String)>,
}

fn row(token: &TokenModel, visit: &Visit) -> Row {
    let ends = show::moment(&token.expires_at, visit.now);
    Row {
        id: token.id.clone(),
        name: token.name.clone(),
        roles: token.roles.join(", "),
        made: show::moment(&token.created_at, visit.now),
        is_over: token.revoked || ends.is_past,
        ends,
        used: show::maybe_moment(token.last_used_at.as_deref(), visit.now),
    }
}

async fn page(visit: &Visit, news: News) -> Result<Reply, Failure> {
    let found = visit.registry().get::<List<TokenModel>>(&visit.asker, "/v1/auth/tokens?n=100").await;
    let (tokens, elsewhere) = match found {
        Ok(found) => (found.items.iter().map(|token| row(token, visit)).collect(), None),
        // With accounts elsewhere, or as a robot.
        Err(failure @ Failure::Refused { status: 403 | 409, .. }) => (Vec::new(), Some(failure.told().why)),
        Err(failure) => return Err(failure),
    };
    let me = visit.person.as_ref().map(|person| &person.me);
    render(&MePage {
        frame: Frame::of(visit, "me"),
        roles: me.map(|me| me.principal.roles.join(", ")).unwrap_or_default(),
        ends: show::maybe_moment(me.and_then(|me| me.expires_at.as_deref()), visit.now),
        tokens,
        elsewhere,
        made: news.made,
        done: news.done,
        problem: news.problem,
    })
}

/// What is refused is told beside its form, which keeps nothing secret.
async fn refused(visit: &Visit, form: &'static str, failure: Failure) -> Result<Reply, Failure> {
    match failure {
        Failure::Refused { status: 400 | 403 | 409 | 429, .. } => {
            let problem = Some((form, failure.told().why));
            page(visit, News { problem, ..News::default() }).await
        }
        failure => Err(failure),
    }
}

/// Shows it.
pub(crate) async fn show(visit: Visit) -> Result<Reply, Failure> {
    page(&visit, News::default()).await
}

/// Changes the password.
pub(crate) async fn change_password(visit: Visit) -> Result<Reply, Failure> {
    let (old, new) = (visit.field("old").to_owned(), visit.field("new").to_owned());
    if new != visit.field("again") {
        let problem = Some(("password", "The two new passwords differ.".to_owned()));
        return page(&visit, News { problem, ..News::default() }).await;
    }
    let body = PasswordChange { old, new, end_tokens: visit.field("end_tokens") == "true" };
    match visit.registry().change::<Value>(&visit.asker, Method::POST, "/v1/auth/password", Some(&body)).await
    {
        Ok(_) => {
            page(
                &visit,
                News {
                    done: Some("Your password is changed. Your other logins have ended."),
                    ..News::default()
                },
            )
            .await
        }
        Err(failure) => refused(&visit, "password", failure).await,
    }
}

/// Makes a robot token, and shows it this once.
pub(crate) async fn make_token(visit: Visit) -> Result<Reply, Failure> {
    let expires_in = Some(visit.field("expires_in").to_owned()).filter(|text| !text.is_empty());
    let body = NewOwnToken { name: visit.field("name").to_owned(), roles: None, expires_in };
    match visit
        .registry()
        .change::<NewTokenAnswer>(&visit.asker, Method::POST, "/v1/auth/tokens", Some(&body))
        .await
    {
        Ok(answer) => {
            page(&visit, News { made: Some((answer.about.name, answer.token)), ..News::default() }).await
        }
        Err(failure) => refused(&visit, "token", failure).await,
    }
}

/// Ends one.
pub(crate) async fn end_token(visit: Visit) -> Result<Reply, Failure> {
    let at = format!("/v1/auth/tokens/{}", segment(visit.part("id")));
    let _: Value = visit.registry().change(&visit.asker, Method::DELETE, &at, None::<&()>).await?;
    Ok(Reply::Redirect("/me".to_owned()))
}
