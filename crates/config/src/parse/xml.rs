//! XML 1.0: elements as maps, attributes under `@name`, text under `#text`, elements of one name as a list.
//!
//! Of a document type only entities are read that stand for plain text: those that refer to others or to files, the stuff of expansion
//! bombs, are unknown, and all together may not make the document twice as long. Namespaces are prefixes here, no more; comments and processing instructions
//! do not count.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use quick_xml::Reader as Events;
use quick_xml::errors::IllFormedError;
use quick_xml::escape::{resolve_predefined_entity, unescape_with};
use quick_xml::events::{BytesStart, Event};
use serde_json::Value;

use crate::lines::LineIndex;
use crate::lines::Place;
use crate::secrets::is_secret_key;
use crate::tree::{Builder, Entries, Node, insert};
use crate::{Error, Format, Limits};

/// The longest text that an entity of a document stands for, in bytes.
const MAX_ENTITY: usize = 4 << 10;

/// Reads an XML document. Its only field besides those of the root element is none: paths begin with the root's name.
pub(super) fn read<'a>(text: &'a str, limits: &Limits) -> Result<Option<Node<'a>>, Error> {
    let mut reader = Reader {
        lines: LineIndex::new(text),
        builder: Builder::new(limits),
        open: Vec::new(),
        root: None,
        entities: HashMap::new(),
        room: Cell::new(text.len() + MAX_ENTITY),
    };
    let mut events = Events::from_str(text);
    events.config_mut().check_comments = true;
    loop {
        let start = events.buffer_position() as usize;
        let at = reader.lines.place(start);
        match events.read_event() {
            Ok(Event::Eof) => break,
            Ok(event) => reader.take(event, at)?,
            Err(error) => {
                let at = reader.lines.place(events.error_position() as usize);
                return Err(malformed(at, reason(&error)));
            }
        }
    }
    let end = reader.lines.place(text.len());
    match (reader.open.last(), reader.root) {
        (Some(open), _) => Err(malformed(open.at, "this element does not end")),
        (None, None) => Err(malformed(end, "there is no element")),
        (None, root) => Ok(root),
    }
}

struct Reader<'a> {
    lines: LineIndex<'a>,
    builder: Builder,
    open: Vec<Element<'a>>,
    root: Option<Node<'a>>,
    /// The texts that the document type gives names to.
    entities: HashMap<String, String>,
    /// The number of bytes that entities may still bring in.
    room: Cell<usize>,
}

/// An element whose end has not come yet.
struct Element<'a> {
    name: String,
    at: Place,
    attributes: Entries<'a>,
    children: BTreeMap<String, Vec<Node<'a>>>,
    text: String,
}

impl<'a> Reader<'a> {
    fn take(&mut self, event: Event<'a>, at: Place) -> Result<(), Error> {
        match event {
            Event::Start(start) => self.begin(start, at),
            Event::Empty(start) => {
                self.begin(start, at)?;
                self.end()
            }
            Event::End(_) => self.end(),
            Event::Text(text) => {
                let text = text.decode().map_err(|_| malformed(at, "this is not UTF-8"))?;
                self.text(&text, at)
            }
            Event::CData(text) => {
                let text = text.decode().map_err(|_| malformed(at, "this is not UTF-8"))?;
                self.text(&text, at)
            }
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(|_| malformed(at, "this is not UTF-8"))?;
                let text = self.resolved(&format!("&{name};"), at)?.into_owned();
                self.text(&text, at)
            }
            Event::DocType(doctype) => {
                let declared = utf8(&doctype, at)?;
                if let Some((_, subset)) = declared.split_once('[') {
                    self.entities = entities(subset).ok_or_else(|| {
                        malformed(at, "this document type has more than entities of plain text")
                    })?;
                }
                Ok(())
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Ok(()),
            Event::Eof => Ok(()),
        }
    }

