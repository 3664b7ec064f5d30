//! The output of a Rust test that fails: panics, returned errors, notes of the harness.

use crate::place::{Place, Project};
use crate::sheet::Block;
use crate::text::{Line, groups, patterns};

patterns! {
    PANIC = r"^thread '(.*?)' (?:\(\d+\) )?panicked at (.+?):(\d+):(\d+):?$";
    OLD_PANIC = r"^thread '(.*?)' panicked at '(.*)', (.+?):(\d+):(\d+)$";
    NO_PANIC = r"^note: (test did not panic as expected)(?: at (.+?):(\d+):(\d+))?$";
    OTHER_PANIC = r"^note: (panic did not contain expected string)";
}

/// A panic: of which thread, where, with which message.
#[derive(Clone, Debug)]
struct Panic {
    own: bool,
    place: Option<Place>,
    message: String,
}

/// Reads the output of one failing test.
#[derive(Clone, Debug, Default)]
pub struct Panics {
    /// The test, as its thread is called.
    name: String,
    found: Vec<Panic>,
    /// The next line is the message.
    due: bool,
    /// Says more than a panic does.
    note: Option<(String, Option<Place>)>,
    error: Option<String>,
    /// All of it.
    pub block: Block,
}

impl Panics {
    /// Begins with the test's name.
    pub fn of(name: &str) -> Panics {
        Panics { name: name.to_owned(), ..Panics::default() }
    }

    /// Takes a line.
    pub fn line(&mut self, line: &Line<'_>, text: &str, project: &Project) {
        self.block.saw(&Line { text, ..*line });
        if self.due {
            self.due = false;
            if let Some(panic) = self.found.last_mut() {
                text.clone_into(&mut panic.message);
            }
            return;
        }
        if let Some([thread, file, at, column]) = groups(&PANIC, text) {
            if self.found.len() < 64 {
                let place = project.place(file, at, column);
                self.found.push(Panic { own: self.is_own(thread), place, message: String::new() });
                self.due = true;
            }
        } else if let Some([thread, message, file, at, column]) = groups(&OLD_PANIC, text) {
            let place = project.place(file, at, column);
            self.found.push(Panic { own: self.is_own(thread), place, message: message.to_owned() });
        } else if let Some([note, file, at, column]) = groups(&NO_PANIC, text) {
            self.note = Some((note.to_owned(), project.place(file, at, column)));
        } else if let Some([note]) = groups(&OTHER_PANIC, text) {
            self.note = Some((note.to_owned(), None));
        } else if text.starts_with("Error: ") {
            self.error.get_or_insert_with(|| text.to_owned());
        }
    }

    fn is_own(&self, thread: &str) -> bool {
        thread == self.name || thread == "main" || self.name.is_empty()
    }

    /// Returns the message and the place.
    pub fn read(&self) -> (String, Option<Place>) {
        let panic = self.found.iter().find(|panic| panic.own).or(self.found.first());
        let at = panic.and_then(|panic| panic.place.clone());
        if let Some((note, place)) = &self.note {
            return (note.clone(), place.clone().or(at));
        }
        match (panic, &self.error) {
            (Some(panic), _) => (panic.message.clone(), at),
            (None, Some(error)) => (error.clone(), None),
            (None, None) => (String::new(), None),
        }
    }
}
