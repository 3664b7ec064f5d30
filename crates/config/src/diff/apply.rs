//! From the old configuration to the new one by the changes alone: what the fold of the log does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rig_event::{Change, FlatConfig, Op};
use serde_json::Value;

use super::fields::bracket;
use crate::Error;
use crate::identity::{ElementKey, Way, text_of};
use crate::path::{Path, Segment};
use crate::shown::shown;

/// Makes the changes to a configuration. A change that does not fit is refused, and then the configuration is as it was.
///
/// Fields that are named by indexes alone are changed where they stand. A list with elements that are named by a key,
/// or that come, go or move, is put together again as a whole: what is removed leaves its old place, then the elements
/// take their new places, then the rest is filled in.
pub fn apply(config: &mut FlatConfig, changes: &[Change]) -> Result<(), Error> {
    run(config, changes, true)
}

/// The same for a part of a diff's changes, as it is left when some were taken out: elements that would be empty vanish,
/// and what is left of those that were to go stays behind the others.
pub fn apply_some(config: &mut FlatConfig, changes: &[Change]) -> Result<(), Error> {
    run(config, changes, false)
}

fn run(config: &mut FlatConfig, changes: &[Change], strict: bool) -> Result<(), Error> {
    for change in changes {
        let shape = (change.before.is_some(), change.after.is_some());
        let fits = match change.op {
            Op::Added => shape == (false, true),
            Op::Removed => shape == (true, false),
            Op::Changed | Op::Moved => shape == (true, true),
            Op::Equivalent | Op::Placed => shape != (false, false),
        };
        if !fits {
            return Err(conflict(change, "its values do not go with its operation"));
        }
        let is_place = matches!(change.op, Op::Moved | Op::Placed) && Turn::of(change).is_none();
        if is_place && bracket(&change.path).is_none() {
            return Err(conflict(change, "only the element of a list has a place"));
        }
    }
    let turned = |change: &'_ Change| Turn::of(change).is_some() && bracket(&change.path).is_none();
    let turned: BTreeSet<&str> = changes.iter().filter(|c| turned(c)).map(|c| c.path.as_str()).collect();
    let mut lists = Lists { turned, by_place: BTreeSet::new() };
    for change in changes.iter().filter(|change| lists.of(&change.path).is_none()).collect::<Vec<_>>() {
        lists.by_place.extend(rebuilt_list(change));
    }
    let (listed, plain): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| lists.of(&change.path).is_some());
    for change in &plain {
        if config.get(&change.path) != change.before.as_ref() {
            return Err(conflict(change, "the field does not have the value it had before"));
        }
    }
    let mut rebuilt = Vec::new();
    for list in lists.turned.iter().chain(&lists.by_place).copied() {
        let changes = listed.iter().filter(|change| lists.of(&change.path) == Some(list));
        let is_turned = lists.turned.contains(list);
        rebuilt.push((list, is_turned, rebuild(config, list, is_turned, changes.copied(), strict)?));
    }
    for change in plain {
        match &change.after {
            Some(after) => drop(config.insert(change.path.clone(), after.clone())),
            None => drop(config.remove(&change.path)),
        }
    }
    for (list, is_turned, fields) in rebuilt {
        let gone: Vec<String> = below(config, list, is_turned).map(|(path, _)| path.clone()).collect();
        gone.iter().for_each(|path| drop(config.remove(path)));
        config.extend(fields);
    }
    Ok(())
}

fn conflict(change: &Change, why: &'static str) -> Error {
    Error::Conflict { what: shown(&change.path), why }
}

/// The outermost list around a change that is more than a value at a place.
fn rebuilt_list(change: &Change) -> Option<&str> {
    let open = bracket(&change.path)?;
    let by_key = || change.path.contains('=') && Path::parse(&change.path).is_ok_and(|path| has_key(&path));
    (matches!(change.op, Op::Moved | Op::Placed) || by_key()).then(|| &change.path[..open])
}

fn has_key(path: &Path) -> bool {
    path.0.iter().any(|segment| matches!(segment, Segment::Keyed { .. }))
}

