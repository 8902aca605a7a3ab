//! `crm.accounts()`.

use crate::account::{Account, AccountRefusal, CreateAccount, UpdateAccount};
use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{CustomerId, Expect};
use crate::query::{Find, Page};

/// Accounts: create, read, change, find.
#[derive(Clone, Copy)]
pub struct Accounts<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<AccountRefusal>>;

impl<'a> Accounts<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Creates the account of a customer that is an organization. There is one for each.
    pub async fn create(&self, ctx: &Context, account: Account) -> Outcome<Account> {
        self.crm.run(ctx, &CreateAccount { account }).await
    }

    /// Changes a customer's account by a function over it, which is called again if others were faster.
    pub async fn update(
        &self,
        ctx: &Context,
        customer: CustomerId,
        expect: Expect,
        change: impl Fn(&mut Account) + Send + Sync,
    ) -> Outcome<Account> {
        self.crm.run(ctx, &UpdateAccount { id: customer, expect, change: &change }).await
    }

    /// The account of a customer.
    pub async fn get(&self, ctx: &Context, customer: CustomerId) -> Result<Account, Error> {
        self.crm.get(ctx, customer).await
    }

    /// A page of the accounts that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Account>, Error> {
        self.crm.find(ctx, find).await
    }
}
