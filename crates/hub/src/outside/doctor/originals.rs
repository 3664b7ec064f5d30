//! Looks the originals of a stream's documents over: whether those that its log names are there, and each opens under its key.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use rig_config::Redactor;
use rig_event::Event;
use rig_recorder::blob::{BlobId, BlobStore, Record, Sealed};
use rig_replay::State;

use super::{Level, Report, Sound};
use crate::originals::LocalKeys;

/// The keys that open originals, as far as they could be read.
pub(super) struct Keys<'a> {
    pub(super) blobs: Option<&'a LocalKeys>,
    /// Makes the address of an original from its content.
    pub(super) redactor: Option<&'a Redactor>,
}

/// So many originals of a stream are told of one by one, the rest by its number.
const TOLD: usize = 10;

/// The originals that a log names.
#[derive(Default)]
pub(super) struct Named {
    all: HashSet<BlobId>,
    /// Those of each service's latest snapshot: retention never deletes them.
    current: HashSet<BlobId>,
    /// The number that retention deleted, as far as the log goes back.
    deleted: u64,
    pruned: bool,
}

impl Named {
    /// Creates it with the originals that the state before the oldest event names.
    pub(super) fn before(cut: &State) -> Named {
        Named { all: current(cut), pruned: cut.seq > 0, ..Named::default() }
    }

    /// Adds the original that an event names, or the number that it records as deleted.
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::SnapshotCaptured(captured) => {
                self.all.extend(captured.blob.as_deref().and_then(|id| id.parse().ok()));
            }
            Event::BlobCollected(collected) => self.deleted += collected.expired,
            _ => {}
        }
    }

    /// Takes the current originals from the state after the last event.
    pub(super) fn head(&mut self, state: &State) {
        self.current = current(state);
    }
}

fn current(state: &State) -> HashSet<BlobId> {
    state.services.values().filter_map(|service| service.blob.as_deref()?.parse().ok()).collect()
}

/// Opens every original of the stream in `folder`, one after the other, and counts them in `sound`.
pub(super) fn look(report: &mut Report, folder: &Path, sound: &mut Sound, mut named: Named, keys: &Keys<'_>) {
    let path = folder.join("blobs");
    let restore = "restore it from a backup, or do without it: everything else goes on";
    let (mut found, mut with_transit, mut elsewhere, mut damaged) = (Vec::new(), 0_u64, 0_u64, Vec::new());
    let mut without_key: BTreeMap<String, u64> = BTreeMap::new();
    let store = BlobStore::look(&path);
    let listed = store.each(|stored| found.push(stored.id));
    if let Err(e) = listed {
        report.add(Level::Error, &path, e.to_string(), "give the user that runs the hub the folder");
        return;
    }
    found.sort();
    for id in found {
        if !named.all.remove(&id) {
            sound.unnamed += 1;
        }
        named.current.remove(&id);
        let record = Record { stream: sound.stream.clone(), id };
        match opens(&store, &record, keys) {
            Ok(Opened::Yes) => sound.originals += 1,
            Ok(Opened::Elsewhere) => elsewhere += 1,
            Ok(Opened::WithTransit) => with_transit += 1,
            Ok(Opened::NoKey(by)) => *without_key.entry(by).or_default() += 1,
            Ok(Opened::Gone) => {}
            Err(why) => damaged.push((store.path(&record.id), why)),
        }
    }
    for (path, why) in damaged.iter().take(TOLD) {
        report.add(Level::Error, path, why, restore);
    }
    if damaged.len() > TOLD {
        let what = format!("more originals that cannot be read: {}", damaged.len() - TOLD);
        report.add(Level::Error, &path, what, restore);
    }
    for (by, count) in without_key {
        let what =
            format!("originals that are encrypted with `{by}`, which keys/blobs does not hold: {count}");
        let advice = "put the line of that key back from where you keep a copy: nothing else opens them";
        report.add(Level::Error, &path, what, advice);
    }
    if elsewhere > 0 {
        let what = format!(
            "originals that keys/redaction leads to other addresses: {elsewhere}; its key was changed"
        );
        let advice =
            "restore keys/redaction from a backup: under another key every known secret looks changed";
        report.add(Level::Error, &path, what, advice);
    }
    if with_transit > 0 {
        let what = format!("originals whose keys Transit wraps, which was not asked: {with_transit}");
        report.add(Level::Note, &path, what, "a hub that has it reads them");
    }
    if sound.unnamed > 0 {
        let what = format!("originals that no event names: {}", sound.unnamed);
        report.add(Level::Note, &path, what, "the hub deletes them once they are an hour old");
    }
    // What is left was not found. What retention deleted is counted in the log, as far as that goes back; a hub that runs deletes on.
    let (gone, current) = (named.all.len() as u64, named.current.len());
    let lost = gone > named.deleted && !named.pruned && !report.running;
    if current > 0 || lost {
        let what = format!(
            "originals that events name are not there: {gone}, of which retention deleted {}; {current} of them are of a latest snapshot, which it keeps",
            named.deleted
        );
        let advice =
            "restore them from a backup; if you deleted them yourself, leave it so: only raw=1 misses them";
        report.add(Level::Warning, &path, what, advice);
    }
}

/// The result of an attempt to open an original.
enum Opened {
    Yes,
    /// Its key is not in the data directory.
    WithTransit,
    /// The key of this name is not in the file.
    NoKey(String),
    /// It opens, and the redaction key leads to another address.
    Elsewhere,
    /// Deleted since it was listed.
    Gone,
}

fn opens(store: &BlobStore, record: &Record, keys: &Keys<'_>) -> Result<Opened, String> {
    let Some(bytes) = store.get(&record.id).map_err(|e| e.to_string())? else { return Ok(Opened::Gone) };
    let sealed = Sealed::parse(bytes, record).map_err(|e| e.to_string())?;
    if sealed.key.by.starts_with("transit:") {
        return Ok(Opened::WithTransit);
    }
    let Some(key) = keys.blobs.and_then(|keys| keys.open(record, &sealed.key)) else {
        return Ok(Opened::NoKey(sealed.key.by.escape_debug().take(80).collect()));
    };
    let key = key.map_err(|e| e.to_string())?;
    let document = sealed.open(record, &key).map_err(|e| e.to_string())?;
    let address = keys.redactor.map(|redactor| redactor.address(&document));
    // Made under another key, it says nothing of this one.
    let same_key = |address: &str| address.rsplit_once(':').map(|(key, _)| key.to_owned());
    let named = record.id.to_string();
    let elsewhere = address.is_some_and(|made| made != named && same_key(&made) == same_key(&named));
    Ok(if elsewhere { Opened::Elsewhere } else { Opened::Yes })
}
