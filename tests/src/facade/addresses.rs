//! Addresses: one default of each type, countries, the geocoder (SPEC CM-05).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm_core::address::{Address, AddressId, AddressType, Coordinates, GeocodeError, Geocoder, Place};
use crm_core::customer::CustomerId;
use crm_core::format::Country;
use crm_core::{Context, Crm, Error, Expect};
use rust_decimal::Decimal;
use serde_json::json;

use super::dice::Dice;
use super::world::{KEY, World, all, at_once, is, matching, seed};
use crate::{Harness, size};

const TYPES: [AddressType; 5] = [
    AddressType::Billing,
    AddressType::Shipping,
    AddressType::Service,
    AddressType::Headquarters,
    AddressType::Other,
];

fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
}

fn address(customer: CustomerId, kind: AddressType, is_default: bool) -> Address {
    Address { is_default, ..Address::new(customer, kind, "Hauptstraße 1", "Köln", country("DE")) }
}

fn degrees(text: &str) -> Option<Decimal> {
    text.parse().ok()
}

/// After any sequence of changes the defaults are those of a plain model: the last one of each type.
pub async fn cm_05_a_new_default_demotes_the_old_one(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customers = [world.customer("One").await.id, world.customer("Two").await.id];
    let seed = seed();
    let mut dice = Dice::new(seed);
    let mut model: BTreeMap<AddressId, Address> = BTreeMap::new();
    let settle = |model: &mut BTreeMap<AddressId, Address>, new: &Address| {
        for other in model.values_mut().filter(|_| new.is_default) {
            if (other.customer_id, other.address_type) == (new.customer_id, new.address_type) {
                other.is_default = false;
            }
        }
        model.insert(new.id, new.clone());
    };
    for step in 0..size(120, 2_000) {
        let ids: Vec<AddressId> = model.keys().copied().collect();
        match dice.below(if ids.is_empty() { 1 } else { 6 }) {
            0 => {
                let new = address(*dice.pick(&customers), *dice.pick(&TYPES), dice.one_in(2));
                settle(&mut model, &crm.addresses().create(&ctx, new).await.unwrap().value);
            }
            1 => {
                let new = address(*dice.pick(&customers), TYPES[0], dice.one_in(2));
                let batch = vec![new.clone(), Address { address_type: TYPES[1], ..new }];
                for created in crm.addresses().create_batch(&ctx, batch).await.unwrap().value {
                    settle(&mut model, &created);
                }
            }
            2 => {
                let id = *dice.pick(&ids);
                crm.addresses().delete(&ctx, id, Expect::Any).await.unwrap();
                model.remove(&id);
            }
            3 => {
                let id = *dice.pick(&ids);
                settle(&mut model, &crm.addresses().set_default(&ctx, id).await.unwrap().value);
            }
            _ => {
                let (id, kind, is_default) = (*dice.pick(&ids), *dice.pick(&TYPES), dice.one_in(2));
                let change = |address: &mut Address| {
                    (address.address_type, address.is_default) = (kind, is_default);
                };
                let after = crm.addresses().update(&ctx, id, Expect::Any, change).await.unwrap().value;
                assert_eq!((after.address_type, after.is_default), (kind, is_default));
                settle(&mut model, &after);
            }
        }
        for customer in customers {
            let found = crm.addresses().of(&ctx, customer).await.unwrap();
            let key = |a: &Address| (!a.is_default, a.address_type.code(), a.id);
            let found: Vec<_> = found.iter().map(key).collect();
            let mut expected: Vec<_> =
                model.values().filter(|address| address.customer_id == customer).map(key).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "seed {seed}, step {step}");
        }
    }
    let twins = vec![address(customers[0], TYPES[0], true), address(customers[0], TYPES[0], true)];
    match crm.addresses().create_batch(&ctx, twins).await {
        Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "[1].is_default"),
        other => panic!("two defaults of a type in one batch: {other:?}"),
    }
}

/// However many are made the default at once, in two processes, there is one, and nobody sees two or none.
pub async fn cm_05_a_type_has_one_default_whatever_happens_at_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (world.crm.clone(), world.ada());
    let other = world.second(harness).await;
    let customer = world.customer("Crowd").await.id;
    let first = crm.addresses().create(&ctx, address(customer, TYPES[0], true)).await.unwrap().id;
    let mut ids = vec![first];
    for n in 0..15 {
        let new = address(customer, TYPES[n % 2], false);
        ids.push(crm.addresses().create(&ctx, new).await.unwrap().id);
    }
    let done = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (crm, ctx, done) = (crm.clone(), ctx.clone(), done.clone());
        tokio::spawn(async move {
            let mut looks = 0;
            while !done.load(Ordering::SeqCst) {
                let criteria =
                    json!({ "all": [is("is_default", "eq", true), is("address_type", "eq", "billing")] });
                let defaults: Vec<Address> = matching(&crm, &ctx, criteria).await;
                assert_eq!(defaults.len(), 1, "seen at once: {defaults:?}");
                looks += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            looks
        })
    };
    let results = at_once(64, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        let id = ids[n % ids.len()];
        async move {
            if n % 4 == 0 {
                crm.addresses().create(&ctx, address(customer, TYPES[0], true)).await
            } else {
                let change = |address: &mut Address| {
                    (address.address_type, address.is_default) = (TYPES[0], true);
                };
                crm.addresses().update(&ctx, id, Expect::Any, change).await
            }
        }
    })
    .await;
    done.store(true, Ordering::SeqCst);
    assert!(watcher.await.unwrap() > 0);
    for result in results {
        let address = result.unwrap().value;
        assert!(address.is_default && address.address_type == TYPES[0], "each has been the default");
    }
    let defaults: Vec<Address> = matching(&crm, &ctx, is("is_default", "eq", true)).await;
    assert_eq!(defaults.len(), 1);
}

