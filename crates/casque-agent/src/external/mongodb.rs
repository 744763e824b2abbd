//! MongoDB, asked over its wire protocol (OP_MSG): hello, log in, ping. No right is needed for any of them.

use bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::scram::Scram;
use super::stream::Duplex;
use super::{Refusal, Target, shown};

const OP_MSG: i32 = 2013;
const HEADER: usize = 16;
/// Flags and the kind of the one section.
const BODY: usize = 5;
/// Longer answers to these questions are none of a MongoDB.
const LONGEST_ANSWER: usize = 1 << 20;
const SCRAM: &str = "SCRAM-SHA-256";
const AUTHENTICATION_FAILED: i32 = 18;
const COMMAND_NOT_FOUND: i32 = 59;

/// Returns what answers.
///
/// # Errors
/// What it refuses.
pub async fn ask(stream: &mut Box<dyn Duplex>, target: &Target) -> Result<String, Refusal> {
    let source = source(target);
    let mut hello = doc! { "hello": 1, "$db": "admin" };
    if !target.user.is_empty() {
        hello.insert("saslSupportedMechs", format!("{source}.{}", target.user));
    }
    let answer = match command(stream, target, hello).await? {
        Ok(answer) => answer,
        Err(failure) if failure.code == COMMAND_NOT_FOUND => {
            return Ok("a MongoDB older than 4.4.2; its log-in was not tried".to_owned());
        }
        Err(failure) => return Err(failure.refusal("reached, but it does not serve")),
    };
    belongs(&answer, target)?;
    let what = what(&answer, target);
    let logged_in = match &target.password {
        Some(password) => log_in(stream, target, password, &source, &answer).await?,
        None => "",
    };
    match command(stream, target, doc! { "ping": 1, "$db": "admin" }).await? {
        Ok(_) => Ok(format!("{what}{logged_in}")),
        Err(failure) => Err(failure.refusal(&format!("reached {what}, but it does not serve"))),
    }
}

/// Returns the database that knows the user.
fn source(target: &Target) -> String {
    let named = target.options.get("authsource").map(String::as_str);
    let path = target.path.trim_matches('/');
    named.unwrap_or(if path.is_empty() { "admin" } else { path }).to_owned()
}

fn what(hello: &RawDocument, target: &Target) -> String {
    match hello.get_str("setName") {
        Ok(set) => format!("a MongoDB of the replica set `{}`", shown(set, target)),
        Err(_) => "a MongoDB".to_owned(),
    }
}

/// Refuses a server of another replica set, as drivers do, and a set in which nobody takes writes.
fn belongs(hello: &RawDocument, target: &Target) -> Result<(), Refusal> {
    let set = hello.get_str("setName").ok();
    if let Some(wanted) = target.options.get("replicaset")
        && set != Some(wanted)
    {
        let own = set.map_or("of none".to_owned(), |set| format!("of `{}`", shown(set, target)));
        return Err(Refusal::lasting(format!("reached, but it is {own}, not of the replica set `{wanted}`")));
    }
    let writable = hello.get_bool("isWritablePrimary").unwrap_or(false);
    let knows_who = hello.get_str("primary").is_ok();
    match set {
        Some(set) if !writable && !knows_who => {
            let set = shown(set, target);
            Err(Refusal::passing(format!("reached, but the replica set `{set}` has no primary now")))
        }
        _ => Ok(()),
    }
}