/// The note that a list begins or ceases to be one. It is spelled as the place of what is no element: `before` or
/// `after` is null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A single element becomes the first of a list, before anything else is changed.
    ToList,
    /// The only element left stands alone, after everything else was changed.
    ToSingle,
}

impl Turn {
    fn of(change: &Change) -> Option<Turn> {
        match (change.op, &change.before, &change.after) {
            (Op::Placed, Some(Value::Null), Some(_)) => Some(Turn::ToList),
            (Op::Placed, Some(_), Some(Value::Null)) => Some(Turn::ToSingle),
            _ => None,
        }
    }
}

/// The outermost lists that are put together again.
struct Lists<'a> {
    /// Those that begin or cease to be lists: also what stands below them as a map is theirs.
    turned: BTreeSet<&'a str>,
    by_place: BTreeSet<&'a str>,
}

impl<'a> Lists<'a> {
    /// Which of the lists a path leads to or into.
    fn of(&self, path: &str) -> Option<&'a str> {
        if self.turned.is_empty() && self.by_place.is_empty() {
            return None;
        }
        let outer = bracket(path).map_or(path, |open| &path[..open]);
        if !self.turned.is_empty() {
            let ends = outer.match_indices('.').map(|(at, _)| at).chain([outer.len()]);
            let above = |end: usize| self.turned.get(&outer[..end]).copied();
            if let Some(list) = std::iter::once(0).chain(ends).find_map(above) {
                return Some(list);
            }
        }
        self.by_place.get(outer).copied()
    }
}

/// The fields of a list, and the list itself where it is an empty one; where it is or was a single element, also what
/// stands below that.
fn below<'a>(
    config: &'a FlatConfig,
    list: &str,
    is_turned: bool,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let within = |step: &str| {
        let inside = format!("{list}{step}");
        config.range(inside.clone()..).take_while(move |(path, _)| path.starts_with(&inside))
    };
    let (all, fields) = (is_turned && list.is_empty(), is_turned && !list.is_empty());
    let own = config.get_key_value(list).into_iter().filter(move |_| !all);
    let fields = fields.then(|| within(".")).into_iter().flatten();
    own.chain(fields).chain(within(if all { "" } else { "[" }))
}

fn rebuild<'a>(
    config: &FlatConfig,
    list: &str,
    is_turned: bool,
    changes: impl Iterator<Item = &'a Change> + Clone,
    strict: bool,
) -> Result<FlatConfig, Error> {
    let mut tree = Tree { root: Node::Hole, room: config.len() + changes.clone().count(), strict };
    let steps = |path: &str| -> Result<Vec<Segment>, Error> {
        let rest = &path[list.len()..];
        Ok(Path::parse(if list.is_empty() { rest } else { rest.strip_prefix('.').unwrap_or(rest) })?.0)
    };
    for (path, value) in below(config, list, is_turned) {
        tree.set(&steps(path)?, value.clone()).map_err(|why| Error::Conflict { what: shown(path), why })?;
    }
    let mut paths = Vec::new();
    for change in changes {
        paths.push((steps(&change.path)?, change));
    }
    let turns = |which| {
        let mut turns: Vec<_> = paths.iter().filter(|(_, c)| Turn::of(c) == Some(which)).collect();
        turns.sort_by_key(|(path, _)| path.len());
        turns
    };
    for (path, change) in turns(Turn::ToList) {
        tree.begin_list(path).map_err(|why| conflict(change, why))?;
    }
    let to_single = turns(Turn::ToSingle);
    let paths: Vec<_> = paths.iter().filter(|(_, change)| Turn::of(change).is_none()).collect();
    // In the places of the old configuration: all is found before anything is taken away.
    let is_old = |change: &Change| change.after.is_none();
    let mut found = Vec::new();
    for (path, change) in paths.iter().filter(|(_, change)| is_old(change)) {
        found.push((tree.find(path).map_err(|why| conflict(change, why))?, *change));
    }
    for (at, change) in found {
        tree.take(&at, change).map_err(|why| conflict(change, why))?;
    }
    // The elements take their places from the outermost list inwards, so that a path can be followed.
    let mut places: Vec<_> =
        paths.iter().filter(|(_, c)| matches!(c.op, Op::Moved | Op::Placed) && !is_old(c)).collect();
    places.sort_by_key(|(path, _)| path.len());
    for (path, change) in places {
        tree.place(path, change).map_err(|why| conflict(change, why))?;
    }
    for (path, change) in paths.iter().filter(|(_, c)| !matches!(c.op, Op::Moved | Op::Placed) && !is_old(c))
    {
        tree.change(path, change).map_err(|why| conflict(change, why))?;
    }
    for (path, change) in to_single.into_iter().rev() {
        tree.end_list(path).map_err(|why| conflict(change, why))?;
    }
    let mut fields = FlatConfig::new();
    let whole = |why| Error::Conflict { what: shown(list), why };
    tree.finish(&mut list.to_owned(), &mut fields).map_err(whole)?;
    Ok(fields)
}

