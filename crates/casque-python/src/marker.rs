//! Environment markers: `python_version < "3.12" and sys_platform == "linux"`.

use std::collections::BTreeSet;

use pep440_rs::Version;

use crate::requirements::normalised;
use crate::version::satisfies;
use crate::{MarkerError, Target};

/// Parentheses in parentheses; nobody writes more, and each takes a piece of the stack.
const DEEPEST: usize = 32;

/// A condition on where a distribution is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    expression: Expression,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Compare { left: Operand, operator: String, right: Operand },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Variable(Variable),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    PythonVersion,
    FullVersion,
    Fixed(&'static str),
    Extra,
}

impl Marker {
    /// Parses a marker.
    pub fn parse(text: &str) -> Result<Self, MarkerError> {
        let refuse = || MarkerError::Syntax { text: text.trim().to_owned() };
        let mut parser = Parser { tokens: tokens(text).ok_or_else(refuse)?, next: 0, depth: 0, text };
        let expression = parser.any()?;
        if parser.next < parser.tokens.len() {
            return Err(refuse());
        }
        Ok(Self { expression })
    }

    /// Tells whether it holds on `target`, no extra being asked for.
    pub fn holds(&self, target: Target) -> Result<bool, MarkerError> {
        self.holds_with(target, "")
    }

    /// Tells whether it holds on `target` for whoever asks for one of `extras`, or for none.
    pub(crate) fn holds_for(&self, target: Target, extras: &BTreeSet<String>) -> Result<bool, MarkerError> {
        extras.iter().map(String::as_str).chain([""]).try_fold(false, |held, extra| {
            // Each is judged, so that what cannot be decided is found whatever the others say.
            Ok(held | self.holds_with(target, extra)?)
        })
    }

    fn holds_with(&self, target: Target, extra: &str) -> Result<bool, MarkerError> {
        self.expression.holds(&Surroundings { target, extra })
    }
}

/// What markers ask for.
struct Surroundings<'a> {
    target: Target,
    /// Normalised; empty for none.
    extra: &'a str,
}

impl Expression {
    fn holds(&self, target: &Surroundings<'_>) -> Result<bool, MarkerError> {
        match self {
            Self::Any(parts) => {
                // Each part is judged, so that one which cannot be is found whatever the others say.
                parts.iter().try_fold(false, |held, part| Ok(held | part.holds(target)?))
            }
            Self::All(parts) => parts.iter().try_fold(true, |held, part| Ok(held & part.holds(target)?)),
            Self::Compare { left, operator, right } => compare(left, operator, right, target),
        }
    }
}

fn compare(
    left: &Operand,
    operator: &str,
    right: &Operand,
    target: &Surroundings<'_>,
) -> Result<bool, MarkerError> {
    if !matches!(operator, "in" | "not in") {
        if let Some(version) = left.version(target) {
            return satisfies(&version, operator, &right.text(target));
        }
        if let Some(version) = right.version(target) {
            return satisfies(&version, mirrored(operator), &left.text(target));
        }
    }
    let is_extra = [left, right].iter().any(|operand| **operand == Operand::Variable(Variable::Extra));
    let (left, right) = (left.text(target), right.text(target));
    let (left, right) = if is_extra { (normalised(&left), normalised(&right)) } else { (left, right) };
    match operator {
        "==" | "===" => Ok(left == right),
        "!=" => Ok(left != right),
        "in" => Ok(right.contains(&left)),
        "not in" => Ok(!right.contains(&left)),
        "<" => Ok(left < right),
        "<=" => Ok(left <= right),
        ">" => Ok(left > right),
        ">=" => Ok(left >= right),
        _ => Err(MarkerError::Syntax { text: format!("{left} {operator} {right}") }),
    }
}

fn mirrored(operator: &str) -> &str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

impl Operand {
    fn version(&self, surroundings: &Surroundings<'_>) -> Option<Version> {
        let python = surroundings.target.python;
        match self {
            Self::Variable(Variable::PythonVersion) => {
                Some(Version::new([u64::from(python.major), python.minor.into()]))
            }
            Self::Variable(Variable::FullVersion) => Some(python.full()),
            _ => None,
        }
    }

