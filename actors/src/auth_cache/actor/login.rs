//! Logins, which give a token, and logouts, which end one.

use std::sync::Arc;

use actix::{ActorFutureExt, Handler, ResponseActFuture, WrapFuture};

use super::{AuthCache, Revoked, unavailable};
use crate::auth_cache::{AuthError, Credentials, LoggedIn, Login, LoginAnonymous, Logout, anonymous};
use crate::domain::Principal;

impl Handler<Login> for AuthCache {
    type Result = ResponseActFuture<Self, Result<LoggedIn, AuthError>>;

    fn handle(
        &mut self,
        Login { name, password, address }: Login,
        context: &mut Self::Context,
    ) -> Self::Result {
        if name.is_empty() && password.expose().is_empty() {
            return Box::pin(std::future::ready(self.login_anonymous()).into_actor(self));
        }
        let credentials = Credentials::Basic { name: name.clone(), password: password.clone() };
        let found = self.find(self.introduction.key(&credentials), credentials, address, context);
        let provider = Arc::clone(&self.provider);
        let logged_in = async move {
            let known = found.await?.answer()?;
            match known.token_hash {
                Some(_) => {
                    Ok(LoggedIn { token: password, principal: known.principal, expires_at: known.expires_at })
                }
                None => {
                    let given = provider.login(&name, &password, known.principal).await;
                    given.map_err(|error| unavailable(&error))?.ok_or(AuthError::Invalid)
                }
            }
        };
        Box::pin(logged_in.into_actor(self))
    }
}

impl AuthCache {
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
