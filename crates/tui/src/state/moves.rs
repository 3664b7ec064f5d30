//! Carries out messages.

use std::time::Duration;

use rig_event::{Change, Op, Severity};
use rig_replay::traffic::Exchange;

use super::keys::KEYS;
use super::layout::{Hit, Layout, scrolled};
use super::{
    Ask, Effect, LONGEST_PAUSE, MAX_DETAIL, Mark, Message, Mode, Pane, Player, Popup, Prompt, SPEEDS, ask,
    copy, found::Found, index, tree,
};
use crate::text;

/// Maximum number of events in one tick at high speed.
const MAX_TICK: usize = 200_000;

/// The longest text that is typed, in characters.
const MAX_TYPED: usize = 500;

/// Most bytes of a body in a detail.
const MAX_BODY: usize = 64 << 10;

impl Player {
    /// Does what a message says.
    pub fn update(&mut self, message: Message) -> Option<Effect> {
        if !matches!(message, Message::Tick(_) | Message::Resize(..)) {
            self.note = None;
        }
        match message {
            Message::Quit => return Some(Effect::Quit),
            Message::Suspend => {
                // The time until it goes on is not played.
                self.playing = self.playing.map(|_| None);
                return Some(Effect::Suspend);
            }
            Message::Tick(now) => self.tick(now),
            Message::Resize(width, height) => self.size = (width, height),
            Message::Click(x, y) => self.click(x, y),
            Message::Drag(x, y) => self.drag(x, y),
            Message::Drop => self.dragging = false,
            Message::Scroll(x, y, by) => self.scroll(x, y, by),
            message => match self.mode() {
                Mode::Prompt => self.type_in(message),
                Mode::Popup => return self.page(message),
                Mode::Normal => return self.normal(message),
            },
        }
        None
    }

    fn normal(&mut self, message: Message) -> Option<Effect> {
        match message {
            Message::TogglePlay => self.toggle_play(),
            Message::Step(by) => {
                self.playing = None;
                self.go(self.at().saturating_add_signed(by));
            }
            Message::Seek(n) => self.go(n),
            Message::End => {
                self.go(self.timeline.len());
                self.following = self.live && !self.ended;
            }
            Message::Faster => self.change_speed(true),
            Message::Slower => self.change_speed(false),
            Message::ToggleIdle => {
                self.pace.longest = if self.pace.longest.is_none() { Some(LONGEST_PAUSE) } else { None };
            }
            Message::FirstFailure => self.jump(self.index.failures.first().map(|at| *at as usize), "failure"),
            Message::NextFailure => self.jump(index::next(&self.index.failures, self.at()), "later failure"),
            Message::PreviousFailure => {
                self.jump(index::previous(&self.index.failures, self.here().unwrap_or(0)), "earlier failure");
            }
            Message::NextDrift => self.jump(index::next(&self.index.drifts, self.at()), "later drift"),
            Message::PreviousDrift => {
                self.jump(index::previous(&self.index.drifts, self.here().unwrap_or(0)), "earlier drift");
            }
            Message::NextChange => {
                self.jump(index::next(&self.index.changes, self.at()), "later config change");
            }
            Message::PreviousChange => {
                let before = index::previous(&self.index.changes, self.here().unwrap_or(0));
                self.jump(before, "earlier config change");
            }
            Message::NextFound => self.step_in(Pane::Events, 1),
            Message::PreviousFound => self.step_in(Pane::Events, -1),
            Message::NextPane => self.cycle(1),
            Message::PreviousPane => self.cycle(Pane::ALL.len() - 1),
            Message::Focus(pane) => self.focus(pane),
            Message::Move(by) => self.move_in(by),
            Message::Open => self.open(),
            Message::Zoom => self.zoom = !self.zoom,
            Message::Mark => self.set_mark(),
            Message::ToMark => match &self.mark {
                Some(mark) => self.go(mark.at),
                None => self.note = Some("nothing is marked: m marks".to_owned()),
            },
            Message::Back => self.back(),
            Message::AskPlace => self.ask(Ask::Place, String::new()),
            Message::AskFilter => self.ask(Ask::Filter, self.filter.clone()),
            Message::FilterService => self.filter_service(),
            Message::CopyJson => return self.copy_json(),
            Message::CopyCurl => return self.copy_curl(),
            Message::Help => self.popup = Some(Popup { title: "Keys".to_owned(), lines: None, scroll: 0 }),
            _ => {}
        }
        None
    }

