//! Documents in files: finding those that match some patterns, and those of them that have changed.
//!
//! The events of the system only wake: changes are found by looking at all files that match, so that a lost event, a replaced
//! folder or a swapped link needs no special care. Folders are watched and not files: a file that is replaced by renaming is
//! another file.

mod pattern;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use self::pattern::Pattern;
use self::pattern::{MAX_DEPTH, Reach, Step};

/// Maximum number of files and of folders of one watch.
const MAX_FILES: usize = 10_000;
const MAX_FOLDERS: usize = 10_000;

/// The number of events that may wait to be looked at; more are one: anything may have happened.
const QUEUE: usize = 1_024;

/// The interval at which everything is looked at without being woken: there are file systems that do not tell (NFS).
const LOOK: Duration = Duration::from_secs(60);

/// Maximum age of a change at which a file may change again without looking different.
const RACY: Duration = Duration::from_secs(2);

/// The reason why files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pattern is not valid.
    #[error("`{pattern}` is no pattern for files: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The fault.
        why: String,
    },
    /// The system does not allow files to be watched.
    #[error("the system does not let files be watched")]
    System(#[from] notify::Error),
}

/// The state of a file.
#[derive(Default)]
struct Seen {
    /// The content that was read last, hashed.
    hash: Option<u64>,
    /// Its look then, unless it could look so again and be another.
    looks: Option<Looks>,
    /// The reported reason why it could not be read.
    told: Option<String>,
    /// The time at which it is read again, whatever its metadata.
    again: Option<Instant>,
}

/// The look of a file from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Looks {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Device, inode and time of the last change, if the system has these.
    system: (u64, u64, i64, i64),
}

impl Looks {
    fn of(metadata: &Metadata) -> Looks {
        #[cfg(unix)]
        let system = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let system = Default::default();
        Looks { bytes: metadata.len(), modified: metadata.modified().ok(), system }
    }
}

/// Files that are watched.
pub struct Watch {
    patterns: Vec<Pattern>,
    /// The quiet time before a file is read.
    debounce: Duration,
    /// The number of bytes of that a file are read at most.
    limit: u64,
    /// True if links may lead out of the folders of the patterns.
    links: bool,
    /// The folder of the pattern that found a file.
    roots: BTreeMap<PathBuf, PathBuf>,
    hasher: RandomState,
    watcher: RecommendedWatcher,
    woken: mpsc::Receiver<Vec<PathBuf>>,
    /// True if events were lost.
    lost: Arc<AtomicBool>,
    /// The folders that are watched, by their real paths, with their paths in the patterns.
    armed: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// True if a folder may be another one than that which is watched.
    stale: bool,
    /// The files, and the paths that lead to them: a change of one of these changes a file.
    ways: BTreeSet<PathBuf>,
    seen: BTreeMap<PathBuf, Seen>,
    /// Warnings about the watch as a whole that were given.
    told: BTreeSet<&'static str>,
    warnings: Vec<String>,
}