type Fits<T> = Result<T, &'static str>;

const NO_SUCH_FIELD: &str = "the configuration has no such field";
const OTHER_VALUE: &str = "the field does not have the value it had before";

/// A part of a configuration while it is changed.
struct Tree {
    root: Node,
    /// The largest possible number of fields, which bounds every index.
    room: usize,
    strict: bool,
}

enum Node {
    /// Nothing yet, or nothing any more.
    Hole,
    Leaf(Value),
    Map(BTreeMap<String, Node>),
    List(List),
    /// The elements of a list as older recordings name them, by key and value and in no order.
    Keyed(BTreeMap<(String, String), Node>),
}

#[derive(Default)]
struct List {
    items: Vec<Node>,
    /// The places of the elements by a key, from when it was first asked for; it moves with them.
    names: HashMap<String, HashMap<String, usize>>,
    plan: Plan,
    /// Set when elements have taken new places; none may be empty in the end.
    settled: bool,
}

/// Changes to the places of a list's elements, before they are made.
#[derive(Default)]
struct Plan {
    gone: Vec<usize>,
    come: Vec<(usize, Option<(String, String)>)>,
    moved: Vec<(usize, usize)>,
}

impl Node {
    fn is_empty(&self) -> bool {
        match self {
            Node::Hole => true,
            Node::Leaf(_) => false,
            Node::Map(entries) => entries.values().all(Node::is_empty),
            Node::Keyed(entries) => entries.values().all(Node::is_empty),
            Node::List(list) => list.items.iter().all(Node::is_empty),
        }
    }

    /// The value at the end of a way through maps.
    fn leaf(&self, keys: &[String]) -> Option<&Value> {
        let mut node = self;
        for key in keys {
            let Node::Map(entries) = node else { return None };
            node = entries.get(key)?;
        }
        match node {
            Node::Leaf(value) => Some(value),
            _ => None,
        }
    }

    /// One step down; `room` bounds how long a list may become, 0 where nothing is to be made.
    fn step(&mut self, segment: &Segment, room: usize) -> Fits<&mut Node> {
        let fits = matches!(
            (&*self, segment),
            (Node::Map(_), Segment::Key(_))
                | (Node::List(_), Segment::Index(_) | Segment::Keyed { .. })
                | (Node::Keyed(_), Segment::Keyed { .. })
        );
        if !fits {
            if room == 0 || !self.is_empty() {
                return Err(NO_SUCH_FIELD);
            }
            *self = match segment {
                Segment::Key(_) => Node::Map(BTreeMap::new()),
                Segment::Index(_) => Node::List(List::default()),
                Segment::Keyed { .. } => Node::Keyed(BTreeMap::new()),
            };
        }
        match (self, segment) {
            (Node::Map(entries), Segment::Key(key)) => {
                if room == 0 {
                    return entries.get_mut(key).ok_or(NO_SUCH_FIELD);
                }
                Ok(entries.entry(key.clone()).or_insert(Node::Hole))
            }
            (Node::Keyed(entries), Segment::Keyed { key, value }) => {
                let name = (key.clone(), value.clone());
                if room == 0 {
                    return entries.get_mut(&name).ok_or(NO_SUCH_FIELD);
                }
                Ok(entries.entry(name).or_insert(Node::Hole))
            }
            (Node::List(list), segment) => {
                let index = list.place_of(segment)?;
                if index >= list.items.len() && index < room {
                    list.items.resize_with(index + 1, || Node::Hole);
                }
                list.items.get_mut(index).ok_or(NO_SUCH_FIELD)
            }
            _ => Err(NO_SUCH_FIELD),
        }
    }
}