    fn text(&self, surroundings: &Surroundings<'_>) -> String {
        let python = surroundings.target.python;
        match self {
            Self::Text(text) => text.clone(),
            Self::Variable(Variable::Fixed(text)) => (*text).to_owned(),
            Self::Variable(Variable::Extra) => surroundings.extra.to_owned(),
            Self::Variable(Variable::PythonVersion) => {
                format!("{}.{}", python.major, python.minor)
            }
            Self::Variable(Variable::FullVersion) => python.to_string(),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Operator(&'a str),
    Open,
    Close,
}

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' => {
                tokens.push(Token::Open);
                1
            }
            ')' => {
                tokens.push(Token::Close);
                1
            }
            '"' | '\'' => {
                let end = rest[1..].find(first)?;
                tokens.push(Token::Text(&rest[1..=end]));
                end + 2
            }
            '<' | '>' | '=' | '!' | '~' => {
                let end = rest.find(|symbol: char| !"<>=!~".contains(symbol)).unwrap_or(rest.len());
                tokens.push(Token::Operator(&rest[..end]));
                end
            }
            _ => {
                let is_word = |symbol: char| symbol.is_ascii_alphanumeric() || "_.".contains(symbol);
                let end = rest.find(|symbol: char| !is_word(symbol)).unwrap_or(rest.len());
                if end == 0 {
                    return None;
                }
                tokens.push(Token::Word(&rest[..end]));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    /// Parentheses that are open.
    depth: usize,
    text: &'a str,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, MarkerError> {
        let mut parts = vec![self.all()?];
        while self.takes(&Token::Word("or")) {
            parts.push(self.all()?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self) -> Result<Expression, MarkerError> {
        let mut parts = vec![self.one()?];
        while self.takes(&Token::Word("and")) {
            parts.push(self.one()?);
        }
        Ok(Expression::All(parts))
    }

    fn one(&mut self) -> Result<Expression, MarkerError> {
        if self.takes(&Token::Open) {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(self.refuse());
            }
            let inner = self.any()?;
            self.depth -= 1;
            return if self.takes(&Token::Close) { Ok(inner) } else { Err(self.refuse()) };
        }
        let left = self.operand()?;
        let operator = match self.tokens.get(self.next) {
            Some(Token::Operator(operator)) => (*operator).to_owned(),
            Some(Token::Word("in")) => "in".to_owned(),
            Some(Token::Word("not")) if self.tokens.get(self.next + 1) == Some(&Token::Word("in")) => {
                self.next += 1;
                "not in".to_owned()
            }
            _ => return Err(self.refuse()),
        };
        self.next += 1;
        let right = self.operand()?;
        Ok(Expression::Compare { left, operator, right })
    }

    fn operand(&mut self) -> Result<Operand, MarkerError> {
        let operand = match self.tokens.get(self.next) {
            Some(Token::Text(text)) => Operand::Text((*text).to_owned()),
            Some(Token::Word(word)) => Operand::Variable(variable(word)?),
            _ => return Err(self.refuse()),
        };
        self.next += 1;
        Ok(operand)
    }

    fn takes(&mut self, token: &Token<'_>) -> bool {
        let found = self.tokens.get(self.next) == Some(token);
        self.next += usize::from(found);
        found
    }

    fn refuse(&self) -> MarkerError {
        MarkerError::Syntax { text: self.text.trim().to_owned() }
    }
}

fn variable(name: &str) -> Result<Variable, MarkerError> {
    match name {
        "python_version" => Ok(Variable::PythonVersion),
        "python_full_version" | "implementation_version" => Ok(Variable::FullVersion),
        "os_name" | "os.name" => Ok(Variable::Fixed("posix")),
        "sys_platform" | "sys.platform" => Ok(Variable::Fixed("linux")),
        "platform_system" => Ok(Variable::Fixed("Linux")),
        "platform_machine" | "platform.machine" => Ok(Variable::Fixed("x86_64")),
        "implementation_name" => Ok(Variable::Fixed("cpython")),
        "platform_python_implementation" => Ok(Variable::Fixed("CPython")),
        "extra" => Ok(Variable::Extra),
        _ => Err(MarkerError::Variable { variable: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PythonVersion;

    fn holds(text: &str) -> Result<bool, String> {
        let python = PythonVersion { major: 3, minor: 11, patch: 2 };
        let target = Target { python, glibc_minor: 36 };
        Marker::parse(text).and_then(|marker| marker.holds(target)).map_err(|error| error.to_string())
    }

    #[test]
    fn markers_are_decided_for_the_target() {
        for text in [
            "python_version >= '3.9'",
            "'3.9' <= python_version",
            "python_full_version < \"3.11.3\"",
            "sys_platform == 'linux' and platform_machine == \"x86_64\"",
            "sys_platform == 'win32' or os_name == 'posix'",
            "sys_platform == 'win32' and os_name == 'nt' or python_version < '4'",
            "(sys_platform == 'win32' or os_name == 'posix') and python_version not in '2.7'",
            "platform_python_implementation != 'PyPy'",
            "'linux' in sys_platform",
        ] {
            assert_eq!(holds(text), Ok(true), "{text}");
        }
        for text in [
            "python_version < '3.11'",
            "extra == 'async'",
            "sys_platform == 'win32' and (os_name == 'posix' or python_version < '4')",
        ] {
            assert_eq!(holds(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn an_extra_is_asked_for_under_any_spelling() {
        let python = PythonVersion { major: 3, minor: 11, patch: 2 };
        let target = Target { python, glibc_minor: 36 };
        let holds = |text: &str, extras: &[&str]| {
            let extras = extras.iter().map(|extra| (*extra).to_owned()).collect();
            Marker::parse(text).unwrap().holds_for(target, &extras).unwrap()
        };
        assert!(holds("extra == 'Redis_Cluster'", &["redis-cluster", "s3"]));
        assert!(!holds("extra == 'redis'", &["s3"]));
        assert!(holds("os_name == 'posix'", &["s3"]));
    }

    #[test]
    fn what_cannot_be_decided_is_refused() {
        let refused = |text: &str| holds(text).unwrap_err();
        assert_eq!(refused("python_version <"), "marker `python_version <` cannot be understood");
        assert_eq!(
            refused("platform_release > '5' or os_name == 'posix'"),
            "a marker asks for `platform_release`, which is not known when building"
        );
        assert_eq!(
            refused("python_version < 'three'"),
            "a marker compares with `three`, which is not a version such as `3.11`"
        );
        for text in
            ["", "()", "'a", "os_name == 'a' os_name == 'b'", "(os_name == 'a'", "os_name ~= 'a'", "%"]
        {
            assert!(refused(text).contains("cannot be understood"), "{text}");
        }
    }
}
