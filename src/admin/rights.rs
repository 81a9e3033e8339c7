//! Who may do what to a repository, and by which rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcr_actors::db::queries::descriptions::DescribeRepository;
use mcr_actors::db::queries::users::{ListUsers, TokenWithRoles, TokensWithRoles, User};
use mcr_actors::domain::{Principal, RepositoryName};
use mcr_actors::policy::access::Rights;
use mcr_actors::policy::{RuleId, RuleSet, Rules};

use super::call::Call;
use super::page::{Listed, Page};
use super::refusal::Refusal;
use super::rules::{Ruling, histories, ruling};
use super::sight::unknown;

/// Names of tokens that are told of those with the same roles.
const NAMES: usize = 10;

/// Who may do what to a repository.
#[derive(Debug, Clone)]
pub struct Access {
    /// The repository.
    pub repository: RepositoryName,
    /// Whether whoever does not log in gets a token.
    pub anonymous: bool,
    /// Kinds of callers that rules tell apart, and what each may do.
    pub kinds: Vec<(Principal, Rights)>,
    /// A page of the accounts; none where they are managed elsewhere.
    pub accounts: Option<Listed<Account>>,
    /// The rules that decide any of this.
    pub rules: Vec<Ruling>,
}

/// What an account may do.
#[derive(Debug, Clone)]
pub struct Account {
    /// The account.
    pub user: User,
    /// What it may do.
    pub rights: Rights,
    /// Its robot tokens that have other roles than it has.
    pub tokens: Vec<Tokens>,
}

/// What robot tokens with the same roles may do.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Their roles.
    pub roles: Vec<String>,
    /// How many they are.
    pub total: u64,
    /// What they are for, of some of them.
    pub names: Vec<String>,
    /// What they may do.
    pub rights: Rights,
}

fn principal(user: &User, roles: Vec<String>) -> Principal {
    let User { id, name, account_type, .. } = user;
    Principal { subject: id.clone(), name: name.clone(), account_type: *account_type, roles }
}

fn account(user: User, own: &[TokenWithRoles], rules: &RuleSet, repository: &RepositoryName) -> Account {
    let rights = |roles: Vec<String>| rules.rights(&principal(&user, roles), repository);
    let mut alike: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    for token in own.iter().filter(|token| token.user_id == user.id && token.roles != user.roles) {
        alike.entry(&token.roles).or_default().push(&token.name);
    }
    let tokens = alike.into_iter().map(|(roles, names)| Tokens {
        roles: roles.to_vec(),
        total: names.len() as u64,
        names: names.into_iter().take(NAMES).map(str::to_owned).collect(),
        rights: rights(roles.to_vec()),
    });
    let tokens = tokens.collect();
    Account { rights: rights(user.roles.clone()), tokens, user }
}

/// A page of the accounts by name, with what they may do.
async fn accounts(
    call: &Call,
    rules: &RuleSet,
    repository: &RepositoryName,
    Page { limit, offset }: Page,
) -> Result<Listed<Account>, Refusal> {
    let db = &call.worker.db;
    let (users, total) = db.read(ListUsers { part: String::new(), offset, limit }).await?;
    let with_roles = users.iter().map(|user| (user.id.clone(), user.roles.clone())).collect();
    let tokens = db.read(TokensWithRoles { users: with_roles, now: call.worker.clock.now() }).await?;
    let mut items = Vec::with_capacity(users.len());
    for user in users {
        items.push(account(user, &tokens, rules, repository));
        // Others are served between two accounts: there may be many of both, accounts and rules.
        tokio::task::yield_now().await;
    }
    Ok(Listed { total, items })
}

/// Every number of a rule that decides any of it.
fn deciding(kinds: &[(Principal, Rights)], accounts: Option<&Listed<Account>>) -> BTreeSet<RuleId> {
    let of_accounts = accounts.into_iter().flat_map(|accounts| &accounts.items);
    let of_accounts = of_accounts.flat_map(|account| {
        [account.rights].into_iter().chain(account.tokens.iter().map(|tokens| tokens.rights))
    });
    let rights = kinds.iter().map(|(_, rights)| *rights).chain(of_accounts);
    rights.flat_map(|rights| rights.decisions()).filter_map(|decision| decision.rule).collect()
}

/// Tells who may do what to a repository, and by which rules: kinds of callers, whoever there is, and a page of the accounts that the
/// registry keeps.
///
/// # Errors
/// When there is no such repository.
pub async fn show(call: &Call, repository: RepositoryName, page: Page) -> Result<Access, Refusal> {
    let describe = DescribeRepository { name: repository.clone(), after: String::new(), limit: 0 };
    call.worker.db.read(describe).await?.ok_or_else(|| unknown(&repository))?;
    let rules: Arc<RuleSet> = call.worker.policy.ask(Rules).await?;
    let kinds = rules.kinds(&repository).into_iter();
    let kinds: Vec<_> = kinds
        .map(|kind| {
            let rights = rules.rights(&kind, &repository);
            (kind, rights)
        })
        .collect();
    let accounts = match call.registry.provider().managed_elsewhere() {
        None => Some(accounts(call, &rules, &repository, page).await?),
        Some(_) => None,
    };
    let (decided, histories) = (deciding(&kinds, accounts.as_ref()), histories(call).await?);
    let decisive = rules.rules().iter().filter(|rule| decided.contains(&rule.id));
    let decisive = decisive.map(|rule| ruling(rule, &histories)).collect();
    let anonymous = call.registry.set_up().anonymous;
    Ok(Access { repository, anonymous, kinds, accounts, rules: decisive })
}
