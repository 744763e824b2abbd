//! What answers in place of a mail server. Whatever it says, the dialogue goes on or ends, and no password is shown.

use std::io::Cursor;
use std::net::Ipv4Addr;

use casque_fuzz::fuzz;
use tokio::io::{join, sink};
use tokio::runtime::Builder;

use super::*;

const USER: &str = "app";
const PASSWORD: &str = "pass word";

/// Hands a mail over to what says `answers`, and returns what came of it with every line that was told.
fn handed_over(answers: &[u8]) -> (Result<String, Failure>, Vec<String>) {
    let mut told = Vec::new();
    let mut tell = |line: &str| told.push(line.to_owned());
    let stream = Box::new(join(Cursor::new(answers.to_vec()), sink()));
    let mut dialogue = Dialogue::new(stream, "mail.example:25", secrets(USER, PASSWORD), &mut tell);
    let letter = Letter { from: "a@example", to: "b@example", message: "Subject: x\r\n\r\ntext\r\n" };
    let talk = async {
        dialogue.reply(Stage::Greeting).await?.expect(&[220])?;
        let offers = hello(&mut dialogue, Ipv4Addr::LOCALHOST.into()).await?;
        log_in(&mut dialogue, &offers, USER, PASSWORD).await?;
        hand_over(&mut dialogue, &letter).await.map(|reply| reply.text())
    };
    let outcome = Builder::new_current_thread().enable_time().build().unwrap().block_on(talk);
    (outcome, told)
}

#[test]
fn whatever_a_mail_server_says_is_shown_without_harm() {
    let plain = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let taken = "235 in\r\n250 from\r\n250 to\r\n354 go\r\n250 2.0.0 queued \x1b[2J as 7\r\n";
    let by_plain = format!("220 a\r\n250-a\r\n250-SIZE 1\r\n250 AUTH PLAIN LOGIN\r\n{taken}");
    let by_login = format!(
        "220-a\r\n220 b\r\n250-a\r\n250-STARTTLS\r\n250 AUTH=LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n{taken}"
    );
    let repeats = format!(
        "220 a\r\n250 AUTH PLAIN\r\n250-a\r\n250 AUTH PLAIN\r\n535 5.7.8 {plain} of {USER} by {PASSWORD}\r\n"
    );
    let seeds = [by_plain, by_login, repeats, "554 go away\r\n".to_owned()];
    assert_eq!(handed_over(seeds[0].as_bytes()).0.unwrap(), "250 2.0.0 queued \u{fffd}[2J as 7");
    assert!(handed_over(seeds[1].as_bytes()).0.is_ok());
    fuzz("mail server", &seeds.each_ref().map(String::as_bytes), |data| {
        let (outcome, told) = handed_over(data);
        // Every code of a mail that was taken was there.
        let has = |code: &str| data.windows(3).any(|three| three == code.as_bytes());
        assert!(outcome.is_err() || ["220", "250", "235", "354"].iter().all(|code| has(code)));
        let said = outcome.unwrap_or_else(|failure| failure.to_string());
        for line in told.iter().chain([&said]) {
            assert!(!line.contains(char::is_control), "{line:?}");
            for secret in [PASSWORD, &plain, &STANDARD.encode(PASSWORD)] {
                assert!(!line.contains(secret), "{line:?}");
            }
        }
    });
}
