//! `#[derive(Entity)]`: turns a struct into an entry of the crm-core catalog.
//!
//! See the module `catalog` of crm-core for what the attributes mean.

mod attributes;
mod expand;

use proc_macro::TokenStream;

/// Declares the struct as an entity.
///
/// On the struct, `#[entity(...)]`: `name = "..."`, `table = "..."`, and as needed `root = "customer_id"`,
/// `parent = "parent_id"`, `extends("customer", "account")` (it completes a customer, has its id and a frozen link
/// `customer_id` to it; criteria reach it from there as `account`), `append_only`, `shared`, `timeline` (implement `TimelineSource`), `validate` (implement
/// `Validate`), any number of `unique(name = "...", fields("a", "b"), only_if = "c", with_deleted)`,
/// `index(name = "...", fields("a"))` and `check(differ("a", "b"))`, `check(ordered("a", "b"))`,
/// `check(together("a", "b"))`.
///
/// The struct has a field `id` of a newtype id and a field `meta: Meta`. Every other field is part of the catalog;
/// `#[field(...)]` says more of it: `line(200)`, `block(10_000)`, `email`, `phone`, `url`, `zone`, `language`,
/// `decimal(2)`, `int(0, 100)`, `list(50, 40)`, `json`, `link = "customer"`, `any_link = "entity_field"`; `fold`,
/// `search`, `frozen`; and for whatever can hold personal data either `keep` or `mask` (nothing), `mask = "text"` or
/// `pseudonym = "prefix "`. Text, lists, custom fields and settings without a privacy rule do not compile.
#[proc_macro_derive(Entity, attributes(entity, field))]
pub fn entity(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::entity(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
