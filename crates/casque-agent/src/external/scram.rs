//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Fewer rounds than this a server asks for only to learn the password.
const FEWEST_ROUNDS: u32 = 4096;
/// More would keep us busy for minutes.
const MOST_ROUNDS: u32 = 10_000_000;

/// A log-in that has begun.
pub struct Scram {
    password: String,
    first: String,
    nonce: String,
}

/// What goes to the server, and what it has to answer.
pub struct Proof {
    /// The client's final message.
    pub message: String,
    expected: String,
}

impl Scram {
    /// Begins with a nonce that nobody has used before.
    ///
    /// # Errors
    /// A password that cannot be prepared as RFC 4013 wants it.
    pub fn new(user: &str, password: &str, nonce: &[u8]) -> Result<Self, String> {
        let password = stringprep::saslprep(password)
            .map_err(|_| "its password has characters that no log-in may have")?;
        let nonce = STANDARD.encode(nonce);
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Ok(Self { password: password.into_owned(), first: format!("n={user},r={nonce}"), nonce })
    }

    /// Returns the client's first message.
    pub fn message(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// Answers the server's first message.
    ///
    /// # Errors
    /// A message that is none, or is meant to harm.
    pub fn answer(&self, challenge: &str) -> Result<Proof, String> {
        let part =
            |name: char| challenge.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let wrong = || "its challenge is none of SCRAM".to_owned();
        let nonce = part('r').filter(|nonce| nonce.starts_with(&self.nonce)).ok_or_else(wrong)?;
        let salt = STANDARD.decode(part('s').ok_or_else(wrong)?).map_err(|_| wrong())?;
        let rounds: u32 = part('i').and_then(|count| count.parse().ok()).ok_or_else(wrong)?;
        if !(FEWEST_ROUNDS..=MOST_ROUNDS).contains(&rounds) {
            return Err(format!("it asks for {rounds} rounds of its log-in"));
        }
        let rounds = NonZeroU32::new(rounds).ok_or_else(wrong)?;
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, self.password.as_bytes(), &mut salted);
        let bare = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{bare}", self.first);
        let client = keyed(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client.as_ref());
        let signature = keyed(stored.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server = keyed(keyed(&salted, b"Server Key").as_ref(), signed.as_bytes());
        Ok(Proof {
            message: format!("{bare},p={}", STANDARD.encode(proof)),
            expected: format!("v={}", STANDARD.encode(server.as_ref())),
        })
    }
}

impl Proof {
    /// Says whether the server knows the password, too.
    pub fn is_answered_by(&self, message: &str) -> bool {
        message == self.expected
    }
}

fn keyed(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3; its nonce is what base64 makes of these bytes.
    fn example() -> Scram {
        Scram::new("user", "pencil", &STANDARD.decode("rOprNGfwEbeRWgbNEkqO").unwrap()).unwrap()
    }
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn it_says_what_the_rfc_says() {
        assert_eq!(example().message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let proof = example().answer(CHALLENGE).unwrap();
        assert_eq!(
            proof.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(proof.is_answered_by("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!proof.is_answered_by("v=AAAA"));
    }

    #[test]
    fn a_challenge_that_would_harm_is_not_answered() {
        let refused = |challenge: &str| example().answer(challenge).err().unwrap();
        assert_eq!(refused(&CHALLENGE.replace("rOpr", "xxxx")), "its challenge is none of SCRAM");
        assert_eq!(refused(&CHALLENGE.replace("4096", "1")), "it asks for 1 rounds of its log-in");
        assert_eq!(
            refused(&CHALLENGE.replace("4096", "4000000000")),
            "it asks for 4000000000 rounds of its log-in"
        );
        assert_eq!(refused(""), "its challenge is none of SCRAM");
    }

    #[test]
    fn a_user_with_signs_of_the_protocol_stays_one_user() {
        let scram = Scram::new("a=b,c", "x", b"").unwrap();
        assert_eq!(scram.message(), "n,,n=a=3Db=2Cc,r=");
    }
}
