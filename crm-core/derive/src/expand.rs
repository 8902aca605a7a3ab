//! Writing the implementation.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Type};

use crate::attributes::{EntityAttributes, FieldAttributes};

struct Field<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    attributes: FieldAttributes,
}

pub(crate) fn entity(input: &DeriveInput) -> Result<TokenStream> {
    let of_entity = EntityAttributes::read(&input.attrs)?;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(input, "an entity is a struct"));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(Error::new_spanned(input, "an entity's fields have names"));
    };
    let mut id_type = None;
    let mut has_meta = false;
    let mut fields = Vec::new();
    for field in &named.named {
        let Some(ident) = &field.ident else { continue };
        if ident == "id" {
            id_type = Some(&field.ty);
        } else if ident == "meta" {
            has_meta = true;
        } else {
            fields.push(Field { ident, ty: &field.ty, attributes: FieldAttributes::read(&field.attrs)? });
        }
    }
    let id_type =
        id_type.ok_or_else(|| Error::new_spanned(input, "an entity has a field `id` of a newtype id"))?;
    if !has_meta {
        return Err(Error::new_spanned(input, "an entity has a field `meta: Meta`"));
    }
    let definition = definition(input, &of_entity, &fields)?;
    let entity = &input.ident;
    let names: Vec<_> = fields.iter().map(|field| field.ident).collect();
    let places: Vec<_> =
        (0..fields.len()).map(|n| quote!(::crm_core::catalog::system::FIRST_OWN + #n)).collect();
    Ok(quote! {
        impl ::crm_core::catalog::Entity for #entity {
            type Id = #id_type;

            fn def() -> &'static ::crm_core::catalog::EntityDef {
                static DEF: ::std::sync::LazyLock<::crm_core::catalog::EntityDef> =
                    ::std::sync::LazyLock::new(|| #definition);
                &DEF
            }

            fn to_record(&self) -> ::crm_core::record::Record {
                let mut record = ::crm_core::record::Record::new(
                    <Self as ::crm_core::catalog::Entity>::def(),
                    ::crm_core::RecordId::uuid(self.id),
                    &self.meta,
                );
                #(record.values[#places] = ::crm_core::record::FieldValue::to_value(&self.#names);)*
                record
            }

            fn from_record(
                record: &::crm_core::record::Record,
            ) -> ::std::result::Result<Self, ::crm_core::record::Unreadable> {
                Ok(Self {
                    id: ::crm_core::RecordId::from_uuid(record.id()),
                    meta: record.meta(),
                    #(#names: ::crm_core::record::read_field(record, #places)?,)*
                })
            }

            fn from_owned(
                mut record: ::crm_core::record::Record,
            ) -> ::std::result::Result<Self, ::crm_core::record::Unreadable> {
                Ok(Self {
                    id: ::crm_core::RecordId::from_uuid(record.id()),
                    meta: record.meta(),
                    #(#names: ::crm_core::record::take_field(&mut record, #places)?,)*
                })
            }

            fn id(&self) -> Self::Id { self.id }

            fn meta(&self) -> &::crm_core::record::Meta { &self.meta }
        }
    })
}

fn definition(
    input: &DeriveInput,
    of_entity: &EntityAttributes,
    fields: &[Field<'_>],
) -> Result<TokenStream> {
    let missing = |what| Error::new_spanned(input, format!("#[entity({what} = \"...\")] is missing"));
    let name = of_entity.name.as_ref().ok_or_else(|| missing("name"))?;
    let table = of_entity.table.as_ref().ok_or_else(|| missing("table"))?;
    let mut declared = Vec::new();
    for field in fields {
        let Field { ident, ty, attributes } = field;
        let written = quote!(#ty).to_string();
        let holds_text = written
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| ["String", "Vec", "Custom", "Json"].contains(&word));
        if (attributes.sensitive || holds_text) && attributes.privacy.is_none() {
            return Err(Error::new_spanned(
                ident,
                "this field can hold personal data: say what erasure makes of it with `mask`, `mask = \"...\"` or \
                 `pseudonym = \"...\"`, or that it never does with `keep`",
            ));
        }
        let label = ident.to_string();
        let label = label.trim_start_matches("r#");
        let kind = attributes.kind.clone();
        let kind = kind.unwrap_or_else(|| quote!(<#ty as ::crm_core::record::FieldValue>::kind()));
        let privacy = attributes.privacy.clone();
        let privacy = privacy.unwrap_or_else(|| quote!(::crm_core::catalog::Privacy::Keep));
        let (fold, search, frozen) = (attributes.fold, attributes.search, attributes.frozen);
        declared.push(quote!(::crm_core::catalog::FieldDef {
            name: #label,
            kind: #kind,
            required: <#ty as ::crm_core::record::FieldValue>::REQUIRED,
            folded: #fold,
            search: #search,
            frozen: #frozen,
            privacy: #privacy,
        }));
    }
    let optional =
        |text: &Option<syn::LitStr>| text.as_ref().map_or(quote!(None), |text| quote!(Some(#text)));
    let (root, parent) = (optional(&of_entity.root), optional(&of_entity.parent));
    let extends = of_entity.extends.as_ref().map_or(
        quote!(None),
        |(entity, path)| quote!(Some(::crm_core::catalog::Extends { entity: #entity, path: #path })),
    );
    let (append_only, shared) = (of_entity.append_only, of_entity.shared);
    let (uniques, indexes, checks) = (&of_entity.uniques, &of_entity.indexes, &of_entity.checks);
    let entity = &input.ident;
    let entry = if of_entity.timeline {
        quote!(Some(|record| {
            let entity = <#entity as ::crm_core::catalog::Entity>::from_record(record).ok()?;
            ::crm_core::timeline::TimelineSource::entry(&entity)
        }))
    } else {
        quote!(None)
    };
    let validate = if of_entity.validate {
        quote!(Some(|record| {
            <#entity as ::crm_core::catalog::Entity>::from_record(record)
                .map(|entity| ::crm_core::record::Validate::check(&entity))
                .unwrap_or_default()
        }))
    } else {
        quote!(None)
    };
    Ok(quote!(::crm_core::catalog::EntityDef {
        name: #name,
        table: #table,
        fields: {
            let mut fields = ::crm_core::catalog::EntityDef::system_fields();
            fields.extend([#(#declared),*]);
            fields
        },
        uniques: &[#(#uniques),*],
        indexes: &[#(#indexes),*],
        checks: &[#(#checks),*],
        append_only: #append_only,
        shared: #shared,
        root: #root,
        parent: #parent,
        extends: #extends,
        entry: #entry,
        validate: #validate,
    }))
}
