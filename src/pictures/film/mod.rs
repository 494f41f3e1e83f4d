//! Films: panels one after the other, as a file.

mod gif;
mod mp4;
mod webp;

use std::{
    io::BufWriter,
    path::{Path, PathBuf},
};

use image::{ImageError, ImageResult};
use tempfile::NamedTempFile;

use super::Panel;
use crate::run::{Result, RunError, begin, finish};

/// The file that a film is written to.
type File = BufWriter<std::fs::File>;

/// Width and height of a frame in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    width: u32,
    height: u32,
}

/// A kind of film.
trait Reel {
    /// Adds a frame, `[height, width, 3]` bytes; all have the same shape.
    fn push(&mut self, shape: Shape, rgb: &[u8]) -> ImageResult<()>;

    /// Writes what belongs after the last frame. There was at least one.
    fn finish(self: Box<Self>) -> ImageResult<()>;
}

/// What the names of films can end in.
pub const ENDINGS: [&str; 3] = ["gif", "webp", "mp4"];

/// Which of [`ENDINGS`] the name `path` has.
///
/// # Errors
/// If it has none of them.
pub fn ending(path: &Path) -> Result<&'static str> {
    let found = path.extension().and_then(|extension| {
        let is_it = |ending: &&&str| extension.eq_ignore_ascii_case(ending);
        ENDINGS.iter().find(is_it)
    });
    found.copied().ok_or_else(|| {
        RunError::Config(format!(
            "{} must end in .gif, .webp or .mp4",
            path.display()
        ))
    })
}

/// A film that is written frame by frame to a temporary file, which is renamed when it is finished.
/// Its name says which kind it is: GIF, WebP, or MP4, for which ffmpeg has to be installed.
pub struct Film {
    path: PathBuf,
    file: NamedTempFile,
    reel: Box<dyn Reel>,
    /// That of all frames; `None` before the first one.
    shape: Option<Shape>,
}

impl Film {
    /// A film at `path` with `milliseconds` between frames, whole hundredths of a second. GIF and
    /// WebP repeat for ever.
    ///
    /// # Errors
    /// If the name has none of the [`ENDINGS`], if the folder cannot be made or written, or if there
    /// is no ffmpeg for an MP4.
    pub fn create(path: &Path, milliseconds: u32) -> Result<Self> {
        let ending = ending(path)?;
        let file = begin(path)?;
        let copy = || -> Result<File> {
            let copy = file.as_file().try_clone();
            Ok(BufWriter::new(copy.map_err(RunError::io("write", path))?))
        };
        let reel: Box<dyn Reel> = match ending {
            "gif" => Box::new(gif::Gif::new(copy()?, milliseconds).map_err(|e| failed(path, e))?),
            "webp" => Box::new(webp::WebP::new(copy()?, milliseconds)),
            _ => Box::new(mp4::Mp4::new(file.path(), milliseconds)?),
        };
        Ok(Self {
            path: path.to_path_buf(),
            file,
            reel,
            shape: None,
        })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// If its size differs from that of the first frame, or if it cannot be written.
    pub fn push(&mut self, panel: &Panel) -> Result<()> {
        let shape = Shape {
            width: panel.width() as u32,
            height: panel.height() as u32,
        };
        let first = *self.shape.get_or_insert(shape);
        if shape != first {
            return Err(RunError::Failed(format!(
                "a frame of {}x{} after one of {}x{} in {}",
                shape.width,
                shape.height,
                first.width,
                first.height,
                self.path.display()
            )));
        }
        // Thirty-two levels per channel: a GIF has 256 colours, and all kinds compress equal
        // neighbours.
        let level = |v: &u8| (v & 0xF8) | (v >> 5);
        let rgb: Vec<u8> = panel.rgb().iter().map(level).collect();
        (self.reel.push(shape, &rgb)).map_err(|e| failed(&self.path, e))
    }

    /// Closes the file and renames it to its path.
    ///
    /// # Errors
    /// If there are no frames, or if the file cannot be written.
    pub fn finish(self) -> Result<()> {
        let Self { path, file, .. } = self;
        if self.shape.is_none() {
            return Err(RunError::Failed(format!(
                "the film {} has no frames",
                path.display()
            )));
        }
        self.reel.finish().map_err(|e| failed(&path, e))?;
        finish(file, &path)
    }
}

fn failed(path: &Path, error: ImageError) -> RunError {
    match error {
        ImageError::IoError(source) => RunError::io("write", path)(source),
        other => RunError::Failed(format!("cannot encode {}: {other}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

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

    /// WebP keeps every pixel, so frames come back as they were but for the levels.
    #[test]
    fn a_webp_has_its_frames_and_delays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.WebP");
        let mut film = Film::create(&path, 70).unwrap();
        // An odd number of bytes a frame at some point: chunks are padded.
        for shade in [0u8, 90, 255, 17] {
            let noise = (0..7 * 5 * 3).map(|i: u32| (i * i % 251) as u8 ^ shade);
            film.push(&Panel::new(7, 5, noise.collect())).unwrap();
        }
        film.finish().unwrap();
        let file = std::io::BufReader::new(File::open(&path).unwrap());
        let decoder = image::codecs::webp::WebPDecoder::new(file).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 4);
        for (frame, shade) in frames.iter().zip([0u8, 90, 255, 17]) {
            assert_eq!(frame.delay().numer_denom_ms(), (70, 1));
            for (i, pixel) in frame.buffer().pixels().enumerate() {
                let i = 3 * i as u32;
                let value = |i: u32| (i * i % 251) as u8 ^ shade;
                let level = |v: u8| (v & 0xF8) | (v >> 5);
                let whole = [value(i), value(i + 1), value(i + 2)].map(level);
                assert_eq!(pixel.0, [whole[0], whole[1], whole[2], 255]);
            }
        }
    }

    #[test]
    fn another_ending_is_refused_with_those_that_can_be() {
        for name in ["f.avi", "f", "gif"] {
            let Err(error) = Film::create(Path::new(name), 40) else {
                panic!("a film {name}")
            };
            let error = error.to_string();
            assert!(error.contains(".gif, .webp or .mp4"), "{error}");
        }
    }
}