impl List {
    fn place_of(&mut self, segment: &Segment) -> Fits<usize> {
        match segment {
            Segment::Index(index) => Ok(*index),
            Segment::Keyed { key, value } => {
                let names = self.names(key);
                names.get(value).copied().ok_or("the list has no element with this key")
            }
            Segment::Key(_) => Err(NO_SUCH_FIELD),
        }
    }

    fn names(&mut self, key: &str) -> &mut HashMap<String, usize> {
        let items = &self.items;
        self.names.entry(key.to_owned()).or_insert_with(|| {
            let key = ElementKey::new(key);
            let name = |(index, item): (usize, &Node)| {
                let scalar = |way: &Way| text_of(item.leaf(&way.keys)?);
                Some((key.value(scalar)?.into_owned(), index))
            };
            items.iter().enumerate().filter_map(name).collect()
        })
    }

    /// Puts every element in its new place.
    fn settle(&mut self, strict: bool) -> Fits<()> {
        let Plan { gone, come, moved } = std::mem::take(&mut self.plan);
        if gone.is_empty() && come.is_empty() && moved.is_empty() {
            return Ok(());
        }
        self.settled = true;
        let mut items: Vec<Option<Node>> = std::mem::take(&mut self.items).into_iter().map(Some).collect();
        let mut left = Vec::new();
        for index in &gone {
            let item = items.get_mut(*index).and_then(Option::take).ok_or("no element stands there")?;
            match (item.is_empty(), strict) {
                (true, _) => {}
                (false, true) => return Err("an element that goes has fields left"),
                (false, false) => left.push(item),
            }
        }
        let length = items.len() - gone.len() + come.len();
        let mut settled: Vec<Option<Node>> = Vec::new();
        settled.resize_with(length, || None);
        let mut new_places: Vec<Option<usize>> = vec![None; items.len()];
        for (index, _) in &come {
            let slot = settled.get_mut(*index).filter(|slot| slot.is_none());
            *slot.ok_or("a new element has no place there")? = Some(Node::Hole);
        }
        for (from, to) in &moved {
            let item = items.get_mut(*from).and_then(Option::take).ok_or("no element stands there")?;
            let slot = settled.get_mut(*to).filter(|slot| slot.is_none());
            *slot.ok_or("an element cannot move there")? = Some(item);
            new_places[*from] = Some(*to);
        }
        let mut stayed = items.into_iter().enumerate().filter_map(|(index, item)| Some((index, item?)));
        for (to, slot) in settled.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
            let (from, item) = stayed.next().ok_or("the list has too few elements")?;
            *slot = Some(item);
            new_places[from] = Some(to);
        }
        self.items = settled.into_iter().flatten().chain(left).collect();
        for names in self.names.values_mut() {
            names.retain(|_, index| {
                let place = new_places.get(*index).copied().flatten();
                place.inspect(|place| *index = *place).is_some()
            });
        }
        for (index, name) in come {
            if let Some((key, value)) = name {
                self.names(&key).insert(value, index);
            }
        }
        Ok(())
    }
}

impl Tree {
    /// Sets a field of a tree that is being built.
    fn set(&mut self, path: &[Segment], value: Value) -> Fits<()> {
        let mut node = &mut self.root;
        for segment in path {
            node = node.step(segment, self.room)?;
        }
        if !matches!(node, Node::Hole) {
            return Err("the configuration has a field inside of another");
        }
        *node = Node::Leaf(value);
        Ok(())
    }

    /// The same path by index.
    fn find(&mut self, path: &[Segment]) -> Fits<Vec<Segment>> {
        let mut node = &mut self.root;
        let mut found = Vec::with_capacity(path.len());
        for segment in path {
            found.push(match &mut *node {
                Node::List(list) => Segment::Index(list.place_of(segment)?),
                _ => segment.clone(),
            });
            node = node.step(segment, 0)?;
        }
        Ok(found)
    }

