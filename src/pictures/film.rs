//! Films as GIF files.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use image::{
    Delay, Frame, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};
use tempfile::NamedTempFile;

use super::Panel;
use crate::run::{Result, RunError, begin, finish};

/// A GIF that is written frame by frame to a temporary file, which is renamed when it is finished.
pub struct Film {
    path: PathBuf,
    file: NamedTempFile,
    tape: Tape<BufWriter<File>>,
    encoder: GifEncoder<Tape<BufWriter<File>>>,
    delay: Delay,
    /// Width and height of all frames; `None` before the first one.
    size: Option<[usize; 2]>,
}

impl Film {
    /// A film at `path` with `milliseconds` between frames (truncated to hundredths of a second).
    /// It repeats for ever.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn create(path: &Path, milliseconds: u32) -> Result<Self> {
        let file = begin(path)?;
        let copy = file
            .as_file()
            .try_clone()
            .map_err(RunError::io("write", path))?;
        let tape = Tape::new(BufWriter::new(copy));
        // Speed 10: these pictures have few colours, so a slower search of the palette gains
        // little.
        let mut encoder = GifEncoder::new_with_speed(tape.clone(), 10);
        encoder
            .set_repeat(Repeat::Infinite)
            .map_err(|e| failed(path, e))?;
        let delay = Delay::from_numer_denom_ms(milliseconds, 1);
        Ok(Self {
            path: path.to_path_buf(),
            file,
            tape,
            encoder,
            delay,
            size: None,
        })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// If its size differs from that of the first frame, or if it cannot be written.
    pub fn push(&mut self, panel: &Panel) -> Result<()> {
        let [width, height] = [panel.width(), panel.height()];
        let [first_width, first_height] = *self.size.get_or_insert([width, height]);
        if [width, height] != [first_width, first_height] {
            let path = self.path.display();
            return Err(RunError::Failed(format!(
                "a frame of {width}x{height} after one of {first_width}x{first_height} in {path}"
            )));
        }
        // Thirty-two levels per channel: a GIF has 256 colours, and it compresses equal neighbours.
        let level = |v: u8| (v & 0xF8) | (v >> 5);
        let rgba: Vec<u8> = panel
            .rgb()
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|[r, g, b]| [level(*r), level(*g), level(*b), 255])
            .collect();
        let image = RgbaImage::from_raw(width as u32, height as u32, rgba)
            .ok_or_else(|| impossible(&self.path))?;
        self.encoder
            .encode_frame(Frame::from_parts(image, 0, 0, self.delay))
            .map_err(|e| failed(&self.path, e))
    }

    /// Closes the file and renames it to its path.
    ///
    /// # Errors
    /// If there are no frames, or if the file cannot be written.
    pub fn finish(self) -> Result<()> {
        let Self {
            path,
            file,
            tape,
            encoder,
            size,
            ..
        } = self;
        // Dropping the encoder writes the end mark and discards an error; `Tape` keeps it.
        drop(encoder);
        if size.is_none() {
            return Err(RunError::Failed(format!(
                "the film {} has no frames",
                path.display()
            )));
        }
        tape.close().map_err(RunError::io("write", &path))?;
        finish(file, &path)
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

fn impossible(path: &Path) -> RunError {
    RunError::Failed(format!("a frame of impossible size in {}", path.display()))
}

fn failed(path: &Path, error: image::ImageError) -> RunError {
    match error {
        image::ImageError::IoError(source) => RunError::io("write", path)(source),
        other => RunError::Failed(format!("cannot encode {}: {other}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use image::AnimationDecoder;

    use super::*;

    #[test]
    fn a_film_has_its_frames_delays_and_colours_and_appears_only_when_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.gif");
        let mut film = Film::create(&path, 40).unwrap();
        let colours = [[200u8, 30, 30], [30, 200, 30], [30, 30, 200]];
        for c in colours {
            film.push(&Panel::new(8, 8, c.repeat(64))).unwrap();
            assert!(!path.exists());
        }
        film.finish().unwrap();
        let file = std::io::BufReader::new(File::open(&path).unwrap());
        let frames = image::codecs::gif::GifDecoder::new(file)
            .unwrap()
            .into_frames()
            .collect_frames()
            .unwrap();
        assert_eq!(frames.len(), 3);
        for (frame, c) in frames.iter().zip(colours) {
            assert_eq!(frame.delay().numer_denom_ms(), (40, 1));
            // Within half a level of 32, and what the format's palette adds to it.
            let seen = frame.buffer().get_pixel(3, 3).0;
            assert!(
                seen.iter().zip(c).all(|(a, b)| a.abs_diff(b) <= 8),
                "{seen:?} {c:?}"
            );
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_that_names_the_film_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.gif");
        let mut film = Film::create(&path, 40).unwrap();
        film.push(&Panel::new(2, 1, vec![0; 6])).unwrap();
        let error = film
            .push(&Panel::new(1, 2, vec![0; 6]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("1x2") && error.contains("2x1") && error.contains("f.gif"),
            "{error}"
        );
        drop(film);
        let error = Film::create(&path, 40)
            .unwrap()
            .finish()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("f.gif") && error.contains("no frames"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        // A file where the folder should be.
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let Err(error) = Film::create(&file.join("f.gif"), 40) else {
            panic!("a film inside a file")
        };
        assert!(
            error.to_string().contains(&file.display().to_string()),
            "{error}"
        );

        // A folder where the film should be.
        std::fs::create_dir(&path).unwrap();
        let mut film = Film::create(&path, 40).unwrap();
        film.push(&Panel::new(2, 1, vec![0; 6])).unwrap();
        let error = film.finish().unwrap_err().to_string();
        assert!(error.contains("f.gif"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

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
