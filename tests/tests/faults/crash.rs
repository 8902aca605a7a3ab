//! Servers that are killed in the middle of commits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crm_conformance::size;

use crate::audit::{Snapshot, key_of};
use crate::backend::{Backend, Kind};
use crate::consumer::Consumer;
use crate::world::{Dice, World};

const WRITERS: usize = 8;
/// How many commands are acknowledged between two kills at least.
const STRIDE: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_02_xt_03_a_killed_postgres_keeps_what_it_acknowledged_whole_and_once() {
    survive(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_02_xt_03_a_killed_mongod_keeps_what_it_acknowledged_whole_and_once() {
    survive(Kind::Mongo).await;
}

async fn survive(kind: Kind) {
    let started = Instant::now();
    let backend = Backend::start(kind).await;
    let world = World::new();
    // As two processes would: each its own pool, used by half of the writers and one consumer.
    let processes = [backend.handle().await.crm(), backend.handle().await.crm()];
    let consumers_stop = Arc::new(AtomicBool::new(false));
    let consumers: Vec<_> = processes
        .iter()
        .enumerate()
        .map(|(n, crm)| {
            let consumer = Consumer::new(crm.clone(), world.tenant, &format!("consumer {n}"));
            tokio::spawn(consumer.follow(consumers_stop.clone()))
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            tokio::spawn(world.clone().write(processes[n % 2].clone(), 1_000 + n as u64, n < WRITERS / 2))
        })
        .collect();
    let kills = size(2, 20);
    let mut dice = Dice(42);
    let mut struck = 0;
    for _ in 0..kills {
        world.reach(world.acknowledged() + STRIDE).await;
        tokio::time::sleep(Duration::from_millis(dice.roll(250) as u64)).await;
        struck += world.under_way.load(Ordering::SeqCst);
        backend.kill().await;
        tokio::time::sleep(Duration::from_millis(dice.roll(150) as u64)).await;
        backend.restart().await;
    }
    world.patient.store(true, Ordering::SeqCst);
    world.reach(world.acknowledged() + STRIDE).await;
    world.stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    consumers_stop.store(true, Ordering::SeqCst);
    let mut sequences = Vec::new();
    for consumer in consumers {
        sequences.push(consumer.await.unwrap());
    }

    let ledger = std::mem::take(&mut *world.ledger.lock().unwrap());
    assert_eq!(ledger.violations, Vec::<String>::new());
    assert!(!ledger.unknown.is_empty(), "no kill struck a command: nothing was shown");

    // Before anything is repeated: whole or absent.
    let crm = &processes[0];
    let before = Snapshot::take(crm, world.tenant).await;
    before.check(&backend, crm, world.tenant).await;
    for (command, written) in &ledger.acknowledged {
        let (done, commits) = before.done_by(command);
        assert_eq!(done, written.iter().cloned().collect::<BTreeSet<_>>(), "{command:?}");
        assert!(commits <= 1, "{command:?} was applied {commits} times");
    }
    let mut there = 0;
    let mut settled = Vec::new();
    for (command, failure) in &ledger.unknown {
        let (done, commits) = before.done_by(command);
        let kept = key_of(crm, world.tenant, command).await;
        let expected: BTreeSet<_> = kept.clone().unwrap_or_default().into_iter().collect();
        assert_eq!(done, expected, "{command:?} is there in part, after {failure:?}");
        assert!(commits <= 1, "{command:?} was applied {commits} times");
        there += usize::from(kept.is_some());
        // Repeating it settles it, through the other process.
        let outcome = command.perform(&processes[1], world.tenant).await;
        let outcome = outcome.unwrap_or_else(|failure| panic!("{command:?}: {failure:?}"));
        assert_eq!(outcome.repeated, kept.is_some(), "{command:?}");
        if let Some(kept) = kept {
            assert_eq!(outcome.written, kept);
        }
        settled.push((command.clone(), outcome.written));
    }
    for (command, written) in ledger.acknowledged.iter().rev().take(100) {
        let again = command.perform(&processes[1], world.tenant).await.unwrap();
        assert!(again.repeated && again.written == *written, "{command:?}");
    }

    // Afterwards: everything, once.
    let after = Snapshot::take(crm, world.tenant).await;
    after.check(&backend, crm, world.tenant).await;
    for (command, written) in ledger.acknowledged.iter().chain(&settled) {
        let (done, _) = after.done_by(command);
        assert_eq!(done, written.iter().cloned().collect::<BTreeSet<_>>(), "{command:?}");
        for (entity, id, version) in written {
            let now = after.records[&(entity.clone(), *id)].version();
            assert!(now >= *version, "{entity} {id} fell back to {now}");
        }
        assert_eq!(key_of(crm, world.tenant, command).await.as_ref(), Some(written));
    }
    let commands = ledger.acknowledged.len() + settled.len();
    assert_eq!(backend.count("crm_keys").await, commands, "one key for each command");
    let whole: Vec<_> = after.log.iter().map(|row| (row.commit_id, row.ordinal)).collect();
    for consumer in &sequences {
        assert_eq!(consumer.seen, whole[..consumer.seen.len()], "{}", consumer.name);
        assert_eq!(consumer.seen.len(), before.log.len(), "{} has not seen all", consumer.name);
    }
    println!(
        "{}: {kills} kills with {struck} commands under way; {} acknowledged and kept, {} unknown of which {there} were \
         applied, all settled; {} records, {} log rows, {} rows redelivered to 2 consumers; {:.0} s",
        backend.name(),
        ledger.acknowledged.len(),
        ledger.unknown.len(),
        after.records.len(),
        after.log.len(),
        sequences.iter().map(|consumer| consumer.again).sum::<usize>(),
        started.elapsed().as_secs_f64(),
    );
}
