//! `[auth]`: who says who somebody is, and for how long that is believed.

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Section;
use super::setting::Setting;

const MINUTE: Duration = Duration::from_secs(60);

/// `[auth]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Who knows users and tokens.
    pub provider: Provider,
    /// How long a validated token or password is believed without asking again.
    pub cache_ttl: Duration,
    /// How long a token lives that the embedded provider gives.
    pub token_ttl: Duration,
    /// Whether somebody without credentials may have a token for the anonymous principal.
    pub anonymous: bool,
    /// Wrong passwords a minute, for each address and each name, before both have to wait.
    pub login_attempts_per_minute: NonZeroU32,
    /// Tokens of logins that an account has at most; the oldest goes.
    pub max_login_tokens: usize,
    /// Robot tokens that an account has at most; no more are given.
    pub max_robot_tokens: usize,
    /// Whether the built-in rule is on that lets people pull, push, delete and list.
    pub builtin_human_access: bool,
}

/// Who knows users and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// MCIAS, a service that is asked over HTTPS.
    Mcias,
    /// The registry's own database.
    Local,
}

impl Setting for Provider {
    const ACCEPTS: &'static str = r#""mcias" or "local""#;

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "mcias" => Some(Self::Mcias),
            "local" => Some(Self::Local),
            _ => None,
        }
    }
}

impl Auth {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        Some(Self {
            provider: section.or("provider", Provider::Mcias),
            cache_ttl: section.bounded("cache_ttl", MINUTE / 2, Duration::ZERO..=60 * MINUTE),
            // Clients are told a minute less than a token lives.
            token_ttl: section.bounded("token_ttl", 60 * MINUTE, 2 * MINUTE..=30 * 24 * 60 * MINUTE),
            anonymous: section.or("anonymous", false),
            builtin_human_access: section.or("builtin_human_access", true),
            max_login_tokens: section.bounded("max_login_tokens", 1000, 1..=100_000),
            max_robot_tokens: section.bounded("max_robot_tokens", 1000, 1..=100_000),
            login_attempts_per_minute: attempts(section.bounded(
                "login_attempts_per_minute",
                30,
                1..=100_000,
            )),
        })
    }
}

fn attempts(number: usize) -> NonZeroU32 {
    u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}
