//! What people write of a rule: each word is checked here, and a refusal names the field.

use mcr_actors::domain::Action;
use mcr_actors::policy::glob::Glob;
use mcr_actors::policy::{Effect, Rule, RuleChange, RuleError, RuleId};

use crate::admin::refusal::Refusal;
use crate::model::RuleDraft;

/// A rule with all that is given of it, and no number yet.
pub(super) fn whole(draft: RuleDraft) -> Result<Rule, Refusal> {
    let RuleChange {
        priority,
        effect,
        roles,
        account_types,
        subject,
        actions,
        repositories,
        enabled,
        description,
    } = check(draft)?;
    let (Some(priority), Some(effect)) = (priority, effect) else {
        let message = "a rule has at least an effect, allow or deny, and a priority of 1 or more";
        let field = if effect.is_none() { "effect" } else { "priority" };
        return Err(Refusal::invalid(field, message));
    };
    Ok(Rule {
        id: RuleId(0),
        priority,
        effect,
        roles: roles.unwrap_or_default(),
        account_types: account_types.unwrap_or_default(),
        subject: subject.unwrap_or_default(),
        actions: actions.unwrap_or_default(),
        repositories: repositories.unwrap_or_default(),
        enabled: enabled.unwrap_or(true),
        description: description.unwrap_or_default(),
    })
}

/// What the draft changes.
pub(super) fn check(draft: RuleDraft) -> Result<RuleChange, Refusal> {
    if let Some(priority) = draft.priority.filter(|priority| *priority < 1) {
        return Err(Refusal::invalid("priority", RuleError::Priority(priority)));
    }
    if draft.roles.iter().flatten().any(String::is_empty) {
        return Err(Refusal::invalid("roles", RuleError::Role));
    }
    let kind = |kind: String| {
        kind.parse().map_err(|_| Refusal::invalid("account_types", RuleError::AccountType(kind)))
    };
    let glob = |pattern: String| {
        let bad = |reason| RuleError::Repositories { pattern: pattern.clone(), reason };
        Glob::parse(&pattern).map_err(|reason| Refusal::invalid("repositories", bad(reason)))
    };
    Ok(RuleChange {
        priority: draft.priority,
        effect: draft.effect.map(effect).transpose()?,
        roles: draft.roles,
        account_types: each(draft.account_types, kind)?,
        subject: draft.subject_uuid,
        actions: each(draft.actions, |word| action("actions", word))?,
        repositories: each(draft.repositories, glob)?,
        enabled: draft.enabled,
        description: draft.description,
    })
}

/// Each of a list that may not be given.
fn each<T>(
    words: Option<Vec<String>>,
    parse: impl Fn(String) -> Result<T, Refusal>,
) -> Result<Option<Vec<T>>, Refusal> {
    words.map(|words| words.into_iter().map(parse).collect()).transpose()
}

fn effect(effect: String) -> Result<Effect, Refusal> {
    match effect.as_str() {
        "allow" => Ok(Effect::Allow),
        "deny" => Ok(Effect::Deny),
        _ => Err(Refusal::invalid("effect", RuleError::Effect(effect))),
    }
}

/// The action of this word, which stands in `field`.
pub(super) fn action(field: &'static str, word: String) -> Result<Action, Refusal> {
    word.parse().map_err(|_| {
        let all = Action::ALL.map(Action::as_str).join(", ");
        Refusal::invalid(field, format!("{}; there are {all}", RuleError::Action(word)))
    })
}
