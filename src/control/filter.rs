//! Which jobs a list shows: `state = STREAMING AND labels.env = "prod" AND name : "orders-*"`, a part of AIP-160.

use super::convert::{self, invalid};
use crate::{
    pipeline::status::Observed,
    state::{Desired, JobRecord},
};
use tonic::Status;

const LONGEST: usize = 1000;
const HINT: &str = "join terms by AND, for example: state = STREAMING AND labels.env = \"prod\" AND name : \"orders-*\"; \
                    fields are name, uid, state, desired_state, source, target and labels.KEY";

/// All of its terms must hold.
#[derive(Debug, Default)]
pub struct Filter(Vec<Term>);

#[derive(Debug, PartialEq)]
struct Term {
    field: Field,
    operator: Operator,
    value: String,
}

#[derive(Debug, PartialEq)]
enum Field {
    Name,
    Uid,
    State,
    DesiredState,
    Source,
    Target,
    Label(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    Unequal,
    /// Is there, and as `Equal`.
    Has,
}

impl Filter {
    pub fn parse(text: &str) -> Result<Filter, Status> {
        if text.len() > LONGEST {
            return Err(invalid("filter", &format!("longer than {LONGEST} bytes"), "ask for less at once"));
        }
        let mut words = words(text)?.into_iter().peekable();
        let mut terms = Vec::new();
        while words.peek().is_some() {
            if !terms.is_empty() && words.next() != Some(Word::Plain("AND".into())) {
                return Err(wrong("two terms without AND between them"));
            }
            let (Some(Word::Plain(field)), Some(Word::Operator(operator)), Some(value)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(wrong("a term is a field, then =, != or :, then a value"));
            };
            let value = match value {
                Word::Plain(value) | Word::Quoted(value) => value,
                Word::Operator(_) => return Err(wrong("an operator where a value should be")),
            };
            let field = field_of(&field)?;
            field.takes(&value)?;
            terms.push(Term { field, operator, value });
        }
        Ok(Filter(terms))
    }

    pub fn admits(&self, job: &JobRecord, observed: Observed) -> bool {
        self.0.iter().all(|term| term.holds(job, observed))
    }
}

impl Term {
    fn holds(&self, job: &JobRecord, observed: Observed) -> bool {
        let spec = &job.spec;
        let is = |found: &str| matches(self.value.as_bytes(), found.as_bytes());
        let found = match &self.field {
            Field::Name => is(&spec.name),
            Field::Uid => is(&job.id.to_string()),
            Field::State => {
                let name = convert::observed(observed).as_str_name();
                is_state(&self.value, name, "OBSERVED_STATE_")
            }
            Field::DesiredState => is_state(&self.value, convert::desired(job.desired).as_str_name(), "DESIRED_STATE_"),
            Field::Source => is(&spec.source.store),
            Field::Target => spec.targets.iter().any(|target| is(&target.store)),
            Field::Label(key) => spec.labels.get(key).is_some_and(|value| is(value)),
        };
        found != (self.operator == Operator::Unequal)
    }
}

impl Field {
    /// A state that is none would match no job, and look like all being well.
    fn takes(&self, value: &str) -> Result<(), Status> {
        let (prefix, names): (_, Vec<&str>) = match self {
            Field::State => ("OBSERVED_STATE_", Observed::ALL.map(|one| convert::observed(one).as_str_name()).into()),
            Field::DesiredState => {
                let all = [Desired::Created, Desired::Run, Desired::Pause, Desired::Delete];
                ("DESIRED_STATE_", all.map(|one| convert::desired(one).as_str_name()).into())
            }
            _ => return Ok(()),
        };
        if names.iter().any(|name| is_state(value, name, prefix)) {
            return Ok(());
        }
        let known: Vec<&str> = names.iter().map(|name| name.trim_start_matches(prefix)).collect();
        Err(wrong(&format!("`{value}` is no state: there are {}", known.join(", "))))
    }
}

fn is_state(wanted: &str, name: &str, prefix: &str) -> bool {
    // As people see it in a list it has a hyphen.
    let wanted = wanted.to_ascii_uppercase().replace('-', "_");
    wanted == name || name.strip_prefix(prefix) == Some(wanted.as_str())
}

fn field_of(name: &str) -> Result<Field, Status> {
    Ok(match name {
        "name" => Field::Name,
        "uid" => Field::Uid,
        "state" => Field::State,
        "desired_state" => Field::DesiredState,
        "source" => Field::Source,
        "target" => Field::Target,
        _ => match name.strip_prefix("labels.") {
            Some(key) if !key.is_empty() => Field::Label(key.to_owned()),
            _ => return Err(wrong(&format!("a job has no field `{name}` to filter by"))),
        },
    })
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Plain(String),
    Quoted(String),
    Operator(Operator),
}

fn words(text: &str) -> Result<Vec<Word>, Status> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, length) = match first {
            '=' => (Word::Operator(Operator::Equal), 1),
            ':' => (Word::Operator(Operator::Has), 1),
            '!' if rest.starts_with("!=") => (Word::Operator(Operator::Unequal), 2),
            '"' | '\'' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or_else(|| wrong("a quote that is not closed"))?;
                (Word::Quoted(inner[..end].to_owned()), end + 2)
            }
            _ => {
                let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '/');
                let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
                if end == 0 {
                    return Err(wrong(&format!("`{first}` has no meaning here")));
                }
                (Word::Plain(rest[..end].to_owned()), end)
            }
        };
        words.push(word);
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

