//! The derived index: asked, forgotten, removed, broken.

use std::fs;

use rig_event::{Epoch, StreamName};
use rig_recorder::{Entry, Error, Index, StreamIndex};

use crate::support::copy_dir;

fn life(index: &Index, stream: &str, epoch: &str) -> StreamIndex {
    index.stream(&stream.parse::<StreamName>().unwrap(), &epoch.parse::<Epoch>().unwrap()).unwrap()
}

fn entry(seq: u64, service: &str) -> Entry<'_> {
    Entry { seq, service: Some(service), id: None, blob: None }
}

#[test]
fn ids_and_services_are_found_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    {
        let (index, moved) = Index::open(&path).unwrap();
        assert_eq!(moved, None);
        let main = life(&index, "main", "e0");
        assert_eq!(main.upto().unwrap(), 0);
        let with_id = Entry { seq: 3, service: None, id: Some(("deploy-7", 2, 4)), blob: None };
        main.add(&[entry(1, "api"), entry(2, "ap"), with_id, entry(4, "api")], 5).unwrap();
        // The same again, as after a crash.
        main.add(&[with_id, entry(4, "api"), entry(6, "api")], 6).unwrap();
        index.flush().unwrap();
    }
    let (index, _) = Index::open(&path).unwrap();
    let knows = |stream: &str| index.knows(&stream.parse().unwrap());
    assert_eq!([knows("main"), knows("mai"), knows("main2")], [true, false, false]);
    let main = life(&index, "main", "e0");
    assert_eq!(main.upto().unwrap(), 6);
    assert_eq!(main.find_id("deploy-7").unwrap(), Some((2, 4)));
    assert_eq!(main.find_id("deploy").unwrap(), None);
    let seqs = |range, limit, reverse| main.seqs_of("api", range, limit, reverse).unwrap();
    assert_eq!(seqs(1..=u64::MAX, 99, false), [1, 4, 6]);
    assert_eq!(seqs(2..=5, 99, false), [4]);
    assert_eq!(seqs(1..=6, 2, true), [6, 4]);
    assert_eq!(seqs(1..=6, 0, false), [0; 0]);
    #[expect(clippy::reversed_empty_ranges, reason = "a range a client may ask for")]
    let reversed = 6..=1;
    assert_eq!(seqs(reversed, 9, false), [0; 0]);
    assert_eq!(main.seqs_of("ap", 1..=9, 9, false).unwrap(), [2]);
}

#[test]
fn checkpoints_are_found_at_or_before() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = Index::open(&dir.path().join("index")).unwrap();
    let main = life(&index, "main", "e0");
    assert_eq!(main.checkpoint(u64::MAX).unwrap(), None);
    let large = vec![7; 1 << 20];
    assert_eq!(main.last_known().unwrap(), 0);
    main.put_checkpoint(100, b"hundred").unwrap();
    main.put_checkpoint(300, &large).unwrap();
    assert_eq!(main.checkpoint(99).unwrap(), None);
    assert_eq!(main.checkpoint(100).unwrap(), Some((100, b"hundred".to_vec())));
    assert_eq!(main.checkpoint(299).unwrap(), Some((100, b"hundred".to_vec())));
    assert_eq!(main.checkpoint(u64::MAX).unwrap(), Some((300, large)));
    // The entries may be behind a checkpoint or ahead of it.
    assert_eq!(main.last_known().unwrap(), 300);
    main.add(&[], 299).unwrap();
    assert_eq!(main.last_known().unwrap(), 300);
    main.add(&[], 301).unwrap();
    assert_eq!(main.last_known().unwrap(), 301);
}

#[test]
fn what_was_pruned_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = Index::open(&dir.path().join("index")).unwrap();
    let main = life(&index, "main", "e0");
    // More than are removed at once.
    let ids: Vec<String> = (1..=10_000).map(|seq| format!("id-{seq}")).collect();
    let entries: Vec<Entry> = (1..)
        .zip(&ids)
        .map(|(seq, id)| Entry { seq, service: Some("api"), id: Some((id, seq, seq)), blob: None })
        .collect();
    main.add(&entries, 10_000).unwrap();
    for seq in [4000, 8999, 9000] {
        main.put_checkpoint(seq, b"state").unwrap();
    }
    main.forget_before(9_000).unwrap();
    assert_eq!(
        main.seqs_of("api", 0..=u64::MAX, usize::MAX, false).unwrap(),
        (9_000..=10_000).collect::<Vec<_>>()
    );
    assert_eq!(main.find_id("id-8999").unwrap(), None);
    assert_eq!(main.find_id("id-9000").unwrap(), Some((9000, 9000)));
    assert_eq!(main.checkpoint(8999).unwrap().map(|(seq, _)| seq), Some(8999));
    assert_eq!(main.checkpoint(8998).unwrap(), None);
    assert_eq!(main.upto().unwrap(), 10_000);
}

