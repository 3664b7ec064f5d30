//! The order in which snapshots go: by when they were taken, and those that the clock has not come to yet before all others.

use rig_event::Timestamp;

use crate::storage::Listed;

/// The result of a rotation.
#[derive(Debug, Default)]
pub(crate) struct Rotated {
    pub removed: Vec<String>,
    /// Files that say a time that is still to come.
    pub ahead: Vec<String>,
}

/// A snapshot file by what a listing says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File<'a> {
    pub name: &'a str,
    /// When it was taken, else when it was written; none where both are still to come.
    pub time: Option<Timestamp>,
    /// True if its name says a time that is still to come.
    pub is_ahead: bool,
    stamp: Timestamp,
}

impl<'a> File<'a> {
    /// A file whose name has this time stamp, `20260115-103000`; nothing where that is no time.
    pub fn of(listed: &'a Listed, stamp: &str, now: Timestamp) -> Option<File<'a>> {
        let (day, time) = (stamp.get(..8)?, stamp.get(9..15)?);
        let spelled = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &day[..4],
            &day[4..6],
            &day[6..],
            &time[..2],
            &time[2..4],
            &time[4..]
        );
        let stamp: Timestamp = spelled.parse().ok()?;
        let is_ahead = stamp > now;
        let time = if is_ahead { listed.modified.filter(|written| *written <= now) } else { Some(stamp) };
        Some(File { name: &listed.name, time, is_ahead, stamp })
    }
}

/// Sorts files by when they were taken, the newest first. Those of which nothing but a time that is still to come is known are
/// older than any other: they were written before.
pub(crate) fn newest_first(mut files: Vec<File<'_>>) -> Vec<File<'_>> {
    files.sort_unstable_by_key(|file| std::cmp::Reverse((file.time, file.stamp, file.name)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_ahead_of_the_clock_counts_as_older_than_all_that_is_not() {
        let now = time("2026-06-01T00:00:00Z");
        let listed =
            |stamp: &str, modified: &str| Listed { name: stamp.to_owned(), modified: Some(time(modified)) };
        let files = [
            // Written with a wrong clock, in a store that has its own.
            listed("20300101-000000", "2026-05-01T00:00:00Z"),
            listed("20260501-120000", "2026-05-01T12:00:00Z"),
            listed("20260415-000000", "2026-04-15T00:00:00Z"),
            // On a disk that goes by the same wrong clock.
            listed("20310101-000000", "2031-01-01T00:00:00Z"),
            listed("20290101-000000", "2029-01-01T00:00:00Z"),
        ];
        let files = newest_first(files.iter().filter_map(|file| File::of(file, &file.name, now)).collect());
        let names: Vec<&str> = files.iter().map(|file| &file.name[..8]).collect();
        assert_eq!(names, ["20260501", "20300101", "20260415", "20310101", "20290101"]);
        let ahead: Vec<bool> = files.iter().map(|file| file.is_ahead).collect();
        assert_eq!(ahead, [false, true, false, true, true]);
        assert_eq!(File::of(&Listed { name: "x".into(), modified: None }, "20261399-000000", now), None);
    }
}