fn wrong(text: &str) -> Status {
    invalid("filter", text, HINT)
}

/// `*` stands for any characters.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < text.len() {
        if glob.get(at) == Some(&b'*') {
            star = Some((at, from));
            at += 1;
        } else if glob.get(at) == Some(&text[from]) {
            (at, from) = (at + 1, from + 1);
        } else if let Some((place, taken)) = star {
            // One more character for the star.
            star = Some((place, taken + 1));
            (at, from) = (place + 1, taken + 1);
        } else {
            return false;
        }
    }
    glob[at..].iter().all(|&rest| rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{JobId, JobSpec},
        state::Desired,
    };

    fn job() -> JobRecord {
        let mut spec = JobSpec::new("orders-eu", "a", &["b", "c"]);
        spec.labels = [("env".into(), "prod west".into())].into();
        JobRecord::new(JobId(uuid::Uuid::nil()), spec, Desired::Run)
    }

    #[test]
    fn terms_hold_or_not() {
        let yes = [
            "",
            "state = STREAMING",
            "state=observed_state_streaming AND desired_state != PAUSE",
            "labels.env = \"prod west\" AND name : \"orders-*\"",
            "labels.env:*",
            "name = *-eu AND name != x*",
            "target = c AND source = 'a'",
            "state != catching-up AND state != catching_up AND state != CATCHING-UP",
            "labels.none != x",
        ];
        let no = ["state = FAILED", "name = orders", "labels.none:*", "target = a", "state != STREAMING", "name=\"\""];
        for (filters, admitted) in [(&yes[..], true), (&no[..], false)] {
            for text in filters {
                assert_eq!(Filter::parse(text).expect(text).admits(&job(), Observed::Streaming), admitted, "{text}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let bad = [
            "name",
            "name =",
            "name = a name = b",
            "name = a OR name = b",
            "size = 3",
            "labels. = x",
            "name = \"a",
            "NOT name = a",
            "(name = a)",
            "name > a",
            "name = a AND",
            "= a",
            "name = =",
            "state = FAILD",
            "desired_state != RUNNING",
        ];
        for text in bad {
            let refused = Filter::parse(text).expect_err(text);
            assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{text}");
        }
        assert!(Filter::parse(&"x".repeat(2000)).is_err());
    }
}
