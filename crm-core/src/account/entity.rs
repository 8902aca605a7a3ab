//! The account.

use rust_decimal::Decimal;

use crate::account::tax_id::{check_tax_id, normal_tax_id};
use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::format::Country;
use crate::record::{FieldError, Meta, Validate};

crate::codes! {
    /// How many people work there.
    pub enum EmployeeCount: ordered {
        /// 1 to 10.
        #[default]
        UpTo10 = "1-10",
        /// 11 to 50.
        UpTo50 = "11-50",
        /// 51 to 200.
        UpTo200 = "51-200",
        /// 201 to 500.
        UpTo500 = "201-500",
        /// 501 to 1,000.
        UpTo1000 = "501-1000",
        /// More than 1,000.
        Over1000 = "1000+",
    }
}

crate::codes! {
    /// What it turns over in a year, in the tenant's currency.
    pub enum AnnualRevenue: ordered {
        /// Less than 100,000.
        #[default]
        Under100K = "<100K",
        /// 100,000 to a million.
        From100K = "100K-1M",
        /// 1 to 10 million.
        From1M = "1M-10M",
        /// 10 to 100 million.
        From10M = "10M-100M",
        /// 100 million and more.
        From100M = "100M+",
    }
}

impl EmployeeCount {
    /// The smallest number of the band.
    pub fn at_least(self) -> i64 {
        match self {
            Self::UpTo10 => 1,
            Self::UpTo50 => 11,
            Self::UpTo200 => 51,
            Self::UpTo500 => 201,
            Self::UpTo1000 => 501,
            Self::Over1000 => 1_001,
        }
    }
}

impl AnnualRevenue {
    /// The smallest amount of the band.
    pub fn at_least(self) -> Decimal {
        Decimal::from(match self {
            Self::Under100K => 0_i64,
            Self::From100K => 100_000,
            Self::From1M => 1_000_000,
            Self::From10M => 10_000_000,
            Self::From100M => 100_000_000,
        })
    }
}

/// What is known of an organization as a business (SPEC CM-03): one for each customer that is one, with its id.
/// Criteria reach it from the customer as `account`.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "account",
    table = "accounts",
    extends("customer", "account"),
    root = "customer_id",
    validate,
    index(name = "accounts_by_legal_name", fields("legal_name")),
    index(name = "accounts_by_tax_id", fields("tax_country", "tax_id")),
    index(name = "accounts_by_industry", fields("industry")),
    check(together("tax_id", "tax_country"))
)]
pub struct Account {
    /// The customer's own id.
    pub id: CustomerId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// The registered name, 1 to 300 characters.
    #[field(line(300), fold, search, pseudonym = "Deleted Account ")]
    pub legal_name: String,
    /// The name it does business as, at most 300 characters.
    #[field(line(300), fold, search, mask)]
    pub dba_name: Option<String>,
    /// The tax id, EIN, VAT number and the like, in its [normal form](crate::account::normal_tax_id).
    #[field(line(32), mask)]
    pub tax_id: Option<String>,
    /// The country whose tax id it is; given exactly when the tax id is.
    #[field(mask)]
    pub tax_country: Option<Country>,
    /// The industry, the tenant's own word, kept in lower case, at most 100 characters.
    #[field(line(100), fold, keep)]
    pub industry: Option<String>,
    /// How many people work there.
    pub employee_count: Option<EmployeeCount>,
    /// The smallest number of `employee_count`, derived: what criteria compare numbers with.
    #[field(int(0, 1_000_000))]
    pub employees_at_least: Option<i64>,
    /// What it turns over in a year.
    pub annual_revenue: Option<AnnualRevenue>,
    /// The smallest amount of `annual_revenue` in the tenant's currency, derived: what criteria compare numbers with.
    #[field(decimal(0))]
    pub revenue_at_least: Option<Decimal>,
    /// The web site.
    #[field(url, mask)]
    pub website: Option<String>,
}

impl Account {
    /// An account with nothing but a name, to be filled in with struct update syntax.
    pub fn new(customer: CustomerId, legal_name: impl Into<String>) -> Self {
        Self {
            id: customer,
            meta: Meta::default(),
            customer_id: customer,
            legal_name: legal_name.into(),
            dba_name: None,
            tax_id: None,
            tax_country: None,
            industry: None,
            employee_count: None,
            employees_at_least: None,
            annual_revenue: None,
            revenue_at_least: None,
            website: None,
        }
    }

    /// Derives the bands' bounds, and brings tax id and industry into the form that is kept.
    pub(crate) fn normalise(&mut self) {
        self.employees_at_least = self.employee_count.map(EmployeeCount::at_least);
        self.revenue_at_least = self.annual_revenue.map(AnnualRevenue::at_least);
        self.industry = self.industry.as_deref().map(|industry| industry.trim().to_lowercase());
        if let Some(country) = self.tax_country {
            self.tax_id = self.tax_id.as_deref().map(|id| normal_tax_id(country, id));
        }
    }
}

impl Validate for Account {
    fn check(&self) -> Vec<FieldError> {
        let (Some(country), Some(id)) = (self.tax_country, &self.tax_id) else { return Vec::new() };
        check_tax_id(country, id).err().map(|why| FieldError::new("tax_id", why)).into_iter().collect()
    }
}
