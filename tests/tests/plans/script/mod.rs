//! A tenant at work: every call of the facade, once each or on every path that asks something else.

mod dealings;
mod reports;

use std::sync::Arc;
use std::time::Duration as Wait;

use async_trait::async_trait;
use crm_core::account::Account;
use crm_core::address::{Address, AddressType};
use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerId, CustomerType, ExternalKey};
use crm_core::directory::{Directory, DirectoryError, DirectoryPage, Team, TeamId, User, UserId};
use crm_core::format::Country;
use crm_core::note::Note;
use crm_core::relationship::{Relationship, RelationshipType};
use crm_core::score::{FactorAnswer, FactorError, Factors, ScoreFactors};
use crm_core::store::Store;
use crm_core::value::Instant;
use crm_core::{Context, Crm, Env as _, Expect, Find, FixedEnv, TenantId};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::recorder::{Noted, Question, Recorder};

/// The tenant that is asked about.
pub(crate) const TENANT: TenantId = TenantId(Uuid::from_u128(0x7e4a));

const ADA: Uuid = Uuid::from_u128(0xada);
const BOB: Uuid = Uuid::from_u128(0xb0b);
const EVE: Uuid = Uuid::from_u128(0xe7e);
const RED: Uuid = Uuid::from_u128(0x7ed);

/// Who are there, from another system.
struct Staff;

#[async_trait]
impl Directory for Staff {
    async fn page(&self, _: &Context, _: Option<&str>) -> Result<DirectoryPage, DirectoryError> {
        let team = Team { id: TeamId(RED), name: "Red".to_owned(), ..Team::default() };
        Ok(DirectoryPage { teams: vec![team], users: staff(), next: None })
    }
}

/// Knows one factor of everybody.
struct Logins;

#[async_trait]
impl ScoreFactors for Logins {
    async fn factors_of(
        &self,
        _: &Context,
        customers: &[CustomerId],
        _: &[String],
    ) -> Result<FactorAnswer, FactorError> {
        Ok(customers.iter().map(|id| (*id, Ok(logins(40)))).collect())
    }
}

fn logins(number: i64) -> Factors {
    Factors::from([("logins".to_owned(), Decimal::from(number))])
}

fn staff() -> Vec<User> {
    let user = |id: Uuid, name: &str, manager_id: Option<Uuid>| User {
        id: UserId(id),
        name: name.to_owned(),
        email: Some(format!("{}@staff.example.com", name.to_lowercase())),
        manager_id: manager_id.map(UserId),
        team_id: Some(TeamId(RED)),
        is_active: true,
        ..User::default()
    };
    vec![user(ADA, "Ada", None), user(BOB, "Bob", Some(ADA)), user(EVE, "Eve", Some(ADA))]
}

fn is(field: &str, operator: &str, value: impl Into<Json>) -> Json {
    json!({ "field": field, "operator": operator, "value": value.into() })
}

/// The facade with a recorder under it, and who asks.
struct Work {
    crm: Crm,
    noted: Noted,
    now: Instant,
    ada: Context,
    bob: Context,
    system: Context,
}

/// The customers of the tenant.
struct Family {
    firm: CustomerId,
    branch: CustomerId,
    person: CustomerId,
}

/// Does everything on an empty store, and gives what was asked meanwhile.
pub(crate) async fn play(store: Arc<dyn Store>, now: Instant) -> Vec<Question> {
    let (recorder, noted) = Recorder::over(store);
    let env = Arc::new(FixedEnv::seeded(now, 1));
    let built = Crm::builder(recorder).shared_env(env.clone()).cursor_key([7; 32]).directory(Staff);
    let crm = built.score_factors(Logins).deadline(Wait::from_mins(1)).build().unwrap();
    let ada = Context::user(TENANT, ADA).with_role("admin").with_team(RED);
    let bob = Context::user(TENANT, BOB).with_role("manager");
    let work = Work { now: env.now(), crm, noted: noted.clone(), ada, bob, system: Context::system(TENANT) };
    work.office().await;
    let family = work.customers().await;
    work.people(&family).await;
    work.dealings(&family).await;
    work.lifecycle(&family).await;
    work.scores(&family).await;
    work.segments(&family).await;
    work.timelines(&family).await;
    work.profiles_and_log(&family).await;
    work.ends().await;
    noted.questions()
}

impl Work {
    fn call(&self, call: &'static str) {
        self.noted.call(call);
    }