    /// Text with its references to characters, to the five entities that XML itself knows, and to those of the document type.
    fn resolved<'t>(&self, text: &'t str, at: Place) -> Result<Cow<'t, str>, Error> {
        let is_over = Cell::new(false);
        let entity = |name: &str| {
            let text =
                resolve_predefined_entity(name).or_else(|| self.entities.get(name).map(String::as_str))?;
            let left = self.room.get().checked_sub(text.len());
            is_over.set(is_over.get() || left.is_none());
            self.room.set(left?);
            Some(text)
        };
        unescape_with(text, entity).map_err(|_| {
            malformed(
                at,
                match is_over.get() {
                    true => "entities make this document more than twice as long",
                    false => "a reference is malformed, or to an entity that is not known",
                },
            )
        })
    }

    fn begin(&mut self, start: BytesStart<'a>, at: Place) -> Result<(), Error> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(malformed(at, "a document has one root element"));
        }
        // The root is below a map of its own, and a list may come around an element.
        self.builder.check_depth(self.open.len() + 2, at)?;
        let name = utf8(start.name().as_ref(), at)?;
        if is_secret_key(&name) {
            return Err(Error::SecretInKey { at });
        }
        let mut attributes = Entries::new();
        // Duplicates are found by `insert`: quick-xml compares every attribute with every other.
        for attribute in start.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|_| malformed(at, "an attribute of this element is malformed"))?;
            let key = format!("@{}", utf8(attribute.key.as_ref(), at)?);
            let value = utf8(&attribute.value, at)?;
            let leaf = self.builder.leaf(at, Value::from(self.resolved(&value, at)?))?;
            insert(&mut attributes, key.into(), at, leaf)?;
        }
        self.open.push(Element { name, at, attributes, children: BTreeMap::new(), text: String::new() });
        Ok(())
    }

    fn text(&mut self, text: &str, at: Place) -> Result<(), Error> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(malformed(at, "text stands outside the root element")),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(element) = self.open.pop() else { return Ok(()) };
        let Element { name, at, attributes: mut entries, children, text } = element;
        for (name, mut nodes) in children {
            let node = match nodes.len() {
                1 => nodes.remove(0),
                _ => self.builder.list(at, nodes)?,
            };
            entries.insert(name.into(), node);
        }
        // White space around text is layout.
        let text = text.trim();
        let node = if entries.is_empty() {
            self.builder.leaf(at, text.into())?
        } else {
            if !text.is_empty() {
                let leaf = self.builder.leaf(at, text.into())?;
                insert(&mut entries, "#text".into(), at, leaf)?;
            }
            self.builder.map(at, entries)?
        };
        match self.open.last_mut() {
            Some(above) => above.children.entry(name).or_default().push(node),
            None => self.root = Some(self.builder.map(at, Entries::from([(name.into(), node)]))?),
        }
        Ok(())
    }
}

fn utf8(bytes: &[u8], at: Place) -> Result<String, Error> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| malformed(at, "this is not UTF-8"))
}

/// The entities that a document type's declarations define, or nothing where these have parameters, which may be anything. Entities
/// in other files, and those that refer to others, are left out: whoever refers to one refers to what is not known.
fn entities(subset: &str) -> Option<HashMap<String, String>> {
    const MOST: usize = 1_000;
    let mut found = HashMap::new();
    let mut rest = subset;
    loop {
        rest = rest.trim_start();
        if rest.starts_with(']') || rest.is_empty() {
            return Some(found);
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->")?.1;
            continue;
        }
        let end = ends(rest)?;
        let declaration = &rest[..end];
        rest = &rest[end + 1..];
        let Some(entity) = declaration.strip_prefix("<!ENTITY") else {
            match declaration.starts_with("<!") {
                true => continue,
                false => return None,
            }
        };
        let (name, value) = entity.trim_start().split_once(char::is_whitespace)?;
        let value = value.trim();
        if name == "%" || found.len() == MOST {
            return None;
        }
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let text = quote.and_then(|quote| value[1..].strip_suffix(quote));
        if let Some(text) = text.filter(|text| text.len() <= MAX_ENTITY && !text.contains(['&', '%', '<'])) {
            // The first declaration holds.
            found.entry(name.to_owned()).or_insert_with(|| text.to_owned());
        }
    }
}

/// Finds the end of a declaration: the first `>` outside quotes.
fn ends(declaration: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in declaration.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == '>' => return Some(at),
            _ => {}
        }
    }
    None
}

/// The parser's own messages quote names, which may be anything.
fn reason(error: &quick_xml::Error) -> &'static str {
    match error {
        quick_xml::Error::IllFormed(IllFormedError::MismatchedEndTag { .. }) => {
            "this end tag is not that of the open element"
        }
        quick_xml::Error::IllFormed(IllFormedError::UnmatchedEndTag(_)) => "this end tag closes nothing",
        quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(_)) => "this element does not end",
        quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) => {
            "this reference does not end; write &amp; for &"
        }
        quick_xml::Error::Syntax(_) => "a tag, comment or section does not end",
        _ => "this is no XML",
    }
}