    /// Goes to the place after `n` events because somebody wants to be there.
    fn go(&mut self, n: usize) {
        self.moved = true;
        self.wanted = None;
        self.following = false;
        if let Some(since) = &mut self.playing {
            *since = None;
        }
        self.seek(n);
    }

    /// Goes to the place after `n` events.
    pub(super) fn seek(&mut self, n: usize) {
        let n = n.min(self.timeline.len());
        let result = match n.checked_sub(1) {
            Some(at) if at == self.cursor.at() => self.cursor.forward(&self.timeline).map(|_| ()),
            _ => self.cursor.seek(&self.timeline, n),
        };
        if let Err(error) = result {
            self.note = Some(text::plain(&error.to_string()));
        }
    }

    fn jump(&mut self, to: Option<usize>, what: &str) {
        match to {
            Some(at) => {
                self.go(at + 1);
                self.playing = None;
            }
            None => {
                let yet = if self.is_over() { "" } else { " yet" };
                self.note = Some(format!("no {what}{yet}"));
            }
        }
    }

    fn toggle_play(&mut self) {
        if self.playing.take().is_some() || self.is_live() {
            self.following = false;
            return;
        }
        if self.at() >= self.timeline.len() {
            if self.live && !self.ended {
                self.following = true;
                return;
            }
            self.go(1);
        }
        self.moved = true;
        self.playing = Some(None);
    }

    fn change_speed(&mut self, faster: bool) {
        let now = self.pace.speed;
        let next = if faster {
            SPEEDS.iter().find(|speed| **speed > now)
        } else {
            SPEEDS.iter().rev().find(|speed| **speed < now)
        };
        if let Some(next) = next {
            self.pace.speed = *next;
        }
    }

    /// Plays on to where it should be by now.
    fn tick(&mut self, now: Duration) {
        let Some(since) = self.playing else { return };
        let mut since = since.unwrap_or(now);
        let mut n = self.at().max(usize::from(!self.timeline.is_empty()));
        let most = n.saturating_add(MAX_TICK).min(self.timeline.len());
        while let Some(here) = n.checked_sub(1).filter(|_| n < most) {
            let pause = self.pace.pause(self.timeline.entry(here).ts, self.timeline.entry(n).ts);
            match since.checked_add(pause) {
                Some(due) if due <= now => since = due,
                _ => break,
            }
            n += 1;
        }
        if n != self.at() {
            self.seek(n);
        }
        self.playing = Some(Some(if n >= most && n < self.timeline.len() { now } else { since }));
        if n >= self.timeline.len() {
            if self.is_over() {
                self.playing = None;
            } else if self.live {
                self.playing = None;
                self.following = true;
            }
        }
    }

    fn cycle(&mut self, by: usize) {
        let at = Pane::ALL.iter().position(|pane| *pane == self.pane).unwrap_or(0);
        self.focus(Pane::ALL[(at + by) % Pane::ALL.len()]);
    }

    fn focus(&mut self, pane: Pane) {
        self.pane = pane;
    }

    fn move_in(&mut self, by: isize) {
        let line = |at: usize, len: usize| at.saturating_add_signed(by).min(len.saturating_sub(1));
        match self.pane {
            Pane::Services => {
                self.selected = line(self.selected, self.services.len());
                self.line = 0;
                self.look();
            }
            Pane::Config if self.mark.is_some() => self.line = line(self.line, self.split_lines()),
            Pane::Config => self.line = line(self.line, self.shown.tree.len()),
            Pane::Graph => self.graph_line = line(self.graph_line, self.graph_lines()),
            pane => self.step_in(pane, by),
        }
    }

    /// Counts the lines of the comparison.
    pub fn split_lines(&self) -> usize {
        self.shown.split.iter().map(|difference| 1 + difference.fields.len()).sum()
    }

    /// Counts the lines of the graph.
    pub fn graph_lines(&self) -> usize {
        self.state().edges.values().map(|targets| 1 + targets.len()).sum()
    }

