//! Round trips of each call, counted by the stores.

use crm_core::Crm;
use crm_core::contact::Contact;
use crm_core::env::{Env, SystemEnv};
use crm_core::format::Currency;
use crm_core::invoice::{Invoice, InvoiceLine, NewInvoice};
use crm_core::timeline::{Anchor, TimelineRequest};
use rust_decimal::Decimal;

use crate::Outcome;
use crate::bed::{Bed, Kind, ctx};
use crate::observe::{Noted, Observer};
use crate::report::{Aim, Figure, Report};
use crate::sample::{self, Random};

const PART: &str = "trips";

/// Counts them.
pub(crate) async fn run(bed: &Bed, report: &mut Report) -> Outcome {
    for kind in bed.databases("trips").await? {
        of(&kind, report).await?;
    }
    report.note(
        PART,
        "Tables are counted by a store in between that looks at the reads and change sets; a commit always counts the \
         log. `create customer` and the like read the tenant's settings first.",
    );
    Ok(())
}

struct Count<'a> {
    kind: &'a Kind,
    noted: Noted,
    before: u64,
}

impl Count<'_> {
    fn start(&mut self) {
        self.noted.take();
        self.before = self.kind.trips();
    }

    fn end(&mut self, what: &str, report: &mut Report) {
        let (trips, tables) = (self.kind.trips() - self.before, self.noted.take());
        let (free, word) =
            if matches!(self.kind, Kind::Mongo(_)) { (3, "collections") } else { (5, "tables") };
        report.add(Figure {
            part: PART,
            what: format!("{}: {what}", self.kind.name()),
            ours: trips.to_string(),
            peer: format!("{} {word}", tables.len()),
            ratio: trips as f64 - tables.len() as f64,
            aim: Some(Aim::AtMost(f64::from(free))),
        });
    }
}

async fn of(kind: &Kind, report: &mut Report) -> Outcome {
    let (observer, noted) = Observer::new(kind.store(), matches!(kind, Kind::Mongo(_)));
    let crm = Crm::builder(observer).cursor_key([7_u8; 32]).build()?;
    let ctx = ctx();
    let mut random = Random::new(5);
    let mut new = sample::customers(&mut random, 3);
    let mut count = Count { kind, noted, before: 0 };
    let known = crm.customers().create(&ctx, new.remove(0)).await?.value;

    count.start();
    let customer = crm.customers().create(&ctx, new.remove(0)).await?.value;
    count.end("create a customer", report);

    let primary = |name: &str| Contact {
        customer_id: known.id,
        first_name: name.to_owned(),
        last_name: "Ott".to_owned(),
        is_primary: true,
        ..Contact::default()
    };
    crm.contacts().create(&ctx, primary("Ann")).await?;
    count.start();
    let contact = crm.contacts().create(&ctx, primary("Bea")).await?.value;
    count.end("create a contact, primary in place of another", report);

    let mut interactions = sample::Interactions::new(vec![(known.id, contact.id)], SystemEnv.now());
    for (what, size) in [("log one interaction", 1), ("log 1,000 interactions", 1_000)] {
        let batch = interactions.batch(size);
        count.start();
        crm.interactions().log_batch(&ctx, batch).await?;
        count.end(what, report);
    }
    let keyed = ctx.clone().with_key("once");
    let batch = interactions.batch(1);
    count.start();
    crm.interactions().log_batch(&keyed, batch).await?;
    count.end("log one interaction, with an idempotency key", report);

    let at = SystemEnv.now();
    let currency = Currency::parse("USD").map_err(|error| error.to_string())?;
    let line = InvoiceLine::new("A day of work", Decimal::ONE, Decimal::from(10));
    let invoice = NewInvoice {
        invoice: Invoice::issued(known.id, "2024-17", at, currency),
        lines: vec![line.clone(), line],
    };
    count.start();
    crm.invoices().record(&ctx, invoice).await?;
    count.end("record an invoice of two lines", report);

    count.start();
    crm.timeline().page(&ctx, &TimelineRequest::of(Anchor::Customer(known.id))).await?;
    count.end("the first page of a timeline", report);
    count.start();
    crm.customers().get(&ctx, customer.id).await?;
    count.end("get a customer", report);
    Ok(())
}