/// Returns what to add to the description of the server.
async fn log_in(
    stream: &mut Box<dyn Duplex>,
    target: &Target,
    password: &str,
    source: &str,
    hello: &RawDocument,
) -> Result<&'static str, Refusal> {
    let mechanism = target.options.get("authmechanism").map_or(SCRAM, String::as_str);
    // Nothing here is what the server knows of a user that is not there.
    let offered = hello.get_array("saslSupportedMechs").ok();
    let is_scram = |one: RawBsonRef<'_>| one.as_str() == Some(SCRAM);
    let offers = offered.is_none_or(|all| all.into_iter().flatten().any(is_scram));
    if mechanism != SCRAM || !offers {
        return Ok("; its log-in, which is not by SCRAM-SHA-256, was not tried");
    }
    let refused =
        format!("reached {}, but user `{}` of `{source}` is refused", what(hello, target), target.user);
    let mut nonce = [0; 24];
    let lasting = |reason: String| Refusal::lasting(format!("{refused}: {reason}"));
    getrandom::fill(&mut nonce).map_err(|error| lasting(error.to_string()))?;
    let scram = Scram::new(&target.user, password, &nonce).map_err(lasting)?;
    let start = doc! {
        "saslStart": 1, "mechanism": SCRAM, "payload": binary(&scram.message()), "$db": source,
        "options": { "skipEmptyExchange": true },
    };
    let answer = command(stream, target, start).await?.map_err(|failure| failure.refusal(&refused))?;
    let proof = scram.answer(&payload(&answer)).map_err(lasting)?;
    let id = answer.get_i32("conversationId").unwrap_or(1);
    let next =
        doc! { "saslContinue": 1, "conversationId": id, "payload": binary(&proof.message), "$db": source };
    let answer = command(stream, target, next).await?.map_err(|failure| failure.refusal(&refused))?;
    if !proof.is_answered_by(&payload(&answer)) {
        return Err(lasting("the server does not know the password itself".to_owned()));
    }
    Ok(", and lets the user in")
}

fn binary(text: &str) -> bson::Binary {
    bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: text.as_bytes().to_vec() }
}

fn payload(answer: &RawDocument) -> String {
    let bytes = answer.get_binary("payload").map(|binary| binary.bytes).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a server says when it does not do something.
struct Failure {
    code: i32,
    text: String,
}

impl Failure {
    fn refusal(self, what: &str) -> Refusal {
        // Whatever else it is, such as a start or an election, may go by.
        Refusal { text: format!("{what}: {}", self.text), lasting: self.code == AUTHENTICATION_FAILED }
    }
}

/// Returns the answer as it came: what is asked of it is looked up in its bytes, however deep documents are in documents.
async fn command(
    stream: &mut Box<dyn Duplex>,
    target: &Target,
    command: Document,
) -> Result<Result<RawDocumentBuf, Failure>, Refusal> {
    let broken =
        |error: std::io::Error| Refusal::passing(format!("reached, but the connection broke: {error}"));
    let foreign = || Refusal::lasting("reached, but what answers is no MongoDB");
    let body = command.to_vec().map_err(|error| Refusal::lasting(error.to_string()))?;
    let length = i32::try_from(HEADER + BODY + body.len()).map_err(|_| foreign())?;
    let mut request = Vec::new();
    for number in [length, 1, 0, OP_MSG, 0] {
        request.extend(number.to_le_bytes());
    }
    request.push(0);
    request.extend(body);
    stream.write_all(&request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut head = [0; HEADER + BODY];
    stream.read_exact(&mut head).await.map_err(broken)?;
    let number = |at: usize| i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = usize::try_from(number(0)).unwrap_or_default();
    if number(12) != OP_MSG
        || head[HEADER + BODY - 1] != 0
        || !(head.len()..=LONGEST_ANSWER).contains(&length)
    {
        return Err(foreign());
    }
    let mut body = vec![0; length - head.len()];
    stream.read_exact(&mut body).await.map_err(broken)?;
    let answer = RawDocumentBuf::from_bytes(body).map_err(|_| foreign())?;
    // A double, an integer or a bool, whatever the version.
    let ok = answer
        .get("ok")
        .map_err(|_| foreign())?
        .is_some_and(|ok| ok.as_f64() == Some(1.0) || ok.as_i32() == Some(1) || ok.as_bool() == Some(true));
    if ok {
        return Ok(Ok(answer));
    }
    let text = shown(answer.get_str("errmsg").unwrap_or("it gives no reason"), target);
    Ok(Err(Failure { code: answer.get_i32("code").unwrap_or_default(), text }))
}
