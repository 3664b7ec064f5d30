//! A disk that counts what is done to it and fails where it is told to.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use rig_recorder::disk::{Disk, DiskFile, RealDisk};

/// What is done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Create,
    Write,
    Sync,
    SyncDir,
    SetLen,
}

/// How it fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing happens.
    Error,
    /// Half of the bytes are written, and then the disk is full.
    Full,
}

#[derive(Clone, Default)]
pub struct FaultyDisk {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    log: Vec<(Op, bool)>,
    /// Which call of an operation fails, counted from 0.
    fail: Option<(Op, usize, Fault)>,
    /// Whether cutting files fails too from then on.
    broken: bool,
    failed: bool,
    syncs_held: bool,
}

impl FaultyDisk {
    /// From now on, the `nth` call of `op` fails. With `broken`, nothing can be taken back afterwards.
    pub fn fail(&self, op: Op, nth: usize, fault: Fault, broken: bool) {
        let mut state = self.state.0.lock().unwrap();
        state.log.clear();
        state.fail = Some((op, nth, fault));
        state.broken = broken;
    }

    /// How often an operation was called, on segments where there are those and their indexes.
    pub fn count(&self, op: Op) -> usize {
        self.state.0.lock().unwrap().log.iter().filter(|&&entry| entry == (op, true)).count()
    }

    /// How often an operation was called on indexes.
    pub fn count_on_indexes(&self, op: Op) -> usize {
        self.state.0.lock().unwrap().log.iter().filter(|&&entry| entry == (op, false)).count()
    }

    /// Whether the fault has happened.
    pub fn failed(&self) -> bool {
        self.state.0.lock().unwrap().failed
    }

    /// Makes syncs wait, or lets them go on.
    pub fn hold_syncs(&self, hold: bool) {
        self.state.0.lock().unwrap().syncs_held = hold;
        self.state.1.notify_all();
    }

    fn enter(&self, op: Op, on_data: bool) -> Result<(), Fault> {
        let mut state = self.state.0.lock().unwrap();
        state.log.push((op, on_data));
        self.state.1.notify_all();
        while op == Op::Sync && state.syncs_held {
            state = self.state.1.wait(state).unwrap();
        }
        if state.failed && state.broken {
            return Err(Fault::Error);
        }
        let calls = state.log.iter().filter(|(logged, _)| *logged == op).count();
        match state.fail {
            Some((failing, nth, fault)) if failing == op && calls == nth + 1 => {
                state.failed = true;
                Err(fault)
            }
            _ => Ok(()),
        }
    }

    /// Waits until an operation on a segment has been called this often.
    pub fn wait_for(&self, op: Op, calls: usize) {
        let mut state = self.state.0.lock().unwrap();
        while state.log.iter().filter(|&&entry| entry == (op, true)).count() < calls {
            state = self.state.1.wait(state).unwrap();
        }
    }
}

fn refused(_: Fault) -> io::Error {
    io::Error::other("injected")
}

struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn DiskFile>,
    is_data: bool,
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.enter(Op::Create, true).map_err(refused)?;
        self.wrap(RealDisk.create(path)?, path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.wrap(RealDisk.open(path)?, path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.enter(Op::SyncDir, true).map_err(refused)?;
        RealDisk.sync_dir(dir)
    }
}

impl FaultyDisk {
    fn wrap(&self, file: Box<dyn DiskFile>, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let is_data = path.extension().is_some_and(|extension| extension == "jsonl");
        Ok(Box::new(FaultyFile { disk: self.clone(), file, is_data }))
    }
}

impl DiskFile for FaultyFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.disk.enter(Op::Write, self.is_data) {
            Ok(()) => self.file.write_all_at(bytes, offset),
            Err(Fault::Error) => Err(refused(Fault::Error)),
            Err(Fault::Full) => {
                self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.enter(Op::Sync, self.is_data).map_err(refused)?;
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.enter(Op::SetLen, self.is_data).map_err(refused)?;
        self.file.set_len(len)
    }
}
