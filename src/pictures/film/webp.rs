//! WebP: without loss, and half as large as a GIF.
//!
//! The frames are still pictures of the crate `image` in the container for animations that
//! developers.google.com/speed/webp/docs/riff_container describes.

use std::io::{Cursor, Seek, SeekFrom, Write};

use image::{ExtendedColorType, ImageResult, codecs::webp::WebPEncoder};

use super::{File, Reel, Shape};

/// Bytes before the first chunk of a still picture: `RIFF`, a size, `WEBP`.
const RIFF: usize = 12;

/// A WebP that repeats for ever.
pub(super) struct WebP {
    file: File,
    milliseconds: u32,
    /// Bytes after the first eight, so far.
    bytes: u32,
}

impl WebP {
    pub fn new(file: File, milliseconds: u32) -> Self {
        Self {
            file,
            milliseconds,
            bytes: 0,
        }
    }

    /// Writes a chunk, padded to an even length.
    fn chunk(&mut self, name: &[u8; 4], payload: &[u8]) -> std::io::Result<()> {
        let padding = &[0][..payload.len() % 2];
        self.file.write_all(name)?;
        self.file.write_all(&(payload.len() as u32).to_le_bytes())?;
        self.file.write_all(payload)?;
        self.file.write_all(padding)?;
        self.bytes += (8 + payload.len() + padding.len()) as u32;
        Ok(())
    }

    fn header(&mut self, shape: Shape) -> std::io::Result<()> {
        // The size is written when it is known.
        self.file.write_all(b"RIFF\0\0\0\0WEBP")?;
        self.bytes = 4;
        // It is an animation; three bytes of nothing.
        let mut canvas = vec![2, 0, 0, 0];
        canvas.extend(three(shape.width - 1));
        canvas.extend(three(shape.height - 1));
        self.chunk(b"VP8X", &canvas)?;
        // A background of nothing; no end of repetitions.
        self.chunk(b"ANIM", &[0; 6])
    }
}

/// The lowest three bytes of a number.
fn three(value: u32) -> [u8; 3] {
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

impl Reel for WebP {
    fn push(&mut self, shape: Shape, rgb: &[u8]) -> ImageResult<()> {
        if self.bytes == 0 {
            self.header(shape)?;
        }
        let mut still = Cursor::new(Vec::new());
        let Shape { width, height } = shape;
        WebPEncoder::new_lossless(&mut still).encode(
            rgb,
            width,
            height,
            ExtendedColorType::Rgb8,
        )?;
        // At the corner; no blending with the frame before.
        let mut frame = vec![0; 6];
        frame.extend(three(width - 1));
        frame.extend(three(height - 1));
        frame.extend(three(self.milliseconds));
        frame.push(2);
        frame.extend_from_slice(&still.get_ref()[RIFF..]);
        Ok(self.chunk(b"ANMF", &frame)?)
    }

    fn finish(mut self: Box<Self>) -> ImageResult<()> {
        self.file.seek(SeekFrom::Start(4))?;
        self.file.write_all(&self.bytes.to_le_bytes())?;
        Ok(self.file.flush()?)
    }
}
