//! Which slot a key has.

use crate::slots::SLOTS;

/// The slot of a key: CRC16 (XMODEM) of what stands between its first `{` and the next `}`, or of all of
/// it where nothing does.
pub fn hash_slot(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty());
    crc16(tag.unwrap_or(key).as_bytes()) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    const POLYNOMIAL: u16 = 0x1021;
    let shift = |crc: u16| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { POLYNOMIAL };
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| shift(crc))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_servers_give_them() {
        // The check value of CRC16/XMODEM, and examples of the Redis cluster specification.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(hash_slot("foo"), 12_182);
        assert_eq!(hash_slot("{user1000}.following"), hash_slot("user1000"));
        assert_eq!(hash_slot("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(hash_slot("foo{{bar}}zap"), hash_slot("{bar"));
    }
}
