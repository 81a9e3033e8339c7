//! Why there is no page: what the registry refused, or that it does not answer.

use actix_web::http::StatusCode;

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody is signed in, or no longer.
    SignedOut,
    /// The request does not come from a page of ours.
    Foreign,
    /// There is no such page.
    NotFound,
    /// What was sent is not understood: a sentence.
    Bad(String),
    /// The registry refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The word for programs.
        code: String,
        /// The sentence for people.
        message: String,
        /// In how many seconds it may be granted.
        retry_after: Option<u64>,
    },
    /// The registry does not answer.
    Unreachable,
    /// The registry answers what no registry of this version does.
    Odd,
    /// The answer is longer than what is shown.
    TooLong {
        /// What is shown at most, in bytes.
        longest: usize,
    },
    /// This program cannot do it.
    Ours,
}

/// A failure as people read it: what happened, why, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// What happened.
    pub(crate) what: String,
    /// Why.
    pub(crate) why: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Failure {
    /// An answer that is not understood.
    pub(crate) fn odd(error: serde_json::Error) -> Self {
        log::warn!("the registry's answer is not understood: {error}");
        Self::Odd
    }

    /// Whether the registry refused with this word.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == word)
    }

    /// The status of the page that tells of it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Refused { status: status @ (400 | 403 | 404 | 409 | 412 | 413 | 416 | 429), .. } => {
                StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::Refused { status: 503 | 507, .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused { .. } | Self::Unreachable | Self::Odd | Self::TooLong { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::Ours => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// It, in words.
    pub(crate) fn told(&self) -> Told {
        let (what, why, advice) = match self {
            Self::SignedOut => ("You are signed out", "Your session has ended.", "Sign in again."),
            Self::Foreign => (
                "Nothing was done",
                "The request did not come from a page of this site.",
                "Go back, load the page again, and repeat what you did.",
            ),
            Self::NotFound => {
                ("There is no such page", "Nothing is at this address.", "Find it by the search box.")
            }
            Self::Bad(why) => ("That was not understood", why.as_str(), "Go back and change it."),
            Self::Refused { status, message, .. } => return refused(*status, message),
            Self::Unreachable => (
                "The registry does not answer",
                "It may be starting, or the network between it and this program is down. You stay signed in.",
                "Try again in a moment; whoever runs the registry finds the reason in its log.",
            ),
            Self::Odd => (
                "The registry's answer is not understood",
                "It may be of another version than this program.",
                "Tell whoever runs the registry: both programs should be of one version.",
            ),
            Self::TooLong { longest } => {
                let why = format!("It is longer than {longest} bytes, which is the most that a page shows.");
                return Told {
                    what: "This is too long to show".into(),
                    why,
                    advice: "Pull it with a client.".into(),
                };
            }
            Self::Ours => (
                "This page could not be made",
                "Something went wrong in this program.",
                "Try again; the log has the reason under the request's id.",
            ),
        };
        Told { what: what.to_owned(), why: why.to_owned(), advice: advice.to_owned() }
    }
}

fn refused(status: u16, message: &str) -> Told {
    let (what, advice) = match status {
        403 => ("You may not do this", "Ask an administrator of the registry for a rule that allows it."),
        404 => ("It is not here", "It may have been deleted, or you may not see it."),
        409 | 412 => ("Nothing was done", "Load the page again: something has changed meanwhile."),
        429 => ("Too many attempts", "Wait a minute, then try again."),
        503 => ("This cannot be done now", "You stay signed in. Try again in a moment."),
        507 => ("The registry's disk is full", "Whoever runs the registry must make room first."),
        _ => ("The registry refused", "Change what was asked for and try again."),
    };
    let mut why = if message.is_empty() { format!("It answered {status}.") } else { message.to_owned() };
    if !why.ends_with(['.', '!', '?']) {
        why.push('.');
    }
    Told { what: what.to_owned(), why, advice: advice.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_never_a_failure_of_this_program() {
        for status in 300..600 {
            let (code, message) = (String::new(), String::new());
            let refused = Failure::Refused { status, code, message, retry_after: None };
            assert_ne!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!refused.status().is_success() && !refused.status().is_redirection(), "{status}");
            let told = refused.told();
            assert!([told.what, told.why, told.advice].iter().all(|text| !text.is_empty()));
        }
    }
}
