//! The customer.

use crate::catalog::Entity;
use crate::directory::UserId;
use crate::format::{self, Country};
use crate::record::{Custom, FieldError, Meta, Validate};
use crate::record_id;

record_id! {
    /// The id of a [`Customer`].
    CustomerId
}

/// How many customers may stand above one that is created or moved.
pub const MAX_HIERARCHY_DEPTH: usize = 100;

crate::codes! {
    /// A person or an organization.
    pub enum CustomerType {
        /// A person.
        #[default]
        Individual = "individual",
        /// An organization.
        Organization = "organization",
    }
}

crate::codes! {
    /// Where the relationship stands (seed 004). VIP and blocked are flags beside it.
    pub enum CustomerStatus {
        /// Not yet a customer.
        #[default]
        Prospect = "prospect",
        /// A customer.
        Active = "active",
        /// Put aside by hand.
        Inactive = "inactive",
        /// No longer a customer.
        Churned = "churned",
    }
}

crate::codes! {
    /// How the customer came to be known.
    pub enum CustomerSource {
        /// A web form.
        #[default]
        Web = "web",
        /// A recommendation.
        Referral = "referral",
        /// The sales team.
        Sales = "sales",
        /// A bulk import.
        Import = "import",
        /// Another system.
        Api = "api",
    }
}

/// A person or organization that one does business with (SPEC CM-01).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "customer",
    table = "customers",
    parent = "parent_id",
    validate,
    index(name = "customers_by_name", fields("display_name")),
    index(name = "customers_by_owner", fields("owner_id", "status")),
    index(name = "customers_by_creation", fields("created_at")),
    index(name = "customers_by_email", fields("email")),
    index(name = "customers_by_phone", fields("phone_e164")),
    index(name = "customers_by_parent", fields("parent_id")),
    check(differ("id", "parent_id"))
)]
pub struct Customer {
    /// The id.
    pub id: CustomerId,
    /// Version and instants.
    pub meta: Meta,
    /// A person or an organization.
    #[field(frozen)]
    pub r#type: CustomerType,
    /// The name it is known by, 1 to 200 characters.
    #[field(line(200), fold, search, pseudonym = "Deleted Customer ")]
    pub display_name: String,
    /// Where the relationship stands: follows from its stage, but for `inactive`.
    pub status: CustomerStatus,
    /// How it came to be known.
    pub source: Option<CustomerSource>,
    /// The e-mail address.
    #[field(email, fold, search, mask)]
    pub email: Option<String>,
    /// The telephone number as given.
    #[field(phone, mask)]
    pub phone: Option<String>,
    /// The telephone number in E.164, derived from `phone`; missing when it is not a valid number.
    #[field(line(20), search, mask)]
    pub phone_e164: Option<String>,
    /// Who looks after it.
    #[field(link = "user")]
    pub owner_id: Option<UserId>,
    /// The customer above it in the hierarchy.
    #[field(link = "customer")]
    pub parent_id: Option<CustomerId>,
    /// Labels, at most 100 of 50 characters.
    #[field(list(100, 50), search, mask)]
    pub tags: Vec<String>,
    /// Deserves special care.
    pub is_vip: bool,
    /// No business is done with it.
    pub is_blocked: bool,
    /// The language it is addressed in, BCP 47.
    #[field(language, keep)]
    pub preferred_language: Option<String>,
    /// Processing is restricted (GDPR Article 18).
    pub processing_restricted: bool,
    /// Processing was objected to (GDPR Article 21).
    pub do_not_process: bool,
    /// The embedder's own fields.
    #[field(mask)]
    pub custom: Custom,
    /// The user who created it.
    #[field(frozen)]
    pub created_by: Option<UserId>,
    /// When the person was erased.
    pub erased_at: Option<crate::value::Instant>,
}

impl Default for Customer {
    fn default() -> Self {
        Self {
            id: CustomerId(uuid::Uuid::nil()),
            meta: Meta::default(),
            r#type: CustomerType::default(),
            display_name: String::new(),
            status: CustomerStatus::default(),
            source: None,
            email: None,
            phone: None,
            phone_e164: None,
            owner_id: None,
            parent_id: None,
            tags: Vec::new(),
            is_vip: false,
            is_blocked: false,
            preferred_language: None,
            processing_restricted: false,
            do_not_process: false,
            custom: Custom::new(),
            created_by: None,
            erased_at: None,
        }
    }
}

impl Customer {
    /// Derives `phone_e164` from `phone`; `region` is where a number without country code is from.
    pub(crate) fn normalise(&mut self, region: Option<Country>) {
        self.phone_e164 = self.phone.as_deref().and_then(|phone| normal_phone(phone, region));
    }
}

/// The E.164 form of a valid number.
pub(crate) fn normal_phone(raw: &str, region: Option<Country>) -> Option<String> {
    let phone = format::phone(raw, region);
    if phone.valid { phone.e164 } else { None }
}

impl Validate for Customer {
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.parent_id == Some(self.id) {
            errors
                .push(FieldError::new("parent_id", "is the customer itself; name another customer or none"));
        }
        errors
    }
}