    /// Takes a field away, or notes that an element goes.
    fn take(&mut self, path: &[Segment], change: &Change) -> Fits<()> {
        let mut node = &mut self.root;
        if change.op == Op::Placed {
            let Some((Segment::Index(own), above)) = path.split_last() else {
                return Err("it is no element");
            };
            for segment in above {
                node = node.step(segment, 0)?;
            }
            let (Node::List(list), Some(before)) = (node, index(&change.before)) else {
                return Err("it is no element");
            };
            if before != *own {
                return Err("the element has another place");
            }
            list.plan.gone.push(before);
            return Ok(());
        }
        for segment in path {
            node = node.step(segment, 0)?;
        }
        match node {
            Node::Leaf(value) if Some(&*value) == change.before.as_ref() => *node = Node::Hole,
            _ => return Err(OTHER_VALUE),
        }
        Ok(())
    }

    /// Down to the new place of a field, settling every list on the way.
    fn descend(&mut self, path: &[Segment], make: bool) -> Fits<&mut Node> {
        let mut node = &mut self.root;
        for segment in path {
            if let Node::List(list) = node {
                list.settle(self.strict)?;
            }
            node = node.step(segment, if make { self.room } else { 0 })?;
        }
        Ok(node)
    }

    /// Notes that an element comes or moves.
    fn place(&mut self, path: &[Segment], change: &Change) -> Fits<()> {
        let Some((own, above)) = path.split_last() else { return Err("it is no element") };
        let to = index(&change.after).ok_or("its place is no index")?;
        let Node::List(list) = self.descend(above, false)? else { return Err("it is no element of a list") };
        let name = match own {
            Segment::Keyed { key, value } => Some((key.clone(), value.clone())),
            Segment::Index(_) | Segment::Key(_) => None,
        };
        match &change.before {
            None => {
                if let Some((key, _)) = &name {
                    // From now on the names move with their elements.
                    list.names(key);
                }
                list.plan.come.push((to, name));
            }
            Some(_) => {
                let from = index(&change.before).ok_or("its place is no index")?;
                if name.is_some() && list.place_of(own)? != from {
                    return Err("the element has another place");
                }
                list.plan.moved.push((from, to));
            }
        }
        Ok(())
    }

    /// Makes what stands at a path the first element of a list.
    fn begin_list(&mut self, path: &[Segment]) -> Fits<()> {
        let mut node = &mut self.root;
        for segment in path {
            node = node.step(segment, 0)?;
        }
        if matches!(node, Node::Hole | Node::List(_)) {
            return Err("no single element stands there");
        }
        let items = vec![std::mem::replace(node, Node::Hole)];
        *node = Node::List(List { items, ..List::default() });
        Ok(())
    }

    /// Puts the only element of a list in the list's place.
    fn end_list(&mut self, path: &[Segment]) -> Fits<()> {
        let strict = self.strict;
        let node = self.descend(path, false)?;
        let Node::List(list) = node else { return Err("no list stands there") };
        list.settle(strict)?;
        list.items.retain(|item| !item.is_empty());
        if list.items.len() == 1 || strict {
            let only = list.items.pop().filter(|_| list.items.is_empty());
            *node = only.ok_or("the list has more elements than one")?;
        }
        Ok(())
    }

    /// Gives a field its new value.
    fn change(&mut self, path: &[Segment], change: &Change) -> Fits<()> {
        let added = change.before.is_none();
        let node = self.descend(path, added)?;
        match &*node {
            Node::Leaf(value) if !added && Some(value) == change.before.as_ref() => {}
            node if added && node.is_empty() => {}
            _ => return Err(OTHER_VALUE),
        }
        *node = change.after.clone().map_or(Node::Hole, Node::Leaf);
        Ok(())
    }

    /// The fields there are now.
    fn finish(self, path: &mut String, fields: &mut FlatConfig) -> Fits<()> {
        flatten(self.root, self.strict, path, fields)
    }
}

fn index(value: &Option<Value>) -> Option<usize> {
    usize::try_from(value.as_ref()?.as_u64()?).ok()
}

