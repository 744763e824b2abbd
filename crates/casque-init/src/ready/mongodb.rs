//! MongoDB's `hello` over its wire protocol (OP_MSG), made and read by hand: one fixed request, and
//! one number out of the answer, are not worth a driver.

use super::{LONGEST_ANSWER, Verdict};

const OP_MSG: i32 = 2013;
const HEADER: usize = 16;

/// Returns the request `{ hello: 1, $db: "admin" }`.
pub(super) fn hello() -> Vec<u8> {
    let mut elements = Vec::new();
    elements.extend_from_slice(b"\x10hello\0");
    elements.extend_from_slice(&1_i32.to_le_bytes());
    elements.extend_from_slice(b"\x02$db\0");
    elements.extend_from_slice(&6_i32.to_le_bytes());
    elements.extend_from_slice(b"admin\0");
    let mut document = length(elements.len() + 5);
    document.extend_from_slice(&elements);
    document.push(0);

    let mut message = length(HEADER + 5 + document.len());
    message.extend_from_slice(&1_i32.to_le_bytes()); // our request's number
    message.extend_from_slice(&0_i32.to_le_bytes()); // answers nothing
    message.extend_from_slice(&OP_MSG.to_le_bytes());
    message.extend_from_slice(&0_u32.to_le_bytes()); // no flags
    message.push(0); // one body section
    message.extend_from_slice(&document);
    message
}

/// Judges an answer: ready when its document says `ok: 1`.
pub(super) fn judge(answer: &[u8]) -> Verdict {
    let foreign = || Verdict::NotReady("its answer is not that of a MongoDB".to_owned());
    let Some(size) = integer(answer, 0) else {
        return Verdict::Incomplete;
    };
    let size = match usize::try_from(size) {
        Ok(size) if (HEADER + 5..=LONGEST_ANSWER).contains(&size) => size,
        _ => return foreign(),
    };
    let Some(message) = answer.get(..size) else {
        return Verdict::Incomplete;
    };
    if integer(message, 12) != Some(OP_MSG) || message.get(HEADER + 4) != Some(&0) {
        return foreign();
    }
    match ok(&message[HEADER + 5..]) {
        Some(true) => Verdict::Ready,
        Some(false) => Verdict::NotReady("it refused `hello`".to_owned()),
        None => foreign(),
    }
}

/// Finds the top-level element `ok` of a BSON document.
fn ok(document: &[u8]) -> Option<bool> {
    let mut at = 4;
    loop {
        let kind = *document.get(at)?;
        if kind == 0 {
            return None;
        }
        let name = at + 1;
        let name_end = name + document.get(name..)?.iter().position(|&byte| byte == 0)?;
        let value = name_end + 1;
        if document.get(name..name_end)? == b"ok" {
            return truth(kind, document.get(value..)?);
        }
        at = value.checked_add(value_size(kind, document, value)?)?;
    }
}

fn truth(kind: u8, value: &[u8]) -> Option<bool> {
    match kind {
        0x01 => Some(f64::from_le_bytes(value.get(..8)?.try_into().ok()?) == 1.0),
        0x08 => Some(*value.first()? == 1),
        0x10 => Some(integer(value, 0)? == 1),
        0x12 => Some(i64::from_le_bytes(value.get(..8)?.try_into().ok()?) == 1),
        _ => None,
    }
}

fn value_size(kind: u8, document: &[u8], at: usize) -> Option<usize> {
    let sized = || usize::try_from(integer(document, at)?).ok();
    match kind {
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        0x02 => sized()?.checked_add(4),
        0x03 | 0x04 => sized().filter(|&size| size >= 5),
        0x05 => sized()?.checked_add(5),
        0x07 => Some(12),
        0x08 => Some(1),
        0x0a => Some(0),
        0x10 => Some(4),
        0x13 => Some(16),
        _ => None,
    }
}

fn integer(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(i32::from_le_bytes(bytes.try_into().ok()?))
}

fn length(size: usize) -> Vec<u8> {
    i32::try_from(size).expect("the request is a few dozen bytes").to_le_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    /// An answer with a string and a document before its `ok`.
    fn answer(ok: f64) -> Vec<u8> {
        let mut elements = b"\x02setName\0\x03\0\0\0rs\0\x03topology\0\x05\0\0\0\0\x01ok\0".to_vec();
        elements.extend_from_slice(&ok.to_le_bytes());
        let mut message = length(HEADER + 5 + elements.len() + 5);
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&OP_MSG.to_le_bytes());
        message.extend_from_slice(&[0; 5]);
        message.extend_from_slice(&length(elements.len() + 5));
        message.extend_from_slice(&elements);
        message.push(0);
        message
    }

    #[test]
    fn the_request_states_its_own_length() {
        let hello = hello();
        assert_eq!(integer(&hello, 0), i32::try_from(hello.len()).ok());
        assert_eq!(integer(&hello, HEADER + 5), i32::try_from(hello.len() - HEADER - 5).ok());
    }

    #[test]
    fn ok_1_is_ready_and_ok_0_is_not() {
        assert_eq!(judge(&answer(1.0)), Verdict::Ready);
        assert_eq!(judge(&answer(0.0)), Verdict::NotReady("it refused `hello`".to_owned()));
    }

    #[test]
    fn every_prefix_of_an_answer_is_incomplete() {
        let answer = answer(1.0);
        for end in 0..answer.len() {
            assert_eq!(judge(&answer[..end]), Verdict::Incomplete);
        }
    }

    #[test]
    fn another_protocol_is_named_as_such() {
        let foreign = Verdict::NotReady("its answer is not that of a MongoDB".to_owned());
        assert_eq!(judge(b"HTTP/1.1 400 Bad Request"), foreign);
        let mut truncated = answer(1.0);
        let end = truncated.len() - 12;
        truncated.truncate(end);
        truncated[..4].copy_from_slice(&length(end));
        assert_eq!(judge(&truncated), foreign);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(noise in any::<Vec<u8>>(), at in 0_usize..60, byte in any::<u8>()) {
            judge(&noise);
            let mut changed = answer(1.0);
            let at = at.min(changed.len() - 1);
            changed[at] = byte;
            judge(&changed);
        }
    }
}
