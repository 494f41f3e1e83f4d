//! GIF: every program shows it; 256 colours a frame.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use image::{
    Delay, Frame, ImageResult, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};

use super::{File, Reel, Shape};

/// A GIF that repeats for ever.
pub(super) struct Gif {
    tape: Tape<File>,
    encoder: GifEncoder<Tape<File>>,
    delay: Delay,
}

impl Gif {
    pub fn new(file: File, milliseconds: u32) -> ImageResult<Self> {
        let tape = Tape::new(file);
        // Speed 10: these pictures have few colours, so a slower search of the palette gains
        // little.
        let mut encoder = GifEncoder::new_with_speed(tape.clone(), 10);
        encoder.set_repeat(Repeat::Infinite)?;
        Ok(Self {
            tape,
            encoder,
            delay: Delay::from_numer_denom_ms(milliseconds, 1),
        })
    }
}

impl Reel for Gif {
    fn push(&mut self, Shape { width, height }: Shape, rgb: &[u8]) -> ImageResult<()> {
        let rgba = rgb.as_chunks::<3>().0.iter();
        let rgba = rgba.flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
        let image = RgbaImage::from_raw(width, height, rgba).expect("four bytes a pixel");
        (self.encoder).encode_frame(Frame::from_parts(image, 0, 0, self.delay))
    }

    fn finish(self: Box<Self>) -> ImageResult<()> {
        let Self { tape, encoder, .. } = *self;
        // Dropping the encoder writes the end mark and discards an error; `Tape` keeps it.
        drop(encoder);
        Ok(tape.close()?)
    }
}

/// A writer that the encoder shares with [`Film`]. It keeps the first error, which the encoder may
/// have dropped, and returns it when it is closed.
struct Tape<W>(Arc<Mutex<(W, Option<io::Error>)>>);

impl<W> Clone for Tape<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write> Tape<W> {
    fn new(out: W) -> Self {
        Self(Arc::new(Mutex::new((out, None))))
    }

    fn with<T>(&self, act: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, first) = &mut *guard;
        act(out).inspect_err(|e| {
            first.get_or_insert_with(|| io::Error::new(e.kind(), e.to_string()));
        })
    }

    fn close(&self) -> io::Result<()> {
        // An error of this flush is kept like any other.
        let _ = self.with(Write::flush);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .take()
            .map_or(Ok(()), Err)
    }
}

impl<W: Write> Write for Tape<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_the_encoder_drops_is_not_lost() {
        // Accepts this number of bytes and no more, like a disk.
        struct Disk(usize);
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let film_on = |room: usize| {
            let tape = Tape::new(Disk(room));
            let mut encoder = GifEncoder::new(tape.clone());
            let frame = encoder.encode_frame(Frame::new(RgbaImage::new(4, 4)));
            drop(encoder);
            (
                frame.is_ok(),
                tape.close().map_err(|e| e.kind()),
                tape.0.lock().unwrap().0.0,
            )
        };
        let (_, end, left) = film_on(1000);
        assert_eq!(end, Ok(()));
        // Room for all but the end mark.
        assert_eq!(
            film_on(1000 - left - 1),
            (true, Err(io::ErrorKind::StorageFull), 0)
        );
    }
}
