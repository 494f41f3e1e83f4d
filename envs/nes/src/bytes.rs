//! Memories of a fixed size as serde knows byte strings.

use serde::{Deserializer, Serializer, de};

/// Writes the bytes.
pub fn serialize<S: Serializer, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

struct Bytes<const N: usize>;

impl<'de, const N: usize> de::Visitor<'de> for Bytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        let wrong = |_| E::invalid_length(bytes.len(), &self);
        bytes.try_into().map_err(wrong)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let next = list.next_element()?;
            *byte = next.ok_or_else(|| de::Error::invalid_length(i, &self))?;
        }
        Ok(bytes)
    }
}

/// Reads as many bytes.
///
/// # Errors
/// If there are others.
pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    deserializer.deserialize_bytes(Bytes)
}
