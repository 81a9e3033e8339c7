//! Who somebody is, in the words of the API and in those of the registry.

use mcr_actors::domain::{AccountType, Principal};

use crate::model::{AccountTypeModel, PrincipalModel};

/// A kind of account that people write.
pub fn account_type(model: AccountTypeModel) -> AccountType {
    match model {
        AccountTypeModel::Human => AccountType::Human,
        AccountTypeModel::System => AccountType::System,
        AccountTypeModel::Anonymous => AccountType::Anonymous,
    }
}

/// A principal that people describe.
pub fn described(model: PrincipalModel) -> Principal {
    let PrincipalModel { subject, name, account_type: kind, roles } = model;
    Principal { subject, name, account_type: account_type(kind), roles }
}

/// A principal in the words of the API.
pub fn model(principal: &Principal) -> PrincipalModel {
    PrincipalModel {
        subject: principal.subject.clone(),
        name: principal.name.clone(),
        account_type: match principal.account_type {
            AccountType::Human => AccountTypeModel::Human,
            AccountType::System => AccountTypeModel::System,
            AccountType::Anonymous => AccountTypeModel::Anonymous,
        },
        roles: principal.roles.clone(),
    }
}
