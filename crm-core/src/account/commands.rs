//! What can be done with accounts, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::account::Account;
use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::{Customer, CustomerId, CustomerType, Expect, input_of, live_customer};
use crate::policy::Action;

/// Why an account is not created or changed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefusal {
    /// The customer is a person.
    #[error("customer {0} is an individual; an account is accepted for an organization only")]
    Individual(CustomerId),
    /// The customer has its account.
    #[error("customer {0} has an account already, and there is one for each; update that one")]
    Exists(CustomerId),
}

impl Refusal for AccountRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Individual(_) => "account_individual",
            Self::Exists(_) => "account_exists",
        }
    }
}

type Decision<T> = Result<T, Decline<AccountRefusal>>;

/// Creates the account of a live customer that is an organization.
#[derive(Clone, Debug)]
pub struct CreateAccount {
    /// The account.
    pub account: Account,
}

impl Command for CreateAccount {
    type Output = Account;
    type Refusal = AccountRefusal;

    fn name(&self) -> &'static str {
        "accounts.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "account")
    }

    fn input(&self) -> Json {
        input_of(&self.account)
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        account_and_customer(self.account.customer_id)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let id = self.account.customer_id;
        if live_customer(id, loaded)?.r#type != CustomerType::Organization {
            return Err(Decline::Refused(AccountRefusal::Individual(id)));
        }
        if loaded.record(Account::def(), id.0).is_some() {
            return Err(Decline::Refused(AccountRefusal::Exists(id)));
        }
        let mut account = self.account.clone();
        account.normalise();
        let account = changes.insert(&account)?;
        changes.event("account.created", json!({ "customer_id": id }));
        Ok(account)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.account.customer_id).ok().flatten()
    }
}

/// Changes one account by a function over it.
pub struct UpdateAccount<'f> {
    /// The customer whose account it is.
    pub id: CustomerId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Account) + Send + Sync),
}

impl Command for UpdateAccount<'_> {
    type Output = Account;
    type Refusal = AccountRefusal;

    fn name(&self) -> &'static str {
        "accounts.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "account")
    }

    fn input(&self) -> Json {
        let mut sample = Account::new(self.id, "");
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        account_and_customer(self.id)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let missing = || Decline::NotFound("account", self.id.0);
        loaded.live::<Customer>(self.id)?.ok_or_else(missing)?;
        let before: Account = loaded.live(self.id)?.ok_or_else(missing)?;
        self.expect.check("account", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        after.normalise();
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("account.updated", json!({ "customer_id": self.id }));
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

fn account_and_customer(id: CustomerId) -> Vec<Need> {
    vec![Need::Records(Customer::def(), vec![id.0]), Need::Records(Account::def(), vec![id.0])]
}
