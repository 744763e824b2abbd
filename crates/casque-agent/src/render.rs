//! Replaces the marks of a text by the values of the settings.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::marks::{Filter, Mark, MarkError, scan};
use casque_format::settings::Kind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};
use thiserror::Error;

use crate::filters;
use crate::settings::{Resolved, Settings, closest};

/// Why a text cannot be rendered. Never shows a value.
#[derive(Debug, Error)]
pub enum RenderError {
    /// A mark nobody can understand.
    #[error(transparent)]
    Mark(MarkError),
    /// A mark that names no setting.
    #[error("line {line}: mark `{mark}` names no setting{}", suggestion(.closest.as_deref()))]
    Unknown {
        /// Counted from 1.
        line: usize,
        /// As it is in the file.
        mark: String,
        /// The name that was most likely meant.
        closest: Option<String>,
    },
    /// A value that the file's syntax cannot hold.
    #[error("line {line}: mark `{mark}`: {reason}")]
    Refused {
        /// Counted from 1.
        line: usize,
        /// As it is in the file.
        mark: String,
        /// What the filter says.
        reason: String,
    },
}

/// The settings, ready to be written into files.
pub struct Renderer {
    engine: Environment<'static>,
    values: BTreeMap<String, String>,
    /// Those of the values that have several items.
    lists: BTreeSet<String>,
}

impl Renderer {
    /// Takes the values of `settings`; one that is not given is the empty text.
    pub fn new(settings: &Settings) -> Self {
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        for filter in Filter::ALL {
            engine.add_filter(filter.name(), move |value: String| {
                filters::apply(filter, &value)
                    .map_err(|refusal| Error::new(ErrorKind::InvalidOperation, refusal))
            });
        }
        let value = |(name, resolved): (&String, &Resolved)| {
            (name.clone(), resolved.text().unwrap_or_default().to_owned())
        };
        let lists = settings.iter().filter(|(_, resolved)| resolved.setting.kind == Kind::List);
        let lists = lists.map(|(name, _)| name.clone()).collect();
        Self { engine, values: settings.iter().map(value).collect(), lists }
    }

    /// Returns `text` with every mark replaced.
    pub fn render(&self, text: &str) -> Result<String, RenderError> {
        let mut rendered = String::with_capacity(text.len());
        let mut position = 0;
        for mark in scan(text).map_err(RenderError::Mark)? {
            rendered.push_str(&text[position..mark.range.start]);
            rendered.push_str(&self.evaluate(&mark, &text[mark.range.clone()])?);
            position = mark.range.end;
        }
        rendered.push_str(&text[position..]);
        Ok(rendered)
    }

    fn evaluate(&self, mark: &Mark, shown: &str) -> Result<String, RenderError> {
        let Some(value) = self.values.get(&mark.name) else {
            let names = self.values.keys().map(String::as_str);
            let closest = closest(&mark.name, names).map(str::to_owned);
            return Err(RenderError::Unknown { line: mark.line, mark: shown.to_owned(), closest });
        };
        if let Some((filter @ (Filter::Json | Filter::Yaml), rest)) = mark.filters.split_first()
            && self.lists.contains(&mark.name)
        {
            let items = value.split(',').filter(|item| !item.is_empty());
            let items: Result<Vec<String>, _> =
                items.map(|item| self.filter(item, &[*filter], mark, shown)).collect();
            return self.filter(&format!("[{}]", items?.join(",")), rest, mark, shown);
        }
        self.filter(value, &mark.filters, mark, shown)
    }

    fn filter(
        &self,
        value: &str,
        filters: &[Filter],
        mark: &Mark,
        shown: &str,
    ) -> Result<String, RenderError> {
        // One fixed variable: a setting may be called `not` or `true`, and has hyphens besides.
        let mut expression = String::from("value");
        for filter in filters {
            expression.extend(["|", filter.name()]);
        }
        let context = context! { value };
        let evaluated =
            self.engine.compile_expression(&expression).and_then(|compiled| compiled.eval(context));
        evaluated.map(|value| value.to_string()).map_err(|error| RenderError::Refused {
            line: mark.line,
            mark: shown.to_owned(),
            reason: error.detail().unwrap_or("the value cannot be written").to_owned(),
        })
    }
}

fn suggestion(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use casque_format::settings::Setting;

    use super::*;
    use crate::settings::{Origin, Resolved, Text, Value};

    fn renderer() -> Renderer {
        let resolved = |value| Resolved {
            setting: Setting::default(),
            value,
            origin: Origin::Unset,
            warnings: Vec::new(),
        };
        let text = |text: &str| resolved(Value::Known(Text::new(text.to_owned())));
        let mut list = text("a,b\"c");
        list.setting.kind = Kind::List;
        let empty_list = Resolved { value: Value::Unset, ..list.clone() };
        Renderer::new(&Settings::from([
            ("smtp-url".to_owned(), text("a\"$b <&> {{ c }}")),
            ("not".to_owned(), text("7")),
            ("empty".to_owned(), resolved(Value::Unset)),
            ("list".to_owned(), list),
            ("empty-list".to_owned(), empty_list),
        ]))
    }

    #[test]
    fn marks_become_values_and_all_else_stays() {
        let rendered =
            renderer().render("x={{ y }} @casque{smtp-url} @casque{not}\n{% z %}@casque{empty}|\n");
        assert_eq!(rendered.unwrap(), "x={{ y }} a\"$b <&> {{ c }} 7\n{% z %}|\n");
    }

    #[test]
    fn filters_apply_in_their_order() {
        let rendered =
            renderer().render("@casque{smtp-url|json} @casque{not|json|shell} @casque{empty|yaml}");
        assert_eq!(rendered.unwrap(), "\"a\\\"$b <&> {{ c }}\" '\"7\"' \"\"");
    }

    #[test]
    fn a_list_is_one_where_the_syntax_has_lists() {
        let rendered = renderer()
            .render("@casque{list|json} @casque{list|yaml|shell} @casque{list|ini} @casque{empty-list|json}");
        assert_eq!(rendered.unwrap(), "[\"a\",\"b\\\"c\"] '[\"a\",\"b\\\"c\"]' a,b\"c []");
    }

    #[test]
    fn errors_name_line_and_mark_and_no_value() {
        let message = |text: &str| renderer().render(text).unwrap_err().to_string();
        assert_eq!(
            message("\n@casque{smtp-ulr|json}"),
            "line 2: mark `@casque{smtp-ulr|json}` names no setting, did you mean `smtp-url`?"
        );
        assert_eq!(message("@casque{zzzzzz}"), "line 1: mark `@casque{zzzzzz}` names no setting");
        assert_eq!(
            message("@casque{smtp-url|nginx}"),
            "line 1: mark `@casque{smtp-url|nginx}`: the value has a `$`, which nginx takes for a variable and cannot escape"
        );
        assert_eq!(message("@casque{not"), "line 1: mark `@casque{not` is not closed on its line");
    }
}
