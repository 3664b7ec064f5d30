//! The contract of every store, whichever engine keeps its logs.

use rig_event::{Epoch, StreamName, Timestamp};
use rig_recorder::{Folders, Memory, Options, Store};

use crate::support::{batch, quick_dir};

/// Runs the contract on a store with nothing in it.
async fn store_contract(store: &dyn Store) {
    created_and_listed(store).await;
    opened_again(store).await;
    refusals(store).await;
    removed_for_good(store).await;
}

fn named(name: &str) -> StreamName {
    name.parse().unwrap()
}

fn epoch(text: &str) -> Epoch {
    text.parse().unwrap()
}

async fn names(store: &dyn Store) -> Vec<String> {
    store.names().await.unwrap().iter().map(StreamName::to_string).collect()
}

async fn created_and_listed(store: &dyn Store) {
    assert_eq!(names(store).await, [""; 0]);
    for (name, of) in [("prod", "e1"), ("main", "e0"), ("staging", "e2")] {
        let log = store.create(&named(name), epoch(of), Timestamp::from_micros(0)).await.unwrap();
        assert_eq!((log.stream().as_str(), log.epoch().as_str()), (name, of));
        assert_eq!((log.first_seq(), log.head()), (1, 0));
    }
    assert_eq!(names(store).await, ["main", "prod", "staging"]);
}

/// Appended events are there for whoever opens the stream, and in no other stream.
async fn opened_again(store: &dyn Store) {
    let log = store.open(&named("main")).await.unwrap();
    log.append(batch(1, 3)).await.unwrap();
    drop(log);
    let log = store.open(&named("main")).await.unwrap();
    assert_eq!((log.epoch().as_str(), log.head()), ("e0", 3));
    assert_eq!(log.read(1, 3, 1 << 20).await.unwrap().bytes, batch(1, 3).bytes);
    let other = store.open(&named("prod")).await.unwrap();
    assert_eq!((other.epoch().as_str(), other.head()), ("e1", 0));
}

async fn refusals(store: &dyn Store) {
    assert!(store.open(&named("missing")).await.is_err());
    assert!(store.create(&named("main"), epoch("e9"), Timestamp::from_micros(0)).await.is_err());
    let log = store.open(&named("main")).await.unwrap();
    assert_eq!((log.epoch().as_str(), log.head()), ("e0", 3), "a refused stream took the place of another");
    assert_eq!(names(store).await, ["main", "prod", "staging"]);
}

/// A name that is free again begins with nothing.
async fn removed_for_good(store: &dyn Store) {
    store.remove(&named("main"), &epoch("e0")).await.unwrap();
    assert_eq!(names(store).await, ["prod", "staging"]);
    assert!(store.open(&named("main")).await.is_err());
    let log = store.create(&named("main"), epoch("e3"), Timestamp::from_micros(0)).await.unwrap();
    assert_eq!((log.epoch().as_str(), log.first_seq(), log.head()), ("e3", 1, 0));
    log.append(batch(1, 1)).await.unwrap();
    assert_eq!(log.head(), 1);
}

#[tokio::test]
async fn memory_keeps_the_contract_of_stores() {
    store_contract(&Memory::default()).await;
}

#[tokio::test]
async fn folders_keep_the_contract_of_stores() {
    let folder = quick_dir();
    store_contract(&Folders::new(folder.path(), Options::default())).await;
    // Another process finds the same.
    let again = Folders::new(folder.path(), Options::default());
    assert_eq!(names(&again).await, ["main", "prod", "staging"]);
    assert_eq!(again.open(&named("main")).await.unwrap().head(), 1);
}