    fn list(&self, pane: Pane) -> &Found {
        match pane {
            Pane::Logs => &self.logs,
            Pane::Traffic => &self.traffic,
            _ => &self.events,
        }
    }

    /// Steps through what a list shows.
    fn step_in(&mut self, pane: Pane, by: isize) {
        let found = self.list(pane);
        let target = if by >= 0 {
            found.before(self.at()).saturating_add(by.unsigned_abs() - usize::from(by > 0))
        } else {
            found.before(self.here().unwrap_or(0)).saturating_sub(by.unsigned_abs())
        };
        let last = found.len().checked_sub(1);
        match last.and_then(|last| found.get(target.min(last))) {
            // At either end of the list there is no further in that direction.
            Some(at) if (by > 0) == (at >= self.at()) => self.go(at + 1),
            _ => {
                let which = if by > 0 { "later" } else { "earlier" };
                self.note = Some(format!("no {which} one in {}", pane.title()));
            }
        }
    }

    fn open(&mut self) {
        match self.pane {
            Pane::Config if self.mark.is_none() => match self.shown.tree.get(self.line).cloned() {
                Some(tree::Row { kind: tree::Kind::Group { open, .. }, path, .. }) => {
                    if open {
                        self.closed.insert(path);
                    } else {
                        self.closed.remove(&path);
                    }
                    self.closed_version += 1;
                }
                Some(row) => self.field(&row),
                None => {}
            },
            Pane::Services => self.filter_service(),
            Pane::Config | Pane::Graph => {}
            Pane::Events | Pane::Logs | Pane::Traffic => self.detail(),
        }
    }

    fn field(&mut self, row: &tree::Row) {
        let Some(name) = self.shown.service.clone() else { return };
        let Some(service) = self.state().service(&name) else { return };
        let mut lines = Vec::new();
        let say = |value: &serde_json::Value| -> Vec<String> {
            match value.as_str() {
                Some(long) if long.contains('\n') => text::lines(long),
                _ => vec![text::value(value)],
            }
        };
        match service.config.get(&row.path) {
            Some(value) => lines.extend(say(value)),
            None => lines.push("(removed)".to_owned()),
        }
        lines.push(String::new());
        let origin = service.provenance.get(&row.path).or_else(|| service.provenance.get(""));
        lines.push(format!("from   {}", origin.map_or_else(|| "unknown".to_owned(), |o| text::plain(o))));
        if let Some(history) = self.histories.last() {
            let since = history.since.get(&row.path);
            let shown = match since {
                Some(since) => format!("seq {}  {}", since.seq, since.ts),
                None if history.is_open() => "is being looked for".to_owned(),
                None => "before this recording".to_owned(),
            };
            lines.push(format!("since  {shown}"));
            if let Some(before) = history.changed.get(&row.path) {
                match (before, service.config.get(&row.path)) {
                    (Some(before), Some(after)) if text::is_long(before) || text::is_long(after) => {
                        let change = Change {
                            op: Op::Changed,
                            path: row.path.clone(),
                            before: Some(before.clone()),
                            after: Some(after.clone()),
                            severity: Severity::default(),
                        };
                        // What changed comes before the whole of it.
                        let told = text::told(&change).into_iter().map(|line| format!("  {line}"));
                        lines.splice(
                            0..0,
                            std::iter::once("changed".to_owned()).chain(told).chain([String::new()]),
                        );
                    }
                    (Some(before), _) => lines.push(format!("before {}", text::value(before))),
                    (None, _) => lines.push("before (it was not there)".to_owned()),
                }
            }
            if let Some(before) = history.removed.get(&row.path) {
                lines.push(format!("before {}", text::value(before)));
            }
        }
        lines.truncate(MAX_DETAIL);
        let title = format!("{} {}", text::plain(&name), text::plain(&row.path));
        self.popup = Some(Popup { title, lines: Some(lines), scroll: 0 });
    }

