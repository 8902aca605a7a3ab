//! Reading the attributes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitInt, LitStr, Result, parenthesized};

/// What `#[entity(...)]` says.
#[derive(Default)]
pub(crate) struct EntityAttributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) table: Option<LitStr>,
    pub(crate) root: Option<LitStr>,
    pub(crate) parent: Option<LitStr>,
    pub(crate) extends: Option<(LitStr, LitStr)>,
    pub(crate) append_only: bool,
    pub(crate) shared: bool,
    pub(crate) timeline: bool,
    pub(crate) validate: bool,
    pub(crate) uniques: Vec<TokenStream>,
    pub(crate) indexes: Vec<TokenStream>,
    pub(crate) checks: Vec<TokenStream>,
}

/// What `#[field(...)]` says.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) kind: Option<TokenStream>,
    pub(crate) sensitive: bool,
    pub(crate) fold: bool,
    pub(crate) search: bool,
    pub(crate) frozen: bool,
    pub(crate) privacy: Option<TokenStream>,
}

impl EntityAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut read = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("entity")) {
            attribute.parse_nested_meta(|meta| read.entry(&meta))?;
        }
        Ok(read)
    }

    fn entry(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "name" => self.name = Some(meta.value()?.parse()?),
            "table" => self.table = Some(meta.value()?.parse()?),
            "root" => self.root = Some(meta.value()?.parse()?),
            "parent" => self.parent = Some(meta.value()?.parse()?),
            "extends" => {
                let names = strings(meta)?;
                let [entity, path] = names.as_slice() else {
                    return Err(meta
                        .error("expected the entity that is extended and the name of the path from there"));
                };
                self.extends = Some((entity.clone(), path.clone()));
            }
            "append_only" => self.append_only = true,
            "shared" => self.shared = true,
            "timeline" => self.timeline = true,
            "validate" => self.validate = true,
            "unique" => {
                let rule = Rule::read(meta)?;
                let (name, fields, with_deleted) = (rule.name, rule.fields, rule.with_deleted);
                let only_if = rule.only_if.map_or(quote!(None), |field| quote!(Some(#field)));
                self.uniques.push(quote!(::crm_core::catalog::UniqueRule {
                    name: #name, fields: &[#(#fields),*], only_if: #only_if, with_deleted: #with_deleted,
                }));
            }
            "index" => {
                let Rule { name, fields, .. } = Rule::read(meta)?;
                self.indexes
                    .push(quote!(::crm_core::catalog::IndexDef { name: #name, fields: &[#(#fields),*] }));
            }
            "check" => meta.parse_nested_meta(|check| {
                let kind = check.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let fields = strings(&check)?;
                let [a, b] = fields.as_slice() else { return Err(check.error("a check names two fields")) };
                self.checks.push(match kind.as_str() {
                    "differ" => quote!(::crm_core::catalog::Check::Differ(#a, #b)),
                    "ordered" => quote!(::crm_core::catalog::Check::Ordered(#a, #b)),
                    "together" => quote!(::crm_core::catalog::Check::Together(#a, #b)),
                    _ => return Err(check.error("expected differ, ordered or together")),
                });
                Ok(())
            })?,
            _ => return Err(meta.error("unknown; see the documentation of derive(Entity)")),
        }
        Ok(())
    }
}

struct Rule {
    name: LitStr,
    fields: Vec<LitStr>,
    only_if: Option<LitStr>,
    with_deleted: bool,
}

impl Rule {
    fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        let (mut name, mut fields, mut only_if, mut with_deleted) = (None, Vec::new(), None, false);
        meta.parse_nested_meta(|part| {
            if part.path.is_ident("name") {
                name = Some(part.value()?.parse()?);
            } else if part.path.is_ident("fields") {
                fields = strings(&part)?;
            } else if part.path.is_ident("only_if") {
                only_if = Some(part.value()?.parse()?);
            } else if part.path.is_ident("with_deleted") {
                with_deleted = true;
            } else {
                return Err(part.error("expected name, fields, only_if or with_deleted"));
            }
            Ok(())
        })?;
        let name = name.ok_or_else(|| meta.error("the rule needs a name"))?;
        Ok(Self { name, fields, only_if, with_deleted })
    }
}

impl FieldAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut read = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("field")) {
            attribute.parse_nested_meta(|meta| read.entry(&meta))?;
        }
        Ok(read)
    }

    fn entry(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let kind = quote!(::crm_core::catalog::Kind);
        let format = quote!(::crm_core::catalog::Format);
        let text =
            |max: usize, variant: TokenStream| quote!(#kind::Text { max: #max, format: #format::#variant });
        let mut sensitive = true;
        let found = match name.as_str() {
            "line" => {
                let [max] = numbers(meta)?;
                quote!(#kind::Text { max: #max, format: #format::Line })
            }
            "block" => {
                let [max] = numbers(meta)?;
                quote!(#kind::Text { max: #max, format: #format::Block })
            }
            "email" => text(254, quote!(Email)),
            "phone" => text(64, quote!(Phone)),
            "url" => text(2048, quote!(Url)),
            "zone" => text(64, quote!(Zone)),
            "language" => text(35, quote!(Language)),
            "list" => {
                let [items, length] = numbers(meta)?;
                quote!(#kind::List { max_items: #items, max_len: #length })
            }
            "json" => quote!(#kind::Json),
            _ => {
                sensitive = false;
                match name.as_str() {
                    "decimal" => {
                        let [scale] = numbers(meta)?;
                        quote!(#kind::Decimal { scale: #scale })
                    }
                    "int" => {
                        let [min, max] = numbers(meta)?;
                        quote!(#kind::Int { min: #min, max: #max })
                    }
                    "link" => {
                        let entity: LitStr = meta.value()?.parse()?;
                        quote!(#kind::Link { entity: #entity })
                    }
                    "any_link" => {
                        let entity_in: LitStr = meta.value()?.parse()?;
                        quote!(#kind::AnyLink { entity_in: #entity_in })
                    }
                    _ => return self.flag(meta, &name),
                }
            }
        };
        if self.kind.replace(found).is_some() {
            return Err(meta.error("the field has a type already"));
        }
        self.sensitive = sensitive;
        Ok(())
    }

    fn flag(&mut self, meta: &ParseNestedMeta<'_>, name: &str) -> Result<()> {
        let privacy = quote!(::crm_core::catalog::Privacy);
        let mask = quote!(::crm_core::catalog::Mask);
        match name {
            "fold" => self.fold = true,
            "search" => self.search = true,
            "frozen" => self.frozen = true,
            "keep" => self.privacy = Some(quote!(#privacy::Keep)),
            "mask" if meta.input.peek(syn::Token![=]) => {
                let text: LitStr = meta.value()?.parse()?;
                self.privacy = Some(quote!(#privacy::Personal(#mask::Text(#text))));
            }
            "mask" => self.privacy = Some(quote!(#privacy::Personal(#mask::Null))),
            "pseudonym" => {
                let text: LitStr = meta.value()?.parse()?;
                self.privacy = Some(quote!(#privacy::Personal(#mask::Pseudonym(#text))));
            }
            _ => return Err(meta.error("unknown; see the documentation of derive(Entity)")),
        }
        Ok(())
    }
}

fn strings(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    let content;
    parenthesized!(content in meta.input);
    Ok(content
        .parse_terminated(syn::parse::ParseBuffer::parse::<LitStr>, syn::Token![,])?
        .into_iter()
        .collect())
}

fn numbers<const N: usize>(meta: &ParseNestedMeta<'_>) -> Result<[LitInt; N]> {
    let content;
    parenthesized!(content in meta.input);
    let list: Vec<LitInt> = content
        .parse_terminated(syn::parse::ParseBuffer::parse::<LitInt>, syn::Token![,])?
        .into_iter()
        .collect();
    list.try_into().map_err(|_| meta.error(format!("expected {N} number(s)")))
}