fn flatten(node: Node, strict: bool, path: &mut String, fields: &mut FlatConfig) -> Fits<()> {
    let mut below = |segment: Segment, node: Node| {
        let length = path.len();
        segment.print(path);
        let done = flatten(node, strict, path, fields);
        path.truncate(length);
        done
    };
    match node {
        Node::Hole => Ok(()),
        Node::Leaf(value) => {
            fields.insert(path.clone(), value);
            Ok(())
        }
        Node::Map(entries) => entries.into_iter().try_for_each(|(key, node)| below(Segment::Key(key), node)),
        Node::Keyed(entries) => entries
            .into_iter()
            .try_for_each(|((key, value), node)| below(Segment::Keyed { key, value }, node)),
        Node::List(mut list) => {
            list.settle(strict)?;
            // What was removed from the end of a list leaves it shorter.
            if !list.settled {
                let end = list.items.iter().rposition(|item| !item.is_empty()).map_or(0, |last| last + 1);
                list.items.truncate(end);
            }
            if !strict {
                list.items.retain(|item| !item.is_empty());
            } else if list.items.iter().any(Node::is_empty) {
                return Err("an element of the list would be empty");
            }
            list.items
                .into_iter()
                .enumerate()
                .try_for_each(|(index, node)| below(Segment::Index(index), node))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diff::tests::flat;
    use crate::{Policy, diff};

    fn change(op: Op, path: &str, before: Option<Value>, after: Option<Value>) -> Change {
        Change { op, path: path.into(), before, after, severity: crate::Severity::Low }
    }

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let mut config = flat(json!({"a": 1, "b": 2}));
        let changes = diff(&flat(json!({"a": 1, "b": 3})), &FlatConfig::new(), &Policy::default()).changes;
        assert_eq!(apply(&mut config, &changes).unwrap_err().code(), "conflict");
        assert_eq!(config, flat(json!({"a": 1, "b": 2})));
    }

    #[test]
    fn a_list_that_older_recordings_name_by_key_is_still_folded() {
        let mut config = flat(json!({"s[name=a].name": "a", "s[name=a].port": 1}));
        let changes = [
            change(Op::Changed, "s[name=a].port", Some(json!(1)), Some(json!(2))),
            change(Op::Added, "s[name=b].name", None, Some(json!("b"))),
            change(Op::Added, "t[name=c].name", None, Some(json!("c"))),
        ];
        apply(&mut config, &changes).unwrap();
        let expected =
            json!({"s[name=a].name": "a", "s[name=a].port": 2, "s[name=b].name": "b", "t[name=c].name": "c"});
        assert_eq!(config, flat(expected));
        apply(&mut config, &[change(Op::Removed, "s[name=b].name", Some(json!("b")), None)]).unwrap();
        assert_eq!(config, flat(json!({"s[name=a].name": "a", "s[name=a].port": 2, "t[name=c].name": "c"})));
    }

    #[test]
    fn hostile_places_are_refused() {
        let config = flat(json!({"a[0]": 1, "a[1]": 2}));
        for changes in [
            vec![change(Op::Moved, "a[0]", Some(json!(0)), Some(json!(u64::MAX)))],
            vec![change(Op::Moved, "a[7]", Some(json!(7)), Some(json!(0)))],
            vec![change(Op::Moved, "a[0]", Some(json!(-1)), Some(json!("x")))],
            vec![change(Op::Placed, "a[0]", Some(json!(0)), None)],
            vec![change(Op::Placed, "a[2]", None, Some(json!(2)))],
            vec![change(Op::Placed, "a", None, Some(json!(2)))],
            vec![change(Op::Moved, "b[0]", Some(json!(0)), Some(json!(1)))],
            vec![
                change(Op::Moved, "a[1]", Some(json!(0)), Some(json!(1))),
                change(Op::Added, "a[99999999999]", None, Some(json!(1))),
            ],
        ] {
            let mut changed = config.clone();
            assert_eq!(apply(&mut changed, &changes).unwrap_err().code(), "conflict", "{changes:?}");
            assert_eq!(changed, config);
        }
    }
}
