//! The handbook as a page: nothing in it runs, and it needs nothing from elsewhere.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Tag, TagEnd, html};

use crate::markdown::parser;

const STYLE: &str = include_str!("page.css");

/// Returns the page of a Markdown text.
pub(crate) fn render(title: &str, markdown: &str) -> String {
    let (body, headings) = body(markdown);
    let links: String = headings
        .iter()
        .map(|(id, text)| format!("<li><a href=\"#{id}\">{}</a></li>\n", text_of(text)))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<nav aria-label=\"Contents\">\n<ul>\n{links}</ul>\n\
         </nav>\n<main>\n{body}</main>\n</body>\n</html>\n",
        text_of(title)
    )
}

/// Returns the text as HTML, and the id and the text of each heading of the second level.
fn body(markdown: &str) -> (String, Vec<(String, String)>) {
    let mut events: Vec<Event<'_>> = Vec::new();
    let mut headings = Vec::new();
    let (mut heading, mut text): (Option<usize>, String) = (None, String::new());
    let (mut in_head, mut column, mut titles): (bool, usize, Vec<String>) = (false, 0, Vec::new());
    for event in parser(markdown) {
        match &event {
            // The template has no HTML, so this would be somebody's who wrote a description.
            Event::Html(raw) | Event::InlineHtml(raw) => {
                events.push(Event::Text(raw.clone()));
                continue;
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => continue,
            Event::Start(Tag::Heading { .. }) => (heading, text) = (Some(events.len()), String::new()),
            Event::End(TagEnd::Heading(level)) => {
                let id = id_of(&text);
                if let Some(Event::Start(Tag::Heading { id: place, .. })) =
                    heading.take().and_then(|index| events.get_mut(index))
                {
                    *place = Some(CowStr::from(id.clone()));
                }
                if *level == HeadingLevel::H2 {
                    headings.push((id, text.clone()));
                }
            }
            Event::Start(Tag::TableHead) => (in_head, titles) = (true, Vec::new()),
            Event::End(TagEnd::TableHead) => in_head = false,
            Event::Start(Tag::TableRow) => column = 0,
            Event::Start(Tag::TableCell) if in_head => text.clear(),
            Event::End(TagEnd::TableCell) if in_head => titles.push(text.clone()),
            // A narrow screen shows a row as a list; each cell says there what it is.
            Event::Start(Tag::TableCell) => {
                let title = text_of(titles.get(column).map_or("", String::as_str));
                column += 1;
                events.push(Event::InlineHtml(format!("<td data-title=\"{title}\">").into()));
                continue;
            }
            Event::End(TagEnd::TableCell) => {
                events.push(Event::InlineHtml("</td>".into()));
                continue;
            }
            Event::Text(more) | Event::Code(more) => text += more,
            _ => {}
        }
        events.push(event);
    }
    let mut out = String::new();
    html::push_html(&mut out, events.into_iter());
    (out, headings)
}

/// Returns what a link to a heading says, as most readers of Markdown make it.
fn id_of(heading: &str) -> String {
    let letters = heading.chars().filter(|letter| letter.is_alphanumeric() || " -".contains(*letter));
    letters.collect::<String>().to_lowercase().replace(' ', "-")
}

fn text_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            letter => out.push(letter),
        }
    }
    out
}