/// Wrong input is refused with its field; another tenant's ids and those of a deleted customer are not there; a repeat
/// and a change of nothing write nothing.
pub async fn cm_05_an_address_is_checked_and_read_through_its_customer(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Home").await.id;
    for code in ["XK", "UK", "D", "DEU", "", "d\0"] {
        assert!(Country::parse(code).is_err(), "{code} is no country");
    }
    let good = || address(customer, TYPES[0], false);
    let long = |n: usize| "ß".repeat(n);
    let at = |latitude: &str, longitude: &str| Address {
        latitude: degrees(latitude),
        longitude: degrees(longitude),
        ..good()
    };
    for (field, wrong) in [
        ("street_line_1", Address { street_line_1: " ".to_owned(), ..good() }),
        ("street_line_1", Address { street_line_1: long(201), ..good() }),
        ("street_line_2", Address { street_line_2: Some(long(201)), ..good() }),
        ("city", Address { city: String::new(), ..good() }),
        ("city", Address { city: "K\0ln".to_owned(), ..good() }),
        ("state_province", Address { state_province: Some(long(101)), ..good() }),
        ("postal_code", Address { postal_code: Some(long(21)), ..good() }),
        ("latitude", at("90.000001", "0")),
        ("latitude", at("-90.1", "0")),
        ("longitude", at("0", "180.1")),
        ("longitude", Address { longitude: None, ..at("1", "1") }),
    ] {
        match crm.addresses().create(&ctx, wrong).await {
            Err(Error::Invalid(errors)) => {
                assert!(errors.iter().any(|e| e.field == field), "{field}: {errors:?}");
            }
            other => panic!("a wrong {field} was accepted: {other:?}"),
        }
    }
    assert!(all::<Address>(crm, &ctx).await.is_empty());
    let given =
        Address { street_line_1: long(200), postal_code: Some("50667".to_owned()), ..at("-90", "180") };
    let keyed = ctx.clone().with_key("once");
    let created = crm.addresses().create(&keyed, given.clone()).await.unwrap();
    let expected = Address { id: created.id, meta: created.meta.clone(), ..given.clone() };
    assert_eq!(created.value, expected);
    let again = crm.addresses().create(&keyed, given.clone()).await.unwrap();
    assert!(again.repeated && again.written == created.written && again.value == expected);
    let reused = crm.addresses().create(&keyed, good()).await.unwrap_err();
    assert_eq!(reused.code(), "key_reused");
    let same = crm.addresses().update(&ctx, created.id, Expect::Version(1), |_| ()).await.unwrap();
    assert!(same.written.is_empty());
    let other = world.customer("Elsewhere").await.id;
    let moved = crm.addresses().update(&ctx, created.id, Expect::Any, |a| a.customer_id = other).await;
    assert!(matches!(&moved, Err(Error::Invalid(errors)) if errors[0].field == "customer_id"), "{moved:?}");
    let old = crm.addresses().delete(&ctx, created.id, Expect::Version(9)).await.unwrap_err();
    assert_eq!(old.code(), "version_conflict");

    let theirs = Context::system(crm_core::TenantId(uuid::Uuid::from_u128(u128::from(seed()))));
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    let codes = async |ctx: &Context| {
        [
            crm.addresses().create(ctx, good()).await.err().map(|e| e.code()),
            crm.addresses()
                .update(ctx, created.id, Expect::Any, |a| a.city = "X".to_owned())
                .await
                .err()
                .map(|e| e.code()),
            crm.addresses().delete(ctx, created.id, Expect::Any).await.err().map(|e| e.code()),
            crm.addresses().get(ctx, created.id).await.err().map(|e| e.code()),
        ]
    };
    assert_eq!(codes(&theirs).await, [Some("not_found"); 4]);
    assert!(crm.addresses().of(&theirs, customer).await.unwrap().is_empty());
    assert_eq!(codes(&reader).await, [Some("forbidden"), Some("forbidden"), Some("forbidden"), None]);
    crm.customers().delete(&ctx, customer, Expect::Any).await.unwrap();
    assert_eq!(codes(&ctx).await, [Some("not_found"); 4]);
    assert!(crm.addresses().of(&ctx, customer).await.unwrap().is_empty());
    crm.customers().restore(&ctx, customer).await.unwrap();
    assert_eq!(crm.addresses().of(&ctx, customer).await.unwrap(), [expected]);
}