impl Watch {
    /// Creates a watch. Files are read once there was no event for any of them for `debounce`, or after ten times as long if
    /// events never pause; of each no more than `limit` bytes. A link that leads out of the folder of its pattern is followed only if
    /// `links` says so: whoever may write there could have any file of this machine read.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn new(patterns: Vec<Pattern>, debounce: Duration, limit: u64, links: bool) -> Result<Watch, Error> {
        let (wake, woken) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicBool::new(false));
        let overflow = lost.clone();
        let watcher = notify::recommended_watcher(move |change: notify::Result<notify::Event>| {
            let paths = match change {
                // Reading is not a change; otherwise each read would cause the next.
                Ok(change) if change.kind.is_access() => return,
                Ok(change) if !change.need_rescan() => change.paths,
                Ok(_) | Err(_) => {
                    overflow.store(true, Relaxed);
                    Vec::new()
                }
            };
            if let Err(mpsc::error::TrySendError::Full(_)) = wake.try_send(paths) {
                overflow.store(true, Relaxed);
            }
        })?;
        Ok(Watch {
            patterns,
            debounce,
            limit,
            links,
            roots: BTreeMap::new(),
            hasher: RandomState::new(),
            watcher,
            woken,
            lost,
            armed: BTreeMap::new(),
            stale: false,
            ways: BTreeSet::new(),
            seen: BTreeMap::new(),
            told: BTreeSet::new(),
            warnings: Vec::new(),
        })
    }

    /// Looks at all files. Returns those that may differ from what was last read, in the order of the patterns. Blocks for as
    /// long as the disk takes.
    pub fn scan(&mut self) -> Vec<PathBuf> {
        if std::mem::take(&mut self.stale) {
            for folder in std::mem::take(&mut self.armed).into_keys() {
                let _ = self.watcher.unwatch(&folder);
            }
        }
        self.ways.clear();
        let mut found = Vec::new();
        self.roots.clear();
        for pattern in self.patterns.clone() {
            let known = found.len();
            self.walk(&pattern.base, &pattern.steps, 0, &mut found);
            if let Some(root) = pattern.root().filter(|_| !self.links) {
                self.roots.extend(found[known..].iter().map(|path| (path.clone(), root.clone())));
            }
        }
        let mut unique = BTreeSet::new();
        found.retain(|path: &PathBuf| unique.insert(path.clone()));
        if found.len() > MAX_FILES {
            self.warn("there are more than 10,000 such files; the rest is not watched");
            found.truncate(MAX_FILES);
        }
        for path in &found {
            self.follow(path);
        }
        if self.seen.len() > 2 * MAX_FILES {
            self.seen.retain(|path, _| unique.contains(path));
        }
        let now = Instant::now();
        let seen = &self.seen;
        found.retain(|path| match seen.get(path) {
            Some(Seen { again: Some(again), .. }) => *again <= now,
            Some(Seen { looks: Some(looks), .. }) => {
                fs::metadata(path).is_ok_and(|metadata| Looks::of(&metadata) != *looks)
            }
            _ => true,
        });
        found
    }

    /// Reads a file, if it is not what it was when it was read last; `Err`: it cannot be read, which is told once. It may
    /// be gone again.
    pub fn read(&mut self, path: &Path) -> Option<Result<Vec<u8>, String>> {
        let now = SystemTime::now();
        let content = self.content(path);
        let seen = self.seen.entry(path.to_owned()).or_default();
        let again = seen.again.take();
        match content {
            Ok((content, looks)) => {
                let racy =
                    looks.modified.and_then(|at| now.duration_since(at).ok()).is_none_or(|age| age < RACY);
                seen.looks = (!racy).then_some(looks);
                let hash = self.hasher.hash_one(&content);
                let same =
                    seen.hash.replace(hash) == Some(hash) && seen.told.take().is_none() && again.is_none();
                (!same).then_some(Ok(content))
            }
            // Between the two steps of a replacement, or deleted: what was last read stays.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            // It is being written.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                seen.again = Some(Instant::now() + 10 * self.debounce);
                None
            }
            Err(e) => {
                let why = e.to_string();
                seen.looks = None;
                let new = seen.told.as_ref() != Some(&why);
                seen.told = Some(why.clone());
                new.then_some(Err(why))
            }
        }
    }

    /// Schedules another read of a file after `wait`, even if it does not change: its content could not be captured.
    pub fn again(&mut self, path: &Path, wait: Duration) {
        self.seen.entry(path.to_owned()).or_default().again = Some(Instant::now() + wait);
    }

    /// Takes the warnings about the watch as a whole, each once.
    pub fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Waits until there was an event for a matching file and then none for a while, or it is time for a scan. Returns `false` if
    /// the system no longer reports events. Cancelling it loses nothing: a scan looks at all files.
    pub async fn changed(&mut self) -> bool {
        let due = self.seen.values().filter_map(|seen| seen.again).min();
        let look = Instant::now() + LOOK;
        let due = due.map_or(look, |due| due.min(look));
        loop {
            match tokio::time::timeout_at(due, self.woken.recv()).await {
                Err(_) => return true,
                Ok(None) => return false,
                Ok(Some(paths)) => {
                    if self.concerns(&paths) {
                        break;
                    }
                }
            }
        }
        let patience = Instant::now() + 10 * self.debounce;
        while Instant::now() < patience
            && let Ok(Some(paths)) = tokio::time::timeout(self.debounce, self.woken.recv()).await
        {
            self.concerns(&paths);
        }
        true
    }

    /// Returns true if what happened to `paths` may have changed a file. What else happens in a folder is nothing to rig, whose own
    /// output may be redirected there.
    fn concerns(&mut self, paths: &[PathBuf]) -> bool {
        if self.lost.swap(false, Relaxed) {
            self.stale = true;
            return true;
        }
        let mut concerns = false;
        for path in paths {
            let mut called = self.armed.get(path).cloned().unwrap_or_default();
            if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
                called.extend(self.armed.get(folder).into_iter().flatten().map(|folder| folder.join(name)));
            }
            for path in called {
                let is_armed = self.armed.values().flatten().any(|folder| folder.starts_with(&path));
                self.stale |= is_armed;
                concerns |= self.ways.iter().any(|way| way.starts_with(&path))
                    || self.patterns.iter().any(|pattern| match pattern.reach(&path) {
                        Reach::Meant => true,
                        Reach::Above => is_armed || path.is_dir(),
                        Reach::Beside => false,
                    });
            }
        }
        concerns
    }

    /// Finds the files below `folder`. A folder is watched before it is read, so that new files are either reported or found.
    fn walk(&mut self, folder: &Path, steps: &[Step], depth: usize, found: &mut Vec<PathBuf>) {
        let Some((step, rest)) = steps.split_first() else { return };
        self.arm(folder);
        if depth > MAX_DEPTH || found.len() > MAX_FILES {
            return;
        }
        let mut take = |watch: &mut Watch, path: PathBuf| match (rest, fs::metadata(&path)) {
            ([], Ok(metadata)) if metadata.is_file() => found.push(path),
            ([_, ..], Ok(metadata)) if metadata.is_dir() => watch.walk(&path, rest, depth + 1, found),
            // It may be a link to a file that does not exist yet.
            (_, Err(_)) if path.is_symlink() => watch.follow(&path),
            _ => {}
        };
        if let Step::Name(name) = step {
            return take(self, folder.join(name));
        }
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        if matches!(step, Step::Any) {
            self.walk(folder, rest, depth, found);
            for name in names.iter().filter(|name| step.is_match(name)) {
                let path = folder.join(name);
                // Links to folders could form a loop.
                if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                    self.walk(&path, steps, depth + 1, found);
                }
            }
            return;
        }
        for name in names.iter().filter(|name| step.is_match(name)) {
            take(self, folder.join(name));
        }
    }

    /// Watches all that leads to a file: if it is a symbolic link, its targets, and their folders.
    fn follow(&mut self, path: &Path) {
        let mut ways = vec![path.to_owned()];
        while let Some(last) = ways.last().filter(|_| ways.len() < 8)
            && let (Ok(end), Some(folder)) = (fs::read_link(last), last.parent())
        {
            let end = folder.join(end);
            for folder in end.ancestors().skip(1) {
                self.arm(folder);
            }
            ways.push(end);
        }
        self.ways.extend(ways);
    }

    fn arm(&mut self, folder: &Path) {
        let Ok(real) = fs::canonicalize(folder) else { return };
        if let Some(called) = self.armed.get_mut(&real) {
            if !called.contains(folder) {
                called.insert(folder.to_owned());
            }
            return;
        }
        if self.armed.len() >= MAX_FOLDERS {
            return self
                .warn("there are more than 10,000 folders; what is below the rest is seen a minute later");
        }
        match self.watcher.watch(&real, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.armed.insert(real, BTreeSet::from([folder.to_owned()]))),
            Err(notify::Error { kind: notify::ErrorKind::MaxFilesWatch, .. }) => {
                self.warn("the system watches no more folders (fs.inotify.max_user_watches); changes are seen a minute later");
            }
            // It is gone or not readable. Then none of its files can be read, which is reported for these.
            Err(_) => {}
        }
    }

    fn warn(&mut self, why: &'static str) {
        if self.told.insert(why) {
            self.warnings.push(why.to_owned());
        }
    }

    /// Returns the real path of a file, which must lie in the folder of its pattern.
    fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        let Some(root) = self.roots.get(path) else { return Ok(path.to_owned()) };
        let real = fs::canonicalize(path)?;
        match real.starts_with(fs::canonicalize(root)?) {
            true => Ok(real),
            false => Err(io::Error::other(
                "it is a link that leads out of the watched folder; `links = true` allows that",
            )),
        }
    }

    /// Reads the whole content, if the file is the same before and after.
    fn content(&self, path: &Path) -> io::Result<(Vec<u8>, Looks)> {
        // Opening something else than a file could block.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let inside = self.inside(path)?;
        let mut file = File::open(&inside)?;
        let before = Looks::of(&file.metadata()?);
        // A link that was put in its place meanwhile leads to another file.
        if Looks::of(&fs::metadata(self.inside(path)?)?) != before {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut content = Vec::new();
        file.by_ref().take(self.limit).read_to_end(&mut content)?;
        if Looks::of(&file.metadata()?) != before {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok((content, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(patterns: &[&Path]) -> Watch {
        let patterns = patterns.iter().map(|p| Pattern::new(p.to_str().unwrap()).unwrap()).collect();
        Watch::new(patterns, Duration::from_millis(20), 1 << 20, false).unwrap()
    }

    /// New files, by name.
    fn news(watch: &mut Watch) -> Vec<(String, String)> {
        let mut news = Vec::new();
        for path in watch.scan() {
            if let Some(content) = watch.read(&path) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                news.push((name, content.map_or_else(|e| e, |c| String::from_utf8(c).unwrap())));
            }
        }
        news
    }

    /// Waits for something new.
    async fn next(watch: &mut Watch) -> Vec<(String, String)> {
        let wait = async {
            loop {
                assert!(watch.changed().await);
                let news = news(watch);
                if !news.is_empty() {
                    return news;
                }
            }
        };
        // Shorter than the time after which everything is looked at anyway.
        tokio::time::timeout(LOOK / 2, wait).await.expect("nothing is told")
    }

    fn one(name: &str, content: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), content.to_owned())]
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_and_folders_that_come_later_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let mut watch = watch(&[&at("conf/**/*.yaml")]);
        assert_eq!(news(&mut watch), []);
        fs::create_dir_all(at("conf/deep/er")).unwrap();
        fs::write(at("conf/deep/er/a.yaml"), "1").unwrap();
        assert_eq!(next(&mut watch).await, one("a.yaml", "1"));
        fs::write(at("conf/deep/b.yaml"), "2").unwrap();
        assert_eq!(next(&mut watch).await, one("b.yaml", "2"));
        // Replaced by renaming; a touch without a change is nothing.
        fs::write(at("conf/deep/b.yaml"), "2").unwrap();
        fs::write(at("conf/deep/new"), "3").unwrap();
        fs::rename(at("conf/deep/new"), at("conf/deep/er/a.yaml")).unwrap();
        assert_eq!(next(&mut watch).await, one("a.yaml", "3"));
        // A folder is moved away, and another comes in its place.
        fs::rename(at("conf/deep"), at("old")).unwrap();
        fs::create_dir_all(at("conf/deep")).unwrap();
        fs::write(at("conf/deep/b.yaml"), "4").unwrap();
        assert_eq!(next(&mut watch).await, one("b.yaml", "4"));
        fs::write(at("old/er/a.yaml"), "elsewhere").unwrap();
        fs::write(at("conf/deep/b.yaml"), "5").unwrap();
        assert_eq!(next(&mut watch).await, one("b.yaml", "5"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_of_the_same_length_in_the_same_moment_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.env");
        let mut watch = watch(&[&path]);
        for n in 10..60 {
            fs::write(&path, format!("N={n}")).unwrap();
            assert_eq!(news(&mut watch), one("a.env", &format!("N={n}")));
        }
    }

    #[cfg(unix)]
    #[tokio::test(flavor = "multi_thread")]
    async fn kubernetes_swaps_a_link_on_the_way() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (folder, content) in [("..v1", "1"), ("..v2", "2"), ("..v3", "3")] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("a.yaml"), content).unwrap();
        }
        symlink("..v1", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let mut watch = watch(&[&at("**/*.yaml")]);
        assert_eq!(news(&mut watch), one("a.yaml", "1"));
        for (next_folder, content) in [("..v2", "2"), ("..v3", "3")] {
            symlink(next_folder, at("..tmp")).unwrap();
            fs::rename(at("..tmp"), at("..data")).unwrap();
            assert_eq!(next(&mut watch).await, one("a.yaml", content));
        }
        fs::write(at("..v3/a.yaml"), "4").unwrap();
        assert_eq!(next(&mut watch).await, one("a.yaml", "4"));
    }

    #[cfg(unix)]
    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_read_is_told_once_and_again_is_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.yaml");
        std::os::unix::fs::symlink("a.yaml", &path).unwrap();
        let mut watch = watch(&[&path]);
        assert_eq!(news(&mut watch), []);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1").unwrap();
        assert_eq!(next(&mut watch).await, one("a.yaml", "1"));
        watch.again(&path, Duration::ZERO);
        assert_eq!(news(&mut watch), one("a.yaml", "1"));
        assert_eq!(news(&mut watch), []);
        watch.seen.get_mut(&path).unwrap().looks = None;
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let told = |watch: &mut Watch| watch.read(&path).map(|content| content.unwrap_err());
        assert_eq!(told(&mut watch), Some("it is no file".to_owned()));
        assert_eq!(told(&mut watch), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lost_events_lead_to_a_look_at_everything() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(&[&root.path().join("*.yaml")]);
        assert_eq!(news(&mut watch), []);
        // What nobody asks for fills the queue, and what matters comes behind it.
        for n in 0..2 * QUEUE {
            fs::write(root.path().join(format!("{n}.log")), "").unwrap();
        }
        fs::write(root.path().join("a.yaml"), "1").unwrap();
        assert_eq!(next(&mut watch).await, one("a.yaml", "1"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_is_read_than_the_limit() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.txt");
        fs::write(&path, "x".repeat(100)).unwrap();
        let mut watch =
            Watch::new(vec![Pattern::new(path.to_str().unwrap()).unwrap()], LOOK, 10, false).unwrap();
        assert_eq!(news(&mut watch), one("a.txt", "xxxxxxxxxx"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_leads_out_of_the_folder_only_where_that_is_allowed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("in/sub")).unwrap();
        fs::create_dir(at("out")).unwrap();
        fs::write(at("out/secret.yaml"), "secret: 1").unwrap();
        fs::write(at("in/sub/b.yaml"), "b: 1").unwrap();
        symlink(at("out/secret.yaml"), at("in/leak.yaml")).unwrap();
        symlink("../out", at("in/way")).unwrap();
        symlink("sub/b.yaml", at("in/b.yaml")).unwrap();
        let (flat, deep) = (at("in/*.yaml"), at("in/*/*.yaml"));
        let patterns: &[&Path] = &[&flat, &deep];
        let mut strict = watch(patterns);
        let news = news(&mut strict);
        let text =
            |name: &str| news.iter().filter(|(n, _)| n == name).map(|(_, t)| t.as_str()).collect::<Vec<_>>();
        assert_eq!(text("b.yaml"), ["b: 1", "b: 1"]);
        assert!(text("leak.yaml")[0].contains("links = true"), "{news:?}");
        assert!(text("secret.yaml")[0].contains("links = true"), "{news:?}");
        let patterns = patterns.iter().map(|p| Pattern::new(p.to_str().unwrap()).unwrap()).collect();
        let mut loose = Watch::new(patterns, Duration::from_millis(20), 1 << 20, true).unwrap();
        assert!(super::tests::news(&mut loose).contains(&("leak.yaml".to_owned(), "secret: 1".to_owned())));
        // One file that was named itself may be a link.
        let named = at("in/leak.yaml");
        assert_eq!(
            super::tests::news(&mut watch(&[&named])),
            [("leak.yaml".to_owned(), "secret: 1".to_owned())]
        );
    }
}
