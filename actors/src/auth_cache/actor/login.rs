//! Logins, which give a token, and logouts, which end one.

use std::sync::Arc;

use actix::{ActorFutureExt, Context, Handler, ResponseActFuture, WrapFuture};

use super::{AuthCache, RETRY_AFTER, Revoked, unavailable};
use crate::auth_cache::limiter::{Admission, Attempt, Judged};
use crate::auth_cache::{
    AuthError, Credentials, LoggedIn, Login, LoginAnonymous, Logout, Secret, Verified, anonymous,
};
use crate::db::failure::Trouble;
use crate::domain::Principal;

/// How often a login begins anew because accounts changed meanwhile.
const AGAIN: u32 = 3;

impl Handler<Login> for AuthCache {
    type Result = ResponseActFuture<Self, Result<LoggedIn, AuthError>>;

    fn handle(&mut self, login: Login, context: &mut Self::Context) -> Self::Result {
        if login.name.is_empty() && login.password.expose().is_empty() {
            return Box::pin(std::future::ready(self.login_anonymous()).into_actor(self));
        }
        match login.code.clone() {
            Some(code) => self.login_with_code(login, code),
            None => self.login(login, AGAIN, context),
        }
    }
}

impl AuthCache {
    /// Verifies, then makes a token. The password may have been changed in between, and the change revokes only the tokens
    /// that it finds: one that was made while accounts changed is revoked, and the login begins anew.
    fn login(
        &mut self,
        login: Login,
        again: u32,
        context: &mut Context<Self>,
    ) -> ResponseActFuture<Self, Result<LoggedIn, AuthError>> {
        let Login { name, password, address, code: _ } = login.clone();
        let credentials = Credentials::Basic { name: name.clone(), password: password.clone() };
        let before = self.changes;
        let found = self.find(self.introduction.key(&credentials), credentials, address, context);
        let provider = Arc::clone(&self.provider);
        let logged_in = async move {
            let known = found.await?.answer()?;
            match known.token_hash {
                Some(_) => {
                    let (principal, expires_at) = (known.principal, known.expires_at);
                    Ok((LoggedIn { token: password, principal, expires_at }, false))
                }
                None => {
                    let verified = Verified { principal: known.principal, password: known.password };
                    let given = provider.login(&name, &password, verified).await;
                    let given = given.map_err(|error| unavailable(&error))?.ok_or(AuthError::Invalid)?;
                    Ok((given, true))
                }
            }
        };
        Box::pin(logged_in.into_actor(self).then(move |given, cache, _| {
            let undisturbed = cache.changes == before && before.begun == before.done;
            match given {
                Ok((given, true)) if !undisturbed => cache.begin_anew(login, &given.token, again),
                given => Box::pin(std::future::ready(given.map(|(given, _)| given)).into_actor(cache)),
            }
        }))
    }

    /// Asks the provider once, whatever it says: a code is good once, so nothing of it is remembered. It takes a place like any
    /// password that is tried; where others are being judged in all of them, it is told to wait.
    fn login_with_code(
        &mut self,
        login: Login,
        code: Secret,
    ) -> ResponseActFuture<Self, Result<LoggedIn, AuthError>> {
        let Login { name, password, address, .. } = login;
        let attempt = self.limiter.recognised(Attempt::new(address, &name));
        let wait = match self.limiter.admit(attempt) {
            Admission::Now => None,
            Admission::Later => Some(RETRY_AFTER),
            Admission::After(retry_after) => Some(retry_after),
        };
        if let Some(retry_after) = wait {
            return Box::pin(std::future::ready(Err(AuthError::TooMany { retry_after })).into_actor(self));
        }
        let provider = Arc::clone(&self.provider);
        let asked = async move { provider.login_with_code(&name, &password, &code).await };
        Box::pin(asked.into_actor(self).map(move |given, cache, context| {
            let judged = match &given {
                Ok(Some(_)) => Judged::Right,
                Ok(None) => Judged::Wrong,
                Err(_) => Judged::Not,
            };
            cache.settle(attempt, judged, context);
            given.map_err(|error| unavailable(&error))?.ok_or(AuthError::Invalid)
        }))
    }

    fn begin_anew(
        &self,
        login: Login,
        token: &Secret,
        again: u32,
    ) -> ResponseActFuture<Self, Result<LoggedIn, AuthError>> {
        let (provider, token) = (Arc::clone(&self.provider), token.clone());
        let revoked = async move { provider.logout(&token).await.map_err(|error| unavailable(&error)) };
        Box::pin(revoked.into_actor(self).then(move |revoked, cache, context| match (revoked, again) {
            (Ok(()), 1..) => cache.login(login, again - 1, context),
            (Ok(()), 0) => {
                let busy = Err(AuthError::Own(Trouble::Busy));
                Box::pin(std::future::ready(busy).into_actor(cache))
            }
            (Err(error), _) => Box::pin(std::future::ready(Err(error)).into_actor(cache)),
        }))
    }

    fn login_anonymous(&self) -> Result<LoggedIn, AuthError> {
        if !self.settings.anonymous {
            return Err(AuthError::Invalid);
        }
        let (token, expires_at) = anonymous::issue(&self.anonymous_key, self.now());
        Ok(LoggedIn { token, principal: Arc::new(Principal::anonymous()), expires_at })
    }
}

impl Handler<LoginAnonymous> for AuthCache {
    type Result = Result<LoggedIn, AuthError>;

    fn handle(&mut self, _: LoginAnonymous, _: &mut Self::Context) -> Self::Result {
        self.login_anonymous()
    }
}

impl Handler<Logout> for AuthCache {
    type Result = ResponseActFuture<Self, Result<(), AuthError>>;

    /// Others are answered while the provider revokes: it may be slow, and until it has, the token is good.
    fn handle(&mut self, Logout { token }: Logout, _: &mut Self::Context) -> Self::Result {
        let (provider, token_hash) = (Arc::clone(&self.provider), token.token_hash());
        let revoked = async move { provider.logout(&token).await.map_err(|error| unavailable(&error)) };
        Box::pin(revoked.into_actor(self).then(move |revoked, cache, _| {
            // Also after a failure: the provider may have revoked it and only its answer was lost.
            let forgotten = cache.forget(Revoked::Token(token_hash));
            async move {
                forgotten.await;
                revoked
            }
            .into_actor(cache)
        }))
    }
}
