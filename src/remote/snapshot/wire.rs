//! Protobuf, as far as it takes to find one field. Trusts no length.

/// The first field `number` of `message` that has a length: bytes, text or a message.
pub(super) fn field(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                varint(&mut rest)?;
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (field, behind) = rest.split_at_checked(length)?;
                if tag >> 3 == number {
                    return Some(field);
                }
                rest = behind;
            }
            // What is read here has no fixed-size fields.
            _ => return None,
        }
    }
    None
}

/// Takes a number off the front: seven bits a byte, the lowest first, ten bytes at most.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_behind_others() {
        // create_revision = 300 (field 2), key = "/a" (field 1), value = "x" (field 5).
        let message = [0x10, 0xAC, 0x02, 0x0A, 2, b'/', b'a', 0x2A, 1, b'x'];
        assert_eq!(field(&message, 1), Some(&b"/a"[..]));
        assert_eq!(field(&message, 5), Some(&b"x"[..]));
        assert_eq!(field(&message, 3), None);
        assert_eq!(field(&[0x0A, 9, b'/'], 1), None);
        assert_eq!(field(&[], 1), None);
    }
}