fn malformed(at: Place, why: &str) -> Error {
    Error::Malformed { format: Format::Xml, at, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::Format::Xml;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn elements_attributes_and_text() {
        check(
            Xml,
            "<?xml version=\"1.0\"?>\n<!DOCTYPE c SYSTEM \"c.dtd\">\n<!-- c -->\n<c v=\"1 &amp; &#x32;\" x:y='z'>\n\
             <host>a<![CDATA[<b>]]>&lt;</host>\n<on/><port p='1'>80</port>\n<l>1</l><l/><l><a.b>ü</a.b></l>\n</c>\n",
            &[
                ("c.@v", "\"1 & 2\""),
                ("c.@x:y", "\"z\""),
                ("c.host", "\"a<b><\""),
                ("c.l[0]", "\"1\""),
                ("c.l[1]", "\"\""),
                ("c.l[2].\"a.b\"", "\"ü\""),
                ("c.on", "\"\""),
                ("c.port.#text", "\"80\""),
                ("c.port.@p", "\"1\""),
            ],
        );
        check(Xml, "<a>one <b>two</b> three</a>", &[("a.#text", "\"one  three\""), ("a.b", "\"two\"")]);
        check(Xml, "<a/>", &[("a", "\"\"")]);
        check(
            Xml,
            "<!DOCTYPE a SYSTEM 'a.dtd' [\n<!-- c -->\n<!ELEMENT a (#PCDATA)>\n<!ENTITY co \"Acme > Co\">\n<!ENTITY f SYSTEM 'f.xml'>\n]>\n\
             <a b='&co;'>&co; &#169;</a>",
            &[("a.#text", "\"Acme > Co ©\""), ("a.@b", "\"Acme > Co\"")],
        );
    }

    #[test]
    fn errors_name_the_place() {
        for (text, code, line, column) in [
            ("<a>\n<b x='1' x='2'/></a>", "duplicate-key", 2, 1),
            ("<a><ghp_hunter2hunter2hunter2/></a>", "secret-in-key", 1, 4),
            ("<a>\n</b>", "malformed-document", 2, 1),
            ("<a>", "malformed-document", 1, 1),
            ("</a>", "malformed-document", 1, 1),
            ("<a", "malformed-document", 1, 1),
            ("<a/><b/>", "malformed-document", 1, 5),
            ("<a/>hunter2", "malformed-document", 1, 5),
            ("hunter2", "malformed-document", 1, 1),
            ("<!-- c -->", "malformed-document", 1, 11),
            ("<a>&hunter2;</a>", "malformed-document", 1, 4),
            ("<a>x & y</a>", "malformed-document", 1, 6),
            ("<a b=hunter2/>", "malformed-document", 1, 1),
            ("<a b='&hunter2;'/>", "malformed-document", 1, 1),
        ] {
            check_error(Xml, text, code, line, column);
        }
    }

    #[test]
    fn secrets_in_attributes_are_found_by_their_neighbours() {
        use crate::{Limits, Policy, RedactionKey, Redactor, parse};
        let text = "<c><property name='db.password' value='hunter2'/><property name='db.host' value='h'/>\
                    <entry key='apiToken'>hunter2</entry><db password='hunter2'/><secret>hunter2</secret></c>";
        let mut doc = parse(text.as_bytes(), Xml, &Limits::default()).unwrap();
        let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
        assert_eq!(doc.digest_then_redact(&redactor).1.values().sum::<u64>(), 4, "{doc:?}");
        assert!(!format!("{doc:?}").contains("hunter2"), "{doc:?}");
    }

    #[test]
    fn bombs_do_not_go_off() {
        let bomb = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>\n<l>&b;</l>";
        check_error(Xml, bomb, "malformed-document", 2, 4);
        let outside = "<!DOCTYPE l [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><l>&f;</l>";
        check_error(Xml, outside, "malformed-document", 1, 58);
        let wide =
            format!("<!DOCTYPE l [<!ENTITY a \"{}\">]>\n<l>{}</l>", "x".repeat(4_000), "&a;".repeat(1_000));
        check_error(Xml, &wide, "malformed-document", 2, 10);
        check_error(Xml, &"<a>".repeat(100_000), "too-deep", 1, 382);
    }
}
