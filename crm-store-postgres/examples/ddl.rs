//! Prints the migration that creates the tables of the standard catalog, or of the entities that are named:
//! `cargo run -p crm-store-postgres --example ddl -- customer contact`.

use crm_store_postgres::{ddl, ddl_all};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let catalog = crm_core::standard_catalog().build()?;
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        print!("{}", ddl_all(&catalog));
        return Ok(());
    }
    for name in names {
        let def = catalog.get(&name).ok_or_else(|| format!("{name} is not an entity of the catalog"))?;
        println!("{}", ddl(&catalog, def));
    }
    Ok(())
}