#[test]
fn another_epoch_starts_empty_and_other_streams_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = Index::open(&dir.path().join("index")).unwrap();
    life(&index, "main", "e0").add(&[entry(1, "api")], 1).unwrap();
    life(&index, "main2", "e0").add(&[entry(1, "api")], 1).unwrap();
    assert_eq!(life(&index, "main", "e1").upto().unwrap(), 0);
    assert_eq!(life(&index, "main", "e0").upto().unwrap(), 0, "the old life was dropped");
    assert_eq!(life(&index, "main2", "e0").upto().unwrap(), 1);
    life(&index, "main2", "e0").remove().unwrap();
    assert_eq!(life(&index, "main2", "e0").upto().unwrap(), 0);
}

#[test]
fn an_index_that_does_not_open_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    for n in 1..=2 {
        {
            let (index, _) = Index::open(&path).unwrap();
            let main = life(&index, "main", "e0");
            let entries: Vec<_> = (1..=500).map(|seq| entry(seq, "api")).collect();
            main.add(&entries, 500).unwrap();
            index.flush().unwrap();
        }
        fs::write(path.join("conf"), [0xff; 64]).unwrap();
        let (index, moved) = Index::open(&path).unwrap();
        assert_eq!(moved, Some(dir.path().join(format!("index.broken-{n}"))));
        assert!(moved.unwrap().join("conf").exists());
        assert_eq!(life(&index, "main", "e0").upto().unwrap(), 0);
    }
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, b"no folder").unwrap();
    let (_, moved) = Index::open(&in_the_way).unwrap();
    assert_eq!(moved, Some(dir.path().join("file.broken-1")));
}

#[test]
fn an_index_in_use_is_not_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (index, _) = Index::open(&path).unwrap();
    let error = Index::open(&path).map(drop).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(index);
    assert_eq!(Index::open(&path).unwrap().1, None);
}

/// sled goes on from what was whole before the damage: `upto` tells how far that is, and the log has the rest.
#[test]
fn damage_never_leaves_upto_ahead_of_the_entries() {
    const EVENTS: u64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("index"), dir.path().join("copy"));
    {
        let (index, _) = Index::open(&path).unwrap();
        let main = life(&index, "main", "e0");
        (1..=EVENTS).for_each(|seq| main.add(&[entry(seq, "api")], seq).unwrap());
        index.flush().unwrap();
    }
    let db = fs::read(path.join("db")).unwrap();
    let mut shortened = 0;
    for at in (0..db.len()).step_by(db.len() / 40) {
        copy_dir(&path, &copy);
        let mut damaged = db.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(copy.join("db"), damaged).unwrap();
        let (index, moved) = Index::open(&copy).unwrap();
        let main = life(&index, "main", "e0");
        // An error is as good: nothing is silently missing.
        if let (Ok(upto), Ok(seqs)) = (main.upto(), main.seqs_of("api", 0..=u64::MAX, usize::MAX, false)) {
            assert_eq!(seqs, (1..=upto).collect::<Vec<_>>(), "byte {at}");
            shortened += u64::from(upto < EVENTS && moved.is_none());
            drop((index, main));
        } else {
            drop((index, main));
            assert!(Index::open(&copy).unwrap().1.is_some(), "byte {at}: it is not built anew");
        }
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(shortened > 0);
}

/// Damage may show only when a page is read, long after the opening: the error leaves a mark.
#[test]
fn an_index_that_turned_out_damaged_in_use_is_moved_aside_by_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    {
        let (index, _) = Index::open(&path).unwrap();
        life(&index, "main", "e0").add(&[entry(1, "api")], 1).unwrap();
        index.read_through().unwrap();
    }
    fs::write(path.join("damaged"), b"").unwrap();
    let (index, moved) = Index::open(&path).unwrap();
    assert_eq!(moved, Some(dir.path().join("index.broken-1")));
    assert_eq!(life(&index, "main", "e0").upto().unwrap(), 0);
    drop(index);
    assert_eq!(Index::open(&path).unwrap().1, None);
}

/// sled's threads may hold its files for a moment after the database was dropped.
#[test]
fn an_index_opens_again_right_after_it_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for upto in 1..=300 {
        let (index, aside) = Index::open(&dir.path().join("index")).unwrap();
        assert_eq!(aside, None);
        let stream = index.stream(&"main".parse().unwrap(), &"e1".parse().unwrap()).unwrap();
        assert_eq!(stream.upto().unwrap(), upto - 1);
        stream.add(&[], upto).unwrap();
        stream.put_checkpoint(upto, &vec![b'x'; 100_000]).unwrap();
    }
}
