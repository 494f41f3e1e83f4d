//! Films as GIF files.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use image::{
    Delay, Frame, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};
use tempfile::NamedTempFile;

use super::Panel;
use crate::run::{Result, RunError};

/// A GIF that is written frame by frame into a temporary file, and takes its name when it is finished.
pub struct Film {
    path: PathBuf,
    file: NamedTempFile,
    encoder: GifEncoder<BufWriter<std::fs::File>>,
    delay: Delay,
}

impl Film {
    /// A film at `path` with `milliseconds` between frames, repeated for ever.
    pub fn create(path: &Path, milliseconds: u32) -> Result<Self> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
        let file = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(RunError::io("write into", folder))?;
        let copy = file.as_file().try_clone().map_err(RunError::io("write", path))?;
        // Speed 10: quality is bounded by 256 colours anyway, and these pictures have few.
        let mut encoder = GifEncoder::new_with_speed(BufWriter::new(copy), 10);
        encoder.set_repeat(Repeat::Infinite).map_err(|e| failed(path, e))?;
        Ok(Self { path: path.to_path_buf(), file, encoder, delay: Delay::from_numer_denom_ms(milliseconds, 1) })
    }

    /// Adds a frame; all frames have the first one's size.
    pub fn push(&mut self, panel: &Panel) -> Result<()> {
        // Thirty-two levels a channel: a GIF has 256 colours anyway, and equal neighbours are what it compresses.
        let level = |v: u8| (v & 0xF8) | (v >> 5);
        let rgba: Vec<u8> = panel.rgb().as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [level(*r), level(*g), level(*b), 255]).collect();
        let image = RgbaImage::from_raw(panel.width() as u32, panel.height() as u32, rgba)
            .ok_or_else(|| RunError::Failed("a picture of impossible size".into()))?;
        self.encoder.encode_frame(Frame::from_parts(image, 0, 0, self.delay)).map_err(|e| failed(&self.path, e))
    }

    /// Closes the film and gives it its name.
    pub fn finish(self) -> Result<()> {
        let Self { path, file, encoder, .. } = self;
        // Dropping the encoder writes the trailer through the buffer.
        drop(encoder);
        file.as_file().flush().and_then(|()| file.as_file().sync_all()).map_err(RunError::io("write", &path))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(RunError::io("write", &path))?;
        }
        file.persist(&path).map_err(|e| RunError::Io { action: "replace", path, source: e.error })?;
        Ok(())
    }
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
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let frames = image::codecs::gif::GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 3);
        for (frame, c) in frames.iter().zip(colours) {
            assert_eq!(frame.delay().numer_denom_ms(), (40, 1));
            // Within half a level of 32, and what the format's palette adds to it.
            let seen = frame.buffer().get_pixel(3, 3).0;
            assert!(seen.iter().zip(c).all(|(a, b)| a.abs_diff(b) <= 8), "{seen:?} {c:?}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
