//! CRC-8 as PlainBuffer and matrix blocks use it: polynomial 0x07, from 0, not reflected, no final xor. Pure.
//!
//! Every value's bytes go through it, so it takes sixteen bytes a step. That is possible since it is linear: a byte's
//! part in the sum depends on how many bytes follow, and there is a table for each distance.

/// Bytes a step; sixteen tables are 4 KiB, which stay in the processor's nearest cache.
const STEP: usize = 16;

/// `TABLES[n][byte]`: the part of `byte` where `n` bytes follow.
static TABLES: [[u8; 256]; STEP] = tables();

const fn tables() -> [[u8; 256]; STEP] {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x80 != 0 { (crc << 1) ^ 0x07 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut distance = 1;
    while distance < STEP {
        let mut byte = 0;
        while byte < 256 {
            tables[distance][byte] = tables[0][tables[distance - 1][byte] as usize];
            byte += 1;
        }
        distance += 1;
    }
    tables
}

/// A running checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crc(pub u8);

impl Crc {
    pub fn bytes(&mut self, bytes: &[u8]) {
        let (steps, rest) = bytes.as_chunks::<STEP>();
        let mut crc = self.0;
        for step in steps {
            let mut sum = TABLES[STEP - 1][usize::from(step[0] ^ crc)];
            for at in 1..STEP {
                sum ^= TABLES[STEP - 1 - at][usize::from(step[at])];
            }
            crc = sum;
        }
        for byte in rest {
            crc = TABLES[0][usize::from(crc ^ byte)];
        }
        self.0 = crc;
    }

    pub fn byte(&mut self, byte: u8) {
        self.0 = TABLES[0][usize::from(self.0 ^ byte)];
    }

    pub fn of(bytes: &[u8]) -> u8 {
        let mut crc = Crc::default();
        crc.bytes(bytes);
        crc.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_known_check_value() {
        assert_eq!(Crc::of(b"123456789"), 0xf4);
        assert_eq!(Crc::of(b""), 0);
    }

    #[test]
    fn a_step_of_sixteen_is_sixteen_steps_of_one() {
        let bytes: Vec<u8> = (0..200_u32).map(|at| (at * 31 % 251) as u8).collect();
        for length in 0..bytes.len() {
            let mut one = Crc(7);
            bytes[..length].iter().for_each(|byte| one.byte(*byte));
            let mut whole = Crc(7);
            whole.bytes(&bytes[..length]);
            assert_eq!(whole, one, "{length} bytes");
        }
    }
}
