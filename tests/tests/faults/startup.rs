//! Processes that set up the schema and connect at once, while another one writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crm_core::customer::Customer;
use crm_core::{Context, Crm, Env, SystemEnv, TenantId};

use crate::audit::Snapshot;
use crate::backend::{Backend, Handle, Kind};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_01_processes_that_start_at_once_share_one_postgres() {
    start_at_once(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_01_processes_that_start_at_once_share_one_mongod() {
    start_at_once(Kind::Mongo).await;
}

const PROCESSES: usize = 4;

/// Several processes migrate and connect at the same time; every one of them succeeds.
async fn start_some(backend: &Backend) -> Vec<Handle> {
    let starts: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(async move {
                backend.migrate().await.unwrap();
                backend.handle().await
            })
        })
        .collect();
    let mut handles = Vec::new();
    for start in starts {
        handles.push(start.await.unwrap());
    }
    handles
}

async fn write(crm: &Crm, ctx: &Context) {
    let customer = Customer { display_name: "Written".to_owned(), ..Customer::default() };
    crm.customers().create(ctx, customer).await.unwrap();
}

async fn start_at_once(kind: Kind) {
    let backend = Backend::empty(kind).await;
    let tenant = TenantId(SystemEnv.new_id());
    let ctx = Context::system(tenant);
    let first = start_some(&backend).await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = {
        let (crm, ctx, stop, written) = (first[0].crm(), ctx.clone(), stop.clone(), written.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                write(&crm, &ctx).await;
                written.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let before = written.load(Ordering::SeqCst);
    let mut others = Vec::new();
    for _ in 0..3 {
        others.extend(start_some(&backend).await);
    }
    let meanwhile = written.load(Ordering::SeqCst) - before;
    for handle in first.iter().chain(&others) {
        write(&handle.crm(), &ctx).await;
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    assert!(meanwhile > 0, "the writer stood still while others started");
    let all = Snapshot::take(&first[1].crm(), tenant).await;
    all.check(&backend, &first[1].crm(), tenant).await;
    let handles = first.len() + others.len();
    let created = all.log.iter().filter(|row| row.entity == "customer").count();
    assert_eq!(created, written.load(Ordering::SeqCst) + handles);
    println!(
        "{}: {PROCESSES} handles set up an empty server at once, {} more joined while one wrote {meanwhile} customers; \
         no call failed",
        backend.name(),
        others.len()
    );
}