    /// Users, teams, settings.
    async fn office(&self) {
        let (crm, ctx) = (&self.crm, &self.ada);
        self.call("teams.put");
        let team = Team { id: TeamId(RED), name: "Red".to_owned(), ..Team::default() };
        crm.teams().put(ctx, vec![team]).await.unwrap();
        self.call("users.put");
        crm.users().put(ctx, staff()).await.unwrap();
        self.call("users.sync");
        crm.users().sync(ctx).await.unwrap();
        self.call("users.find");
        crm.users().get(ctx, UserId(BOB)).await.unwrap();
        for find in [
            Find::all().ascending("name"),
            Find::search("bo"),
            Find::matching(is("team_id", "eq", RED.to_string())).ascending("name"),
            Find::matching(is("manager_id", "eq", ADA.to_string())),
            Find::matching(is("email", "eq", "bob@staff.example.com")),
        ] {
            crm.users().find(ctx, &find).await.unwrap();
        }
        self.call("teams.find");
        crm.teams().get(ctx, TeamId(RED)).await.unwrap();
        crm.teams().find(ctx, &Find::all().ascending("name")).await.unwrap();
        self.call("settings");
        crm.settings().update(ctx, |settings| settings.pool_id = Some(UserId(ADA))).await.unwrap();
        crm.settings().get(ctx).await.unwrap();
    }

    /// Pages of an order, until there is one after a cursor.
    async fn customers_by(&self, find: Find) {
        let first = self.crm.customers().find(&self.ada, &find.clone().limit(1)).await.unwrap();
        if let Some(next) = first.next {
            self.crm.customers().find(&self.ada, &find.limit(1).after(next)).await.unwrap();
        }
    }

