//! The data: the tables of the Chinook database as CSV, and what is known of them (`expected.json`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::Result;

/// Everything in the folder.
#[derive(Clone, Debug)]
pub struct Chinook {
    /// Who works for the shop, managers before those they manage.
    pub employees: Vec<Employee>,
    /// Who buys from it.
    pub customers: Vec<Buyer>,
    /// What they bought.
    pub invoices: Vec<Sale>,
    /// The tracks on each invoice, by the invoice's number.
    pub lines: BTreeMap<u32, Vec<SaleLine>>,
    /// What the sales add up to, computed elsewhere.
    pub expected: Expected,
}

/// A row of `employees.csv`.
#[derive(Clone, Debug, Deserialize)]
pub struct Employee {
    /// Its number.
    pub employee_id: u32,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The manager's number.
    pub reports_to: Option<u32>,
    /// The e-mail address.
    pub email: String,
}

/// A row of `customers.csv`: a person, who may stand for a company.
#[derive(Clone, Debug, Deserialize)]
pub struct Buyer {
    /// Its number.
    pub customer_id: u32,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The company, if there is one.
    pub company: Option<String>,
    /// Street and number.
    pub address: String,
    /// The city.
    pub city: String,
    /// The state or province, if there is one.
    pub state: Option<String>,
    /// The country's name.
    pub country: String,
    /// The postal code, if there is one.
    pub postal_code: Option<String>,
    /// The telephone number, in any format.
    pub phone: Option<String>,
    /// The fax number.
    pub fax: Option<String>,
    /// The e-mail address.
    pub email: String,
    /// The employee who looks after it.
    pub support_rep_id: u32,
}

/// A row of `invoices.csv`.
#[derive(Clone, Debug, Deserialize)]
pub struct Sale {
    /// Its number.
    pub invoice_id: u32,
    /// Whose.
    pub customer_id: u32,
    /// When.
    pub invoice_date: DateTime<Utc>,
    /// In US dollars.
    pub total: Decimal,
}

/// A row of `invoice_lines.csv`.
#[derive(Clone, Debug, Deserialize)]
pub struct SaleLine {
    /// The invoice.
    pub invoice_id: u32,
    /// The track that was sold.
    pub track_id: u32,
    /// The price of one, in US dollars.
    pub unit_price: Decimal,
    /// How many.
    pub quantity: Decimal,
}

/// What the data adds up to.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    /// All invoices.
    pub total: Amount,
    /// Each customer's.
    pub customers: Vec<ExpectedCustomer>,
    /// Those of the customers that an employee looks after.
    pub by_rep: Vec<ExpectedRep>,
    /// Those of the customers in a country, by its name.
    pub by_country: BTreeMap<String, Amount>,
}

/// What is known of one customer.
#[derive(Clone, Debug, Deserialize)]
pub struct ExpectedCustomer {
    /// Its number.
    pub customer_id: u32,
    /// How many invoices.
    pub invoices: i64,
    /// What they add up to.
    pub total: Amount,
}

/// What is known of one employee.
#[derive(Clone, Debug, Deserialize)]
pub struct ExpectedRep {
    /// Its number.
    pub support_rep_id: u32,
    /// How many invoices.
    pub invoices: i64,
    /// What they add up to.
    pub revenue: Amount,
}

/// An amount that JSON writes as a number. Its shortest decimal form is the amount meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        number.to_string().parse().map(Self).map_err(D::Error::custom)
    }
}

impl Buyer {
    /// First and last name.
    pub fn person(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }

    /// The company, or else the person.
    pub fn display_name(&self) -> String {
        self.company.clone().unwrap_or_else(|| self.person())
    }
}

impl Chinook {
    /// Reads the folder.
    ///
    /// # Errors
    /// A file is missing or not of the form above; the message names it and the line.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut employees: Vec<Employee> = rows(folder, "employees.csv")?;
        let managers: BTreeMap<u32, Option<u32>> =
            employees.iter().map(|employee| (employee.employee_id, employee.reports_to)).collect();
        // At most as many steps as there are employees, even if two managed each other.
        let above = |employee: &Employee| {
            std::iter::successors(employee.reports_to, |id| managers.get(id).copied().flatten())
                .take(managers.len())
                .count()
        };
        employees.sort_by_key(above);
        let mut lines = BTreeMap::<u32, Vec<SaleLine>>::new();
        for line in rows::<SaleLine>(folder, "invoice_lines.csv")? {
            lines.entry(line.invoice_id).or_default().push(line);
        }
        let name = "expected.json";
        let json = fs::read(folder.join(name)).map_err(|error| in_file(folder, name, &error))?;
        let expected = serde_json::from_slice(&json).map_err(|error| in_file(folder, name, &error))?;
        let customers = rows(folder, "customers.csv")?;
        Ok(Self { employees, customers, invoices: rows(folder, "invoices.csv")?, lines, expected })
    }
}

fn rows<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<T>> {
    let mut reader =
        csv::Reader::from_path(folder.join(name)).map_err(|error| in_file(folder, name, &error))?;
    let rows: std::result::Result<_, csv::Error> = reader.deserialize().collect();
    rows.map_err(|error| in_file(folder, name, &error))
}

fn in_file(folder: &Path, name: &str, error: &dyn std::error::Error) -> crate::Error {
    format!("{}: {error}", folder.join(name).display()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::shipped_data;

    #[test]
    fn the_shipped_data_is_whole() {
        let data = Chinook::read(&shipped_data()).unwrap();
        assert_eq!((data.employees.len(), data.customers.len(), data.invoices.len()), (8, 59, 412));
        assert_eq!(data.lines.values().map(Vec::len).sum::<usize>(), 2_240);
        assert_eq!(data.expected.total, Amount(Decimal::new(232_860, 2)));
        assert_eq!((data.expected.by_rep.len(), data.expected.by_country.len()), (3, 24));
        assert_eq!(data.employees[0].reports_to, None);
    }

    #[test]
    fn a_folder_without_the_files_is_refused_by_name() {
        let error = Chinook::read(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(error.starts_with("no/such/folder/employees.csv: "), "{error}");
    }
}
