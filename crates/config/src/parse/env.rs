//! `.env`: `NAME=value` lines as shells and the readers of Docker, Node and Python take them, and no substitution: what a variable
//! refers to is not this document's business.
//!
//! A value begins after `=`, or after `: ` as Node and Ruby have it. Quotes are those of a shell, and backticks those of Node. A name
//! alone takes its value from where the program is started: it is there, without a value, and so is one that is `unset`.

use serde_json::Value;

use super::note_repeated;
use crate::flatten::Flattener;
use crate::lines::{LineIndex, Place};
use crate::notes::Taken;
use crate::path::Segment;
use crate::{Error, Format, Note};

/// Reads a `.env` document, in which the last of several values holds.
pub(super) fn read(text: &str, fields: &mut Flattener<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    let mut reader = Reader { text, at: 0, lines: LineIndex::new(text) };
    loop {
        reader.skip(|c| c.is_whitespace());
        match reader.rest().chars().next() {
            None => return Ok(()),
            Some('#') => reader.skip(|c| c != '\n'),
            Some(_) => {
                for (name, value, at) in reader.statement()? {
                    if fields.put(&[Segment::Key(name.to_owned())], value, at)? {
                        note_repeated(notes, "a shell", Taken::Last, at);
                    }
                }
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: LineIndex<'a>,
}

/// A variable, its value or null, and where it stands.
type Variable<'a> = (&'a str, Value, Place);

impl<'a> Reader<'a> {
    fn statement(&mut self) -> Result<Vec<Variable<'a>>, Error> {
        let word = |reader: &Self, word: &str| {
            let rest = reader.rest().strip_prefix(word)?;
            rest.starts_with([' ', '\t']).then(|| reader.text.len() - rest.len())
        };
        // `set -a` says that what follows is exported.
        if let Some(at) = word(self, "set").filter(|at| self.text[*at..].trim_start().starts_with(['-', '+']))
        {
            self.at = at;
            self.skip(|c| c != '\n');
            return Ok(Vec::new());
        }
        let begins = [("export", false), ("unset", true)].into_iter().find_map(|(begin, unsets)| {
            let at = word(self, begin)?;
            (!self.text[at..].trim_start().starts_with('=')).then_some((at, unsets))
        });
        let Some((at, unsets)) = begins else { return self.variable().map(|variable| vec![variable]) };
        self.at = at;
        self.skip_blanks();
        // Several names may stand on the line, none of which has a value.
        let line = self.rest().split('\n').next().unwrap_or_default();
        if !unsets && line.contains(['=', ':']) {
            return self.variable().map(|variable| vec![variable]);
        }
        let mut names = Vec::new();
        loop {
            self.skip_blanks();
            match self.rest().chars().next() {
                None | Some('\n') => return Ok(names),
                Some('#') => self.skip(|c| c != '\n'),
                Some(_) => {
                    let start = self.at;
                    names.push((self.name()?, Value::Null, self.lines.place(start)));
                }
            }
        }
    }

    /// The name of a variable. A colon in it ends it where a blank follows.
    fn name(&mut self) -> Result<&'a str, Error> {
        let start = self.at;
        let rest = self.rest();
        let ends = |(at, c): &(usize, char)| match c {
            ':' => rest[at + 1..].chars().next().is_none_or(char::is_whitespace),
            c => !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '[' | ']' | '@' | '%' | '+')),
        };
        let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
        if end == 0 {
            return Err(self.malformed(start, "a name is expected"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn variable(&mut self) -> Result<Variable<'a>, Error> {
        let start = self.at;
        let name = self.name()?;
        let place = self.lines.place(start);
        let ends_name = self.at;
        self.skip_blanks();
        match self.rest().chars().next() {
            Some('=') => {}
            Some(':') if self.at == ends_name => {}
            None | Some('\n' | '#') => {
                self.skip(|c| c != '\n');
                return Ok((name, Value::Null, place));
            }
            Some(_) => return Err(self.malformed(self.at, "a `=` is expected after the name")),
        }
        self.at += 1;
        self.skip_blanks();
        let value = match self.rest().chars().next() {
            Some('"' | '\'' | '`') => self.quoted()?,
            _ => self.unquoted(),
        };
        Ok((name, Value::from(value), place))
    }

    /// The rest of the line, up to a comment behind a blank.
    fn unquoted(&mut self) -> String {
        let line = self.rest().split('\n').next().unwrap_or_default();
        self.at += line.len();
        let comment = line
            .char_indices()
            .find(|(i, c)| *c == '#' && line[..*i].chars().next_back().is_none_or(char::is_whitespace));
        line[..comment.map_or(line.len(), |(i, _)| i)].trim().to_owned()
    }

    /// A value that begins with a quote. Pieces that touch are one value; what stands behind a blank makes all of it literal, as in
    /// `X="a" b`.
    fn quoted(&mut self) -> Result<String, Error> {
        let start = self.at;
        let mut value = String::new();
        // Backticks are quotes to Node, and to a shell a command, which is kept as it is.
        let line = self.rest().split('\n').next().unwrap_or_default();
        let command = line.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        if command.is_some_and(|(command, _)| command.trim().contains(' ')) {
            return Ok(self.unquoted());
        }
        loop {
            match self.rest().chars().next() {
                Some(quote @ ('"' | '\'' | '`')) => self.piece(quote, &mut value)?,
                Some(c) if !c.is_whitespace() => {
                    value.push(c);
                    self.at += c.len_utf8();
                }
                _ => break,
            }
        }
        self.skip_blanks();
        match self.rest().chars().next() {
            None | Some('\n') => Ok(value),
            Some('#') => {
                self.skip(|c| c != '\n');
                Ok(value)
            }
            Some(_) => {
                let behind = self.unquoted();
                Ok(format!("{} {behind}", self.text[start..self.at].trim_end_matches(&behind).trim_end()))
            }
        }
    }

    /// The piece in quotes that begins here.
    fn piece(&mut self, quote: char, value: &mut String) -> Result<(), Error> {
        let start = self.at;
        let mut chars = self.rest().char_indices().skip(1);
        let end = loop {
            match chars.next() {
                Some((end, c)) if c == quote => break end,
                Some((_, '\\')) if quote == '"' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, c @ ('"' | '\\' | '$' | '`'))) => value.push(c),
                    Some((_, c)) => value.extend(['\\', c]),
                    None => return Err(self.malformed(start, "this quote does not end")),
                },
                Some((_, c)) => value.push(c),
                None => return Err(self.malformed(start, "this quote does not end")),
            }
        };
        self.at += end + 1;
        Ok(())
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !skipped(c)).unwrap_or(rest.len());
    }

    fn skip_blanks(&mut self) {
        self.skip(|c| c.is_whitespace() && c != '\n');
    }

    fn malformed(&self, offset: usize, why: &str) -> Error {
        Error::Malformed { format: Format::Env, at: self.lines.place(offset), why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use crate::Format::Env;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn values_are_read_as_a_shell_would() {
        check(
            Env,
            "# c\nexport A=1\nB = two words # comment\nC=\"x\\n$HOME\" # c\nD='a\\n\nb'\nE=\nF=a#b\nG=#c\n",
            &[
                ("A", "\"1\""),
                ("B", "\"two words\""),
                ("C", "\"x\\n$HOME\""),
                ("D", "\"a\\\\n\\nb\""),
                ("E", "\"\""),
                ("F", "\"a#b\""),
                ("G", "\"\""),
            ],
        );
    }

    #[test]
    fn every_spelling_that_some_reader_takes_is_read() {
        check(
            Env,
            "TZ\nHTTP_PROXY # from outside\nexport A B\nunset C D\nset -a\nE=`cat /x` # c\nE2=`xy`\nF=`two\nlines` # c\nG=\"a\"b'c'\n\
             H: yaml\nI = 'a' b\nJ=\nK=don't\nexport L: m\nM=a\"b\"\nnpm_config_//r/x=1\nN=\"a#b\" # c\nO=http://x:y\n",
            &[
                ("A", "null"),
                ("B", "null"),
                ("C", "null"),
                ("D", "null"),
                ("E", "\"`cat /x`\""),
                ("E2", "\"xy\""),
                ("F", "\"two\\nlines\""),
                ("G", "\"abc\""),
                ("H", "\"yaml\""),
                ("HTTP_PROXY", "null"),
                ("I", "\"'a' b\""),
                ("J", "\"\""),
                ("K", "\"don't\""),
                ("L", "\"m\""),
                ("M", "\"a\\\"b\\\"\""),
                ("N", "\"a#b\""),
                ("O", "\"http://x:y\""),
                ("TZ", "null"),
                ("npm_config_//r/x", "\"1\""),
            ],
        );
        check(
            Env,
            "A=1\nA=2\nexport=x\nunset = y\n",
            &[("A", "\"2\""), ("export", "\"x\""), ("unset", "\"y\"")],
        );
        check(Env, "A=1\nunset A\n", &[("A", "null")]);
    }

    #[test]
    fn errors_name_the_place() {
        check_error(Env, "A=1\nhunter2 hunter2", "malformed-document", 2, 9);
        check_error(Env, "A='hunter2", "malformed-document", 1, 3);
        check_error(Env, "A=\"hunter2\\", "malformed-document", 1, 3);
        check_error(Env, "=hunter2", "malformed-document", 1, 1);
    }
}