    fn detail(&mut self) {
        let Some((at, line)) = self.current_line() else { return };
        let mut lines = Vec::new();
        if let Some(exchange) = Exchange::read(&line, MAX_BODY) {
            for (what, body) in [("sent", &exchange.request_body), ("answered", &exchange.response_body)] {
                let Some(body) = body else { continue };
                let more = if body.truncated { ", more was not recorded or is not shown" } else { "" };
                let kind = if body.binary { " that are no text" } else { "" };
                lines.push(format!("{what}: {} bytes{kind}{more}", body.bytes));
                lines.extend(text::lines(&body.text).into_iter().map(|line| format!("  {line}")));
                lines.push(String::new());
            }
        }
        lines.extend(text::lines(&copy::json(&line)));
        if lines.len() > MAX_DETAIL {
            let more = lines.len() - MAX_DETAIL;
            lines.truncate(MAX_DETAIL);
            lines.push(format!("… {more} lines more: y copies the whole event"));
        }
        let entry = self.timeline.entry(at);
        let title = format!("seq {}  {}  {}", entry.seq, text::plain(entry.type_name), entry.ts);
        self.popup = Some(Popup { title, lines: Some(lines), scroll: 0 });
    }

    /// The line of the event that it stands on.
    fn current_line(&mut self) -> Option<(usize, Vec<u8>)> {
        let Some(at) = self.here() else {
            self.note = Some("this is the place before the first event".to_owned());
            return None;
        };
        match self.timeline.line(at) {
            Ok(line) => Some((at, line)),
            Err(error) => {
                self.note = Some(text::plain(&error.to_string()));
                None
            }
        }
    }

    fn copy_json(&mut self) -> Option<Effect> {
        let (_, line) = self.current_line()?;
        let json = copy::json(&line);
        self.copied("JSON", &json);
        Some(Effect::Copy(json))
    }

    fn copy_curl(&mut self) -> Option<Effect> {
        let (_, line) = self.current_line()?;
        match copy::curl(&line) {
            Ok(command) => {
                self.copied("curl", &command);
                Some(Effect::Copy(command))
            }
            Err(why) => {
                self.note = Some(why.to_owned());
                None
            }
        }
    }

    fn copied(&mut self, what: &str, copied: &str) {
        let mut lines = text::lines(copied);
        lines.truncate(MAX_DETAIL);
        let title = if copied.len() > copy::MAX_CLIPBOARD {
            format!("{what}: too long for a terminal's clipboard ({} KiB)", copied.len() >> 10)
        } else {
            format!("{what}, sent to the terminal's clipboard")
        };
        self.popup = Some(Popup { title, lines: Some(lines), scroll: 0 });
    }

    fn set_mark(&mut self) {
        let at = self.at();
        if self.mark.as_ref().is_some_and(|mark| mark.at == at) {
            self.mark = None;
            return;
        }
        self.mark = Some(Mark { at, state: self.state().clone() });
        self.line = 0;
        self.note = Some(format!("marked seq {}: move, and Config shows what changed", self.state().seq));
    }

    fn back(&mut self) {
        if self.zoom {
            self.zoom = false;
        } else if self.mark.take().is_some() {
            self.line = 0;
        } else if !self.filter.is_empty() {
            self.filter.clear();
            self.look();
        }
    }

    fn ask(&mut self, what: Ask, text: String) {
        self.prompt = Some(Prompt { what, text, wrong: None });
    }

    fn filter_service(&mut self) {
        let Some(name) = self.services.get(self.selected).filter(|_| self.selected > 0) else {
            self.note = Some("choose a service first".to_owned());
            return;
        };
        let word = format!("service:{name}");
        let others: Vec<&str> = self
            .filter
            .split_whitespace()
            .filter(|word| !word.starts_with("service:") && !word.starts_with("s:"))
            .collect();
        let had = self.filter.split_whitespace().any(|other| other == word);
        self.filter = others.into_iter().chain((!had).then_some(word.as_str())).collect::<Vec<_>>().join(" ");
        self.look();
    }

    fn type_in(&mut self, message: Message) {
        let Some(prompt) = &mut self.prompt else { return };
        prompt.wrong = None;
        match message {
            Message::Type(c) if !c.is_control() && prompt.text.chars().count() < MAX_TYPED => {
                prompt.text.push(c)
            }
            Message::Paste(text) => {
                let room = MAX_TYPED.saturating_sub(prompt.text.chars().count());
                prompt.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
            }
            Message::Erase => {
                prompt.text.pop();
            }
            Message::EraseAll => prompt.text.clear(),
            Message::Back => self.prompt = None,
            Message::Submit => self.submit(),
            _ => {}
        }
    }