    async fn customers(&self) -> Family {
        let (crm, ctx) = (&self.crm, &self.ada);
        let customer = |name: &str, r#type| Customer {
            display_name: name.to_owned(),
            r#type,
            email: Some(format!("{}@example.com", name.to_lowercase())),
            phone: Some("+49 30 123456".to_owned()),
            owner_id: Some(UserId(BOB)),
            tags: vec!["vip".to_owned()],
            ..Customer::default()
        };
        self.call("customers.create");
        let keyed = ctx.clone().with_key("first");
        let ids = vec![ExternalKey::new("erp", "4711")];
        let firm = customer("Firm", CustomerType::Organization);
        let firm = crm.customers().create_with_ids(&keyed, firm, ids).await.unwrap().id;
        let branch = customer("Branch", CustomerType::Organization);
        let branch = crm.customers().create(ctx, branch).await.unwrap().id;
        let person =
            crm.customers().create(ctx, customer("Person", CustomerType::Individual)).await.unwrap().id;
        self.call("customers.update");
        crm.customers().update(ctx, person, Expect::Version(1), |person| person.is_vip = true).await.unwrap();
        crm.customers()
            .update(ctx, person, Expect::Any, |person| person.owner_id = Some(UserId(EVE)))
            .await
            .unwrap();
        crm.customers().set_parent(ctx, branch, Some(firm)).await.unwrap();
        self.call("customers.delete");
        let gone = crm.customers().create(ctx, customer("Gone", CustomerType::Individual)).await.unwrap().id;
        crm.customers().delete(ctx, gone, Expect::Any).await.unwrap();
        crm.customers().restore(ctx, gone).await.unwrap();
        self.call("customers.delete_matching");
        crm.customers().delete_matching(ctx, is("display_name", "eq", "Gone"), "it is gone").await.unwrap();
        self.call("customers.get");
        crm.customers().get(ctx, firm).await.unwrap();
        crm.customers().get_many(ctx, &[firm, branch]).await.unwrap();
        self.call("customers.by_external_id");
        assert!(
            crm.customers().by_external_id(ctx, &ExternalKey::new("erp", "4711")).await.unwrap().is_some()
        );
        self.call("customers.find");
        let of_bob = is("owner_id", "eq", BOB.to_string());
        for find in [
            Find::all(),
            Find::all().ascending("display_name"),
            Find::all().descending("created_at"),
            Find::matching(of_bob.clone()),
            Find::matching(json!({ "all": [of_bob, is("status", "eq", "prospect")] })),
            Find::matching(is("parent_id", "eq", firm.to_string())),
            Find::matching(is("email", "eq", "firm@example.com")),
            Find::matching(is("phone_e164", "eq", "+4930123456")),
            Find::matching(is("display_name", "starts_with", "fir")).ascending("display_name"),
        ] {
            self.customers_by(find).await;
        }
        self.call("customers.search");
        for text in ["firm", "fir bran", "firm@example.com", "030 123456"] {
            crm.customers().search(ctx, text, 50).await.unwrap();
        }
        self.call("customers.subtree");
        crm.customers().subtree(ctx, firm).await.unwrap();
        self.call("customers.tree");
        crm.customers().tree(ctx, firm).await.unwrap();
        Family { firm, branch, person }
    }

    /// Contacts, accounts, addresses, relationships, notes.
    async fn people(&self, family: &Family) {
        let (crm, ctx, firm) = (&self.crm, &self.ada, family.firm);
        self.call("accounts");
        let account = Account {
            tax_id: Some("DE136695976".to_owned()),
            tax_country: Some(Country::parse("DE").unwrap()),
            industry: Some("Steel".to_owned()),
            ..Account::new(firm, "Firm GmbH")
        };
        crm.accounts().create(ctx, account).await.unwrap();
        crm.accounts().update(ctx, firm, Expect::Any, |of| of.dba_name = Some("F".to_owned())).await.unwrap();
        crm.accounts().get(ctx, firm).await.unwrap();
        for criteria in [is("legal_name", "eq", "Firm GmbH"), is("industry", "eq", "Steel")] {
            crm.accounts().find(ctx, &Find::matching(criteria)).await.unwrap();
        }
        self.call("contacts");
        let contact = |first: &str, customer| Contact {
            customer_id: customer,
            first_name: first.to_owned(),
            last_name: "Doe".to_owned(),
            email: Some(format!("{}@example.com", first.to_lowercase())),
            phone: Some("+49 30 654321".to_owned()),
            ..Contact::default()
        };
        let jo = crm.contacts().create(ctx, contact("Jo", firm)).await.unwrap().id;
        let al = crm.contacts().create(ctx, contact("Al", firm)).await.unwrap().id;
        crm.contacts()
            .update(ctx, jo, Expect::Any, |jo| jo.job_title = Some("Chief".to_owned()))
            .await
            .unwrap();
        crm.contacts().set_primary(ctx, al).await.unwrap();
        crm.contacts().add_role(ctx, jo, family.branch, "Lawyer").await.unwrap();
        crm.contacts().delete(ctx, al, Expect::Any).await.unwrap();
        crm.contacts().get(ctx, jo).await.unwrap();
        crm.contacts().of_customer(ctx, firm).await.unwrap();
        for find in [
            Find::matching(is("email", "eq", "jo@example.com")),
            Find::matching(is("phone_e164", "eq", "+4930654321")),
            Find::all().ascending("last_name").ascending("first_name"),
            Find::search("doe"),
        ] {
            crm.contacts().find(ctx, &find).await.unwrap();
        }
        self.call("addresses");
        let address = |street: &str| Address {
            postal_code: Some("10115".to_owned()),
            ..Address::new(firm, AddressType::Billing, street, "Berlin", Country::parse("DE").unwrap())
        };
        let first = crm.addresses().create(ctx, address("First Street 1")).await.unwrap().id;
        let second = crm.addresses().create(ctx, address("Second Street 2")).await.unwrap().id;
        crm.addresses().update(ctx, first, Expect::Any, |of| of.city = "Bonn".to_owned()).await.unwrap();
        crm.addresses().set_default(ctx, second).await.unwrap();
        crm.addresses().delete(ctx, second, Expect::Any).await.unwrap();
        crm.addresses().get(ctx, first).await.unwrap();
        crm.addresses().of(ctx, firm).await.unwrap();
        crm.addresses().find(ctx, &Find::matching(is("postal_code", "eq", "10115"))).await.unwrap();
        self.call("relationships");
        let to = |r#type| Relationship::new(firm, family.person, r#type);
        let partner = crm.relationships().create(ctx, to(RelationshipType::Partner)).await.unwrap().id;
        crm.relationships().create(ctx, to(RelationshipType::Referral)).await.unwrap();
        crm.relationships()
            .update(ctx, partner, Expect::Any, |of| of.notes = Some("long ago".to_owned()))
            .await
            .unwrap();
        crm.relationships().of(ctx, family.person).await.unwrap();
        crm.relationships().delete(ctx, partner, Expect::Any).await.unwrap();
        self.call("notes");
        let note =
            crm.notes().create(ctx, Note::new(("customer", firm.0), "Steel is needed")).await.unwrap().id;
        let of_contact =
            crm.notes().create(ctx, Note::new(("contact", jo.0), "A good man")).await.unwrap().id;
        crm.notes()
            .create(ctx, Note { is_pinned: true, ..Note::new(("customer", firm.0), "Read me") })
            .await
            .unwrap();
        crm.notes().update(ctx, note, Expect::Any, |of| of.title = Some("Steel".to_owned())).await.unwrap();
        crm.notes().get(ctx, note).await.unwrap();
        crm.notes().get_many(ctx, &[note, of_contact]).await.unwrap();
        crm.notes().search(ctx, "steel need", 50).await.unwrap();
        let about =
            json!({ "all": [is("related_type", "eq", "contact"), is("related_id", "eq", jo.0.to_string())] });
        let of_firm = is("customer_id", "eq", firm.to_string());
        for find in [Find::matching(of_firm).descending("created_at"), Find::matching(about)] {
            crm.notes().find(ctx, &find).await.unwrap();
        }
        crm.notes().delete(ctx, of_contact, Expect::Any).await.unwrap();
    }
}
