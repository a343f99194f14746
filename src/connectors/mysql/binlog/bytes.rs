//! Reads numbers and pieces from the front of bytes that somebody else wrote: never past their end.

#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Little-endian, of one to eight bytes.
    #[inline]
    pub fn uint(&mut self, width: usize) -> Option<u64> {
        let bytes = self.take(width)?;
        let mut wide = [0; 8];
        wide.get_mut(..width)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(wide))
    }

    /// Big-endian, of one to eight bytes.
    #[inline]
    pub fn uint_be(&mut self, width: usize) -> Option<u64> {
        let bytes = self.take(width)?;
        let mut wide = [0; 8];
        wide[8_usize.checked_sub(width)?..].copy_from_slice(bytes);
        Some(u64::from_be_bytes(wide))
    }

    pub fn u8(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.uint(2).map(|number| number as u16)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.uint(4).map(|number| number as u32)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.uint(8)
    }

    /// The protocol's length-encoded integer.
    pub fn packed(&mut self) -> Option<u64> {
        match self.u8()? {
            0xfc => self.uint(2),
            0xfd => self.uint(3),
            0xfe => self.uint(8),
            0xfb | 0xff => None,
            small => Some(u64::from(small)),
        }
    }

    pub fn packed_usize(&mut self) -> Option<usize> {
        usize::try_from(self.packed()?).ok()
    }

    /// A name: its length in one byte, its bytes, a zero.
    pub fn name(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        let name = self.take(usize::from(length))?;
        (self.u8()? == 0).then_some(name)
    }

    /// A bit per column.
    pub fn bits(&mut self, columns: usize) -> Option<&'a [u8]> {
        self.take(columns.div_ceil(8))
    }
}

/// Bit `index`, the low one of each byte first; one past the end is not set.
#[inline]
pub(in super::super) fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_and_nothing_past_the_end() {
        let mut bytes = Bytes(&[1, 0, 0, 2, 0xfc, 1, 1, 0xfd, 1, 0, 1, 250]);
        assert_eq!(bytes.uint(3), Some(1));
        assert_eq!(bytes.u8(), Some(2));
        assert_eq!(bytes.packed(), Some(257));
        assert_eq!(bytes.packed(), Some(65537));
        assert_eq!(bytes.packed(), Some(250));
        assert_eq!(bytes.packed(), None);
        assert_eq!(Bytes(&[1, 2, 3]).uint_be(3), Some(0x01_0203));
        assert_eq!(Bytes(&[0xfe, 1]).packed(), None);
        assert_eq!(Bytes(&[3, b'a', b'b']).name(), None);
        assert!(bit(&[0, 2], 9) && !bit(&[0, 2], 8) && !bit(&[], 3));
    }
}
