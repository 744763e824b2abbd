//! Questions for names (RFC 1035), from programs that do not ask the proxy: no name exists, and who was asked for is noted.

/// The kinds of question that mean somebody wants to connect: addresses, old and new, and services.
const ADDRESSES: [u16; 4] = [1, 28, 33, 65];
const HEADER: usize = 12;

/// A question and the answer to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The host, when it is asked for its address.
    pub(crate) host: Option<String>,
    /// "No such name."
    pub(crate) answer: Vec<u8>,
}

/// Reads a datagram; none when it is no question.
pub(crate) fn question(datagram: &[u8]) -> Option<Question> {
    let header = datagram.get(..HEADER)?;
    let is_query = header[2] & 0xf8 == 0;
    let questions = u16::from_be_bytes([header[4], header[5]]);
    if !is_query || questions != 1 {
        return None;
    }
    let mut labels: Vec<String> = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*datagram.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        // Longer ones are pointers, which a question has no use for.
        if length > 63 {
            return None;
        }
        labels.push(String::from_utf8_lossy(datagram.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*datagram.get(at)?, *datagram.get(at + 1)?]);
    let asked = datagram.get(HEADER..at + 4)?;

    let recursion_wanted = header[2] & 1;
    let mut answer = Vec::with_capacity(HEADER + asked.len());
    answer.extend_from_slice(&header[..2]);
    // An answer with authority; recursion is available; no such name (code 3).
    answer.extend_from_slice(&[0x84 | recursion_wanted, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
    answer.extend_from_slice(asked);
    let host = ADDRESSES.contains(&kind).then(|| labels.join(".")).filter(|host| !host.is_empty());
    Some(Question { host, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(kind: u8) -> Vec<u8> {
        let mut datagram = vec![0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        datagram.extend_from_slice(b"\x03Git\x07example\x03org\x00\x00");
        datagram.extend_from_slice(&[kind, 0, 1]);
        datagram
    }

    #[test]
    fn a_host_that_is_asked_for_does_not_exist_and_is_noted() {
        let question = question(&asking(1)).unwrap();
        assert_eq!(question.host.as_deref(), Some("git.example.org"));
        let mut expected = asking(1);
        expected[2..12].copy_from_slice(&[0x85, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(question.answer, expected);
    }

    #[test]
    fn a_name_of_an_address_is_no_host_somebody_connects_to() {
        assert_eq!(question(&asking(12)).unwrap().host, None);
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        let mut answer = asking(1);
        answer[2] |= 0x80;
        assert_eq!(question(&answer), None);
        for length in 0..asking(1).len() {
            assert_eq!(question(&asking(1)[..length]), None, "{length} bytes of a question");
        }
    }
}
