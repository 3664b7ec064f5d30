//! Loops among siblings: for every folder, which of its files and folders import each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;

use super::names::Ties;
use super::tree::Crate;

/// Siblings that all reach each other.
#[derive(Debug)]
pub struct Loop {
    pub folder: PathBuf,
    pub members: BTreeSet<String>,
    edges: BTreeMap<(String, String), Vec<Tie>>,
}

/// Two files, and the names by which the first depends on the second.
#[derive(Clone, Debug)]
struct Tie {
    from: String,
    to: String,
    names: Vec<String>,
}

/// A way from a sibling back to itself.
pub struct Circle<'a> {
    whole: &'a Loop,
    members: Vec<&'a str>,
}

/// Number of names of a tie that are printed; the rest are counted.
const NAMES: usize = 6;

/// Finds the loops of a crate, folder by folder. A file counts as one with the folder of its child modules.
pub fn find(krate: &Crate, ties: &Ties) -> Vec<Loop> {
    let mut folders = BTreeMap::<usize, BTreeMap<(String, String), Vec<Tie>>>::new();
    for ((from, to), names) in ties {
        let Some((parent, one, other)) = siblings(krate, *from, *to) else { continue };
        let name = |module: usize| krate.modules[module].name.clone();
        let folder = &krate.modules[parent].folder;
        let shown = |module: usize| {
            let path = &krate.modules[module].path;
            path.strip_prefix(folder).unwrap_or(path).display().to_string()
        };
        let tie = Tie { from: shown(*from), to: shown(*to), names: names.iter().cloned().collect() };
        folders.entry(parent).or_default().entry((name(one), name(other))).or_default().push(tie);
    }
    let mut loops = Vec::new();
    for (parent, edges) in folders {
        for members in circular(&edges) {
            let inside = |(from, to): &(String, String)| members.contains(from) && members.contains(to);
            let edges = edges.iter().filter(|(edge, _)| inside(edge));
            let edges = edges.map(|(edge, ties)| (edge.clone(), ties.clone())).collect();
            loops.push(Loop { folder: krate.modules[parent].folder.clone(), members, edges });
        }
    }
    loops
}

/// Returns the nearest module above both files, and its two children that hold them; none if one file is above the other.
fn siblings(krate: &Crate, from: usize, to: usize) -> Option<(usize, usize, usize)> {
    let way = |file: usize| {
        let mut way: Vec<usize> =
            std::iter::successors(Some(file), |file| krate.parent_file(*file)).collect();
        way.reverse();
        way
    };
    let (one, other) = (way(from), way(to));
    let shared = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    Some((*one.get(shared.checked_sub(1)?)?, *one.get(shared)?, *other.get(shared)?))
}

/// Returns the sets of siblings that all reach each other.
fn circular(edges: &BTreeMap<(String, String), Vec<Tie>>) -> Vec<BTreeSet<String>> {
    let reach = |start: &String| {
        let mut reached = BTreeSet::new();
        let mut left = vec![start];
        while let Some(here) = left.pop() {
            for (_, to) in edges.keys().filter(|(from, _)| from == here) {
                if reached.insert(to.clone()) {
                    left.push(to);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        edges.keys().map(|(from, _)| from).map(|from| (from, reach(from))).collect();
    let mut found = BTreeSet::new();
    for (one, from_one) in &reached {
        let back = |other: &&String| reached.get(*other).is_some_and(|reached| reached.contains(*one));
        let members: BTreeSet<String> = from_one.iter().filter(back).cloned().collect();
        if !members.is_empty() {
            found.insert(members);
        }
    }
    found.into_iter().collect()
}

impl Loop {
    /// Returns the shortest way around, through one of `through` if there are any.
    pub fn shortest<'a>(&'a self, through: &BTreeSet<String>) -> Circle<'a> {
        let starts = self.members.iter().filter(|member| through.is_empty() || through.contains(*member));
        let circles = starts.filter_map(|start| self.around(start));
        let members = circles.min_by_key(Vec::len).unwrap_or_default();
        Circle { whole: self, members }
    }

    /// Returns the shortest way from a member back to itself.
    fn around(&self, start: &str) -> Option<Vec<&str>> {
        let mut before = BTreeMap::<&str, &str>::new();
        let mut left = VecDeque::from([start]);
        while let Some(here) = left.pop_front() {
            for (from, to) in self.edges.keys().filter(|(from, _)| from == here) {
                if to == start {
                    let mut way = vec![from.as_str()];
                    while let Some(last) = before.get(way[way.len() - 1]) {
                        way.push(last);
                    }
                    way.reverse();
                    return Some(way);
                }
                if !before.contains_key(to.as_str()) {
                    before.insert(to, from);
                    left.push_back(to);
                }
            }
        }
        None
    }

    /// Returns every tie between two members, in words.
    pub fn ties(&self) -> impl Iterator<Item = String> {
        self.edges.values().flatten().map(Tie::to_string)
    }

    /// Writes the loop as the list of known loops has it.
    pub fn entry(&self) -> String {
        let members: Vec<String> = self.members.iter().map(|member| format!("{member:?}")).collect();
        format!(
            "[[loop]]\nfolder = {:?}\nmembers = [{}]\n",
            self.folder.display().to_string(),
            members.join(", ")
        )
    }
}

impl fmt::Display for Circle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.members.iter().cycle().skip(1);
        write!(f, "{} → {}", self.members.join(" → "), self.members.first().unwrap_or(&""))?;
        for (from, to) in self.members.iter().zip(next) {
            for tie in self.whole.edges.get(&((*from).to_owned(), (*to).to_owned())).into_iter().flatten() {
                write!(f, "\n      {tie}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Tie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<&str> = self.names.iter().take(NAMES).map(String::as_str).collect();
        write!(f, "{} → {}: {}", self.from, self.to, shown.join(", "))?;
        match self.names.len().saturating_sub(NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