    fn submit(&mut self) {
        let Some(prompt) = self.prompt.take() else { return };
        match prompt.what {
            Ask::Filter => {
                self.filter = prompt.text.trim().to_owned();
                self.look();
            }
            Ask::Place if prompt.text.trim().is_empty() => {}
            Ask::Place => match ask::place(&prompt.text, &self.timeline, self.at()) {
                Ok(n) => self.go(n),
                Err(wrong) => self.prompt = Some(Prompt { wrong: Some(wrong), ..prompt }),
            },
        }
    }

    fn page(&mut self, message: Message) -> Option<Effect> {
        match message {
            Message::Back | Message::Help | Message::Open => self.popup = None,
            Message::Move(by) => self.scroll_page(by),
            Message::Step(by) => self.scroll_page(by.clamp(-1, 1) * 10),
            Message::CopyJson => return self.copy_json(),
            Message::CopyCurl => return self.copy_curl(),
            _ => {}
        }
        None
    }

    /// Counts the lines of the page that is open; 0 if none is.
    pub(crate) fn page_lines(&self) -> usize {
        match self.popup.as_ref().map(|popup| &popup.lines) {
            Some(Some(lines)) => lines.len(),
            Some(None) => KEYS.iter().map(|(_, keys)| keys.len() + 2).sum::<usize>().saturating_sub(1),
            None => 0,
        }
    }

    fn scroll_page(&mut self, by: isize) {
        let most = self.page_lines().saturating_sub(1);
        if let Some(popup) = &mut self.popup {
            popup.scroll = popup.scroll.saturating_add_signed(by).min(most);
        }
    }

    fn click(&mut self, x: u16, y: u16) {
        if self.popup.take().is_some() || self.prompt.is_some() {
            return;
        }
        let layout = Layout::new(self);
        match layout.hit(x, y) {
            Some(Hit::Scrubber(column)) => {
                self.dragging = true;
                let (from, to) = layout.scrubber_range(self, column);
                // Who clicks on a mark wants to be there.
                let failure = index::next(&self.index.failures, from).filter(|at| *at < to);
                self.go(failure.unwrap_or(from) + 1);
            }
            Some(Hit::Tab(pane)) => self.focus(pane),
            Some(Hit::Pane(pane, row)) => {
                self.focus(pane);
                self.click_row(pane, usize::from(row));
            }
            None => {}
        }
    }

    fn click_row(&mut self, pane: Pane, row: usize) {
        let at = |rows: &[super::Row]| rows.get(row).map(|row| row.at);
        let at = match pane {
            Pane::Events => at(&self.shown.events),
            Pane::Logs => at(&self.shown.logs),
            Pane::Traffic => at(&self.shown.traffic),
            Pane::Services => {
                let first = scrolled(self.selected, self.services.len(), Layout::new(self).rows(pane));
                self.selected = (first + row).min(self.services.len().saturating_sub(1));
                self.line = 0;
                self.look();
                None
            }
            Pane::Config => {
                let len = if self.mark.is_some() { self.split_lines() } else { self.shown.tree.len() };
                let first = scrolled(self.line, len, Layout::new(self).rows(pane));
                self.line = (first + row).min(len.saturating_sub(1));
                None
            }
            Pane::Graph => None,
        };
        if let Some(at) = at {
            self.go(at + 1);
        }
    }

    fn drag(&mut self, x: u16, _y: u16) {
        if self.dragging {
            let layout = Layout::new(self);
            let (from, _) = layout.scrubber_range(self, x.saturating_sub(layout.scrubber.x));
            self.go(from + 1);
        }
    }

    fn scroll(&mut self, x: u16, y: u16, by: isize) {
        if self.popup.is_some() {
            return self.scroll_page(by * 3);
        }
        if self.prompt.is_some() {
            return;
        }
        match Layout::new(self).hit(x, y) {
            Some(Hit::Scrubber(_)) => self.go(self.at().saturating_add_signed(by * 10)),
            Some(Hit::Pane(pane, _)) => {
                let before = std::mem::replace(&mut self.pane, pane);
                self.move_in(by * 3);
                self.note = None;
                self.pane = before;
            }
            _ => {}
        }
    }
}