/// Knows Köln, fails for Nowhere, and counts what it is asked.
#[derive(Clone, Default)]
struct Atlas {
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Place>>>,
}

#[async_trait]
impl Geocoder for Atlas {
    async fn locate(&self, _: &Context, place: &Place) -> Result<Option<Coordinates>, GeocodeError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some(place.clone());
        match place.city.as_str() {
            "Köln" => Ok(Coordinates::new("50.93753001".parse().unwrap(), "6.96028".parse().unwrap())),
            "Nowhere" => Err(GeocodeError("no network".to_owned())),
            _ => Ok(None),
        }
    }
}

/// The geocoder is asked when coordinates are missing or the place has changed, and never stands in the way.
pub async fn cm_05_a_geocoder_fills_the_coordinates_and_never_stands_in_the_way(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (atlas, ctx) = (Atlas::default(), world.ada());
    let crm = Crm::builder_shared(world.store.clone())
        .shared_env(world.env.clone())
        .cursor_key(KEY)
        .geocoder(atlas.clone())
        .build()
        .unwrap();
    let customer = world.customer("Somewhere").await.id;
    let asked = || atlas.asked.swap(0, Ordering::SeqCst);
    let cologne = (degrees("50.93753"), degrees("6.96028"));
    let place = |address: &Address| (address.latitude, address.longitude);

    let created = crm.addresses().create(&ctx, address(customer, TYPES[0], true)).await.unwrap();
    assert_eq!((place(&created), asked()), (cologne, 1));
    assert_eq!(place(&crm.addresses().get(&ctx, created.id).await.unwrap()), cologne);
    let own =
        Address { latitude: degrees("1"), longitude: degrees("2"), ..address(customer, TYPES[1], true) };
    let own = crm.addresses().create(&ctx, own).await.unwrap();
    assert_eq!((place(&own), asked()), ((degrees("1"), degrees("2")), 0), "what is given is kept");

    let change = async |id: AddressId, change: fn(&mut Address)| {
        place(&crm.addresses().update(&ctx, id, Expect::Any, change).await.unwrap())
    };
    let id = created.id;
    assert_eq!((change(id, |a| a.is_default = false).await, asked()), (cologne, 0), "the place is the same");
    assert_eq!((change(id, |a| a.city = "Nowhere".to_owned()).await, asked()), ((None, None), 1));
    assert_eq!((change(id, |a| a.is_default = true).await, asked()), ((None, None), 1), "asked again");
    assert_eq!((change(id, |a| a.city = "Atlantis".to_owned()).await, asked()), ((None, None), 1));
    assert_eq!((change(id, |a| a.city = "Köln".to_owned()).await, asked()), (cologne, 1));
    let by_field: [fn(&mut Address); 5] = [
        |a| a.street_line_1 = "Domkloster 4".to_owned(),
        |a| a.street_line_2 = Some("Turm".to_owned()),
        |a| a.state_province = Some("NRW".to_owned()),
        |a| a.postal_code = Some("50667".to_owned()),
        |a| a.country = Country::parse("US").unwrap(),
    ];
    for each in by_field {
        assert_eq!((change(id, each).await, asked()), (cologne, 1), "each part of the place counts");
    }
    let last = atlas.last.lock().unwrap().clone().unwrap();
    assert_eq!(last, Place::of(&crm.addresses().get(&ctx, id).await.unwrap()));
    let moved: fn(&mut Address) = |a| {
        a.city = "Bonn".to_owned();
        (a.latitude, a.longitude) = (Some(Decimal::from(3)), Some(Decimal::from(4)));
    };
    assert_eq!((change(id, moved).await, asked()), ((degrees("3"), degrees("4")), 0));

    let batch = (0..20).map(|n| {
        let city = *["Köln", "Nowhere", "Atlantis"].get(n % 3).unwrap();
        Address { city: city.to_owned(), ..address(customer, TYPES[4], false) }
    });
    let batch = crm.addresses().create_batch(&ctx, batch.collect()).await.unwrap();
    assert_eq!(asked(), 20);
    for address in &batch.value {
        assert_eq!(place(address), if address.city == "Köln" { cologne } else { (None, None) });
    }
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    assert_eq!(
        crm.addresses().create(&reader, address(customer, TYPES[0], true)).await.unwrap_err().code(),
        "forbidden"
    );
    assert_eq!(asked(), 0, "nothing is asked for who may not write");
    // Without a geocoder, coordinates of another place are not kept either.
    let plain = world.crm.addresses();
    let moved = plain.update(&ctx, id, Expect::Any, |a| a.city = "Köln".to_owned()).await.unwrap();
    assert_eq!(place(&moved), (None, None));
    assert!(Coordinates::new(Decimal::from(91), Decimal::ZERO).is_none());
    assert!(Coordinates::new(Decimal::ZERO, "-180.0000001".parse().unwrap()).is_none());
}
