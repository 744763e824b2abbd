//! The blocks of commands in a handbook, for programs that run them.

use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};
use serde::Serialize;

use crate::markdown::parser;

/// The language of a block that a shell runs as it is.
const LANGUAGE: &str = "sh";

/// Commands for a POSIX shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    /// What it does in one word, unique in the handbook and the same in every product's.
    pub name: String,
    /// The heading above it.
    pub section: String,
    /// What a shell is given, line breaks included.
    pub commands: String,
}

/// Returns every block whose language is `sh`; the second word of its info string is its name.
pub(crate) fn of(markdown: &str) -> Vec<Block> {
    let (mut blocks, mut section) = (Vec::new(), String::new());
    let (mut in_heading, mut open): (bool, Option<Block>) = (false, None);
    for event in parser(markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                section.clear();
                in_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => in_heading = false,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let mut words = info.split_whitespace();
                let is_shell = words.next() == Some(LANGUAGE);
                open = is_shell.then(|| Block {
                    name: words.next().unwrap_or_default().to_owned(),
                    section: section.clone(),
                    commands: String::new(),
                });
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            Event::Text(text) | Event::Code(text) => match &mut open {
                Some(block) => block.commands += &text,
                None if in_heading => section += &text,
                None => {}
            },
            _ => {}
        }
    }
    blocks
}
