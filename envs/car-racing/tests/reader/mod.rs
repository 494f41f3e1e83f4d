//! Reads the reference data: little-endian numbers one after the other.
#![allow(dead_code, reason = "each test binary uses some of it")]

pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self
            .0
            .split_first_chunk()
            .expect("the data end in the middle of a number");
        self.0 = tail;
        *head
    }

    pub fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.take())
    }

    pub fn f64(&mut self) -> f64 {
        f64::from_le_bytes(self.take())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
